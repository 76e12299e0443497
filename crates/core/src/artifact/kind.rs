//! The two kinds of artifacts.

use serde::{Deserialize, Serialize};

use super::version::{Version, parse_chart, parse_tag};

/// The kind of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// An image, versioned by tags.
    #[default]
    Image,
    /// A chart, versioned by chart versions.
    Chart,
}

impl ArtifactKind {
    /// Parses a version of an artifact of this kind.
    pub fn read(self, text: &str) -> Option<Version> {
        match self {
            ArtifactKind::Image => parse_tag(text),
            ArtifactKind::Chart => parse_chart(text),
        }
    }
}
