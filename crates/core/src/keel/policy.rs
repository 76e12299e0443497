//! The policy, and what belongs to it.

use super::{Manifest, Settings, containers};
use crate::policy::Pattern;
use crate::settings::{Annotations, key};

/// Characters with a meaning in Headwind's patterns that Keel takes literally. No tag has them.
const SPECIAL: [char; 6] = ['?', '[', ']', '{', '}', '\\'];

/// The keys in which Keel looks for the policy.
const POLICY: [&str; 2] = ["keel.sh/policy", "keel.observer/policy"];

fn policy_of(all: &Annotations) -> Option<(&'static str, String)> {
    POLICY.iter().find_map(|key| Some((*key, all.get(*key)?.clone())))
}

impl Settings<'_> {
    pub(super) fn policy(&mut self, manifest: &Manifest) {
        // The two maps are not mixed: Keel reads the switches from the place of the policy.
        let (name, policy, place) = match (policy_of(self.annotations), policy_of(self.labels)) {
            (Some((name, policy)), _) => (name, policy, self.annotations),
            (None, Some((name, policy))) => (name, policy, self.labels),
            (None, None) => {
                self.no_updates(POLICY[0], "it is not set: Keel does not update this workload, and neither does Headwind");
                return;
            }
        };
        let is = |key: &str| place.get(key).map(|value| value == "true");
        let matches_tag = is("keel.sh/matchTag").or_else(|| is("keel.sh/match-tag")).unwrap_or(false);
        let matches_pre_release = is("keel.sh/matchPreRelease").unwrap_or(true);
        match policy.as_str() {
            "all" | "major" | "minor" | "patch" => self.set(key::POLICY, policy.clone()),
            "force" => self.force(manifest, name, matches_tag),
            "never" | "" => self.set(key::POLICY, "none"),
            _ => match policy.split_once(':') {
                Some(("glob", pattern)) => self.glob(name, pattern),
                Some(("regexp", pattern)) => {
                    let words = format!(
                        "the regular expression {pattern:?} has no equivalent; set {} to glob and write a glob into {}",
                        key::POLICY,
                        key::PATTERN
                    );
                    self.no_updates(name, words);
                }
                _ => self.no_updates(name, format!("Keel has no policy {policy:?} and does not update this workload")),
            },
        }
        if !matches_pre_release && matches!(policy.as_str(), "major" | "minor" | "patch") {
            let words = "a version with another suffix is never an update; pre-releases need the policy all or a pattern";
            self.note("keel.sh/matchPreRelease", words);
        }
    }

    /// With `matchTag`, Keel follows the digest of the current tag only: the tag is the pattern.
    fn force(&mut self, manifest: &Manifest, name: &str, matches_tag: bool) {
        self.set(key::POLICY, "force");
        if !matches_tag {
            self.note(
                name,
                "in Headwind, force may also move to a lower version; by polling, it follows the digest of the current tag only",
            );
            return;
        }
        let tags = containers::tags(self.tracked(manifest));
        match tags.as_slice() {
            [(_, first), rest @ ..] if rest.iter().all(|(_, tag)| tag == first) => self.set(key::PATTERN, first.clone()),
            _ => {
                for (container, tag) in tags {
                    self.set(&format!("{}.{container}", key::PATTERN), tag);
                }
            }
        }
    }

    fn glob(&mut self, name: &str, pattern: &str) {
        let is_valid = !pattern.contains(':') && !pattern.contains(SPECIAL) && Pattern::new(pattern).is_ok();
        if is_valid {
            self.set(key::POLICY, "glob");
            self.set(key::PATTERN, pattern);
        } else {
            self.no_updates(name, format!("the pattern {pattern:?} matches no tag in Keel"));
        }
    }

    /// Notes why the workload gets no updates. The policy is set, because the Namespace may have another one as a default.
    fn no_updates(&mut self, name: &str, why: impl Into<String>) {
        self.set(key::POLICY, "none");
        self.note(name, why);
    }
}
