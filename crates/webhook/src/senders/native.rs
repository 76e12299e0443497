//! Headwind's own format, for `curl` in a pipeline: `{"image": "repo:tag"}` or `{"images": ["repo:tag@sha256:…", …]}`.
//! For classic Helm repositories, which send no webhooks, it is `{"chart": "name:version", "repository": "https://…"}`.
//! References are parsed as in a workload.

use headwind_core::artifact::chart::ChartReference;
use serde_json::Value;

use super::{Call, Collector, IgnoredReason};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    if let (Some(chart), Some(repository)) = (call.text(&["chart"]), call.text(&["repository"])) {
        match ChartReference::parse(chart) {
            Ok(chart) => out.push_chart(repository, chart.name(), chart.version()),
            Err(_) => out.ignore(IgnoredReason::BadEvent, chart),
        }
        return Some(());
    }
    let images = match (call.body.get("image"), call.body.get("images")) {
        (Some(image), None) => std::slice::from_ref(image),
        (None, Some(Value::Array(images))) => images.as_slice(),
        (_, _) => return None,
    };
    for image in images {
        match image.as_str() {
            Some(reference) => out.push_reference(reference, None),
            None => out.ignore(IgnoredReason::BadEvent, "an image that is not text"),
        }
    }
    Some(())
}
