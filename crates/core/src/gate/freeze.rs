//! A freeze: Headwind applies no updates. It still proposes them, and rolls back.
//!
//! The annotation `headwind.sh/freeze` freezes a workload or a namespace, the key `freeze` of the ConfigMap `headwind`
//! everything.

use std::fmt;

use jiff::Timestamp;

use super::{Facts, Waiting};
use crate::reason::Reason;
use crate::rollout::whole_second;
use crate::settings::{Place, Settings};

/// Maximum length of a reason, in characters.
const REASON: usize = 500;

/// A freeze of everything. Displays as the value of the key `freeze`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freeze {
    /// When it ends; `None` means when somebody ends it.
    pub until: Option<Timestamp>,
    /// Why, as people wrote it.
    pub reason: Option<String>,
}

impl Freeze {
    /// Parses the value of the key `freeze`: the lines `until: TIME` and `reason: TEXT`, each of them optional, or `true`.
    /// Returns `None` for an empty value and for `false`.
    ///
    /// # Errors
    /// A sentence that states what is wrong, and what is expected.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let mut freeze = Self::default();
        match text.trim() {
            "" | "false" => return Ok(None),
            "true" => return Ok(Some(freeze)),
            _ => {}
        }
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) =
                line.split_once(':').ok_or_else(|| format!("{line:?} is unexpected; use the lines until: TIME and reason: TEXT"))?;
            let value = unquoted(value.trim());
            match key.trim() {
                "until" if value.is_empty() => {}
                "until" => {
                    let until = value.parse().map_err(|_| format!("until is {value:?}; use a time like 2027-01-02T00:00:00Z"))?;
                    freeze.until = Some(until);
                }
                "reason" => freeze.reason = Some(value.chars().take(REASON).collect()).filter(|reason: &String| !reason.is_empty()),
                key => return Err(format!("{key:?} is unexpected; use the lines until: TIME and reason: TEXT")),
            }
        }
        Ok(Some(freeze))
    }

    /// Returns true if it is in effect at that time.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Returns a text of one line without the quotes that YAML allows.
fn unquoted(text: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        match (self.until, &self.reason) {
            (None, None) => f.write_str("true"),
            (Some(until), None) => write!(f, "until: {until}"),
            (None, Some(reason)) => write!(f, "reason: {}", line(reason)),
            (Some(until), Some(reason)) => write!(f, "until: {until}\nreason: {}", line(reason)),
        }
    }
}

/// A freeze by an annotation lasts until somebody changes the annotation.
pub(super) fn waiting(settings: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    if facts.is_rollback {
        return None;
    }
    let frozen = |by: &str, until: Option<Timestamp>| Waiting {
        reason: Reason::Frozen,
        message: format!("{} by {by}", Reason::Frozen.sentence()),
        until: until.map(whole_second),
    };
    match settings.frozen {
        Some(Place::Workload) => return Some(frozen("an annotation of the workload", None)),
        Some(Place::Namespace) => return Some(frozen("an annotation of the namespace", None)),
        None => {}
    }
    let freeze = facts.limits?.freeze.as_ref().filter(|freeze| freeze.holds(now))?;
    let why = freeze.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(frozen(&format!("the ConfigMap headwind{why}"), freeze.until))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_documented("until: 2027-01-02T00:00:00Z\nreason: holidays\n", Some("2027-01-02T00:00:00Z"), Some("holidays"))]
    #[case::quoted(
        "until: \"2027-01-02T01:00:00+01:00\"\nreason: 'until: we are back'",
        Some("2027-01-02T00:00:00Z"),
        Some("until: we are back")
    )]
    #[case::without_a_reason("until: 2027-01-02T00:00:00Z", Some("2027-01-02T00:00:00Z"), None)]
    #[case::without_an_end("# since Monday\nreason: incident 42", None, Some("incident 42"))]
    #[case::neither("true", None, None)]
    #[case::empty_entries("until:\nreason:", None, None)]
    fn what_a_freeze_says(#[case] text: &str, #[case] until: Option<&str>, #[case] reason: Option<&str>) {
        let freeze = Freeze::parse(text).unwrap().unwrap();
        assert_eq!((freeze.until, freeze.reason.as_deref()), (until.map(|until| until.parse().unwrap()), reason));
        assert_eq!(Freeze::parse(&freeze.to_string()).unwrap(), Some(freeze));
    }

    #[test]
    fn no_freeze_and_an_invalid_one() {
        assert_eq!((Freeze::parse(""), Freeze::parse(" false\n")), (Ok(None), Ok(None)));
        assert!(Freeze::parse("until: tomorrow").unwrap_err().contains("\"tomorrow\""));
        assert!(Freeze::parse("until: 2027-01-02").unwrap_err().contains("2027-01-02T00:00:00Z"));
        assert!(Freeze::parse("untill: 2027-01-02T00:00:00Z").unwrap_err().contains("\"untill\""));
        assert!(Freeze::parse("yes").unwrap_err().contains("\"yes\""));
        let two_lines = Freeze { until: None, reason: Some("one\nuntil: 1970-01-01T00:00:00Z".to_owned()) };
        assert_eq!(Freeze::parse(&two_lines.to_string()).unwrap().unwrap().until, None, "a reason is one line");
    }
}
