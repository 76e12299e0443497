//! What a container or a release runs, and where its versions are published.
//!
//! A workload's container runs an image, a release runs a chart; the rules ask both the same
//! questions through [`Artifact`]. An [`Origin`] is what events name, what the index is keyed by and
//! what a scan asks: the same repository of a registry may hold an image for one and a chart for
//! another.

use std::fmt;

use crate::chart::{ChartError, ChartReference, ChartRepository};
use crate::policy::Kind as VersionKind;
use crate::reference::{Digest, ImageReference, ReferenceError, RepositoryKey};

/// Where versions are published.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A repository of an OCI registry: an image's, or a chart's.
    Registry(RepositoryKey),
    /// A classic Helm repository, which has many charts in one index.
    Charts(ChartRepository),
}

impl Origin {
    /// Who is asked: the host, with its port.
    pub fn host(&self) -> &str {
        match self {
            Origin::Registry(repository) => repository.registry(),
            Origin::Charts(repository) => repository.host(),
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

/// Why a text names neither an image nor a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// No image.
    #[error(transparent)]
    Image(#[from] ReferenceError),
    /// No chart.
    #[error(transparent)]
    Chart(#[from] ChartError),
}

/// An image or a chart at a version, as it stands in the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    /// A container's image.
    Image(ImageReference),
    /// A release's chart.
    Chart(ChartReference),
}

impl Artifact {
    /// Reads what stands in an object of that kind.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    pub fn parse(kind: VersionKind, text: &str) -> Result<Self, ArtifactError> {
        Ok(match kind {
            VersionKind::Image => Artifact::Image(ImageReference::parse(text)?),
            VersionKind::Chart => Artifact::Chart(ChartReference::parse(text)?),
        })
    }

    /// Which of the two.
    pub fn kind(&self) -> VersionKind {
        match self {
            Artifact::Image(_) => VersionKind::Image,
            Artifact::Chart(_) => VersionKind::Chart,
        }
    }

    /// The tag that is meant, or the chart's version; none for an image by its digest alone.
    pub fn version(&self) -> Option<&str> {
        match self {
            Artifact::Image(image) => image.effective_tag(),
            Artifact::Chart(chart) => Some(chart.version()),
        }
    }

    /// The digest that is written; a chart has none.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Artifact::Image(image) => image.digest(),
            Artifact::Chart(_) => None,
        }
    }

    /// The same at another version, and at no digest.
    #[must_use]
    pub fn with_version(&self, version: &str) -> Self {
        match self {
            Artifact::Image(image) => Artifact::Image(image.with_tag(version)),
            Artifact::Chart(chart) => Artifact::Chart(chart.with_version(version)),
        }
    }

    /// What it is a version of: the image's normalised repository, or the chart's name.
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
