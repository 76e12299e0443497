//! Google's signed tokens, which authenticate the push subscriptions of Pub/Sub ("Authentication for push
//! subscriptions"; OpenID Connect Core 1.0 section 3.1.3.7; RFC 7519).
//!
//! Only RS256 is accepted, whatever the token states. The caller fetches Google's keys and passes the time.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;

/// The issuers of the tokens.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// Allowed clock skew, in seconds.
const SKEW: i64 = 60;
/// Maximum length of a token.
const LONGEST: usize = 16 * 1024;

/// Google's public keys by their IDs.
#[derive(Debug, Clone, Default)]
pub struct Keys(BTreeMap<String, Key>);

#[derive(Debug, Clone)]
struct Key {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// The required claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The audience that the subscription is configured with.
    pub audience: String,
    /// The service account that pushes. Anyone with a Google account can get a token for any audience, so the account
    /// identifies the sender.
    pub email: String,
}

/// The reasons why a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token of this kind.
    #[error("it is not a signed token from Google")]
    Malformed,
    /// None of the keys signed it.
    #[error("it is signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// It has expired, or is not valid yet.
    #[error("it is not valid at this time")]
    Time,
    /// Its audience, issuer or account is another one.
    #[error("its audience, issuer or account is not the configured one")]
    Claims,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    #[serde(default)]
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: i64,
    iat: i64,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

impl Keys {
    /// Parses a JWK set (RFC 7517). Skips keys of other kinds; `None` if it is not a set.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let JwkSet { keys } = serde_json::from_slice(bytes).ok()?;
        let key = |jwk: Jwk| {
            let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty());
            (jwk.kty == "RSA").then_some(())?;
            Some((jwk.kid, Key { modulus: decode(&jwk.n)?, exponent: decode(&jwk.e)? }))
        };
        Some(Self(keys.into_iter().filter_map(key).collect()))
    }

    /// Returns true if there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns true if the text looks like a token of this kind.
pub fn is_token(text: &str) -> bool {
    text.len() <= LONGEST && text.bytes().filter(|byte| *byte == b'.').count() == 2 && text.starts_with("ey")
}

/// Verifies a token at `now` (seconds since 1970).
///
/// # Errors
/// See [`TokenError`].
pub fn verify(token: &str, keys: &Keys, expected: &Expected, now: i64) -> Result<(), TokenError> {
    if !is_token(token) {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let Header { alg, kid } = part(header)?;
    if alg != "RS256" {
        return Err(TokenError::Malformed);
    }
    let Key { modulus, exponent } = keys.0.get(&kid).ok_or(TokenError::UnknownKey)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
    RsaPublicKeyComponents { n: modulus, e: exponent }
        .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
        .map_err(|_| TokenError::Signature)?;
    let Claims { iss, aud, exp, iat, email, email_verified } = part(claims)?;
    if now > exp.saturating_add(SKEW) || now < iat.saturating_sub(SKEW) {
        return Err(TokenError::Time);
    }
    let by_account = email_verified && email.as_ref() == Some(&expected.email);
    if ISSUERS.contains(&iss.as_str()) && aud == expected.audience && by_account { Ok(()) } else { Err(TokenError::Claims) }
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
    use rstest::rstest;
    use serde_json::{Value, json};

    const NOW: i64 = 1_795_521_600;
    /// A key for this test only (`openssl genpkey -algorithm RSA`, PKCS #8, DER).
    const KEY: &[u8] = include_bytes!("../../tests/google_test_key.der");

    fn expected() -> Expected {
        Expected { audience: "https://headwind.example/webhook".to_owned(), email: "push@p.iam.gserviceaccount.com".to_owned() }
    }

    fn keys() -> Keys {
        use ring::signature::KeyPair as _;
        let pair = RsaKeyPair::from_pkcs8(KEY).unwrap();
        let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let jwk = json!({"kty": "RSA", "kid": "one", "alg": "RS256", "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e)});
        Keys::read(json!({"keys": [jwk, {"kty": "EC", "kid": "two"}]}).to_string().as_bytes()).unwrap()
    }

    fn claims() -> Value {
        json!({"iss": "https://accounts.google.com", "aud": expected().audience, "exp": NOW + 3600, "iat": NOW - 10, "email": expected().email, "email_verified": true, "sub": "1"})
    }

    fn sign(header: &Value, claims: &Value) -> String {
        let pair = RsaKeyPair::from_pkcs8(KEY).unwrap();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header() -> Value {
        json!({"alg": "RS256", "kid": "one", "typ": "JWT"})
    }

    #[test]
    fn a_right_token() {
        assert_eq!(verify(&sign(&header(), &claims()), &keys(), &expected(), NOW), Ok(()));
    }

    #[rstest]
    #[case::audience("aud", json!("https://other.example"), TokenError::Claims)]
    #[case::issuer("iss", json!("https://evil.example"), TokenError::Claims)]
    #[case::email("email", json!("other@p.iam.gserviceaccount.com"), TokenError::Claims)]
    #[case::email_not_verified("email_verified", json!(false), TokenError::Claims)]
    #[case::no_email("email", json!(null), TokenError::Claims)]
    #[case::expired("exp", json!(NOW - 61), TokenError::Time)]
    #[case::not_yet("iat", json!(NOW + 61), TokenError::Time)]
    #[case::several_audiences("aud", json!(["a", "b"]), TokenError::Malformed)]
    fn wrong_claims(#[case] name: &str, #[case] value: Value, #[case] error: TokenError) {
        let mut claims = claims();
        claims[name] = value;
        assert_eq!(verify(&sign(&header(), &claims), &keys(), &expected(), NOW), Err(error));
    }

    #[rstest]
    #[case::none("none", "one", TokenError::Malformed)]
    #[case::symmetric("HS256", "one", TokenError::Malformed)]
    #[case::key("RS256", "three", TokenError::UnknownKey)]
    #[case::other_kind("RS256", "two", TokenError::UnknownKey)]
    fn wrong_headers(#[case] alg: &str, #[case] kid: &str, #[case] error: TokenError) {
        let token = sign(&json!({"alg": alg, "kid": kid}), &claims());
        assert_eq!(verify(&token, &keys(), &expected(), NOW), Err(error));
    }

    #[test]
    fn what_was_changed_after_signing() {
        let token = sign(&header(), &claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let mut others = claims();
        others["sub"] = json!("2");
        let changed = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(others.to_string()));
        assert_eq!(verify(&changed, &keys(), &expected(), NOW), Err(TokenError::Signature));
        assert_eq!(verify(&format!("{signed}."), &keys(), &expected(), NOW), Err(TokenError::Signature));
    }

    proptest::proptest! {
        #[test]
        fn nothing_breaks_it(token in "(ey)?[A-Za-z0-9_.-]{0,80}", set in ".{0,80}") {
            proptest::prop_assert!(verify(&token, &keys(), &expected(), NOW).is_err());
            let _ = Keys::read(set.as_bytes());
        }
    }
}
