//! Reads the digest of a manifest without fetching the manifest, and the platforms of an index.

use reqwest::header::HeaderMap;
use sha2::{Digest as _, Sha256};

use headwind_core::artifact::platform::Platform;
use headwind_core::artifact::reference::Digest;
use serde::Deserialize;

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

/// Maximum number of platforms that are read from an index.
const PLATFORMS: usize = 200;

/// The part of an image index that names platforms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Index {
    manifests: Vec<Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    platform: Option<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Returns the platforms of an image index; none for any other manifest. Attestations have the platform
/// `unknown/unknown`.
pub(crate) fn platforms(body: &[u8]) -> Vec<Platform> {
    let index: Index = serde_json::from_slice(body).unwrap_or_default();
    let named = index.manifests.into_iter().filter_map(|entry| entry.platform);
    let known = named.filter(|named| !named.os.is_empty() && !named.architecture.is_empty() && named.os != "unknown");
    let platform =
        |Named { os, architecture, variant }| Platform { os, arch: architecture, variant: variant.filter(|one| !one.is_empty()) };
    let mut all: Vec<Platform> = known.take(PLATFORMS).map(platform).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_of_an_index() {
        let body = br#"{"schemaVersion": 2, "manifests": [
            {"digest": "sha256:a", "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
            {"digest": "sha256:b", "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": "sha256:c", "platform": {"os": "unknown", "architecture": "unknown"}},
            {"digest": "sha256:d"}
        ]}"#;
        let found: Vec<String> = platforms(body).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["linux/amd64", "linux/arm/v7"]);
        for other in [&br#"{"schemaVersion": 2, "config": {}, "layers": []}"#[..], b"", b"[]", br#"{"manifests": 7}"#] {
            assert!(platforms(other).is_empty());
        }
    }
}
