//! Docker Hub's webhooks (its document "Webhooks"): one push of one tag.
//!
//! Only `push_data.tag` and `repository.repo_name` are required. The host is Docker Hub's, unless
//! the caller names the proxy that images are pulled through.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Collector, Shape};

const HOST: &str = "docker.io";

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    push_data: PushData<'a>,
    #[serde(borrow)]
    repository: Repository<'a>,
}

#[derive(Deserialize)]
struct PushData<'a> {
    #[serde(borrow)]
    tag: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Repository<'a> {
    #[serde(borrow)]
    repo_name: Cow<'a, str>,
}

pub(super) fn read(body: &[u8], registry: Option<&str>, out: &mut Collector) -> Result<(), Shape> {
    let payload: Payload<'_> = serde_json::from_slice(body).map_err(|_| Shape::Other)?;
    out.push(Some(registry.unwrap_or(HOST)), &payload.repository.repo_name, &payload.push_data.tag, None);
    Ok(())
}
