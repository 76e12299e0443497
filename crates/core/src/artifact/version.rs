//! Versions: the grammar of tags and chart versions, and their order.
//!
//! There is one grammar for tags, which must match the whole tag, and one for charts (SemVer 2 as Helm parses it). Both
//! produce a [`Version`]; [`crate::policy`] decides which versions are compared.
//!
//! ```text
//! [v] N[.N[.N[.N]]] | YYYY-MM[-DD]   [pre-release]   [-N | _N | pN]   [-variant]   [-rN]   [_metadata]
//!     └ numbers                      └ rc.1, b2      └────────── revision ──────────┘       └ has no order
//! ```

mod chart;
mod cursor;
mod natural;
mod number;
mod pre_release;
mod revision;
mod tag;

pub use chart::{is_constraint, is_range, parse as parse_chart};
pub use natural::{natural_order, skeleton};
pub use number::Number;
pub use tag::{is_artefact, parse as parse_tag};

use std::cmp::Ordering;

/// A parsed tag or chart version.
///
/// Comparing two of them ([`Version::cmp_precedence`]) is only meaningful within one scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// True if it is written with a leading `v`.
    pub prefixed: bool,
    /// One to four numbers, the major one first.
    pub numbers: Vec<Number>,
    /// The stage before the release; empty for a release.
    pub pre: Vec<Identifier>,
    /// The build number of this version.
    pub revision: Option<Number>,
    /// Every other suffix, without its first dash; empty for the default variant.
    pub variant: String,
    /// SemVer build metadata: has no order.
    pub metadata: String,
}

/// A part of a pre-release (SemVer 2, rule 11).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identifier {
    /// Compared as a number; below every word.
    Number(Number),
    /// Compared as text.
    Word(String),
}

impl Version {
    /// Returns true if it is a pre-release.
    pub fn is_pre_release(&self) -> bool {
        !self.pre.is_empty()
    }

    /// Returns true if both have the same numbering scheme: the same count of numbers, both with `v` or both without,
    /// and each pair of numbers either both like a date or a build number, or neither.
    pub fn same_scheme(&self, other: &Self) -> bool {
        self.prefixed == other.prefixed
            && self.numbers.len() == other.numbers.len()
            && self.numbers.iter().zip(&other.numbers).all(|(a, b)| a.is_calendar() == b.is_calendar())
    }

    /// Returns true if both have a revision, or neither.
    pub fn both_have_revisions(&self, other: &Self) -> bool {
        self.revision.is_some() == other.revision.is_some()
    }

    /// Returns the number at that place. Missing ones are zero.
    pub fn number(&self, place: usize) -> Number {
        self.numbers.get(place).cloned().unwrap_or_default()
    }

    /// Returns true if both are the same release, or pre-releases of it.
    pub fn same_release(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }

    /// Compares two versions of one scheme: by numbers, then a pre-release below its release, then by revision. Ignores
    /// metadata and spelling.
    pub fn cmp_precedence(&self, other: &Self) -> Ordering {
        let pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        };
        self.numbers.cmp(&other.numbers).then(pre).then_with(|| self.revision.cmp(&other.revision))
    }
}

#[cfg(test)]
mod tests;
