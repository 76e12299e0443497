//! The policy, and what belongs to it.

use super::{Manifest, Settings, containers};
use crate::artifact::ArtifactKind;
use crate::artifact::reference::ImageReference;
use crate::policy::{Family, Pattern, Policy};
use crate::settings::{Annotations, key};

/// Characters with a meaning in Headwind's patterns that Keel takes literally. No tag has them.
const SPECIAL: [char; 6] = ['?', '[', ']', '{', '}', '\\'];

/// The keys in which Keel looks for the policy.
const POLICY: [&str; 2] = ["keel.sh/policy", "keel.observer/policy"];
const MATCH_TAG: [&str; 2] = ["keel.sh/matchTag", "keel.sh/match-tag"];

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
        let match_tag = MATCH_TAG.into_iter().find_map(|key| Some((key, is(key)?)));
        let match_tag = match_tag.filter(|(_, is_on)| *is_on).map(|(key, _)| key);
        let matches_pre_release = is("keel.sh/matchPreRelease").unwrap_or(true);
        match policy.as_str() {
            "all" | "major" | "minor" | "patch" => self.set(key::POLICY, policy.clone()),
            "force" => self.force(manifest, name, match_tag),
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
        self.check_names(manifest);
    }

    /// With `matchTag`, Keel follows the digest of the current tag only: the tag is the pattern.
    fn force(&mut self, manifest: &Manifest, name: &str, match_tag: Option<&str>) {
        self.set(key::POLICY, "force");
        let Some(match_tag) = match_tag else {
            self.note(
                name,
                "in Headwind, force may also move to a lower version; by polling, it follows the digest of the current tag only",
            );
            return;
        };
        let tags = containers::tags(self.tracked(manifest)).filter(|_| self.has_containers(manifest));
        let Some(tags) = tags else {
            let words = format!("the manifest does not name all tags; set {} to force and {} to the tag", key::POLICY, key::PATTERN);
            self.no_updates(match_tag, words);
            return;
        };
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

    /// Notes the images that a policy for versions never updates.
    pub(super) fn without_versions(&mut self, manifest: &Manifest) {
        let policy = self.found.annotations.get(key::POLICY).and_then(|policy| policy.parse::<Policy>().ok());
        if policy.map(Policy::family) != Some(Family::Versions) {
            return;
        }
        let Some((name, _)) = policy_of(self.annotations).or_else(|| policy_of(self.labels)) else { return };
        for one in self.tracked(manifest) {
            let Ok(image) = ImageReference::parse(&one.image) else { continue };
            let why = match image.effective_tag() {
                Some(tag) if ArtifactKind::Image.read(tag).is_some() => continue,
                Some(tag) => format!("the tag {tag:?} of {:?} is not a version", one.name),
                None => format!("the image of {:?} has no tag", one.name),
            };
            self.note(name, format!("{why}, so Headwind never updates it; change the tag, or set the policy to glob or force"));
        }
    }

    /// Notes why the workload gets no updates. The policy is set, because the Namespace may have another one as a default.
    pub(super) fn no_updates(&mut self, name: &str, why: impl Into<String>) {
        self.set(key::POLICY, "none");
        self.note(name, why);
    }
}
