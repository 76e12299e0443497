//! The tags of a list that a scan keeps: those that could replace the version of one of its followers.
//!
//! A repository may have many more tags than any workload could update to. This filter takes one look-up per tag,
//! however many workloads follow the repository. The policy itself decides about the kept tags.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use headwind_core::artifact::chart::version_of;
use headwind_core::artifact::version::Version;
use headwind_core::artifact::{Artifact, ArtifactKind};
use headwind_core::policy::{Family, Pattern};
use headwind_core::settings::Settings;

/// The filter of a list.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// The patterns of policy glob.
    patterns: BTreeMap<String, Pattern>,
    /// The lowest running version of the images, by variant and then one for each scheme.
    images: BTreeMap<String, Vec<(Version, String)>>,
    /// The followed charts. Every version of them is kept.
    charts: BTreeSet<String>,
}

impl Filter {
    /// Keeps the versions that the container could update to.
    pub(super) fn add(&mut self, artifact: &Artifact, settings: &Settings) {
        match (artifact.kind(), settings.policy.family()) {
            (ArtifactKind::Chart, _) => drop(self.charts.insert(artifact.name().to_owned())),
            (ArtifactKind::Image, Family::Nothing | Family::Digests) => {}
            (ArtifactKind::Image, Family::Matches) => {
                if let Some(pattern) = &settings.pattern {
                    self.patterns.entry(pattern.to_string()).or_insert_with(|| pattern.clone());
                }
            }
            (ArtifactKind::Image, Family::Versions) => {
                let current = artifact.version().and_then(|tag| Some((ArtifactKind::Image.read(tag)?, tag.to_owned())));
                let Some((version, tag)) = current else { return };
                let schemes = self.images.entry(version.variant.clone()).or_default();
                match schemes.iter_mut().find(|(lowest, _)| lowest.same_scheme(&version)) {
                    None => schemes.push((version, tag)),
                    Some(lowest) if version.cmp_precedence(&lowest.0).is_lt() => *lowest = (version, tag),
                    Some(_) => {}
                }
            }
        }
    }

    /// Returns true if the tag is kept.
    pub(super) fn accepts(&self, tag: &str) -> bool {
        self.patterns.values().any(|pattern| pattern.matches(tag))
            || !self.charts.is_empty() && ArtifactKind::Chart.read(&version_of(tag)).is_some()
            || !self.images.is_empty() && ArtifactKind::Image.read(tag).is_some_and(|version| self.is_higher(&version))
    }

    fn is_higher(&self, version: &Version) -> bool {
        let schemes = self.images.get(&version.variant).into_iter().flatten();
        schemes.into_iter().any(|(lowest, _)| lowest.same_scheme(version) && version.cmp_precedence(lowest).is_gt())
    }

    /// Returns the followed charts.
    pub(super) fn charts(&self) -> &BTreeSet<String> {
        &self.charts
    }

    /// Returns a fingerprint that identifies the filter.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        self.patterns.keys().for_each(|pattern| pattern.hash(&mut hash));
        for (variant, schemes) in &self.images {
            let lowest: BTreeSet<&String> = schemes.iter().map(|(_, tag)| tag).collect();
            (variant, lowest).hash(&mut hash);
        }
        self.charts.hash(&mut hash);
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwind_core::settings::Annotations;

    fn filter(followers: &[(&str, &str, &str)]) -> Filter {
        let mut filter = Filter::default();
        for (image, policy, pattern) in followers {
            let mut annotations = Annotations::from([("headwind.sh/policy".to_owned(), (*policy).to_owned())]);
            if !pattern.is_empty() {
                annotations.insert("headwind.sh/pattern".to_owned(), (*pattern).to_owned());
            }
            let settings = Settings::resolve(&Annotations::new(), &annotations, "web").unwrap();
            filter.add(&Artifact::parse(ArtifactKind::Image, image).unwrap(), &settings);
        }
        filter
    }

    #[test]
    fn only_what_could_be_chosen_is_kept() {
        let filter =
            filter(&[("a:1.4.0", "minor", ""), ("a:1.2.0", "patch", ""), ("a:1.0.0-alpine", "major", ""), ("a:main", "glob", "build-*")]);
        let kept = |tag: &str| filter.accepts(tag);
        for tag in ["1.2.1", "1.3.0", "2.0.0", "1.0.1-alpine", "build-7", "1.2.1-rc.1"] {
            assert!(kept(tag), "{tag}");
        }
        for tag in ["1.2.0", "1.1.9", "0.9.0-alpine", "1.2.1-debian", "v1.3.0", "1.3", "nightly", "main"] {
            assert!(!kept(tag), "{tag}");
        }
    }

    #[test]
    fn another_follower_that_changes_nothing_is_the_same_filter() {
        let one = filter(&[("a:1.2.0", "minor", "")]);
        assert_eq!(one.fingerprint(), filter(&[("a:1.4.0", "minor", ""), ("a:1.2.0", "patch", "")]).fingerprint());
        assert_ne!(one.fingerprint(), filter(&[("a:1.1.0", "minor", "")]).fingerprint());
        assert!(!filter(&[("a:1.2.0", "force", "")]).accepts("1.3.0"));
    }

    #[test]
    fn a_chart_keeps_every_version() {
        let mut filter = Filter::default();
        filter.add(&Artifact::parse(ArtifactKind::Chart, "podinfo:6.5.0").unwrap(), &Settings::default());
        assert!(filter.accepts("6.4.0") && filter.accepts("6.5.1_build") && !filter.accepts("latest"));
    }
}
