//! Selects which values of the ConfigMap and the Secret `headwind` take effect.
//!
//! A setting has one name: that of its variable. If a value is not valid, the last valid value of that setting stays. A
//! flag or a variable fixes a setting.

use std::collections::BTreeMap;
use std::fmt;

/// The keys of the ConfigMap `headwind` that limit updates.
pub mod limit {
    /// A freeze of everything.
    pub const FREEZE: &str = "freeze";
    /// Maximum number of rollouts at the same time.
    pub const ROLLOUTS: &str = "maxConcurrentRollouts";
    /// Maximum number of rollouts at the same time in one namespace.
    pub const ROLLOUTS_PER_NAMESPACE: &str = "maxConcurrentRolloutsPerNamespace";
    /// Number of failed updates within an hour after which updates are paused.
    pub const PAUSE_AFTER_FAILURES: &str = "pauseAfterFailures";
    /// When a person last resumed updates.
    pub const RESUMED_AT: &str = "resumedAt";

    /// All of them.
    pub const ALL: &[&str] = &[FREEZE, ROLLOUTS, ROLLOUTS_PER_NAMESPACE, PAUSE_AFTER_FAILURES, RESUMED_AT];
}

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

/// The entries of the two objects. An object that does not exist has none.
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
        f.debug_struct("Stored").field("config_map", &self.config_map.keys()).field("secret", &self.secret.keys()).finish()
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

/// An entry that has no effect, or is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The object.
    pub store: Store,
    /// The key.
    pub name: String,
    /// The problem, and the expected form.
    pub why: String,
    /// The value that is in effect instead. `None` if the key is missing, or is not a setting of this object.
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

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting.
    pub name: String,
    /// The problem, and the expected form. It never has the value, which may be a secret.
    pub why: String,
}

/// Returns the values that take effect, and the entries that do not.
///
/// `before` are the values that were in effect. `check` returns every fault of some values. A missing setting that
/// others require is a fault too: it is reported, and has no replacement value.
pub fn accept(known: &[Known<'_>], stored: &Stored, before: &Values, check: impl Fn(&Values) -> Vec<Fault>) -> (Values, Vec<Problem>) {
    let mut problems: Vec<Problem> = Vec::new();
    let mut values: Values = known
        .iter()
        .filter(|known| !known.is_fixed)
        .filter_map(|known| Some((known.name.to_owned(), stored.of(known.store).get(known.name)?.trim().to_owned())))
        // An empty entry counts as removed.
        .filter(|(_, value)| !value.is_empty())
        .collect();
    loop {
        let long = values
            .iter()
            .filter(|(_, value)| value.len() > VALUE)
            .map(|(name, _)| Fault { name: name.clone(), why: format!("the value must have at most {VALUE} bytes") });
        let faults: Vec<Fault> = long.chain(check(&values)).collect();
        let count = problems.len();
        for Fault { name, why } in faults {
            let Some(known) = known.iter().find(|known| known.name == name) else { continue };
            if problems.iter().any(|problem| problem.name == name) {
                continue;
            }
            let in_effect = values.remove(&name).map(|_| match before.get(&name) {
                Some(last) => {
                    values.insert(name.clone(), last.clone());
                    InEffect::LastValid
                }
                None => InEffect::Default,
            });
            problems.push(Problem { store: known.store, name, why, in_effect });
        }
        // Every setting is reported once, so this ends.
        if problems.len() == count {
            break;
        }
    }
    for store in [Store::ConfigMap, Store::Secret] {
        let is_limit = |key: &str| store == Store::ConfigMap && limit::ALL.contains(&key);
        let is_known = |key: &str| known.iter().any(|known| known.name == key && known.store == store) || is_limit(key);
        let foreign = stored.of(store).keys().filter(|key| !is_known(key));
        problems.extend(foreign.take(UNKNOWN).map(|key| misplaced(known, store, key)));
    }
    (values, problems)
}

/// Returns the problem of a key that is not a setting of the object.
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

    /// Every value must be a number, and a token needs an interval.
    fn numbers(values: &Values) -> Vec<Fault> {
        let fault = |name: &str, why: &str| Fault { name: name.to_owned(), why: why.to_owned() };
        let bad = values.iter().filter(|(_, value)| value.parse::<u64>().is_err()).map(|(name, _)| fault(name, "must be a number"));
        let lone = values.contains_key("TOKEN") && !values.contains_key("INTERVAL");
        bad.chain(lone.then(|| fault("INTERVAL", "required, because there is a token"))).collect()
    }

    fn accepted(config_map: &[(&str, &str)], secret: &[(&str, &str)], before: &Values) -> (Values, Vec<String>) {
        let stored = Stored { config_map: values(config_map), secret: values(secret) };
        let (values, problems) = accept(KNOWN, &stored, before, numbers);
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
    fn what_is_missing_is_reported_and_not_taken_from_before() {
        let before = values(&[("INTERVAL", "60")]);
        let (now, problems) = accepted(&[], &[("TOKEN", "7")], &before);
        assert_eq!(now, values(&[("TOKEN", "7")]));
        assert_eq!(problems, ["ConfigMap headwind, key INTERVAL: required, because there is a token"]);
        // A bad value is reported once, also if another one is missing because of it.
        let (now, problems) = accepted(&[("INTERVAL", "x")], &[("TOKEN", "7")], &Values::new());
        assert_eq!((now, problems.len()), (values(&[("TOKEN", "7")]), 1));
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
