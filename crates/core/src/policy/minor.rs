//! `minor`: a higher version with the same major.

use super::Refused;
use crate::reason::Reason;
use crate::version::Version;

pub(super) fn admits(current: &Version, candidate: &Version, tag: &str) -> Result<(), Refused> {
    if current.number(0) == candidate.number(0) {
        Ok(())
    } else {
        Err(Refused::new(Reason::MajorDiffers, format!("{tag} has another major version; policy major would take it")))
    }
}
