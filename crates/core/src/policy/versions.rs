//! `patch`, `minor`, `major` and `all`: higher versions of the same scheme and variant.

use std::cmp::Ordering;

use super::evaluation::Evaluation;
use super::{Candidate, Policy};
use crate::artifact::version::Version;
use crate::reason::Reason;

/// Checks that one of these policies accepts the candidate.
pub(super) fn accepts(evaluation: &Evaluation<'_>, candidate: Option<&Version>) -> Result<(), Reason> {
    let current = evaluation.current_version().ok_or(Reason::CurrentNotAVersion)?;
    let candidate = candidate.ok_or(Reason::NotAVersion)?;
    comparable(current, candidate)?;
    higher(current, candidate)?;
    if candidate.is_pre_release() && !evaluation.policy().accepts_pre_releases() && !evaluation.wants_pre_release(candidate) {
        return Err(Reason::PreRelease);
    }
    match evaluation.policy() {
        Policy::Patch | Policy::Minor if current.number(0) != candidate.number(0) => Err(Reason::MajorDiffers),
        Policy::Patch if current.number(1) != candidate.number(1) => Err(Reason::MinorDiffers),
        Policy::None | Policy::Patch | Policy::Minor | Policy::Major | Policy::All | Policy::Glob | Policy::Force => Ok(()),
    }
}

fn comparable(current: &Version, candidate: &Version) -> Result<(), Reason> {
    if !current.same_scheme(candidate) {
        Err(Reason::SchemeDiffers)
    } else if current.variant != candidate.variant {
        Err(Reason::VariantDiffers)
    } else if !current.both_have_revisions(candidate) {
        Err(Reason::RevisionDiffers)
    } else {
        Ok(())
    }
}

fn higher(current: &Version, candidate: &Version) -> Result<(), Reason> {
    match candidate.cmp_precedence(current) {
        Ordering::Greater => Ok(()),
        Ordering::Equal => Err(Reason::SameVersion),
        Ordering::Less => Err(Reason::LowerVersion),
    }
}

/// Checks that neither the author's deprecation nor its spelling prevents accepting the candidate.
pub(super) fn fit_to_write(evaluation: &Evaluation<'_>, candidate: &Candidate) -> Result<(), Reason> {
    if candidate.deprecated {
        Err(Reason::Deprecated)
    } else if evaluation.is_partial(&candidate.tag) {
        Err(Reason::PartialVersion)
    } else {
        Ok(())
    }
}
