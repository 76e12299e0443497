//! The `update-history` annotation: the images that Headwind applied to a workload, newest first.
//!
//! Keeps at most [`LIMIT`] entries per container, plus one: the oldest entry is the image before Headwind's first
//! update, so that there is something to roll back to. The annotation is untrusted: anyone who may edit the workload
//! may write it. Valid entries are kept, within limits, and every function takes time proportional to its input.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Maximum number of entries of a container, besides the oldest one.
pub const LIMIT: usize = 10;
/// Maximum length of the annotation that Headwind writes: all annotations of an object share 256 KiB.
const SIZE: usize = 32 * 1024;
/// Maximum length of a text in an entry: longer ones are neither an image nor an object's name.
const TEXT: usize = 1024;

/// An image that was in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The container's name.
    pub container: String,
    /// The image as written.
    pub image: String,
    /// When it was applied, or, for the oldest entry, first seen.
    pub timestamp: Timestamp,
    /// The request that applied it; `None` for the image before the first update.
    pub update_request_name: Option<String>,
    /// The approver; `None` if the policy approved it.
    pub approved_by: Option<String>,
}

impl Entry {
    /// Returns true if Headwind can have written it.
    fn is_sane(&self) -> bool {
        let Self { container, image, timestamp: _, update_request_name, approved_by } = self;
        [Some(container), Some(image), update_request_name.as_ref(), approved_by.as_ref()]
            .into_iter()
            .flatten()
            .all(|text| text.len() <= TEXT)
    }
}

/// The history of all containers, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    /// Parses the annotation. Returns false if a part of it is invalid.
    pub fn parse(annotation: Option<&str>) -> (Self, bool) {
        let Some(text) = annotation else { return (Self::default(), true) };
        let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return (Self::default(), false) };
        let all = values.len();
        let entries: Vec<Entry> =
            values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).filter(Entry::is_sane).collect();
        let whole = entries.len() == all;
        let mut history = Self { entries };
        history.trim(LIMIT);
        (history, whole)
    }

    /// Returns the entries of a container, newest first.
    pub fn of<'a>(&'a self, container: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.container == container)
    }

    /// Returns how many entries are from the request.
    pub fn times_applied(&self, request: &str) -> usize {
        self.entries.iter().filter(|entry| entry.update_request_name.as_deref() == Some(request)).count()
    }

    /// Records that `image` replaced `before`.
    pub fn record(&mut self, container: &str, before: &str, image: &str, now: Timestamp, request: &str, approved_by: Option<&str>) {
        let entry = |image: &str, request: Option<&str>, approved_by: Option<&str>| Entry {
            container: container.to_owned(),
            image: image.to_owned(),
            timestamp: now,
            update_request_name: request.map(str::to_owned),
            approved_by: approved_by.map(str::to_owned),
        };
        // The image before the first update, or an image that was changed outside Headwind.
        if self.of(container).next().is_none_or(|newest| newest.image != before) {
            self.entries.insert(0, entry(before, None, None));
        }
        self.entries.insert(0, entry(image, Some(request), approved_by));
        self.trim(LIMIT);
        self.fit(container);
    }

    /// Corrects an image that an admission webhook replaced: in the entry of `request`, or in the newest entry if that
    /// is a rollback to `asked` (which has no entry of its own).
    pub fn replaced_on_admission(&mut self, container: &str, request: &str, asked: &str, placed: &str) {
        let mut newest = true;
        for entry in self.entries.iter_mut().filter(|entry| entry.container == container) {
            let own = entry.update_request_name.as_deref() == Some(request);
            if (own || newest) && entry.image == asked {
                placed.clone_into(&mut entry.image);
            }
            newest = false;
        }
    }

    /// Returns the images in the container before `current`, each once, newest first: the possible targets of a
    /// rollback. Images applied after `current` are not among them, because they were replaced.
    pub fn before<'a>(&'a self, container: &'a str, current: &'a str) -> impl Iterator<Item = &'a Entry> {
        let newer = self.of(container).position(|entry| entry.image == current).unwrap_or_default();
        let mut seen = BTreeSet::from([current]);
        self.of(container).skip(newer).filter(move |entry| seen.insert(&entry.image))
    }

    /// Records that the container was rolled back to `image`. Returns the requests whose entries are removed.
    ///
    /// Removes every entry of a replaced image (`current`, and those applied after `image`), wherever it is in the
    /// history, so that the next rollback goes further back, never forward to one of them.
    pub fn go_back(&mut self, container: &str, current: &str, image: &str, now: Timestamp) -> Vec<String> {
        let known = self.of(container).any(|entry| entry.image == image);
        let newer = self.of(container).take_while(|entry| known && entry.image != image).map(|entry| entry.image.clone());
        let left: BTreeSet<String> = newer.chain([current.to_owned()]).filter(|left| left != image).collect();
        let mut forgotten = Vec::new();
        self.entries.retain(|entry| {
            let goes = entry.container == container && left.contains(&entry.image);
            if let Some(request) = entry.update_request_name.as_ref().filter(|request| goes && !forgotten.contains(*request)) {
                forgotten.push(request.clone());
            }
            !goes
        });
        if !known {
            let (container, image) = (container.to_owned(), image.to_owned());
            self.entries.insert(0, Entry { container, image, timestamp: now, update_request_name: None, approved_by: None });
        }
        forgotten
    }

    /// Returns true if an entry names the request.
    pub fn names(&self, request: &str) -> bool {
        self.times_applied(request) > 0
    }

    /// Keeps the newest `limit` entries of each container, and its oldest one.
    fn trim(&mut self, limit: usize) {
        let mut all: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &self.entries {
            *all.entry(&entry.container).or_default() += 1;
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let keep: Vec<bool> = self
            .entries
            .iter()
            .map(|entry| {
                let seen = seen.entry(&entry.container).or_default();
                *seen += 1;
                *seen <= limit || Some(&*seen) == all.get(entry.container.as_str())
            })
            .collect();
        let mut keep = keep.into_iter();
        self.entries.retain(|_| keep.next().unwrap_or(true));
    }

    /// Makes the annotation fit: keeps fewer entries of every container, then removes the entries of the containers
    /// that were changed longest ago, but never those of `container`.
    fn fit(&mut self, container: &str) {
        for limit in (1..LIMIT).rev() {
            if self.to_annotation().len() <= SIZE {
                return;
            }
            self.trim(limit);
        }
        let length = |entry: &Entry| serde_json::to_string(entry).map_or(0, |text| text.len() + 1);
        let mut size = self.to_annotation().len();
        let mut keep: Vec<bool> = Vec::with_capacity(self.entries.len());
        for entry in self.entries.iter().rev() {
            let goes = size > SIZE && entry.container != container;
            size -= if goes { length(entry).min(size) } else { 0 };
            keep.push(!goes);
        }
        let mut keep = keep.into_iter().rev();
        self.entries.retain(|_| keep.next().unwrap_or(true));
    }

    /// Returns the annotation's text.
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(&self.entries).unwrap_or_else(|_| "[]".to_owned())
    }
}

#[cfg(test)]
mod tests;
