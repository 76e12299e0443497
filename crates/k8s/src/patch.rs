//! Changes of a workload, as JSON Patch (RFC 6902) values.
//!
//! The patch is its own guard: it `test`s that the object is still the one that was decided on
//! (uid), that nobody else has updated it (`last-update`, `last-request`), and that the container
//! still has the image it had; only then it replaces that one field and writes Headwind's annotations. A late
//! leader or a retry that reaches the server twice is refused by the server (422).

use headwind_core::request::Apply;
use headwind_core::settings::key;
use headwind_core::target::Target;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation, TestOperation};
use serde_json::{Value, json};

use crate::kind::{image_pointer, restart_key, seen_annotation};

/// The change names a container that the workload does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the workload has no container {0:?}")]
pub struct NoContainer(pub String);

/// The patch that makes `apply` out of `target` as it was read.
pub fn apply(target: &Target, apply: &Apply) -> Result<Patch, NoContainer> {
    let mut operations = vec![test(&["metadata", "uid"], json!(target.uid))];
    let last = [key::LAST_UPDATE, key::LAST_REQUEST].map(|key| (key, target.annotations.get(key)));
    for (key, value) in last {
        match value {
            Some(value) => operations.push(test(&["metadata", "annotations", key], json!(value))),
            // There is nothing to test but the object as a whole. It happens once in a workload's life.
            None => operations.push(test(&["metadata", "resourceVersion"], json!(target.resource_version))),
        }
    }
    let mut restarted = false;
    for change in &apply.changes {
        let container = target.container(&change.container).ok_or_else(|| NoContainer(change.container.clone()))?;
        let place = image_pointer(container);
        operations.push(at(test(&[], json!(container.name)), &format!("{place}/name")));
        operations.push(at(test(&[], json!(change.from)), &format!("{place}/image")));
        match &change.restart_for {
            None => operations
                .push(PatchOperation::Replace(ReplaceOperation { path: parsed(&format!("{place}/image")), value: json!(change.to) })),
            Some(digest) => {
                if !target.template_has_annotations && !restarted {
                    // Nothing is lost by this: the map was not there in the version that is tested.
                    operations.push(test(&["metadata", "resourceVersion"], json!(target.resource_version)));
                    operations.push(add(&["spec", "template", "metadata", "annotations"], json!({})));
                }
                restarted = true;
                operations.push(add(&["spec", "template", "metadata", "annotations", &restart_key(container)], json!(digest)));
            }
        }
    }
    if !target.has_annotations {
        operations.push(add(&["metadata", "annotations"], json!({})));
    }
    for (key, value) in [
        (key::LAST_UPDATE, apply.last_update.to_string()),
        (key::LAST_REQUEST, apply.last_request.clone()),
        (key::UPDATE_HISTORY, apply.history.clone()),
    ] {
        operations.push(add(&["metadata", "annotations", key], json!(value)));
    }
    Ok(Patch(operations))
}

/// The patch that notes the digests which were first seen behind containers' images. It changes
/// nothing but Headwind's annotations, so nothing is rolled out.
pub fn note_seen(target: &Target, seen: &[(String, String)]) -> Result<Patch, NoContainer> {
    let mut operations = vec![test(&["metadata", "uid"], json!(target.uid))];
    if !target.has_annotations {
        operations.push(test(&["metadata", "resourceVersion"], json!(target.resource_version)));
        operations.push(add(&["metadata", "annotations"], json!({})));
    }
    for (name, digest) in seen {
        let container = target.container(name).ok_or_else(|| NoContainer(name.clone()))?;
        let place = image_pointer(container);
        operations.push(at(test(&[], json!(container.name)), &format!("{place}/name")));
        operations.push(at(test(&[], json!(container.image)), &format!("{place}/image")));
        let (key, value) = seen_annotation(container, digest);
        operations.push(add(&["metadata", "annotations", &key], json!(value)));
    }
    Ok(Patch(operations))
}

fn test(path: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: PointerBuf::from_tokens(path.iter().copied()), value })
}

fn add(path: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path.iter().copied()), value })
}

/// The operation with the path in place of its own.
fn at(operation: PatchOperation, path: &str) -> PatchOperation {
    match operation {
        PatchOperation::Test(test) => PatchOperation::Test(TestOperation { path: parsed(path), ..test }),
        other => other,
    }
}

/// A pointer out of text that this crate made itself; what is no pointer is the root, which no
/// test of ours matches.
fn parsed(path: &str) -> PointerBuf {
    PointerBuf::parse(path).unwrap_or_default()
}

#[cfg(test)]
mod tests;
