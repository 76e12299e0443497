//! Docker Hub's webhooks ("Webhooks"): one push of one tag.
//!
//! The repository is `repo_name`, else `namespace` and `name`. A name alone belongs to Docker Hub's own namespace
//! (`library/`). The host is Docker Hub's, unless the caller names the proxy that images are pulled through.

use super::{Call, Collector, IgnoredReason};

const HOST: &str = "docker.io";

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    call.body.get("push_data")?;
    let of = |key| call.text(&["repository", key]).filter(|text| !text.is_empty());
    // Alibaba Cloud's calls have this shape too, with another field for the name.
    if of("repo_full_name").is_some() {
        return None;
    }
    let repository = match (of("repo_name"), of("namespace"), of("name")) {
        (Some(whole), _, _) => whole.to_owned(),
        (None, Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        (None, None, Some(name)) => name.to_owned(),
        (None, _, None) => return None,
    };
    match call.text(&["push_data", "tag"]) {
        Some(tag) => out.push(Some(call.registry.unwrap_or(HOST)), &repository, tag, None),
        None => out.ignore(IgnoredReason::NoTag, &repository),
    }
    Some(())
}
