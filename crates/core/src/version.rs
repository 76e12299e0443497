//! Versions: what a tag says, and how two of them compare (SPEC section 3).
//!
//! One grammar for tags, read from the left with nothing left over, and one for charts (SemVer 2
//! as Helm reads it). Both become a [`Version`]; what is compared with what is decided in
//! [`crate::policy`].
//!
//! ```text
//! [v] N[.N[.N[.N]]]  [pre-release]  [-N]  [-variant]  [-rN]   [_metadata]
//!     └ numbers       └ rc.1, b2    └──── revision ────┘       └ does not order
//! ```

mod chart;
mod natural;
mod number;
mod tag;

pub use chart::{is_constraint, is_range, parse as parse_chart};
pub use natural::natural_order;
pub use number::Number;
pub use tag::{is_artefact, parse as parse_tag};

use std::cmp::Ordering;

/// A tag or chart version that was read.
///
/// Comparing two of them ([`Version::cmp_precedence`]) makes sense within one scheme only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Whether it is written with a `v` before it.
    pub prefixed: bool,
    /// One to four numbers, the major one first.
    pub numbers: Vec<Number>,
    /// What leads up to the release; empty for the release itself.
    pub pre: Vec<Identifier>,
    /// What counts builds of one version.
    pub revision: Option<Revision>,
    /// Every other suffix, without its first dash; empty for the plain image.
    pub variant: String,
    /// SemVer build metadata: does not order.
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

/// A count of builds, with how it is written: `-7`, `-r7`, `-build.7`, `.7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// What stands before the number.
    pub style: String,
    /// The count.
    pub number: Number,
}

impl Version {
    /// Whether it is a pre-release.
    pub fn is_pre_release(&self) -> bool {
        !self.pre.is_empty()
    }

    /// Whether its first number is a date or a build number: 19xx, 20xx, or five digits and more.
    pub fn is_calendar(&self) -> bool {
        let first = self.numbers.first().map_or("", |number| number.as_written());
        first.len() >= 5 || (first.len() == 4 && (first.starts_with("19") || first.starts_with("20")))
    }

    /// Whether the two are numbered alike: as many numbers, the same `v`, both dates or neither.
    pub fn same_scheme(&self, other: &Self) -> bool {
        self.numbers.len() == other.numbers.len() && self.prefixed == other.prefixed && self.is_calendar() == other.is_calendar()
    }

    /// Whether both count builds in the same way, or neither does.
    pub fn same_revision_style(&self, other: &Self) -> bool {
        self.revision.as_ref().map(|revision| &revision.style) == other.revision.as_ref().map(|revision| &revision.style)
    }

    /// The number at that place; missing ones are zero.
    pub fn number(&self, place: usize) -> Number {
        self.numbers.get(place).cloned().unwrap_or_default()
    }

    /// Whether the two lead up to, or are, the same release.
    pub fn same_release(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }

    /// The order of two versions of one scheme: numbers, then pre-release below release, then the
    /// revision last. Metadata and spelling do not count.
    pub fn cmp_precedence(&self, other: &Self) -> Ordering {
        let pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        };
        let count = |version: &Self| version.revision.as_ref().map(|revision| revision.number.clone());
        self.numbers.cmp(&other.numbers).then(pre).then_with(|| count(self).cmp(&count(other)))
    }
}

#[cfg(test)]
mod tests;
