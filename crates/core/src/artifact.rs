//! The artifact that a container or a release runs, and the place where its versions are published.
//!
//! A workload's container runs an image, a release runs a chart. The rules use both through [`Artifact`]. An [`Origin`]
//! is the repository of an event, the key of the index and the subject of a scan: the same repository of a registry may
//! contain an image and a chart.

pub mod chart;
mod kind;
pub mod platform;
pub mod reference;
pub mod version;

pub use kind::ArtifactKind;

use std::fmt;

use self::chart::{ChartError, ChartReference, ChartRepository, version_of};
use self::reference::{Digest, ImageReference, ReferenceError, RepositoryKey};

/// The place where versions are published.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A repository of an OCI registry, with an image or a chart.
    Registry(RepositoryKey),
    /// A classic Helm repository, which has many charts in one index.
    Charts(ChartRepository),
}

impl Origin {
    /// Returns the host, with its port.
    pub fn host(&self) -> &str {
        match self {
            Origin::Registry(repository) => repository.registry(),
            Origin::Charts(repository) => repository.host(),
        }
    }

    /// Returns the version for a tag of it. A registry's tags have no `+`.
    pub fn version(&self, artifact: &Artifact, tag: &str) -> String {
        match (artifact, self) {
            (Artifact::Chart(_), Origin::Registry(_)) => version_of(tag),
            (Artifact::Chart(_), Origin::Charts(_)) | (Artifact::Image(_), _) => tag.to_owned(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Registry(repository) => fmt::Display::fmt(repository, f),
            Origin::Charts(repository) => fmt::Display::fmt(repository, f),
        }
    }
}

/// The reasons why a text names neither an image nor a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// No image.
    #[error(transparent)]
    Image(#[from] ReferenceError),
    /// No chart.
    #[error(transparent)]
    Chart(#[from] ChartError),
}

/// An image or a chart at a version, as written in the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    /// A container's image.
    Image(ImageReference),
    /// A release's chart.
    Chart(ChartReference),
}

impl Artifact {
    /// Parses the text of an object of that kind.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    pub fn parse(kind: ArtifactKind, text: &str) -> Result<Self, ArtifactError> {
        Ok(match kind {
            ArtifactKind::Image => Artifact::Image(ImageReference::parse(text)?),
            ArtifactKind::Chart => Artifact::Chart(ChartReference::parse(text)?),
        })
    }

    /// Returns the kind.
    pub fn kind(&self) -> ArtifactKind {
        match self {
            Artifact::Image(_) => ArtifactKind::Image,
            Artifact::Chart(_) => ArtifactKind::Chart,
        }
    }

    /// Returns the effective tag, or the chart's version; `None` for an image with only a digest.
    pub fn version(&self) -> Option<&str> {
        match self {
            Artifact::Image(image) => image.effective_tag(),
            Artifact::Chart(chart) => Some(chart.version()),
        }
    }

    /// Returns the written digest. A chart has none.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Artifact::Image(image) => image.digest(),
            Artifact::Chart(_) => None,
        }
    }

    /// Returns the same artifact at another version, without a digest.
    #[must_use]
    pub fn with_version(&self, version: &str) -> Self {
        match self {
            Artifact::Image(image) => Artifact::Image(image.with_tag(version)),
            Artifact::Chart(chart) => Artifact::Chart(chart.with_version(version)),
        }
    }

    /// Returns the name that the version belongs to: the image's normalised repository, or the chart's name.
    pub fn name(&self) -> &str {
        match self {
            Artifact::Image(image) => image.repository().as_str(),
            Artifact::Chart(chart) => chart.name(),
        }
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Artifact::Image(image) => fmt::Display::fmt(image, f),
            Artifact::Chart(chart) => fmt::Display::fmt(chart, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    /// The same methods for both kinds.
    #[rstest]
    #[case(ArtifactKind::Image, "nginx:1.25", "docker.io/library/nginx", Some("1.25"), "nginx:2.0")]
    #[case(ArtifactKind::Image, "registry.example:5000/app", "registry.example:5000/app", Some("latest"), "registry.example:5000/app:2.0")]
    #[case(ArtifactKind::Chart, "podinfo:1.2.0+build.7", "podinfo", Some("1.2.0+build.7"), "podinfo:2.0")]
    #[case(ArtifactKind::Chart, "team/podinfo:>=1.2", "team/podinfo", Some(">=1.2"), "team/podinfo:2.0")]
    #[case(ArtifactKind::Chart, "podinfo:", "podinfo", Some(""), "podinfo:2.0")]
    fn both(#[case] kind: ArtifactKind, #[case] text: &str, #[case] name: &str, #[case] version: Option<&str>, #[case] moved: &str) {
        let artifact = Artifact::parse(kind, text).unwrap();
        assert_eq!((artifact.kind(), artifact.name(), artifact.version()), (kind, name, version));
        assert_eq!((artifact.to_string().as_str(), artifact.with_version("2.0").to_string().as_str()), (text, moved));
    }

    #[test]
    fn a_chart_has_no_digest() {
        let image = Artifact::parse(ArtifactKind::Image, &format!("nginx:1.25@{DIGEST}")).unwrap();
        assert_eq!(image.digest().map(ToString::to_string).as_deref(), Some(DIGEST));
        assert_eq!(image.with_version("1.26").digest(), None);
        let chart = Artifact::parse(ArtifactKind::Chart, &format!("podinfo:{DIGEST}")).unwrap();
        assert_eq!((chart.digest(), chart.version()), (None, Some(DIGEST)));
    }

    #[rstest]
    #[case(ArtifactKind::Chart, "nginx", ArtifactError::Chart(ChartError::NoVersion))]
    #[case(ArtifactKind::Chart, "../nginx:1", ArtifactError::Chart(ChartError::Name))]
    #[case(ArtifactKind::Image, "podinfo:1.2.0+build.7", ArtifactError::Image(ReferenceError::Tag))]
    fn neither(#[case] kind: ArtifactKind, #[case] text: &str, #[case] error: ArtifactError) {
        assert_eq!(Artifact::parse(kind, text), Err(error));
    }

    #[test]
    fn who_is_asked() {
        let registry = Origin::Registry(RepositoryKey::parse("registry.example:5000/charts/podinfo").unwrap());
        assert_eq!((registry.host(), registry.to_string().as_str()), ("registry.example:5000", "registry.example:5000/charts/podinfo"));
        let charts = Origin::Charts(ChartRepository::parse("https://charts.example:8443/stable/").unwrap());
        assert_eq!((charts.host(), charts.to_string().as_str()), ("charts.example:8443", "https://charts.example:8443/stable"));
    }
}
