//! Docker Hub's webhooks (its document "Webhooks"): one push of one tag.
//!
//! Only `push_data.tag` and `repository.repo_name` are required. The host is Docker Hub's, unless
//! the caller names the proxy that images are pulled through.

use super::{Call, Collector};

const HOST: &str = "docker.io";

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let (tag, repository) = (call.text(&["push_data", "tag"])?, call.text(&["repository", "repo_name"])?);
    out.push(Some(call.registry.unwrap_or(HOST)), repository, tag, None);
    Some(())
}
