//! AWS Signature Version 4 ("Create a signed AWS API request"), as far as one POST with a JSON body needs it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// A temporary AWS identity.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: SecretString,
    pub(crate) session: Option<SecretString>,
}

/// The request to sign.
pub(crate) struct Request<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    /// Every header to sign, with names in lower case and in alphabetical order.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// Returns the time in the format of `x-amz-date`.
pub(crate) fn date(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Returns the value of the `Authorization` header. `date` is the value of `x-amz-date`.
pub(crate) fn authorization(keys: &Keys, request: &Request<'_>, date: &str) -> String {
    let Request { region, service, method, path, query, headers, body } = request;
    let canonical_headers = headers.iter().fold(String::new(), |text, (name, value)| text + name + ":" + value.trim() + "\n");
    let signed = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = format!("{method}\n{path}\n{query}\n{canonical_headers}\n{signed}\n{}", hex::encode(Sha256::digest(body)));
    let day = date.get(..8).unwrap_or(date);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical.as_bytes())));
    let mut key = mac(format!("AWS4{}", keys.secret.expose_secret()).as_bytes(), day);
    for part in [region, service, "aws4_request", &to_sign] {
        key = mac(&key, part);
    }
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={}", keys.id, hex::encode(key))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text.as_bytes()).finalize().into_bytes().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys { id: "AKIDEXAMPLE".to_owned(), secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(), session: None }
    }

    // AWS's published test suite (aws-sig-v4-test-suite): get-vanilla and post-vanilla.
    #[test]
    fn the_published_vectors() {
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let request =
            |method| Request { region: "us-east-1", service: "service", method, path: "/", query: "", headers: &headers, body: b"" };
        let begin =
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=";
        for (method, signature) in [
            ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ] {
            assert_eq!(authorization(&keys(), &request(method), "20150830T123600Z"), format!("{begin}{signature}"));
        }
    }

    #[test]
    fn the_time() {
        assert_eq!(date("2015-08-30T12:36:00Z".parse().unwrap()), "20150830T123600Z");
    }
}
