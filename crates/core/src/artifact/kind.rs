//! The two kinds of things that are versioned.

use serde::{Deserialize, Serialize};

use super::version::{Version, parse_chart, parse_tag};

/// What is versioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// Tags of an image.
    #[default]
    Image,
    /// Versions of a chart.
    Chart,
}

impl ArtifactKind {
    /// Parses a version as things of this kind are versioned.
    pub fn read(self, text: &str) -> Option<Version> {
        match self {
            ArtifactKind::Image => parse_tag(text),
            ArtifactKind::Chart => parse_chart(text),
        }
    }
}
