//! `none`: takes nothing.

use super::Refused;
use crate::reason::Reason;

pub(super) fn admits() -> Result<(), Refused> {
    Err(Refused::new(Reason::PolicyNone, "policy none takes nothing; set the annotation headwind.sh/policy"))
}
