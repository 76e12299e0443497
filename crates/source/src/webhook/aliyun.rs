//! Alibaba Cloud Container Registry's webhooks (its document "Manage webhooks"): one push of one
//! tag, in Docker Hub's shape with other fields.
//!
//! The region makes the host of the shared edition; an instance of one's own names itself by
//! `?registry=`.

use super::{Call, Collector, IgnoredReason};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let (tag, repository) = (call.text(&["push_data", "tag"])?, call.text(&["repository", "repo_full_name"])?);
    let region = call.text(&["repository", "region"])?;
    let is_region = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let host = match call.registry {
        Some(host) => host.to_owned(),
        None if is_region => format!("registry.{region}.aliyuncs.com"),
        None => {
            out.ignore(IgnoredReason::NoHost, region);
            return Some(());
        }
    };
    out.push(Some(&host), repository, tag, call.text(&["push_data", "digest"]));
    Some(())
}
