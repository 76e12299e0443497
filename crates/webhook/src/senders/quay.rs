//! Quay's notifications ("Repository Notifications"): a push of several tags.
//!
//! `updated_tags` is a list, in old versions a map from tags to images. The host is that of `docker_url`. Builds and
//! vulnerabilities have a `docker_url` too, but no tags.

use serde_json::Value;

use super::{Call, Collector, IgnoredReason, host_of};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let (url, repository) = (call.text(&["docker_url"])?, call.text(&["repository"])?);
    let host = host_of(url).or(call.registry);
    match call.body.get("updated_tags") {
        Some(Value::Array(tags)) => {
            for tag in tags {
                match tag.as_str() {
                    Some(tag) => out.push(host, repository, tag, None),
                    None => out.ignore(IgnoredReason::BadTag, "a tag that is not text"),
                }
            }
        }
        Some(Value::Object(tags)) => tags.keys().for_each(|tag| out.push(host, repository, tag, None)),
        Some(_) => out.ignore(IgnoredReason::BadEvent, "updated_tags"),
        None => out.ignore(IgnoredReason::NotAPush, "no updated_tags"),
    }
    Some(())
}
