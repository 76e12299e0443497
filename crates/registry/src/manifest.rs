//! Asking for a manifest's digest without fetching the manifest.

use reqwest::header::HeaderMap;
use sha2::{Digest as _, Sha256};

use headwind_core::artifact::reference::Digest;

/// Every form of a manifest. What is not asked for is converted by old registries, and a
/// converted manifest has another digest.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// The largest manifest (distribution-spec: at least 4 MiB have to be accepted).
pub(crate) const LARGEST: usize = 4 * 1024 * 1024;

/// The digest that the registry tells with the manifest's headers.
pub(crate) fn told(headers: &HeaderMap) -> Option<Digest> {
    Digest::parse(headers.get("docker-content-digest")?.to_str().ok()?.trim()).ok()
}

/// The digest of a manifest as it was sent.
pub(crate) fn computed(body: &[u8]) -> Option<Digest> {
    Digest::parse(&format!("sha256:{}", hex::encode(Sha256::digest(body)))).ok()
}
