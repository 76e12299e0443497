//! The image: `deploy/image/build.py` with the binary of this build.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use headwind_testbed::skip::skipped;
use serde_json::Value;

use super::{HEADWIND, root};

/// Runs a script of `deploy/image`; `None` without Python.
fn script(test: &str, name: &str, args: &[&str]) -> Option<Output> {
    if Command::new("python3").arg("--version").output().is_err() {
        skipped(test, "there is no python3");
        return None;
    }
    let output =
        Command::new("python3").arg(root().join("deploy/image").join(name)).args(args).current_dir(root()).output().expect("python3");
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Reads a blob of an image layout.
fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().expect("a digest").replace(':', "/");
    fs::read(layout.join("blobs").join(digest)).expect("the blob")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn image_is_reproducible_and_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let built = ["one", "two"].map(|name| {
        let layout = folder.path().join(name);
        let args = ["--binary", HEADWIND, "--version", "1.2.3", "--compression", "1", "--output", layout.to_str().expect("UTF-8")];
        script("image_is_reproducible_and_runs", "build.py", &args).map(|output| text(&output))
    });
    let [Some(first), Some(second)] = built else { return };
    assert_eq!(first, second, "the same input gives another image");
    let layout = folder.path().join("one");
    assert_eq!(fs::read(layout.join("index.json")).expect("the index"), fs::read(folder.path().join("two/index.json")).expect("the index"));

    let index = json(&fs::read(layout.join("index.json")).expect("the index"));
    assert_eq!(index["manifests"][0]["digest"], first);
    let manifest = json(&blob(&layout, &index["manifests"][0]));
    let config = json(&blob(&layout, &manifest["config"]))["config"].clone();
    assert_eq!((&config["User"], &config["Entrypoint"][0]), (&"65532:65532".into(), &"/usr/bin/headwind".into()));
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], "1.2.3");

    let files = folder.path().join("files");
    fs::create_dir(&files).expect("a folder");
    for layer in manifest["layers"].as_array().expect("layers") {
        let archive = folder.path().join("layer.tar.gz");
        fs::write(&archive, blob(&layout, layer)).expect("writing the layer");
        let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&files).status().expect("tar");
        assert!(unpacked.success());
    }
    for shell in ["bin/sh", "usr/bin/sh", "bin/bash", "usr/bin/bash", "usr/bin/busybox"] {
        assert!(!files.join(shell).exists(), "{shell}");
    }
    let certificates = fs::read_to_string(files.join("etc/ssl/certs/ca-certificates.crt")).expect("certificates");
    assert!(certificates.matches("BEGIN CERTIFICATE").count() > 50);
    assert!(files.join("usr/share/zoneinfo/Europe/Berlin").is_file());
    is_complete(&json(&fs::read(files.join("usr/share/doc/headwind/sbom.cdx.json")).expect("the SBOM")));

    // Only root may change the root folder.
    let run = Command::new("chroot").args(["--userspec=65532:65532"]).arg(&files).args(["/usr/bin/headwind", "--version"]).output();
    match run {
        Ok(output) if output.status.success() => assert!(text(&output).starts_with("headwind "), "{output:?}"),
        other if fs::metadata("/proc/1/root/etc").is_ok() => panic!("the image does not run: {other:?}"),
        _ => skipped("image_is_reproducible_and_runs: run", "chroot needs root"),
    }
}

/// The SBOM names the crates that are linked, each once, and none that only tests use.
fn is_complete(sbom: &Value) {
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let components = sbom["components"].as_array().expect("components");
    let has = |name: &str| components.iter().any(|one| one["name"] == name);
    for name in ["headwind-core", "kube", "tokio", "rustls"] {
        assert!(has(name), "{name}");
    }
    assert!(!has("libtest-mimic") && !has("headwind-testbed"), "a crate of the tests");
    let mut references: Vec<&str> = components.iter().filter_map(|one| one["bom-ref"].as_str()).collect();
    let all = references.len();
    references.sort_unstable();
    references.dedup();
    assert!(references.len() == all && all > 100, "{all} components");
}
