//! Harbor's webhooks (its document "Configure Webhook Notifications"), in the default format and
//! as CloudEvents.
//!
//! One event of several resources. The host is that of each resource's `resource_url`; a Helm
//! chart in a repository of its own (`uploadChart`, Harbor 1) is no image.

use serde_json::Value;

use super::{Call, Collector, IgnoredReason, at, host_of, text};

/// What a push is called: now, in Harbor 1, and as a CloudEvent.
const PUSHES: [&str; 3] = ["PUSH_ARTIFACT", "pushImage", "harbor.artifact.pushed"];
/// How the types of its CloudEvents begin.
const CLOUD_EVENT: &str = "harbor.";

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let (kind, data) = if let Some(kind) = (call.header)("ce-type").filter(|kind| kind.starts_with(CLOUD_EVENT)) {
        (kind, call.body)
    } else {
        let kind = call.text(&["type"])?;
        let data = if kind.starts_with(CLOUD_EVENT) && call.body.get("specversion").is_some() { "data" } else { "event_data" };
        (kind, call.body.get(data)?)
    };
    if !PUSHES.contains(&kind) {
        out.ignore(IgnoredReason::NotAPush, kind);
        return Some(());
    }
    let repository = text(data, &["repository", "repo_full_name"]);
    for resource in at(data, &["resources"]).and_then(Value::as_array).into_iter().flatten() {
        let (Some(repository), Some(tag)) = (repository, text(resource, &["tag"])) else {
            out.ignore(IgnoredReason::BadEvent, "no repository or tag");
            continue;
        };
        let host = text(resource, &["resource_url"]).and_then(host_of).or(call.registry);
        out.push(host, repository, tag, text(resource, &["digest"]));
    }
    Some(())
}
