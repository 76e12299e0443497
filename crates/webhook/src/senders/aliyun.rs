//! Alibaba Cloud Container Registry's webhooks ("Manage webhooks"): one push of one tag, in Docker Hub's shape with
//! other fields.
//!
//! Names are in lower case, as in images. The host of the shared edition follows from the region. A dedicated instance
//! needs `?registry=`.

use super::{Call, Collector};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    call.body.get("push_data")?;
    let repository = call.text(&["repository", "repo_full_name"])?;
    let region = call.text(&["repository", "region"]).unwrap_or_default();
    let is_region = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let host = call.registry.map(str::to_owned).or_else(|| is_region.then(|| format!("registry.{region}.aliyuncs.com")));
    let tag = call.text(&["push_data", "tag"]).unwrap_or_default();
    out.push(host.as_deref(), &repository.to_lowercase(), tag, call.text(&["push_data", "digest"]));
    Some(())
}
