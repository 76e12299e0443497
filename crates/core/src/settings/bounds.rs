//! Limits on the annotations that are kept of an object.
//!
//! Anyone who may annotate an object can store 256 KiB there, and Headwind keeps the annotations of every object in
//! memory. A truncation never silently changes the meaning: a value that is too long and an object with too many of
//! them are faults.

use super::{Annotations, PREFIX, key};

/// Maximum length of a value that users set, in bytes.
pub(super) const VALUE: usize = 1024;
/// Maximum bytes of all keys and values that users set on one object.
pub(super) const ALL: usize = 16 * 1024;
/// Maximum number of unknown keys that are kept for reports.
pub(crate) const UNKNOWN: usize = 20;
/// Maximum length of a managed value except the history, and maximum bytes of all recorded digests.
const MANAGED: usize = 16 * 1024;
/// Maximum length of the history in bytes: twice what Headwind writes.
const HISTORY: usize = 64 * 1024;
/// The key that represents an excess over [`ALL`]. No object can have it: a key needs a name after the slash.
pub(crate) const TOO_MUCH: &str = PREFIX;

/// Returns Headwind's own annotations of an object, within the limits.
pub fn own<'a>(all: impl IntoIterator<Item = (&'a String, &'a String)>) -> Annotations {
    let mut kept = Annotations::new();
    let (mut size, mut seen, mut unknown) = (0, 0, 0);
    for (name, value) in all.into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let value = if name.starts_with(key::SEEN) {
            // The next scan records a dropped one again.
            seen += name.len() + value.len();
            if seen > MANAGED {
                continue;
            }
            value.clone()
        } else if name == key::UPDATE_HISTORY {
            history(value)
        } else if key::MANAGED.contains(&name.as_str()) {
            cut(value, MANAGED).to_owned()
        } else if key::of_users(name).is_some() {
            // One character more than allowed is kept, and makes it a fault.
            let value = cut(value, VALUE + 4);
            size += name.len() + value.len();
            if size > ALL {
                kept.insert(TOO_MUCH.to_owned(), String::new());
                continue;
            }
            value.to_owned()
        } else {
            unknown += 1;
            if unknown > UNKNOWN + 1 {
                continue;
            }
            String::new()
        };
        kept.insert(name.clone(), value);
    }
    kept
}

/// Returns as much of the text as fits, without splitting characters.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// Returns the newest entries of a history that fit.
fn history(text: &str) -> String {
    if text.len() <= HISTORY {
        return text.to_owned();
    }
    let newest = cut(text, HISTORY);
    newest.rfind("},").and_then(|end| newest.get(..=end)).map(|entries| format!("{entries}]")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use crate::workload::history::History;

    fn object(all: &[(&str, String)]) -> Annotations {
        all.iter().map(|(name, value)| (format!("{PREFIX}{name}"), value.clone())).collect()
    }

    fn size(kept: &Annotations) -> usize {
        kept.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    #[test]
    fn what_people_write_is_kept_as_it_is() {
        let mut all = object(&[("policy", "minor".to_owned()), ("policy.web", "patch".to_owned()), ("last-request", "r".to_owned())]);
        all.insert("example.com/other".to_owned(), "x".to_owned());
        let kept = own(&all);
        all.remove("example.com/other");
        assert_eq!(kept, all);
    }

    #[test]
    fn a_value_that_is_too_long_is_a_fault() {
        let resolve = |length: usize| Settings::resolve(&Annotations::new(), &own(&object(&[("images", "ä".repeat(length / 2))])), "web");
        assert!(resolve(VALUE).is_ok());
        let faults = resolve(VALUE + 2).unwrap_err();
        assert!(faults[0].problem.contains("1024 bytes"), "{faults:?}");
        assert!(resolve(250_000).is_err());
    }

    #[test]
    fn more_than_an_object_may_have_is_a_fault() {
        let many = |count: usize| {
            own(&(0..count).map(|number| (format!("{PREFIX}policy.c{number:03}"), "x".repeat(1000))).collect::<Annotations>())
        };
        assert!(Settings::resolve(&Annotations::new(), &many(10), "web").is_ok());
        let (none, too_much) = (Annotations::new(), many(250));
        assert!(size(&too_much) <= ALL + PREFIX.len(), "{}", size(&too_much));
        for faults in [Settings::resolve(&none, &too_much, "web"), Settings::resolve(&too_much, &none, "web")] {
            let faults = faults.unwrap_err();
            assert!(faults[0].to_string().contains("16 KiB"), "{}", faults[0]);
        }
    }

    #[test]
    fn unknown_keys_are_kept_as_far_as_they_are_reported() {
        let all: Annotations = (0..13_000).map(|number| (format!("{PREFIX}k{number}"), "x".repeat(10))).collect();
        let kept = own(&all);
        assert_eq!((kept.len(), size(&kept) < 2000), (UNKNOWN + 1, true));
    }

    #[test]
    fn a_history_keeps_its_newest_entries() {
        let entry = |number: usize| {
            format!(
                r#"{{"container":"web","image":"app:{number}","timestamp":"2026-01-01T00:00:00Z","updateRequestName":null,"approvedBy":null}}"#
            )
        };
        let text = format!("[{}]", (0..2400).map(entry).collect::<Vec<_>>().join(","));
        let kept = own(&object(&[("update-history", text), ("seen.web", "app:1@sha256:0".to_owned())]));
        assert!((HISTORY - 1000..HISTORY + 100).contains(&size(&kept)), "{}", size(&kept));
        let (history, _) = History::parse(kept.get(key::UPDATE_HISTORY).map(String::as_str));
        assert_eq!(history.of("web").next().map(|entry| entry.image.as_str()), Some("app:0"));
    }
}
