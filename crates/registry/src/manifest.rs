//! Reads the digest of a manifest without fetching the manifest.

use reqwest::header::HeaderMap;
use sha2::{Digest as _, Sha256};

use headwind_core::artifact::reference::Digest;

/// Every manifest type. Old registries convert types that are not accepted, and a converted manifest has another
/// digest.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Maximum size of a manifest (distribution-spec: at least 4 MiB must be accepted).
pub(crate) const LARGEST: usize = 4 * 1024 * 1024;

/// Returns the digest in the response headers of a manifest.
pub(crate) fn digest(headers: &HeaderMap) -> Option<Digest> {
    Digest::parse(headers.get("docker-content-digest")?.to_str().ok()?.trim()).ok()
}

/// Computes the digest of a manifest body.
pub(crate) fn computed(body: &[u8]) -> Option<Digest> {
    Digest::parse(&format!("sha256:{}", hex::encode(Sha256::digest(body)))).ok()
}
