//! Reads the digest of a manifest without fetching the manifest, and the platforms of an index.

use std::fmt;

use reqwest::header::HeaderMap;
use sha2::{Digest as _, Sha256};

use headwind_core::artifact::platform::Platform;
use headwind_core::artifact::reference::Digest;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

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
    manifests: Platforms,
}

/// The platforms of the entries of an index, at most [`PLATFORMS`]. An entry needs much more memory than its text, so the
/// entries are not collected.
#[derive(Debug, Default)]
struct Platforms(Vec<Platform>);

impl<'de> Deserialize<'de> for Platforms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Platforms;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of manifests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Platforms, A::Error> {
        let mut platforms = Vec::new();
        while let Some(Entry { platform }) = entries.next_element()? {
            if platforms.len() < PLATFORMS {
                platforms.extend(platform.and_then(Named::known));
            }
        }
        Ok(Platforms(platforms))
    }
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

impl Named {
    /// Returns the platform; `None` if it is not known. Attestations have the platform `unknown/unknown`.
    fn known(self) -> Option<Platform> {
        let Self { os, architecture, variant } = self;
        let known = !os.is_empty() && !architecture.is_empty() && os != "unknown";
        known.then(|| Platform { os, arch: architecture, variant: variant.filter(|one| !one.is_empty()) })
    }
}

/// Returns the platforms of an image index; none for any other manifest.
pub(crate) fn platforms(body: &[u8]) -> Vec<Platform> {
    let index: Index = serde_json::from_slice(body).unwrap_or_default();
    let Platforms(mut all) = index.manifests;
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_of_an_index_are_limited() {
        let mut entries = vec![serde_json::json!({}); 1000];
        entries.extend((0..1000).map(|n| serde_json::json!({"platform": {"os": "linux", "architecture": format!("a{n:03}")}})));
        let all = platforms(serde_json::json!({"manifests": entries}).to_string().as_bytes());
        assert_eq!((all.len(), all.last().map(|last| last.arch.as_str())), (PLATFORMS, Some("a199")));
    }

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
