//! `patch`: a higher version with the same major and minor.

use super::{Refused, minor};
use crate::reason::Reason;
use crate::version::Version;

pub(super) fn admits(current: &Version, candidate: &Version, tag: &str) -> Result<(), Refused> {
    minor::admits(current, candidate, tag)?;
    if current.number(1) == candidate.number(1) {
        Ok(())
    } else {
        Err(Refused::new(Reason::MinorDiffers, format!("{tag} has another minor version; policy minor would take it")))
    }
}
