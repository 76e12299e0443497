//! Headwind's own form, for a pipeline's `curl`: `{"image": "repo:tag"}` or
//! `{"images": ["repo:tag@sha256:…", …]}`. References are read as they are in a workload.

use serde_json::Value;

use super::{Call, Collector, IgnoredReason};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let images = match (call.body.get("image"), call.body.get("images")) {
        (Some(image), None) => std::slice::from_ref(image),
        (None, Some(Value::Array(images))) => images.as_slice(),
        (_, _) => return None,
    };
    for image in images {
        match image.as_str() {
            Some(reference) => out.push_reference(reference, None),
            None => out.ignore(IgnoredReason::BadEvent, "an image that is no text"),
        }
    }
    Some(())
}
