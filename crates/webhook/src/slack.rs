//! Clicks on buttons of Slack messages: verifies and decodes the calls.
//!
//! Slack signs each call with the signing secret of the app: `v0=` and the HMAC-SHA256 of `v0:<timestamp>:<body>`. The
//! time stamp is part of what is signed, so an old call cannot be sent again with a new one. Within the time that a call
//! is valid, [`Replays`] refuses the second one.

mod click;
mod replays;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

pub use self::click::{Answer, Click, DecodeError, Target, decode};
pub use self::replays::Replays;

/// The header with the signature.
pub const SIGNATURE: &str = "x-slack-signature";
/// The header with the time of the call, in seconds since 1970.
pub const TIMESTAMP: &str = "x-slack-request-timestamp";
/// Maximum difference between the time of a call and the local clock.
pub const VALIDITY: SignedDuration = SignedDuration::from_mins(5);

/// The head of a call, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    timestamp: String,
    signature: [u8; 32],
}

/// The reasons why a call is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A header is missing or malformed.
    #[error("the call has no valid X-Slack-Signature and X-Slack-Request-Timestamp")]
    Missing,
    /// The time stamp is too far from the local clock.
    #[error("the time stamp of the call is more than 5 minutes from Headwind's clock")]
    Old,
    /// The signature is wrong.
    #[error("the signature is wrong; SLACK_SIGNING_SECRET must be the signing secret of the Slack app")]
    Wrong,
    /// The call was received before.
    #[error("the same call was received before")]
    Replayed,
}

impl Head {
    /// Reads the headers of a call, and checks its time. `header` looks up a header by its lower-case name.
    ///
    /// # Errors
    /// [`Rejected::Missing`] and [`Rejected::Old`].
    pub fn read<'a>(header: &dyn Fn(&str) -> Option<&'a str>, now: Timestamp) -> Result<Self, Rejected> {
        let timestamp = header(TIMESTAMP).ok_or(Rejected::Missing)?;
        let signature = header(SIGNATURE).and_then(|value| value.strip_prefix("v0=")).and_then(|digits| hex::decode(digits).ok());
        let signature = signature.and_then(|bytes| bytes.try_into().ok()).ok_or(Rejected::Missing)?;
        if timestamp.is_empty() || !timestamp.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(Rejected::Missing);
        }
        // A time that does not fit is far away.
        let at = timestamp.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or(Rejected::Old)?;
        if at.duration_since(now).abs() > VALIDITY {
            return Err(Rejected::Old);
        }
        Ok(Self { timestamp: timestamp.to_owned(), signature })
    }

    /// Verifies the body, in constant time.
    ///
    /// # Errors
    /// [`Rejected::Wrong`].
    pub fn verify(&self, secret: &str, body: &[u8]) -> Result<(), Rejected> {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| Rejected::Wrong)?;
        let mac = mac.chain_update(b"v0:").chain_update(self.timestamp.as_bytes()).chain_update(b":").chain_update(body);
        mac.verify_slice(&self.signature).map_err(|_| Rejected::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Slack's documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNED: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const AT: i64 = 1_531_420_618;

    fn head(signature: Option<&str>, timestamp: Option<&str>, now: i64) -> Result<Head, Rejected> {
        let header = |name: &str| if name == SIGNATURE { signature } else { timestamp };
        Head::read(&header, Timestamp::from_second(now).unwrap())
    }

    #[test]
    fn the_example_of_slack_is_accepted_and_any_change_is_not() {
        let head = head(Some(SIGNED), Some("1531420618"), AT).unwrap();
        assert_eq!(head.verify(SECRET, BODY.as_bytes()), Ok(()));
        assert_eq!(head.verify("another", BODY.as_bytes()), Err(Rejected::Wrong));
        assert_eq!(head.verify(SECRET, BODY.replace("U2CERLKJA", "U2CERLKJB").as_bytes()), Err(Rejected::Wrong));
        let later = self::head(Some(SIGNED), Some("1531420619"), AT).unwrap();
        assert_eq!(later.verify(SECRET, BODY.as_bytes()), Err(Rejected::Wrong), "the time is signed");
    }

    #[rstest::rstest]
    #[case::in_time(AT + 300, None)]
    #[case::early(AT - 300, None)]
    #[case::old(AT + 301, Some(Rejected::Old))]
    #[case::in_the_future(AT - 301, Some(Rejected::Old))]
    fn the_time_counts(#[case] now: i64, #[case] expected: Option<Rejected>) {
        assert_eq!(head(Some(SIGNED), Some("1531420618"), now).err(), expected);
    }

    #[rstest::rstest]
    #[case::none(None, Some("1531420618"), Rejected::Missing)]
    #[case::no_time(Some(SIGNED), None, Rejected::Missing)]
    #[case::another_version(
        Some("v1=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        Some("1531420618"),
        Rejected::Missing
    )]
    #[case::short(Some("v0=a2114d57"), Some("1531420618"), Rejected::Missing)]
    #[case::no_number(Some(SIGNED), Some("now"), Rejected::Missing)]
    #[case::signed_number(Some(SIGNED), Some("+1531420618"), Rejected::Missing)]
    #[case::empty(Some(SIGNED), Some(""), Rejected::Missing)]
    #[case::huge(Some(SIGNED), Some("99999999999999999999999"), Rejected::Old)]
    fn malformed_heads(#[case] signature: Option<&str>, #[case] timestamp: Option<&str>, #[case] expected: Rejected) {
        assert_eq!(head(signature, timestamp, AT), Err(expected));
    }
}
