//! The `update-history` annotation: the images that Headwind put into a workload, newest first.
//!
//! At most [`LIMIT`] entries a container, plus one: the oldest entry is the image that was in place before
//! Headwind's first update, so that there is something to go back to. The annotation is input like any
//! other: whoever may edit the workload may write it. What can be read of it is kept, within limits, and
//! no function here costs more than time in proportion to what is read.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Maximum number of entries of a container, besides the oldest one.
pub const LIMIT: usize = 10;
/// The longest annotation that is written: all annotations of an object share 256 KiB.
const SIZE: usize = 32 * 1024;
/// The longest text of an entry that is read: longer ones are no image and no name of an object.
const TEXT: usize = 1024;

/// One image that stood in one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The container's name.
    pub container: String,
    /// The image as it was written.
    pub image: String,
    /// When it was put there, or, for the first of all, first seen.
    pub timestamp: Timestamp,
    /// The request that put it there; none for the image before the first update.
    pub update_request_name: Option<String>,
    /// Who approved it; none where the policy did.
    pub approved_by: Option<String>,
}

impl Entry {
    /// Whether it can be one that Headwind wrote.
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
    /// Reads the annotation; says whether all of it could be read.
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

    /// The entries of a container, newest first.
    pub fn of<'a>(&'a self, container: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.container == container)
    }

    /// How many entries the request left.
    pub fn times_applied(&self, request: &str) -> usize {
        self.entries.iter().filter(|entry| entry.update_request_name.as_deref() == Some(request)).count()
    }

    /// Notes that `image` took the place of `before`.
    pub fn record(&mut self, container: &str, before: &str, image: &str, now: Timestamp, request: &str, approved_by: Option<&str>) {
        let entry = |image: &str, request: Option<&str>, approved_by: Option<&str>| Entry {
            container: container.to_owned(),
            image: image.to_owned(),
            timestamp: now,
            update_request_name: request.map(str::to_owned),
            approved_by: approved_by.map(str::to_owned),
        };
        // The image before the first update; later, one that another hand put there.
        if self.of(container).next().is_none_or(|newest| newest.image != before) {
            self.entries.insert(0, entry(before, None, None));
        }
        self.entries.insert(0, entry(image, Some(request), approved_by));
        self.trim(LIMIT);
        self.fit(container);
    }

    /// Corrects an image that an admission webhook replaced: the entry of `request`, or the newest entry if
    /// that is a rollback to `asked` (which has no entry of its own).
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

    /// What stood in the container before `standing`, each image once, newest first: what a rollback can go to. What
    /// was put there after `standing` was left, by whatever hand, and is not among it.
    pub fn before<'a>(&'a self, container: &'a str, standing: &'a str) -> impl Iterator<Item = &'a Entry> {
        let newer = self.of(container).position(|entry| entry.image == standing).unwrap_or_default();
        let mut seen = BTreeSet::from([standing]);
        self.of(container).skip(newer).filter(move |entry| seen.insert(&entry.image))
    }

    /// Notes that the container went back to `image`, and returns the requests whose entries are forgotten.
    ///
    /// Every entry of an image that is left is forgotten (`standing`, and what was put there after `image`), wherever
    /// it stands: the next rollback goes further back, never forward to one of them.
    pub fn go_back(&mut self, container: &str, standing: &str, image: &str, now: Timestamp) -> Vec<String> {
        let known = self.of(container).any(|entry| entry.image == image);
        let newer = self.of(container).take_while(|entry| known && entry.image != image).map(|entry| entry.image.clone());
        let left: BTreeSet<String> = newer.chain([standing.to_owned()]).filter(|left| left != image).collect();
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

    /// Whether an entry names the request.
    pub fn names(&self, request: &str) -> bool {
        self.times_applied(request) > 0
    }

    /// Leaves the newest `limit` entries of each container, and its oldest one.
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

    /// Makes the annotation fit: every container keeps fewer entries, then those of the containers that were
    /// changed longest ago go, but never those of `container`.
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

    /// The annotation's text.
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(&self.entries).unwrap_or_else(|_| "[]".to_owned())
    }
}

#[cfg(test)]
mod tests;
