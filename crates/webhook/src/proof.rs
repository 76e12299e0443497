//! Checks that a webhook call is authenticated with the secret.
//!
//! A call can be authenticated by a signature of its body, by an `Authorization` header or by a token in the path or
//! query. If there is a signature, only the signature decides: a wrong signature means that the body was changed,
//! whatever else the call carries. Every comparison takes constant time and does not reveal the length of the secret:
//! it compares digests, not texts.

pub mod google;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The headers that may carry a signature of the body. The first one present counts.
const SIGNATURES: [(&str, Signature); 4] = [
    ("x-hub-signature-256", Signature::Prefixed),
    ("x-headwind-signature", Signature::Prefixed),
    ("x-nexus-webhook-signature", Signature::Sha1),
    ("x-jfrog-event-auth", Signature::BareOrSecret),
];
/// GitLab's "secret token".
const GITLAB: &str = "x-gitlab-token";

/// The format of a signature.
#[derive(Clone, Copy)]
enum Signature {
    /// `sha256=<hex>` of HMAC-SHA256 (GitHub's form).
    Prefixed,
    /// `<hex>` of HMAC-SHA1 (Nexus, "Working with HMAC payloads").
    Sha1,
    /// `<hex>` of HMAC-SHA256, or the secret itself (JFrog, depending on "use secret for payload signing").
    BareOrSecret,
}

/// A secret that cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Creates a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn equals(&self, claimed: &str) -> bool {
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        digest(&self.0).ct_eq(&digest(claimed)).into()
    }

    fn signed(&self, hex_signature: &str, body: &[u8]) -> bool {
        let Ok(signature) = hex::decode(hex_signature) else { return false };
        Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
    }

    fn signed_by_sha1(&self, hex_signature: &str, body: &[u8]) -> bool {
        let Ok(signature) = hex::decode(hex_signature) else { return false };
        Hmac::<Sha1>::new_from_slice(self.0.as_bytes()).is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The reasons why a call is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The call carries no proof.
    #[error(
        "the call has neither the secret nor a signature: sign the body (X-Hub-Signature-256), or send the secret as Authorization or ?token="
    )]
    Missing,
    /// The secret or the signature is wrong.
    #[error("the secret or the signature is wrong")]
    Wrong,
}

/// Verifies the proof of a call. `header` looks up a header by its lower-case name.
///
/// # Errors
/// If the call carries no proof, or a wrong one.
pub fn verify<'a>(secret: &Secret, header: &dyn Fn(&str) -> Option<&'a str>, token: Option<&str>, body: &[u8]) -> Result<(), ProofError> {
    if let Some((value, signature)) = SIGNATURES.iter().find_map(|(name, signature)| Some((header(name)?.trim(), *signature))) {
        let right = match signature {
            Signature::Prefixed => value.strip_prefix("sha256=").is_some_and(|hex| secret.signed(hex, body)),
            Signature::Sha1 => secret.signed_by_sha1(value, body),
            Signature::BareOrSecret => secret.signed(value, body) | secret.equals(value),
        };
        return if right { Ok(()) } else { Err(ProofError::Wrong) };
    }
    let authorization = header("authorization").map(str::trim);
    let gitlab = header(GITLAB).map(str::trim);
    if authorization.is_none() && token.is_none() && gitlab.is_none() {
        return Err(ProofError::Missing);
    }
    let right = authorization.is_some_and(|value| authorized(secret, value))
        | [token, gitlab].into_iter().flatten().any(|token| secret.equals(token));
    if right { Ok(()) } else { Err(ProofError::Wrong) }
}

/// The result of the check before the body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// The call is authenticated.
    Proven,
    /// Not decided yet: the call has a signature of its body.
    Signed,
}

/// Verifies the proof of a call without its body. The result is that of [`verify`] for everything but a signature.
///
/// # Errors
/// See [`ProofError`]. The body of a rejected call is not read.
pub fn verify_head<'a>(secret: &Secret, header: &dyn Fn(&str) -> Option<&'a str>, token: Option<&str>) -> Result<Early, ProofError> {
    if SIGNATURES.iter().any(|(name, _)| header(name).is_some()) {
        return Ok(Early::Signed);
    }
    verify(secret, header, token, &[]).map(|()| Early::Proven)
}

/// Checks an `Authorization` header. Harbor sends the bare secret; others send it as a bearer token, or as the password
/// of a user.
fn authorized(secret: &Secret, value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once(' ') else { return secret.equals(value) };
    if scheme.eq_ignore_ascii_case("bearer") {
        secret.equals(rest.trim())
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.and_then(|text| text.split_once(':').map(|(_, password)| secret.equals(password))).unwrap_or(false)
    } else {
        secret.equals(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const BODY: &[u8] = b"{}";
    // HMAC-SHA256 of `{}` with `s3cret`, by `openssl dgst -sha256 -hmac s3cret`.
    const SIGNATURE: &str = "adbde1ce40c89c14215687d5d762a47df6dfaefcfad61e2e86718ffc8498571b";
    // The same with `-sha1`.
    const SHA1: &str = "e7e0225292f975eab7d48999ea520020ef91b18d";

    fn check(headers: &[(&str, &'static str)], token: Option<&str>) -> Result<(), ProofError> {
        let header = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        verify(&Secret::new("s3cret"), &header, token, BODY)
    }

    #[rstest]
    #[case::bare(&[("authorization", "s3cret")])]
    #[case::bearer(&[("authorization", "Bearer s3cret")])]
    #[case::bearer_lower(&[("authorization", "bearer  s3cret")])]
    #[case::basic(&[("authorization", "Basic dXNlcjpzM2NyZXQ=")])]
    #[case::gitlab(&[("x-gitlab-token", "s3cret")])]
    #[case::jfrog_secret(&[("x-jfrog-event-auth", "s3cret")])]
    #[case::jfrog_signed(&[("x-jfrog-event-auth", SIGNATURE)])]
    #[case::nexus(&[("x-nexus-webhook-signature", SHA1)])]
    fn right(#[case] headers: &[(&str, &'static str)]) {
        assert_eq!(check(headers, None), Ok(()));
    }

    #[rstest]
    #[case::nothing(&[], None, ProofError::Missing)]
    #[case::wrong_bearer(&[("authorization", "Bearer s3cre")], None, ProofError::Wrong)]
    #[case::wrong_basic(&[("authorization", "Basic !!")], None, ProofError::Wrong)]
    #[case::wrong_token(&[], Some("x"), ProofError::Wrong)]
    #[case::empty_token(&[], Some(""), ProofError::Wrong)]
    #[case::changed_body(&[("x-hub-signature-256", "sha256=00"), ("authorization", "s3cret")], Some("s3cret"), ProofError::Wrong)]
    #[case::wrong_gitlab(&[("x-gitlab-token", "x")], None, ProofError::Wrong)]
    #[case::changed_for_nexus(&[("x-nexus-webhook-signature", "00"), ("authorization", "s3cret")], None, ProofError::Wrong)]
    #[case::sha256_for_nexus(&[("x-nexus-webhook-signature", SIGNATURE)], None, ProofError::Wrong)]
    #[case::wrong_for_jfrog(&[("x-jfrog-event-auth", SHA1)], None, ProofError::Wrong)]
    #[case::no_scheme(&[("x-headwind-signature", "s3cret")], None, ProofError::Wrong)]
    fn turned_away(#[case] headers: &[(&str, &'static str)], #[case] token: Option<&str>, #[case] error: ProofError) {
        assert_eq!(check(headers, token), Err(error));
    }

    /// A body is not read if the headers neither authenticate nor sign the call.
    #[rstest]
    #[case::bare(&[("authorization", "s3cret")], None, Ok(Early::Proven))]
    #[case::token(&[], Some("s3cret"), Ok(Early::Proven))]
    #[case::signed(&[("x-hub-signature-256", "sha256=00")], None, Ok(Early::Signed))]
    #[case::a_signature_decides_alone(&[("x-jfrog-event-auth", "s3cret"), ("authorization", "s3cret")], None, Ok(Early::Signed))]
    #[case::nothing(&[], None, Err(ProofError::Missing))]
    #[case::wrong(&[("authorization", "Bearer x")], None, Err(ProofError::Wrong))]
    fn before_the_body(#[case] headers: &[(&str, &'static str)], #[case] token: Option<&str>, #[case] early: Result<Early, ProofError>) {
        let header = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        assert_eq!(verify_head(&Secret::new("s3cret"), &header, token), early);
    }

    #[test]
    fn signatures_and_tokens() {
        let signature: &'static str = format!("sha256={SIGNATURE}").leak();
        let upper: &'static str = format!("sha256={}", SIGNATURE.to_uppercase()).leak();
        assert_eq!(check(&[("x-hub-signature-256", signature)], None), Ok(()));
        assert_eq!(check(&[("x-headwind-signature", upper)], None), Ok(()));
        assert_eq!(check(&[], Some("s3cret")), Ok(()));
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "Secret(…)");
    }
}
