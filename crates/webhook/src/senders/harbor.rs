//! Harbor's webhooks ("Configure Webhook Notifications"), in the default format and as CloudEvents.
//!
//! One event has several resources. The host is that of each resource's `resource_url`. Up to Harbor 2.7, charts could
//! be in classic repositories, one per project (`UPLOAD_CHART`). The address of such a repository is the part before
//! `/charts/` in the resource's URL.

use serde_json::Value;

use super::{Call, Collector, IgnoredReason, at, host_of, text};

/// The types of a push: in current versions, in Harbor 1, and as a CloudEvent.
const PUSHES: [&str; 3] = ["PUSH_ARTIFACT", "pushImage", "harbor.artifact.pushed"];
/// The types of a chart upload: in Harbor 2, and in Harbor 1.
const UPLOADS: [&str; 2] = ["UPLOAD_CHART", "uploadChart"];
/// The prefix of Harbor's CloudEvents types.
const CLOUD_EVENT: &str = "harbor.";

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let (kind, data) = if let Some(kind) = (call.header)("ce-type").filter(|kind| kind.starts_with(CLOUD_EVENT)) {
        (kind, call.body)
    } else {
        let kind = call.text(&["type"])?;
        let data = if kind.starts_with(CLOUD_EVENT) && call.body.get("specversion").is_some() { "data" } else { "event_data" };
        (kind, call.body.get(data)?)
    };
    if UPLOADS.contains(&kind) {
        charts(data, out);
        return Some(());
    }
    if !PUSHES.contains(&kind) {
        out.ignore(IgnoredReason::NotAPush, kind);
        return Some(());
    }
    let of = |key| text(data, &["repository", key]).filter(|text| !text.is_empty());
    let nested = || Some(format!("{}/{}", of("namespace")?, of("name")?));
    let Some(repository) = of("repo_full_name").map(str::to_owned).or_else(nested) else {
        out.ignore(IgnoredReason::BadEvent, "no repository");
        return Some(());
    };
    for resource in at(data, &["resources"]).and_then(Value::as_array).into_iter().flatten() {
        let Some(tag) = text(resource, &["tag"]) else {
            out.ignore(IgnoredReason::NoTag, &repository);
            continue;
        };
        let host = text(resource, &["resource_url"]).and_then(host_of).or(call.registry);
        out.push(host, &repository, tag, text(resource, &["digest"]));
    }
    Some(())
}

fn charts(data: &Value, out: &mut Collector) {
    for resource in at(data, &["resources"]).and_then(Value::as_array).into_iter().flatten() {
        let (Some(chart), Some(version)) = (text(data, &["repository", "name"]), text(resource, &["tag"])) else {
            out.ignore(IgnoredReason::BadEvent, "no chart or version");
            continue;
        };
        match text(resource, &["resource_url"]).and_then(|url| url.split_once("/charts/")) {
            Some((repository, _)) if repository.contains("://") => out.push_chart(repository, chart, version),
            Some((repository, _)) => out.push_chart(&format!("https://{repository}"), chart, version),
            None => out.ignore(IgnoredReason::NoHost, chart),
        }
    }
}
