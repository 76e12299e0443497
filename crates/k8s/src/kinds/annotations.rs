//! Headwind's own annotations: those of an object, and the keys for one container.

use headwind_core::settings::key::is_managed;
use headwind_core::settings::{self, Annotations, PREFIX, key};
use headwind_core::workload::{Container, Slot};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Returns Headwind's own annotations of an object, within bounds.
///
/// Managed annotations that were copied with the manifest of another object do not apply to this one. Their values are
/// read as empty.
pub fn own_annotations(metadata: &ObjectMeta) -> Annotations {
    let mut own = settings::own(metadata.annotations.iter().flatten());
    if is_foreign(&own, metadata.uid.as_deref().unwrap_or_default()) {
        own.iter_mut().filter(|(key, _)| is_managed(key) && *key != key::MANAGED_FOR).for_each(|(_, value)| value.clear());
    }
    own
}

/// Returns true if the managed annotations belong to an object with another UID.
pub(crate) fn is_foreign(annotations: &Annotations, uid: &str) -> bool {
    annotations.get(key::MANAGED_FOR).is_some_and(|belong_to| belong_to != uid)
}

/// Returns the key of the pod template's annotation that holds a container's new digest, as `<image>@<digest>`.
///
/// An annotation's name has at most 63 characters (the API's qualified names). A container name that is too long after
/// the prefix is truncated and made unique by its index.
pub fn restart_key(container: &Container) -> String {
    container_key(key::RESTARTED_FOR, container)
}

/// Returns the annotation with the digest first seen: its key, and its value (`<image>@<digest>`).
pub fn seen_annotation(container: &Container, digest: &str) -> (String, String) {
    (container_key(key::SEEN, container), format!("{}@{digest}", container.image))
}

pub(super) fn container_key(begin: &str, container: &Container) -> String {
    let name = if container.name.len() + begin.len() - PREFIX.len() <= 63 {
        container.name.clone()
    } else {
        let list = match container.slot {
            Slot::Container => "c",
            Slot::InitContainer => "i",
            Slot::ImageVolume => "v",
        };
        format!("{}.{list}{}", container.name.chars().take(40).collect::<String>(), container.index)
    };
    format!("{begin}{name}")
}
