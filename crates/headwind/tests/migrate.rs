//! `headwind migrate keel` on manifests: what it writes, what it reports, and its exit code.
//!
//! `NAME.expected` has all three for `NAME.yaml`; `HEADWIND_GENERATE=1` writes them.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use headwind_core::keel::TABLE;
use headwind_core::settings::{Annotations, Settings};
use serde_json::Value;

fn manifests() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir("tests/migrate/keel").unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    all.sort();
    assert!(all.len() >= 30, "{all:?}");
    all
}

fn migrate(files: &[&Path], input: Stdio) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headwind")).args(["migrate", "keel"]).args(files).stdin(input).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The values of a text, without labels and annotations.
fn rest(text: &str) -> Vec<Value> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(all) => {
                all.remove("labels");
                all.remove("annotations");
                all.values_mut().for_each(strip);
                all.retain(|key, value| key != "metadata" || *value != serde_json::json!({}));
            }
            Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.retain(|value| !value.is_null());
    all.iter_mut().for_each(strip);
    all
}

#[test]
fn every_manifest_gives_what_is_expected() {
    for path in manifests() {
        let output = migrate(&[], fs::File::open(&path).unwrap().into());
        let out = text(&output.stdout);
        let whole = format!("{out}=== reported, exit code {}\n{}", output.status.code().unwrap(), text(&output.stderr));
        let expected = path.with_extension("expected");
        if std::env::var_os("HEADWIND_GENERATE").is_some() {
            fs::write(&expected, &whole).unwrap();
        }
        assert_eq!(whole, fs::read_to_string(&expected).unwrap_or_default(), "{}", path.display());
        let input = fs::read_to_string(&path).unwrap();
        assert_eq!(rest(&input), rest(&out), "{}: another field changed", path.display());
        let again = migrate(&[], {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), &out).unwrap();
            fs::File::open(file.path()).unwrap().into()
        });
        assert_eq!(text(&again.stdout), out, "{}: the second run changes something", path.display());
        annotations_are_valid(&out, &path);
    }
}

/// Headwind accepts the annotations that the translation writes.
fn annotations_are_valid(out: &str, path: &Path) {
    let documents: Vec<Value> = serde_saphyr::from_multiple(out).unwrap();
    let objects = documents.iter().flat_map(|one| one["items"].as_array().cloned().unwrap_or_else(|| vec![one.clone()]));
    for object in objects {
        let annotations: Annotations = serde_json::from_value(object["metadata"]["annotations"].clone()).unwrap_or_default();
        let settings = Settings::resolve(&Annotations::new(), &annotations, "web");
        assert!(settings.is_ok(), "{}: {settings:?}", path.display());
    }
}

/// Every row of the table is in a manifest.
#[test]
fn every_row_of_the_table_has_a_manifest() {
    let all: String = manifests().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let missing: BTreeSet<&str> = TABLE.iter().flat_map(|row| row.keel).copied().filter(|key| !all.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for row in TABLE.iter().filter(|row| row.keel.contains(&"keel.sh/policy")) {
        let word = row.value.split(':').next().unwrap();
        assert!(all.contains(&format!("policy: {word}")) || all.contains(&format!("policy: \"{word}:")), "{}", row.value);
    }
}

/// Several files are one stream; an invalid one writes nothing.
#[test]
fn files_are_joined_and_errors_write_nothing() {
    let all = manifests();
    let joined = migrate(&[&all[0], &all[2]], Stdio::null());
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text(&joined.stdout)).unwrap();
    assert_eq!(documents.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yaml");
    for broken in ["a: [b", "a: b\n c: d\n- e", "- a\n", "\u{0}"] {
        fs::write(&bad, broken).unwrap();
        let failed = migrate(&[&all[0], &bad], Stdio::null());
        assert_eq!((failed.status.code(), failed.stdout.is_empty()), (Some(1), true), "{broken}");
        assert!(text(&failed.stderr).contains("bad.yaml"), "{failed:?}");
    }
    assert_eq!(migrate(&[Path::new("no-such-file.yaml")], Stdio::null()).status.code(), Some(1));
    let empty = migrate(&[], Stdio::null());
    assert!(empty.status.success() && empty.stdout.is_empty());
}
