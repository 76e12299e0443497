//! The owner of a workload, who applies its updates (`headwind.sh/gitops`).

use jiff::Timestamp;

use super::{Facts, Waiting};
use crate::settings::Settings;
use crate::workload::owner::Handling;

/// The update waits until the owner rolls the version out, or until the owner or the setting changes.
pub(super) fn waiting(settings: &Settings, facts: &Facts<'_>, _: Timestamp) -> Option<Waiting> {
    let owner = facts.owner.filter(|owner| settings.gitops.handling(owner.manager) != Handling::Patch)?;
    let message = format!("{owner} owns the workload; change the version at its source");
    Some(Waiting { reason: owner.manager.reason(), message, until: None })
}
