//! Which values of the ConfigMap and the Secret `headwind` take effect.
//!
//! A setting has one name: that of its variable. A value that is not valid keeps the last valid one of that setting, and
//! a flag or a variable fixes a setting.

use std::collections::BTreeMap;
use std::fmt;

/// Maximum length of a value, in bytes.
const VALUE: usize = 4 * 1024;
/// Maximum number of unknown keys that are reported.
const UNKNOWN: usize = 20;

/// The object that holds a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Store {
    /// The ConfigMap `headwind`.
    ConfigMap,
    /// The Secret `headwind`: its values are never shown.
    Secret,
}

impl Store {
    /// Returns the kind of the object.
    pub fn kind(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// Text by name.
pub type Values = BTreeMap<String, String>;

/// What the two objects hold. An object that does not exist holds nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The entries of the ConfigMap.
    pub config_map: Values,
    /// The entries of the Secret.
    pub secret: Values,
}

impl Stored {
    /// Returns the entries of one of the objects.
    pub fn of(&self, store: Store) -> &Values {
        match store {
            Store::ConfigMap => &self.config_map,
            Store::Secret => &self.secret,
        }
    }
}

impl fmt::Debug for Stored {
    /// Writes names only: the values of the Secret must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("config_map", &self.config_map.keys())
            .field("secret", &self.secret.keys())
            .finish()
    }
}

/// A setting that the objects may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    /// The name.
    pub name: &'a str,
    /// The object that holds it.
    pub store: Store,
    /// True if a flag or a variable fixes the value.
    pub is_fixed: bool,
}

/// The value that is in effect in place of one that is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InEffect {
    /// The last valid value of this process.
    LastValid,
    /// The default: this process has seen no valid value.
    Default,
}

/// An entry that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The object.
    pub store: Store,
    /// The key.
    pub name: String,
    /// What is wrong, and what is expected.
    pub why: String,
    /// What is in effect in its place. `None` if the key is no setting of this object.
    pub in_effect: Option<InEffect>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, name, why, in_effect } = self;
        write!(f, "{} headwind, key {name}: {why}", store.kind())?;
        match in_effect {
            Some(InEffect::LastValid) => f.write_str("; the last valid value stays in effect"),
            Some(InEffect::Default) => f.write_str("; the default is in effect"),
            None => Ok(()),
        }
    }
}

/// Returns the values that take effect, and the entries that do not.
///
/// `before` are the values that were in effect. `check` says what is wrong with a value, without repeating it: it may be
/// a secret.
pub fn accept(
    known: &[Known<'_>],
    stored: &Stored,
    before: &Values,
    check: impl Fn(&str, &str) -> Result<(), String>,
) -> (Values, Vec<Problem>) {
    let (mut values, mut problems) = (Values::new(), Vec::new());
    for Known { name, store, is_fixed } in known {
        let Some(value) = stored.of(*store).get(*name).map(|value| value.trim()).filter(|_| !is_fixed) else { continue };
        // An empty entry is an entry that was removed.
        if value.is_empty() {
            continue;
        }
        let short = if value.len() > VALUE { Err(format!("the value must have at most {VALUE} bytes")) } else { Ok(()) };
        match short.and_then(|()| check(name, value)) {
            Ok(()) => {
                values.insert((*name).to_owned(), value.to_owned());
            }
            Err(why) => {
                let last = before.get(*name);
                values.extend(last.map(|last| ((*name).to_owned(), last.clone())));
                let in_effect = Some(if last.is_some() { InEffect::LastValid } else { InEffect::Default });
                problems.push(Problem { store: *store, name: (*name).to_owned(), why, in_effect });
            }
        }
    }
    for store in [Store::ConfigMap, Store::Secret] {
        let foreign = stored.of(store).keys().filter(|key| !known.iter().any(|known| known.name == *key && known.store == store));
        problems.extend(foreign.take(UNKNOWN).map(|key| misplaced(known, store, key)));
    }
    (values, problems)
}

/// Returns the problem of a key that is no setting of the object.
fn misplaced(known: &[Known<'_>], store: Store, key: &str) -> Problem {
    let why = match known.iter().find(|known| known.name == key) {
        Some(known) => format!("this setting belongs in the {} headwind", known.store.kind()),
        None => "there is no setting with this name that can change while Headwind runs".to_owned(),
    };
    Problem { store, name: key.chars().take(100).collect(), why, in_effect: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known<'_>] = &[
        Known { name: "INTERVAL", store: Store::ConfigMap, is_fixed: false },
        Known { name: "ENABLED", store: Store::ConfigMap, is_fixed: true },
        Known { name: "TOKEN", store: Store::Secret, is_fixed: false },
    ];

    fn values(all: &[(&str, &str)]) -> Values {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn accepted(config_map: &[(&str, &str)], secret: &[(&str, &str)], before: &Values) -> (Values, Vec<String>) {
        let stored = Stored { config_map: values(config_map), secret: values(secret) };
        let number = |_: &str, value: &str| value.parse::<u32>().map(drop).map_err(|_| "must be a number".to_owned());
        let (values, problems) = accept(KNOWN, &stored, before, number);
        (values, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn valid_values_take_effect_and_fixed_ones_do_not() {
        let (values_now, problems) = accepted(&[("INTERVAL", " 60\n"), ("ENABLED", "1")], &[("TOKEN", "7")], &Values::new());
        assert_eq!(values_now, values(&[("INTERVAL", "60"), ("TOKEN", "7")]));
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn a_bad_value_keeps_the_last_valid_one_of_its_key_alone() {
        let before = values(&[("INTERVAL", "60"), ("TOKEN", "7")]);
        let (now, problems) = accepted(&[("INTERVAL", "soon")], &[("TOKEN", "8")], &before);
        assert_eq!(now, values(&[("INTERVAL", "60"), ("TOKEN", "8")]));
        assert_eq!(problems, ["ConfigMap headwind, key INTERVAL: must be a number; the last valid value stays in effect"]);
        let (now, problems) = accepted(&[("INTERVAL", "soon")], &[], &Values::new());
        assert!(now.is_empty());
        assert_eq!(problems, ["ConfigMap headwind, key INTERVAL: must be a number; the default is in effect"]);
    }

    #[test]
    fn an_entry_that_was_removed_or_emptied_gives_the_default() {
        let before = values(&[("INTERVAL", "60")]);
        assert!(accepted(&[], &[], &before).0.is_empty());
        let (now, problems) = accepted(&[("INTERVAL", " ")], &[], &before);
        assert!(now.is_empty() && problems.is_empty(), "{now:?} {problems:?}");
    }

    #[test]
    fn a_long_value_an_unknown_key_and_a_secret_in_the_config_map_are_reported() {
        let long = "1".repeat(5000);
        let (now, problems) = accepted(&[("INTERVAL", &long), ("OTHER", "1"), ("TOKEN", "1")], &[], &Values::new());
        assert!(now.is_empty());
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("at most 4096 bytes") && problems[1].contains("no setting"), "{problems:?}");
        assert!(problems[2].contains("belongs in the Secret"), "{problems:?}");
    }

    #[test]
    fn values_are_in_no_log() {
        let stored = Stored { config_map: values(&[("A", "open")]), secret: values(&[("TOKEN", "hidden")]) };
        let text = format!("{stored:?}");
        assert!(text.contains("TOKEN") && !text.contains("hidden") && !text.contains("open"), "{text}");
    }
}
