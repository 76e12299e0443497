//! Changes of a workload, as JSON Patch (RFC 6902) values.
//!
//! Each patch guards itself. It `test`s that the object is the one of the decision (UID), that no other update changed
//! it (`last-update`, `last-request`), and that the container still has its previous image. An update also `test`s the
//! version of the object (`resourceVersion`), because the settings in its annotations decided about the update. A
//! rollback does not: it must succeed while the status of the object changes. Only then the patch replaces that one field
//! and writes Headwind's annotations. The server rejects the patch of a late leader or a repeated patch (422).

use headwind_core::request::Apply;
use headwind_core::settings::key::{self, is_managed};
use headwind_core::workload::{Container, Destination, Workload};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation};
use serde_json::{Value, json};

use crate::kinds::{FieldPath, is_foreign, restart_key, seen_annotation, template_annotations};

/// The reasons why a change does not fit the workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// It names a container that the workload does not have.
    #[error("the workload has no container {0:?}")]
    NoContainer(String),
    /// The current or the new value has no version.
    #[error("{0:?} has no version")]
    NoVersion(String),
}

/// Returns the patch that carries out `apply` on `workload` as it was read.
///
/// # Errors
/// See [`PatchError`].
pub fn apply(workload: &Workload, apply: &Apply) -> Result<Patch, PatchError> {
    let object = Object::of(workload);
    let mut operations = vec![test(&["metadata", "uid"], json!(object.uid))];
    if apply.is_update() {
        operations.push(test(&["metadata", "resourceVersion"], json!(object.resource_version)));
    }
    let foreign = is_foreign(&workload.annotations, object.uid);
    let last = [key::LAST_UPDATE, key::LAST_REQUEST].map(|key| (key, workload.annotations.get(key)));
    for (key, value) in last {
        match value.filter(|_| !foreign) {
            Some(value) => operations.push(test(&["metadata", "annotations", key], json!(value))),
            // Only the object as a whole can be tested. This happens once in the life of a workload.
            None => operations.push(test(&["metadata", "resourceVersion"], json!(object.resource_version))),
        }
    }
    let mut restarted = false;
    for change in &apply.changes {
        let container = workload.container(&change.container).ok_or_else(|| PatchError::NoContainer(change.container.clone()))?;
        let place = FieldPath::of(workload, container);
        let written = |image: &str| place.written(image).map(Value::from).ok_or_else(|| PatchError::NoVersion(image.to_owned()));
        operations.extend(guards(&place));
        operations.push(test_at(&place.pointer, written(&change.from)?));
        match &change.restart_for {
            None => {
                operations.push(PatchOperation::Replace(ReplaceOperation { path: parsed(&place.pointer), value: written(&change.to)? }));
                if let Some(note) = &container.restarted_for {
                    // It describes the replaced image. If that image returns, its tag may have moved.
                    let path = restart_path(workload, container);
                    operations.push(PatchOperation::Test(TestOperation { path: path.clone(), value: json!(note) }));
                    operations.push(PatchOperation::Remove(RemoveOperation { path }));
                }
            }
            Some(digest) => {
                if !workload.template_has_annotations && !restarted {
                    // Safe: the map did not exist in the version that is tested.
                    operations.push(test(&["metadata", "resourceVersion"], json!(workload.resource_version)));
                    operations.push(add_at(parsed(&template_annotations(workload.key.kind)), json!({})));
                }
                restarted = true;
                operations.push(add_at(restart_path(workload, container), json!(format!("{}@{digest}", change.to))));
            }
        }
    }
    if !object.has_annotations {
        operations.push(add(&["metadata", "annotations"], json!({})));
    }
    operations.extend(without_foreign(workload, &object));
    for (key, value) in [
        (key::MANAGED_FOR, object.uid.to_owned()),
        (key::LAST_UPDATE, apply.last_update.to_string()),
        (key::LAST_REQUEST, apply.last_request.clone()),
        (key::UPDATE_HISTORY, apply.history.clone()),
    ] {
        operations.push(add(&["metadata", "annotations", key], json!(value)));
    }
    Ok(Patch(operations))
}

/// Returns the patch that records the digests first seen for containers' images. It changes only Headwind's
/// annotations, so no rollout starts. For images only.
///
/// # Errors
/// See [`PatchError`].
pub fn note_seen(workload: &Workload, seen: &[(String, String)]) -> Result<Patch, PatchError> {
    let object = Object::of(workload);
    let mut operations = vec![test(&["metadata", "uid"], json!(object.uid))];
    if is_foreign(&workload.annotations, object.uid) || !object.has_annotations {
        operations.push(test(&["metadata", "resourceVersion"], json!(object.resource_version)));
    }
    if !object.has_annotations {
        operations.push(add(&["metadata", "annotations"], json!({})));
    }
    operations.extend(without_foreign(workload, &object));
    operations.push(add(&["metadata", "annotations", key::MANAGED_FOR], json!(object.uid)));
    for (name, digest) in seen {
        let container = workload.container(name).ok_or_else(|| PatchError::NoContainer(name.clone()))?;
        let place = FieldPath::of(workload, container);
        operations.extend(guards(&place));
        operations.push(test_at(&place.pointer, json!(container.image)));
        let (key, value) = seen_annotation(container, digest);
        operations.push(add(&["metadata", "annotations", &key], json!(value)));
    }
    Ok(Patch(operations))
}

/// Removes the managed annotations that were copied from another object, so that all of them belong to this one.
fn without_foreign<'a>(workload: &'a Workload, object: &Object<'a>) -> impl Iterator<Item = PatchOperation> + use<'a> {
    let foreign = is_foreign(&workload.annotations, object.uid);
    let keys = workload.annotations.keys().filter(move |key| foreign && is_managed(key));
    keys.map(|key| PatchOperation::Remove(RemoveOperation { path: PointerBuf::from_tokens(["metadata", "annotations", key.as_str()]) }))
}

fn test(path: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: PointerBuf::from_tokens(path.iter().copied()), value })
}

fn add(path: &[&str], value: Value) -> PatchOperation {
    add_at(PointerBuf::from_tokens(path.iter().copied()), value)
}

fn add_at(path: PointerBuf, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path, value })
}

/// Returns the path of the annotation that restarts the container's pods.
fn restart_path(workload: &Workload, container: &Container) -> PointerBuf {
    let mut path = parsed(&template_annotations(workload.key.kind));
    path.push_back(restart_key(container));
    path
}

fn test_at(pointer: &str, value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: parsed(pointer), value })
}

/// Tests that the field is the intended one.
fn guards(place: &FieldPath) -> impl Iterator<Item = PatchOperation> {
    place.guards.iter().map(|(pointer, text)| test_at(pointer, json!(text)))
}

/// The object to patch: the workload, or the object that provides its version.
struct Object<'a> {
    uid: &'a str,
    resource_version: &'a str,
    has_annotations: bool,
}

impl<'a> Object<'a> {
    fn of(workload: &'a Workload) -> Self {
        match &workload.destination {
            Some(Destination { uid, resource_version, has_annotations, .. }) => {
                Self { uid, resource_version, has_annotations: *has_annotations }
            }
            None => Self { uid: &workload.uid, resource_version: &workload.resource_version, has_annotations: workload.has_annotations },
        }
    }
}

/// Parses a pointer that this crate built. An invalid one becomes the root, which no test matches.
fn parsed(path: &str) -> PointerBuf {
    PointerBuf::parse(path).unwrap_or_default()
}

#[cfg(test)]
mod tests;
