//! Tiny OCI images: a config, one layer with one file, a manifest. The same seed has the same digests.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The accepted media types of such images.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";

/// Content with its digest.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) media_type: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
}

/// The three parts of an image.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) config: Blob,
    pub(super) layer: Blob,
    pub(super) manifest: Blob,
}

impl Blob {
    pub(super) fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        Self { media_type, bytes, digest }
    }

    pub(super) fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// Returns the image of a seed.
pub(super) fn image(seed: &str) -> Result<Image> {
    of("seed", seed.as_bytes(), &json!({"Cmd": ["/seed"]}))
}

/// Returns the image of a program that runs with that one argument.
pub(super) fn program(program: &[u8], argument: &str) -> Result<Image> {
    of("app", program, &json!({"Entrypoint": ["/app"], "Cmd": [argument]}))
}

fn of(file: &str, content: &[u8], run: &Value) -> Result<Image> {
    let layer = Blob::new(LAYER, tar(file, content));
    let config = Blob::new(
        CONFIG,
        serde_json::to_vec(&json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        }))?,
    );
    let manifest = Blob::new(
        MANIFEST,
        serde_json::to_vec(
            &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": [layer.descriptor()]}),
        )?,
    );
    Ok(Image { config, layer, manifest })
}

/// Returns an index of images by architecture.
pub(super) fn index(members: &[(&str, Blob)]) -> Result<Blob> {
    let manifests: Vec<Value> = members
        .iter()
        .map(|(architecture, manifest)| {
            let mut descriptor = manifest.descriptor();
            if let Some(fields) = descriptor.as_object_mut() {
                fields.insert("platform".to_owned(), json!({"architecture": architecture, "os": "linux"}));
            }
            descriptor
        })
        .collect();
    Ok(Blob::new(INDEX, serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))?))
}

/// Returns a tar archive (ustar) with one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, field: &[u8]| {
        for (to, from) in header.iter_mut().skip(at).zip(field) {
            *to = *from;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let mut archive = header.to_vec();
    archive.splice(148..156, format!("{sum:06o}\0 ").into_bytes());
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_image() {
        let (one, again, other) = (image("a").unwrap(), image("a").unwrap(), image("b").unwrap());
        assert_eq!(one.manifest.digest, again.manifest.digest);
        assert_ne!(one.manifest.digest, other.manifest.digest);
    }

    #[test]
    fn the_archive_is_one() {
        let archive = tar("seed", b"hello");
        assert_eq!(archive.len(), 512 + 512 + 1024);
        let sum: u32 =
            archive.iter().take(512).enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
        assert_eq!(archive.get(148..154), Some(format!("{sum:06o}").as_bytes()));
    }
}
