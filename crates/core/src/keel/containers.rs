//! The containers, init containers and image volumes that Keel tracks.

use regex::Regex;

use super::{Manifest, Settings};
use crate::artifact::reference::ImageReference;
use crate::settings::key;

const MONITOR_CONTAINERS: &str = "keel.sh/monitorContainers";
const INIT_CONTAINERS: &str = "keel.sh/initContainers";
const IMAGE_VOLUMES: &str = "keel.sh/imageVolumes";

/// A container or an image volume with its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Its name; empty if the manifest does not have it.
    pub name: String,
    /// Its image; empty if the manifest does not have it.
    pub image: String,
}

/// Returns the containers with the tags of their images; `None` if an image is invalid or has only a digest.
pub(super) fn tags<'a>(tracked: impl IntoIterator<Item = &'a NamedImage>) -> Option<Vec<(String, String)>> {
    let tag = |image: &str| ImageReference::parse(image).ok()?.effective_tag().map(str::to_owned);
    tracked.into_iter().map(|one| Some((one.name.clone(), tag(&one.image)?))).collect()
}

/// Returns false for a part of a manifest that another tool completes: a patch, or a template with placeholders.
fn is_complete(one: &NamedImage) -> bool {
    let is_name = !one.name.is_empty() && one.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name && ImageReference::parse(&one.image).is_ok()
}

/// Returns true for an invalid expression that Keel may accept: Go reads a brace that begins no repetition as text, as
/// in `${NAME}`, and has other escapes.
fn may_be_of_keel(invalid: &str) -> bool {
    invalid.contains(['{', '\\'])
}

impl Settings<'_> {
    /// Returns the expression for names. Keel ignores an invalid one.
    fn monitored(&self) -> Option<Result<Regex, String>> {
        let text = self.in_any_case(MONITOR_CONTAINERS)?;
        Some(Regex::new(text).map_err(|_| text.to_owned()))
    }

    fn is_on(&self, key: &str) -> bool {
        self.in_any_case(key) == Some("true")
    }

    /// Returns what Keel would track without an expression for names.
    fn all<'m>(&self, manifest: &'m Manifest) -> Vec<&'m NamedImage> {
        let mut all: Vec<&NamedImage> = manifest.containers.iter().collect();
        if self.is_on(INIT_CONTAINERS) {
            all.extend(&manifest.init_containers);
        }
        if self.is_on(IMAGE_VOLUMES) {
            all.extend(&manifest.volumes);
        }
        all
    }

    /// Returns true if the manifest names all containers with their images.
    pub(super) fn has_containers(&self, manifest: &Manifest) -> bool {
        !manifest.containers.is_empty() && self.all(manifest).into_iter().all(is_complete)
    }

    /// Returns the settings that become a list of names.
    fn by_name(&self) -> Vec<&'static str> {
        let is_on = |key: &'static str| Some(key).filter(|key| self.is_on(key));
        let monitored = self.monitored().and_then(Result::ok).map(|_| MONITOR_CONTAINERS);
        [monitored, is_on(INIT_CONTAINERS), is_on(IMAGE_VOLUMES)].into_iter().flatten().collect()
    }

    /// Turns updates off if a setting becomes a list of names, and the translation cannot know them: without the list,
    /// Headwind would track all containers.
    pub(super) fn check_names(&mut self, manifest: &Manifest) {
        if self.is_off() {
            return;
        }
        if let Some(Err(text)) = self.monitored()
            && may_be_of_keel(&text)
        {
            let words = format!("{text:?} is not a regular expression of Headwind; set {} and {}", key::POLICY, key::IMAGES);
            self.no_updates(MONITOR_CONTAINERS, words);
        }
        if self.has_containers(manifest) {
            return;
        }
        for name in self.by_name() {
            let words = format!("the manifest does not name all containers with their images; set {} and {}", key::POLICY, key::IMAGES);
            self.no_updates(name, words);
        }
    }

    /// Returns what Keel tracks.
    pub(super) fn tracked<'m>(&self, manifest: &'m Manifest) -> Vec<&'m NamedImage> {
        let monitored = self.monitored().and_then(Result::ok);
        let mut all = self.all(manifest);
        all.retain(|one| monitored.as_ref().is_none_or(|monitored| monitored.is_match(&one.name)));
        all
    }

    pub(super) fn containers(&mut self, manifest: &Manifest) {
        match self.monitored() {
            Some(Err(text)) if may_be_of_keel(&text) => return,
            Some(Err(text)) => self.note(MONITOR_CONTAINERS, format!("{text:?} is not a regular expression; Keel tracks all containers")),
            Some(Ok(_)) | None => {}
        }
        if !self.by_name().is_empty() && !self.has_containers(manifest) {
            return;
        }
        let tracked = self.tracked(manifest);
        if tracked.is_empty() && !manifest.containers.is_empty() {
            self.set(key::POLICY, "none");
            self.note(MONITOR_CONTAINERS, "it matches no container");
        } else if !tracked.iter().copied().eq(&manifest.containers) {
            self.set(key::IMAGES, tracked.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(","));
        }
    }
}
