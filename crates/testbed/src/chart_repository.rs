//! A classic chart repository over HTTP: `index.yaml` and the archives, with a memory and, where a
//! test asks for it, bad behaviour.
//!
//! It answers conditional requests (`ETag` before `Last-Modified`), packs the index where the
//! client takes gzip, wants a password where it is told to, and writes every request down. Charts
//! come and go at any time; each change gives another `ETag` and a later `Last-Modified`.

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

/// What a test says of it, and what it has seen.
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

/// Items of one chart in the index.
struct Entry {
    version: String,
    yaml: String,
}

/// The running repository. It ends with the value. Flux asks it as well: the
/// [`agent`](crate::fake_registry::Seen::agent) of what it asks begins with `Helm/`.
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
    /// Starts an empty one on loopback, open to everybody.
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

    /// Its URL, as it stands in a `HelmRepository`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// Publishes a chart version, with its archive beside the index.
    pub fn add(&self, chart: &Chart) -> Result<()> {
        self.add_at(chart, &[&chart.file_name()])
    }

    /// Publishes a chart version of which the index says that its archive is at these URLs. The
    /// archive lies here, under its file name, all the same.
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

    /// Adds an item to a chart as it stands (YAML, its first line not indented): odd ones too.
    pub fn add_item(&self, name: &str, yaml: &str) {
        let yaml = index::listed(yaml);
        self.change(|memory| memory.entries.entry(name.to_owned()).or_default().insert(0, Entry { version: String::new(), yaml }));
    }

    /// Takes a version out of the index, and its archive away.
    pub fn remove(&self, name: &str, version: &str) {
        self.change(|memory| {
            memory.archives.remove(&Chart::new(name, version).file_name());
            if let Some(items) = memory.entries.get_mut(name) {
                items.retain(|item| item.version != version);
            }
            memory.entries.retain(|_, items| !items.is_empty());
        });
    }

    /// Makes the index that big (in bytes, to within a hundredth) with so many other charts of so
    /// many versions each, `filler-0` and so on. They have no archives.
    pub fn fill(&self, size: usize, charts: usize, versions: usize) {
        self.change(|memory| {
            memory.entries.retain(|name, _| !name.starts_with(index::FILLER));
            for (name, yaml) in index::filler(size, charts, versions) {
                memory.entries.insert(name, vec![Entry { version: String::new(), yaml }]);
            }
        });
    }

    /// Puts any text in the index's place, or the right one back.
    pub fn raw_index(&self, text: Option<&str>) {
        self.change(|memory| memory.raw = text.map(|text| Bytes::from(text.to_owned())));
    }

    /// Who may ask: who sends that user and password, or everybody.
    pub fn lock(&self, login: Option<(&str, &str)>) {
        self.memory.lock().login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
    }

    /// Whether the index is packed for who takes gzip (it is, until told otherwise).
    pub fn gzip(&self, on: bool) {
        self.memory.lock().plain = !on;
    }

    /// Whether conditional requests are answered as such (they are, until told otherwise).
    pub fn conditional(&self, on: bool) {
        self.memory.lock().unconditional = !on;
    }

    fn change(&self, change: impl FnOnce(&mut Memory)) {
        let mut memory = self.memory.lock();
        change(&mut memory);
        memory.index = None;
        memory.changes += 1;
        // HTTP knows no time below a second: a later change is a later second, even if it has to be
        // in the future.
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
        // Megabytes take their time: not on the thread that the test runs on.
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
    /// The index as it is now: written when it is asked for after a change.
    fn index(&mut self, address: SocketAddr) -> Arc<Index> {
        if let Some(index) = &self.index {
            return Arc::clone(index);
        }
        let text = self.raw.clone().unwrap_or_else(|| {
            let items = self.entries.iter().map(|(name, items)| (name.as_str(), items.iter().map(|item| item.yaml.as_str())));
            Bytes::from(index::text(items))
        });
        let modified = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&self.changed).unwrap_or_default();
        // Weak: the packed one is another representation under the same tag.
        let etag = format!("W/\"{}-{}\"", address.port(), self.changes);
        Arc::clone(self.index.insert(Arc::new(Index::new(text, etag, modified, self.changed))))
    }
}
