//! The containers, init containers and image volumes that Keel tracks.

use regex::Regex;

use super::{Manifest, Settings};
use crate::artifact::reference::ImageReference;
use crate::settings::key;

/// The tag of an image without one.
const LATEST: &str = "latest";

/// A container or an image volume with its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
}

/// Returns the containers with the tags of their images.
pub(super) fn tags<'a>(tracked: impl IntoIterator<Item = &'a NamedImage>) -> Vec<(String, String)> {
    let tag = |image: &str| ImageReference::parse(image).ok()?.tag().map(str::to_owned);
    tracked.into_iter().map(|one| (one.name.clone(), tag(&one.image).unwrap_or_else(|| LATEST.to_owned()))).collect()
}

impl Settings<'_> {
    /// Returns the expression for names. Keel ignores an invalid one.
    fn monitored(&self) -> Option<Result<Regex, String>> {
        let text = self.in_any_case("keel.sh/monitorContainers")?;
        Some(Regex::new(text).map_err(|_| text.to_owned()))
    }

    /// Returns what Keel tracks.
    pub(super) fn tracked<'m>(&self, manifest: &'m Manifest) -> Vec<&'m NamedImage> {
        let monitored = self.monitored().and_then(Result::ok);
        let is_on = |key: &str| self.in_any_case(key) == Some("true");
        let mut all: Vec<&NamedImage> = manifest.containers.iter().collect();
        if is_on("keel.sh/initContainers") {
            all.extend(&manifest.init_containers);
        }
        if is_on("keel.sh/imageVolumes") {
            all.extend(&manifest.volumes);
        }
        all.retain(|one| monitored.as_ref().is_none_or(|monitored| monitored.is_match(&one.name)));
        all
    }

    pub(super) fn containers(&mut self, manifest: &Manifest) {
        if let Some(Err(text)) = self.monitored() {
            self.note("keel.sh/monitorContainers", format!("{text:?} is not a regular expression; Keel tracks all containers"));
        }
        let tracked = self.tracked(manifest);
        if tracked.is_empty() && !manifest.containers.is_empty() {
            self.set(key::POLICY, "none");
            self.note("keel.sh/monitorContainers", "it matches no container");
        } else if !tracked.iter().copied().eq(&manifest.containers) {
            self.set(key::IMAGES, tracked.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(","));
        }
    }
}
