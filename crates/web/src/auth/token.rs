//! Mode `token`: a `TokenReview` identifies the user of the bearer token.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headwind_operator::{BearerToken, Identity};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::answers::{Answers, key};
use super::flood::Flood;
use super::refused::Refused;
use super::reviews::Reviews;

/// Time for which a valid token is not reviewed again, but never longer than the token is valid. The API server caches
/// tokens for 10 s itself, so a revoked token stops working within a minute.
const VALID: Duration = Duration::from_secs(45);
/// Time for which an invalid token is not reviewed again.
const INVALID: Duration = Duration::from_secs(5);
/// Maximum number of cached tokens.
const TOKENS: usize = 4096;
/// Maximum length of a token, in bytes.
const LENGTH: usize = 16 * 1024;
/// Maximum number of concurrent reviews.
const AT_ONCE: usize = 16;
/// Maximum time that a review waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// The required header.
pub(super) const EXPECTED: &str = "the request needs one header Authorization: Bearer TOKEN, with a token of the cluster";

/// The header for requests through the proxy of the API server, which removes `Authorization`.
pub(crate) const PROXIED: HeaderName = HeaderName::from_static("headwind-authorization");

/// The client that presents a token.
#[derive(Debug, Clone, Copy)]
pub(super) enum Presenter {
    /// A client at this address presents it.
    Peer(Option<IpAddr>),
    /// It was in a cookie that Headwind sealed, so it was valid when the session began. A flood of junk, which may come
    /// through the same proxy, does not lock these people out, also after a restart.
    Session,
}

/// A valid token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) identity: Identity,
    /// True if the API server itself accepts the token.
    pub(super) for_api_server: bool,
    /// When the token expires, if it contains that.
    pub(super) expires: Option<Timestamp>,
}

/// The user, or why the token is rejected.
type Verdict = Result<Arc<Checked>, Arc<str>>;

/// Reviews tokens.
pub(super) struct Tokens {
    reviews: Arc<dyn Reviews>,
    /// Accepted audiences; empty for the API server's own.
    audiences: Vec<String>,
    verdicts: Answers<Verdict>,
    flood: Flood,
    permits: Semaphore,
}

impl Tokens {
    pub(super) fn new(reviews: Arc<dyn Reviews>, audiences: Vec<String>) -> Self {
        Self { reviews, audiences, verdicts: Answers::new(TOKENS), flood: Flood::default(), permits: Semaphore::new(AT_ONCE) }
    }

    /// Returns the user of a token.
    pub(super) async fn check(&self, token: &BearerToken, presenter: Presenter, now: Instant) -> Result<Arc<Checked>, Refused> {
        if !may_be_a_token(token.expose()) {
            return Err(Refused::Unknown("invalid token: it is too long, or has characters that are not allowed in a token".to_owned()));
        }
        let key = key(token.expose());
        let review = async {
            // A token that was valid before does not count against its peer.
            let unknown = match presenter {
                Presenter::Peer(peer) if self.verdicts.last(&key).is_none_or(|verdict| verdict.is_err()) => Some(peer),
                Presenter::Peer(_) | Presenter::Session => None,
            };
            if unknown.is_some_and(|peer| !self.flood.admit(peer, now)) {
                return Err(Refused::TooMany("too many unknown tokens; try again in a minute".to_owned()));
            }
            let reviewed = self.review(token).await?;
            if let Some(peer) = unknown.filter(|_| reviewed.0.is_ok()) {
                self.flood.give_back(peer);
            }
            Ok(reviewed)
        };
        let verdict = self.verdicts.get(key, now, review).await?;
        verdict.map_err(|why| Refused::Unknown(format!("the API server rejected the token: {why}")))
    }

    async fn review(&self, token: &BearerToken) -> Result<(Verdict, Duration), Refused> {
        let Ok(Ok(_permit)) = tokio::time::timeout(TURN, self.permits.acquire()).await else {
            return Err(Refused::TooMany("too many token reviews are in progress; try again".to_owned()));
        };
        let unanswered = |error| Refused::Unavailable(format!("failed to review the token: {error}"));
        let identity = match self.reviews.token(token, &self.audiences).await.map_err(unanswered)? {
            Ok(identity) => identity,
            Err(why) => return Ok((Err(why.into()), INVALID)),
        };
        let for_api_server = self.audiences.is_empty()
            || self.reviews.token(token, &[]).await.map_err(unanswered)?.is_ok_and(|other| other.name == identity.name);
        let expires = expiry(token.expose());
        let left = expires.map_or(VALID, |end| Duration::try_from(end - Timestamp::now()).unwrap_or_default());
        Ok((Ok(Arc::new(Checked { identity, for_api_server, expires })), left.min(VALID)))
    }
}

/// Returns the bearer token of a request, from `Authorization` or from [`PROXIED`]. `None` if there is neither.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<BearerToken>, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter().chain(headers.get_all(PROXIED));
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) => None,
    };
    let token = value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()) {
        Some(token) => Ok(Some(BearerToken::new(token))),
        None => Err(Refused::Unknown(EXPECTED.to_owned())),
    }
}

/// Returns true if the text has the format of a bearer token (RFC 6750).
fn may_be_a_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=:".contains(&byte);
    (1..=LENGTH).contains(&text.len()) && text.bytes().all(fits)
}

/// Returns when a JSON Web Token expires. Only for a token that was reviewed: nothing is verified here.
fn expiry(token: &str) -> Option<Timestamp> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the second that has begun")]
    let second = claims.get("exp").and_then(|exp| exp.as_i64().or_else(|| exp.as_f64().map(|exp| exp as i64)))?;
    Timestamp::from_second(second).ok()
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn jwt(exp: Timestamp) -> String {
        let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{}}}", exp.as_second()));
        format!("e30.{claims}.c2ln")
    }

    async fn check(tokens: &Tokens, token: &str, now: Instant) -> Result<String, Refused> {
        tokens.check(&BearerToken::new(token), Presenter::Peer(None), now).await.map(|checked| checked.identity.name.clone())
    }

    #[tokio::test]
    async fn a_token_is_reviewed_once_a_minute_and_ends_within_one() {
        let (fake, now) = (Arc::new(Fake::default()), Instant::now());
        fake.knows("t-ann", "ann");
        let tokens = Tokens::new(Arc::clone(&fake) as _, Vec::new());
        for second in [0, 1, 44] {
            assert_eq!(check(&tokens, "t-ann", now + SECOND * second).await.unwrap(), "ann");
        }
        assert_eq!(fake.tokens_asked(), 1);
        fake.forget("t-ann");
        assert!(matches!(check(&tokens, "t-ann", now + SECOND * 45).await, Err(Refused::Unknown(_))), "revoked");
        assert!(check(&tokens, "t-ann", now + SECOND * 49).await.is_err());
        assert_eq!(fake.tokens_asked(), 2, "the answer no counts for 5 s");
        fake.knows("t-ann", "ann");
        assert_eq!(check(&tokens, "t-ann", now + SECOND * 50).await.unwrap(), "ann");
    }

    #[tokio::test]
    async fn nothing_is_remembered_beyond_the_end_of_a_token() {
        let (fake, now) = (Arc::new(Fake::default()), Instant::now());
        let token = jwt(Timestamp::now() + jiff::Span::new().seconds(20));
        fake.knows(&token, "ann");
        let tokens = Tokens::new(Arc::clone(&fake) as _, Vec::new());
        assert!(check(&tokens, &token, now).await.is_ok());
        fake.forget(&token);
        assert!(check(&tokens, &token, now + SECOND * 15).await.is_ok());
        assert!(check(&tokens, &token, now + SECOND * 21).await.is_err());
    }

    #[tokio::test]
    async fn an_audience_of_its_own_is_not_the_api_servers() {
        let fake = Arc::new(Fake::default());
        fake.knows("both", "ann");
        fake.knows_for("own", "ann", "headwind");
        let tokens = Tokens::new(Arc::clone(&fake) as _, vec!["headwind".to_owned()]);
        let for_api_server =
            async |token: &str| tokens.check(&BearerToken::new(token), Presenter::Peer(None), Instant::now()).await.unwrap().for_api_server;
        assert!(for_api_server("both").await && !for_api_server("own").await);
        let strict = Tokens::new(Arc::clone(&fake) as _, Vec::new());
        assert!(check(&strict, "own", Instant::now()).await.is_err());
    }

    #[tokio::test]
    async fn ten_thousand_junk_tokens_in_a_minute() {
        let (fake, now) = (Arc::new(Fake::default()), Instant::now());
        fake.knows("good", "ann");
        let tokens = Tokens::new(Arc::clone(&fake) as _, Vec::new());
        assert!(check(&tokens, "good", now).await.is_ok());
        let mut refused = 0;
        for n in 0..10_000 {
            refused +=
                u32::from(matches!(check(&tokens, &format!("junk-{n}"), now + SECOND * 60 * n / 10_000).await, Err(Refused::TooMany(_))));
        }
        assert!(fake.tokens_asked() <= 52 && refused >= 9_900, "{} {refused}", fake.tokens_asked());
        assert!(check(&tokens, "good", now + SECOND * 61).await.is_ok(), "who was let in before is let in");
        fake.knows("sealed", "bob");
        let begun = now + SECOND * 62;
        let mut junk = 0;
        while !matches!(check(&tokens, &format!("more-{junk}"), begun).await, Err(Refused::TooMany(_))) {
            junk += 1;
        }
        assert!(matches!(check(&tokens, "sealed", begun).await, Err(Refused::TooMany(_))));
        let session = tokens.check(&BearerToken::new("sealed"), Presenter::Session, begun).await;
        assert_eq!(session.unwrap().identity.name, "bob", "sessions go on, also on a replica that does not know them yet");
        assert!(check(&tokens, "no token: a sentence", now).await.is_err());
        assert!(check(&tokens, &"a".repeat(LENGTH + 1), now).await.is_err());
        assert!(junk <= 3 && fake.tokens_asked() <= 54 + junk, "{junk} {}", fake.tokens_asked());
    }

    #[tokio::test]
    async fn without_an_answer_nobody_is_let_in() {
        let (fake, now) = (Arc::new(Fake::default()), Instant::now());
        fake.knows("t-ann", "ann");
        fake.fail(true);
        let tokens = Tokens::new(Arc::clone(&fake) as _, Vec::new());
        assert!(matches!(check(&tokens, "t-ann", now).await, Err(Refused::Unavailable(_))));
        fake.fail(false);
        assert!(check(&tokens, "t-ann", now).await.is_ok(), "a failure is not remembered");
    }

    #[rstest::rstest]
    #[case::one(&["Bearer t"], Ok(Some("t")))]
    #[case::lower_case(&["bearer  t "], Ok(Some("t")))]
    #[case::none(&[], Ok(None))]
    #[case::twice(&["Bearer t", "Bearer t"], Err(()))]
    #[case::basic(&["Basic dDp0"], Err(()))]
    #[case::empty(&["Bearer "], Err(()))]
    fn the_header(
        #[case] values: &[&'static str],
        #[case] expected: Result<Option<&str>, ()>,
        #[values(AUTHORIZATION, PROXIED)] name: HeaderName,
    ) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), axum::http::HeaderValue::from_static(value));
        }
        let read = bearer(&headers).map_err(drop);
        let found = match &read {
            Ok(token) => Ok(token.as_ref().map(BearerToken::expose)),
            Err(()) => Err(()),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn one_token_in_both_headers_together() {
        let token = axum::http::HeaderValue::from_static("Bearer t");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, token.clone()), (PROXIED, token)]);
        assert!(bearer(&headers).is_err());
    }
}
