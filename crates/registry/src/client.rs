//! What a registry is asked: the digest behind a tag, and the list of tags.

use std::collections::HashSet;
use std::time::Duration;

use headwind_core::reference::{Digest, RepositoryKey, is_tag};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

pub use crate::ask::Client;
use crate::ask::{Answer, Question};
use crate::credential::Keyring;
use crate::error::{Class, Error};
use crate::{manifest, page};

/// Pages of a list of tags.
const PAGES: usize = 2_000;
/// Tags of a repository.
const TAGS: usize = 1_000_000;
/// One page, unpacked.
const PAGE: usize = 16 * 1024 * 1024;
/// How many tags are asked for at once; what more registries refuse or cut down by themselves.
const PAGE_OF: usize = 1000;
/// The registry that counts every GET of a manifest as a pull (Docker Hub, "Pull usage and limits").
const COUNTS_PULLS: &str = "docker.io";

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Making a connection.
    pub connect: Duration,
    /// One request with its whole answer.
    pub request: Duration,
    /// The index of a chart repository, whole. 50 MB in this time are a slow line; Flux gives up
    /// after a minute.
    pub index: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), request: Duration::from_secs(30), index: Duration::from_mins(2) }
    }
}

/// The tags of a repository, as read page by page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pages: Vec<Page>,
    unchanged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    /// Path and query.
    address: String,
    etag: Option<String>,
    tags: Vec<String>,
    next: Option<String>,
}

impl Listing {
    /// Every tag, in the registry's order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.pages.iter().flat_map(|page| page.tags.iter().map(String::as_str))
    }

    /// Whether the registry said of every page that it is as it was (304).
    pub fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// Whether keeping it saves anything next time.
    pub fn is_worth_keeping(&self) -> bool {
        self.pages.iter().any(|page| page.etag.is_some())
    }
}

/// The body of a page; what else is in it does not matter.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Client {
    /// The digest behind a tag, or of a digest; `None` where it is not there.
    ///
    /// One HEAD. A GET follows only where the HEAD tells no digest and the registry does not
    /// count GETs as pulls.
    ///
    /// # Errors
    /// When the registry does not say.
    pub async fn digest(&self, repository: &RepositoryKey, reference: &str, keyring: &Keyring) -> Result<Option<Digest>, Error> {
        let host = repository.registry();
        let tail = format!("manifests/{reference}");
        let question = Question { method: Method::HEAD, tail: &tail, accept: manifest::ACCEPT, etag: None, largest: manifest::LARGEST };
        let answer = match self.ask(repository, keyring, &question).await {
            Err(error) if error.class == Class::NotFound => return Ok(None),
            other => other?,
        };
        if answer.status == StatusCode::OK
            && let Some(digest) = manifest::told(&answer.headers)
        {
            return Ok(Some(digest));
        }
        if host == COUNTS_PULLS {
            return Err(Error::new(Class::Broken, host, "it tells no digest, and a GET would count as a pull"));
        }
        let question = Question { method: Method::GET, ..question };
        let answer = match self.ask(repository, keyring, &question).await {
            Err(error) if error.class == Class::NotFound => return Ok(None),
            other => other?,
        };
        let computed = manifest::computed(&answer.body).filter(|_| !answer.body.is_empty());
        computed.map(Some).ok_or_else(|| Error::new(Class::Broken, host, "it answers a manifest's GET with nothing"))
    }

    /// Every tag of a repository. What is `known` from before is asked for with its ETags.
    ///
    /// # Errors
    /// When any page cannot be had: half a list is no list.
    pub async fn tags(&self, repository: &RepositoryKey, keyring: &Keyring, known: Option<&Listing>) -> Result<Listing, Error> {
        let host = repository.registry();
        let mut listing = Listing { pages: Vec::new(), unchanged: true };
        let mut seen = HashSet::new();
        let (mut count, mut tail) = (0, Some(format!("tags/list?n={PAGE_OF}")));
        while let Some(address) = tail.take() {
            if !seen.insert(address.clone()) {
                return Err(Error::new(Class::Refused, host, "its pages go round in a circle"));
            }
            if seen.len() > PAGES {
                return Err(Error::new(Class::Refused, host, format!("its list has more than {PAGES} pages")));
            }
            let before = known.and_then(|known| known.pages.iter().find(|page| page.address == address));
            let question = Question {
                method: Method::GET,
                tail: &address,
                accept: "application/json",
                etag: before.and_then(|page| page.etag.as_deref()),
                largest: PAGE,
            };
            let answer = self.ask(repository, keyring, &question).await?;
            let page = if let (StatusCode::NOT_MODIFIED, Some(page)) = (answer.status, before) {
                page.clone()
            } else {
                listing.unchanged = false;
                read_page(host, address, &answer)?
            };
            count += page.tags.len();
            if count > TAGS {
                return Err(Error::new(Class::Refused, host, format!("its list has more than {TAGS} tags")));
            }
            tail.clone_from(&page.next);
            listing.pages.push(page);
        }
        Ok(listing)
    }
}

fn read_page(host: &str, address: String, answer: &Answer) -> Result<Page, Error> {
    let broken = |what: String| Error::new(Class::Broken, host, what);
    if answer.status != StatusCode::OK {
        return Err(broken(format!("it answers the list of tags with {}", answer.status.as_u16())));
    }
    let body: Body =
        serde_json::from_slice(&answer.body).map_err(|_| broken("its list of tags is not the JSON it should be".to_owned()))?;
    let next = page::next(&answer.url, &answer.headers).map_err(|error| Error::new(Class::Refused, host, error.to_string()))?;
    // The path is the same; a mirror's own prefix is put before it again when it is asked.
    let next = next.map(|next| format!("tags/list{}", next.find('?').map(|at| &next[at..]).unwrap_or_default()));
    let etag = answer.headers.get("etag").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let tags = body.tags.unwrap_or_default().into_iter().filter(|tag| is_tag(tag)).collect();
    Ok(Page { address, etag, tags, next })
}
