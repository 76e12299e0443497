//! The owner of an object, from its metadata.

use std::collections::BTreeMap;

use headwind_core::workload::owner::{Named, Owner};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Returns the owner of an object of that kind.
pub(crate) fn owner_of(kind: &str, metadata: &ObjectMeta) -> Option<Box<Owner>> {
    let none = BTreeMap::new();
    let controller = metadata.owner_references.iter().flatten().find(|reference| reference.controller == Some(true));
    let object =
        Named { kind, namespace: metadata.namespace.as_deref().unwrap_or_default(), name: metadata.name.as_deref().unwrap_or_default() };
    Owner::of(
        object,
        metadata.labels.as_ref().unwrap_or(&none),
        metadata.annotations.as_ref().unwrap_or(&none),
        controller.map(|reference| (reference.kind.as_str(), reference.name.as_str())),
    )
}
