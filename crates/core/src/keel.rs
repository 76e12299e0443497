//! The translation of Keel's labels and annotations into Headwind's annotations.
//!
//! [`translate`] reads the settings as Keel does: from the object itself, with Keel's precedence between labels and
//! annotations. What has no equivalent is a [`Note`]. A setting that cannot be translated never makes Headwind update
//! more than Keel did.

mod containers;
mod policy;
mod schedule;
mod table;

pub use containers::NamedImage;
pub use table::{Row, TABLE};

use std::collections::BTreeMap;

use crate::settings::Annotations;
use crate::settings::key;

/// The prefixes of Keel's keys. The second one is from Keel's first versions.
const PREFIXES: [&str; 2] = ["keel.sh/", "keel.observer/"];
/// Annotations that Keel writes.
const STATE: [&str; 2] = ["keel.sh/digest", "keel.sh/update-time"];
/// Hours after which an UpdateRequest expires, and Keel's default as well.
const DEADLINE: &str = "24";

/// Returns true for a key of Keel.
pub fn is_keel(key: &str) -> bool {
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Returns true for an annotation that Keel writes.
pub fn is_state(key: &str) -> bool {
    STATE.contains(&key)
}

/// The parts of a workload that the translation reads.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// The labels of the object.
    pub labels: Annotations,
    /// The annotations of the object.
    pub annotations: Annotations,
    /// The labels and annotations of the pod template.
    pub template: Annotations,
    /// The containers of the pod template.
    pub containers: Vec<NamedImage>,
    /// The init containers of the pod template.
    pub init_containers: Vec<NamedImage>,
    /// The image volumes of the pod template.
    pub volumes: Vec<NamedImage>,
    /// The names of the pull secrets of the pod template.
    pub pull_secrets: Vec<String>,
}

/// The result for one workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translation {
    /// Headwind's annotations for the object.
    pub annotations: BTreeMap<String, String>,
    /// The settings that could not be translated, or not exactly.
    pub notes: Vec<Note>,
}

/// A setting of Keel that has no exact equivalent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The key of Keel.
    pub key: String,
    /// The message for the user.
    pub message: String,
}

/// Returns Headwind's annotations for the settings of Keel.
pub fn translate(manifest: &Manifest) -> Translation {
    let own = |all: &Annotations| all.keys().any(|key| is_keel(key) && !is_state(key));
    let nothing = Annotations::new();
    let mut settings = Settings { labels: &manifest.labels, annotations: &manifest.annotations, found: Translation::default() };
    if own(&manifest.labels) || own(&manifest.annotations) {
        settings.read(manifest);
        let ignored = manifest.template.keys().filter(|key| is_keel(key) && !is_state(key));
        for key in ignored {
            settings.note(key, "Keel ignores it in a pod template, and so does the translation");
        }
    } else if own(&manifest.template) {
        settings.labels = &nothing;
        settings.annotations = &manifest.template;
        settings.read(manifest);
        // Keel never updated this workload.
        settings.found.annotations.remove(key::REQUIRE_APPROVAL);
        let words = "Keel ignores its settings in a pod template. Headwind reads them from the object itself and asks for approval";
        settings.note("keel.sh/policy", words);
    }
    let mut found = settings.found;
    if manifest.annotations.keys().any(|key| key.starts_with(key::PREFIX)) {
        // Somebody has already configured Headwind here, and may want something else.
        found.annotations.clear();
        found.notes = vec![Note {
            key: format!("{}*", key::PREFIX),
            message: "the object has annotations of Headwind, which stay as they are".to_owned(),
        }];
    }
    found
}

/// The settings of one object while they are translated.
struct Settings<'a> {
    labels: &'a Annotations,
    annotations: &'a Annotations,
    found: Translation,
}

impl<'a> Settings<'a> {
    fn set(&mut self, key: &str, value: impl Into<String>) {
        self.found.annotations.insert(key.to_owned(), value.into());
    }

    fn note(&mut self, key: &str, message: impl Into<String>) {
        self.found.notes.push(Note { key: key.to_owned(), message: message.into() });
    }

    /// Returns the value of the label, else of the annotation. Keel does not distinguish the case of these keys.
    fn in_any_case(&self, key: &str) -> Option<&'a str> {
        let (labels, annotations): (&'a Annotations, &'a Annotations) = (self.labels, self.annotations);
        let of = |all: &'a Annotations| all.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str());
        of(labels).or_else(|| of(annotations))
    }

    /// Returns true if the translation gives the workload no updates.
    fn is_off(&self) -> bool {
        self.found.annotations.get(key::POLICY).is_some_and(|policy| policy == "none")
    }

    fn read(&mut self, manifest: &Manifest) {
        self.policy(manifest);
        self.trigger();
        self.approvals();
        self.containers(manifest);
        self.without_versions(manifest);
        self.without_equivalent(manifest);
    }

    fn trigger(&mut self) {
        let trigger = self.annotations.get("keel.sh/trigger").or_else(|| self.labels.get("keel.sh/trigger")).cloned();
        match trigger.as_deref() {
            // Keel acts on webhooks in any case.
            Some("poll") => self.set(key::EVENT_SOURCE, "both"),
            Some("default" | "") | None => {}
            Some(other) => self.note("keel.sh/trigger", format!("Keel treats {other:?} as its default: webhooks")),
        }
        let Some(schedule) = self.annotations.get("keel.sh/pollSchedule").cloned() else { return };
        match schedule::interval(&schedule) {
            Some(interval) => self.set(key::POLLING_INTERVAL, interval),
            None => self.note(
                "keel.sh/pollSchedule",
                format!("{schedule:?} is not an interval; set {} to a duration such as 10m", key::POLLING_INTERVAL),
            ),
        }
    }

    fn approvals(&mut self) {
        let count = self.labels.get("keel.sh/approvals").or_else(|| self.annotations.get("keel.sh/approvals")).cloned();
        match count.as_deref().map(str::parse::<u32>) {
            // With policy none there is nothing to approve. A policy that is set later asks for approval by default.
            None | Some(Ok(0)) if self.is_off() => {}
            None | Some(Ok(0)) => self.set(key::REQUIRE_APPROVAL, "false"),
            Some(Ok(count)) => {
                self.set(key::REQUIRE_APPROVAL, "true");
                if count > 1 {
                    self.set("headwind.sh/approvals", count.to_string());
                }
            }
            Some(Err(_)) => {
                self.set(key::REQUIRE_APPROVAL, "true");
                let count = count.unwrap_or_default();
                self.note("keel.sh/approvals", format!("{count:?} is not a number; updates need one approval"));
            }
        }
    }

    fn without_equivalent(&mut self, manifest: &Manifest) {
        let keys: Vec<(String, String)> = [self.labels, self.annotations]
            .into_iter()
            .flatten()
            .filter(|(key, _)| is_keel(key) && !is_state(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (name, value) in keys {
            match name.as_str() {
                "keel.sh/approvalDeadline" if value != DEADLINE => {
                    self.note(&name, format!("{value} hours: an UpdateRequest expires {DEADLINE} hours after its creation"));
                }
                "keel.sh/notify" => self
                    .note(&name, format!("{value:?} names chat channels; {} names kinds of channels, such as slack or mail", key::NOTIFY)),
                "keel.sh/releaseNotes" => self.note(&name, "Headwind has no link to release notes"),
                _ if name.eq_ignore_ascii_case("keel.sh/imagePullSecret") && !manifest.pull_secrets.contains(&value) => {
                    let words = "Headwind uses the imagePullSecrets of the pod template and of its ServiceAccount";
                    self.note(&name, format!("{words}; add {value:?} to one of them"));
                }
                _ if !TABLE.iter().any(|row| row.keel.iter().any(|known| known.eq_ignore_ascii_case(&name))) => {
                    self.note(&name, "Keel has no such setting");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
