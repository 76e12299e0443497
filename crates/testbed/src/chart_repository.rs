//! A classic chart repository over HTTP: `index.yaml` and the archives, with a request log and optional misbehavior.
//!
//! It supports conditional requests (`ETag` before `Last-Modified`), compresses the index for clients that accept gzip,
//! requires a password if configured, and logs every request. Charts can be added and removed at any time; each change
//! produces a new `ETag` and a later `Last-Modified`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use parking_lot::Mutex;
use serde_json::json;

use crate::chart::{self, Chart};
use crate::fake_server::{Asked, Site, basic, set};

mod index;

use index::Index;

/// The repository's configuration and its request log.
struct Memory {
    entries: BTreeMap<String, Vec<Entry>>,
    raw: Option<Bytes>,
    archives: BTreeMap<String, Bytes>,
    index: Option<Arc<Index>>,
    changed: Timestamp,
    changes: u64,
    login: Option<(String, String)>,
    plain: bool,
    unconditional: bool,
}

/// The items of one chart in the index.
struct Entry {
    version: String,
    yaml: String,
}

/// A running repository. It ends when the value is dropped. Flux queries it as well: the
/// [`agent`](crate::fake_registry::Seen::agent) of Flux's requests starts with `Helm/`.
pub struct ChartRepository {
    site: Site,
    memory: Arc<Mutex<Memory>>,
}

impl Deref for ChartRepository {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl ChartRepository {
    /// Starts an empty repository on loopback, without authentication.
    pub async fn start() -> Result<Self> {
        let memory = Arc::new(Mutex::new(Memory {
            entries: BTreeMap::new(),
            raw: None,
            archives: BTreeMap::new(),
            index: None,
            changed: Timestamp::now(),
            changes: 0,
            login: None,
            plain: false,
            unconditional: false,
        }));
        let answering = Arc::clone(&memory);
        let site = Site::start(move |address, asked| answer(Arc::clone(&answering), address, asked));
        Ok(Self { site: site.await.context("a port for the chart repository")?, memory })
    }

    /// Returns its URL, as in a `HelmRepository`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// Publishes a chart version, with its archive next to the index.
    pub fn add(&self, chart: &Chart) -> Result<()> {
        self.add_at(chart, &[&chart.file_name()])
    }

    /// Publishes a chart version with these archive URLs in the index. The archive is also served here, under its file
    /// name.
    pub fn add_at(&self, chart: &Chart, urls: &[&str]) -> Result<()> {
        let archive = Bytes::from(chart.archive()?);
        let mut item = chart.metadata();
        item["created"] = json!("2026-01-01T00:00:00Z");
        item["digest"] = json!(chart::digest(&archive));
        item["urls"] = json!(urls);
        self.change(|memory| {
            memory.archives.insert(chart.file_name(), archive);
            let yaml = index::item(&item);
            memory.entries.entry(chart.name().to_owned()).or_default().insert(0, Entry { version: chart.version().to_owned(), yaml });
        });
        Ok(())
    }

    /// Adds an item to a chart without changes (YAML, its first line not indented), for invalid items too.
    pub fn add_item(&self, name: &str, yaml: &str) {
        let yaml = index::listed(yaml);
        self.change(|memory| memory.entries.entry(name.to_owned()).or_default().insert(0, Entry { version: String::new(), yaml }));
    }

    /// Removes a version from the index, with its archive.
    pub fn remove(&self, name: &str, version: &str) {
        self.change(|memory| {
            memory.archives.remove(&Chart::new(name, version).file_name());
            if let Some(items) = memory.entries.get_mut(name) {
                items.retain(|item| item.version != version);
            }
            memory.entries.retain(|_, items| !items.is_empty());
        });
    }

    /// Grows the index to that size (in bytes, within one percent) with that many other charts of that many versions
    /// each, named `filler-0` and so on. They have no archives.
    pub fn fill(&self, size: usize, charts: usize, versions: usize) {
        self.change(|memory| {
            memory.entries.retain(|name, _| !name.starts_with(index::FILLER));
            for (name, yaml) in index::filler(size, charts, versions) {
                memory.entries.insert(name, vec![Entry { version: String::new(), yaml }]);
            }
        });
    }

    /// Replaces the index by any text, or restores it.
    pub fn raw_index(&self, text: Option<&str>) {
        self.change(|memory| memory.raw = text.map(|text| Bytes::from(text.to_owned())));
    }

    /// Requires this user and password, or no authentication.
    pub fn lock(&self, login: Option<(&str, &str)>) {
        self.memory.lock().login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
    }

    /// Enables or disables gzip for clients that accept it (default: enabled).
    pub fn gzip(&self, on: bool) {
        self.memory.lock().plain = !on;
    }

    /// Enables or disables conditional responses (default: enabled).
    pub fn conditional(&self, on: bool) {
        self.memory.lock().unconditional = !on;
    }

    fn change(&self, change: impl FnOnce(&mut Memory)) {
        let mut memory = self.memory.lock();
        change(&mut memory);
        memory.index = None;
        memory.changes += 1;
        // HTTP times have whole seconds: a later change gets a later second, even if that is in the future.
        let next = memory.changed.checked_add(Duration::from_secs(1)).unwrap_or(memory.changed);
        memory.changed = Timestamp::now().max(next);
    }
}

async fn answer(memory: Arc<Mutex<Memory>>, address: SocketAddr, Asked { uri, headers, .. }: Asked) -> Response {
    let (index, plain, conditional) = {
        let mut memory = memory.lock();
        if memory.login.as_ref().is_some_and(|(user, password)| basic(&headers) != format!("{user}:{password}")) {
            let mut response = (StatusCode::UNAUTHORIZED, "unauthorized\n").into_response();
            set(&mut response, "www-authenticate", r#"Basic realm="charts""#);
            return response;
        }
        if uri.path() != "/index.yaml" {
            let file = uri.path().trim_start_matches('/');
            return match memory.archives.get(file) {
                Some(archive) => ([(header::CONTENT_TYPE, "application/x-tar")], archive.clone()).into_response(),
                None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
            };
        }
        (memory.index(address), memory.plain, !memory.unconditional)
    };
    let mut response = if conditional && index.known(&headers) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if !plain && takes_gzip(&headers) {
        // Megabytes take some time: not on the test's thread.
        let packed = tokio::task::spawn_blocking({
            let index = Arc::clone(&index);
            move || index.packed()
        });
        let mut response = packed.await.unwrap_or_default().into_response();
        set(&mut response, "content-encoding", "gzip");
        response
    } else {
        index.text.clone().into_response()
    };
    set(&mut response, "content-type", "text/yaml");
    set(&mut response, "vary", "Accept-Encoding");
    if conditional {
        set(&mut response, "etag", &index.etag);
        set(&mut response, "last-modified", &index.modified);
    }
    response
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|one| one.split(';').next().is_some_and(|name| name.trim() == "gzip"))
}

impl Memory {
    /// Returns the current index, written at the first request after a change.
    fn index(&mut self, address: SocketAddr) -> Arc<Index> {
        if let Some(index) = &self.index {
            return Arc::clone(index);
        }
        let text = self.raw.clone().unwrap_or_else(|| {
            let items = self.entries.iter().map(|(name, items)| (name.as_str(), items.iter().map(|item| item.yaml.as_str())));
            Bytes::from(index::text(items))
        });
        let modified = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&self.changed).unwrap_or_default();
        // A weak tag: the compressed index is another representation with the same tag.
        let etag = format!("W/\"{}-{}\"", address.port(), self.changes);
        Arc::clone(self.index.insert(Arc::new(Index::new(text, etag, modified, self.changed))))
    }
}
