//! One request, for the pages and dialogs that show it.

use headwind_k8s::update_request::UpdateRequest;
use headwind_operator::UpdateSummary;

use super::fault::Fault;
use super::visitor::Visitor;
use super::{Ui, permissions};

/// A request that the caller may see, as it is now.
pub(super) async fn read(ui: &Ui, visitor: &Visitor, namespace: &str, name: &str) -> Result<(UpdateRequest, UpdateSummary), Fault> {
    permissions::check(ui, &visitor.caller, &permissions::reads(namespace, name)).await?;
    let object = ui.handle.get(namespace, name).await.map_err(|error| Fault::from(&error))?;
    let by_policy = ui.handle.is_approved_by_policy(&object);
    let summary = UpdateSummary {
        workload: object.workload_key(),
        request: object.read(),
        version: object.metadata.resource_version.clone().unwrap_or_default(),
        by_policy,
    };
    Ok((object, summary))
}
