//! The properties of policies. Everything outside of this folder asks for a property, and never for a policy by name.
//!
//! A new policy compiles only once each of them is decided for it.

use super::Policy;

/// The rule by which a policy accepts candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Accepts nothing.
    Nothing,
    /// Accepts higher versions.
    Versions,
    /// Accepts tags that match a pattern.
    Matches,
    /// Accepts every tag of an event, and new digests of the current tag.
    Digests,
}

impl Policy {
    /// Returns the rule by which it accepts candidates.
    pub fn family(self) -> Family {
        match self {
            Self::None => Family::Nothing,
            Self::Patch | Self::Minor | Self::Major | Self::All => Family::Versions,
            Self::Glob => Family::Matches,
            Self::Force => Family::Digests,
        }
    }

    /// Returns true if it accepts no version at all.
    pub fn is_off(self) -> bool {
        match self {
            Self::None => true,
            Self::Patch | Self::Minor | Self::Major | Self::All | Self::Glob | Self::Force => false,
        }
    }

    /// Returns true if a new digest of the current tag is a new version. For every other policy, a version is its tag.
    pub fn follows_digest(self) -> bool {
        match self {
            Self::Force => true,
            Self::None | Self::Patch | Self::Minor | Self::Major | Self::All | Self::Glob => false,
        }
    }

    /// Returns true if it prefers one version over another. Otherwise, the latest push counts.
    pub fn ranks_versions(self) -> bool {
        match self {
            Self::Patch | Self::Minor | Self::Major | Self::All | Self::Glob => true,
            Self::None | Self::Force => false,
        }
    }

    /// Returns true if the order of two versions depends on all candidates of a list.
    pub fn ranks_whole_lists(self) -> bool {
        match self {
            Self::Glob => true,
            Self::None | Self::Patch | Self::Minor | Self::Major | Self::All | Self::Force => false,
        }
    }

    /// Returns true if it needs the annotation with a pattern.
    pub fn needs_pattern(self) -> bool {
        match self {
            Self::Glob => true,
            Self::None | Self::Patch | Self::Minor | Self::Major | Self::All | Self::Force => false,
        }
    }

    /// Returns true if it accepts every pre-release that is higher.
    pub fn accepts_pre_releases(self) -> bool {
        match self {
            Self::All => true,
            Self::None | Self::Patch | Self::Minor | Self::Major | Self::Glob | Self::Force => false,
        }
    }
}
