//! Queries to a registry: the digest of a tag, and the list of tags.

use std::collections::HashSet;

use headwind_core::artifact::platform::Platform;
use headwind_core::artifact::reference::{Digest, RepositoryKey};
use reqwest::{Method, StatusCode};

pub use crate::ask::Client;
use crate::credential::Keyring;
use crate::error::{Class, Error};
use crate::manifest;
use crate::page::{self, LINK_CHARS};
use crate::question::Question;
use crate::send::Answer;
use crate::tags::{self, Keep, Listing, PAGE, PAGES, Page, Remaining, Unusable};

/// Page size for lists of tags. Registries reject or reduce larger pages.
const PAGE_OF: usize = 1000;
/// Maximum length of an `ETag` that is stored, in bytes.
pub(crate) const ETAG: usize = 256;
/// The registry that counts every GET of a manifest as a pull (Docker Hub, "Pull usage and limits").
const COUNTS_PULLS: &str = "docker.io";

impl Client {
    /// Returns the digest of a tag or digest; `None` if it does not exist.
    ///
    /// Sends one HEAD. Sends a GET only if the response to the HEAD has no digest and the registry does not count GETs
    /// as pulls.
    ///
    /// # Errors
    /// If the query fails.
    pub async fn digest(&self, repository: &RepositoryKey, reference: &str, keyring: &Keyring) -> Result<Option<Digest>, Error> {
        let host = repository.registry();
        let tail = format!("manifests/{reference}");
        let question = Question { method: Method::HEAD, tail: &tail, accept: manifest::ACCEPT, etag: None, largest: manifest::LARGEST };
        let answer = match self.ask(repository, keyring, &question).await {
            Err(error) if error.class == Class::NotFound => return Ok(None),
            other => other?,
        };
        if answer.status == StatusCode::OK
            && let Some(digest) = manifest::digest(&answer.headers)
        {
            return Ok(Some(digest));
        }
        if host == COUNTS_PULLS {
            return Err(Error::new(Class::Broken, host, "it returned no digest, and a GET would count as a pull"));
        }
        let question = Question { method: Method::GET, ..question };
        let answer = match self.ask(repository, keyring, &question).await {
            Err(error) if error.class == Class::NotFound => return Ok(None),
            other => other?,
        };
        let computed = manifest::computed(&answer.body).filter(|_| !answer.body.is_empty());
        computed.map(Some).ok_or_else(|| Error::new(Class::Broken, host, "it returned an empty manifest"))
    }

    /// Returns the digest and the platforms of an image; `None` if it does not exist. An image without an index has no
    /// platforms.
    ///
    /// Sends one GET. Docker Hub counts it as a pull.
    ///
    /// # Errors
    /// If the query fails.
    pub async fn platforms(
        &self,
        repository: &RepositoryKey,
        reference: &str,
        keyring: &Keyring,
    ) -> Result<Option<(Digest, Vec<Platform>)>, Error> {
        let host = repository.registry();
        let tail = format!("manifests/{reference}");
        let question = Question { method: Method::GET, tail: &tail, accept: manifest::ACCEPT, etag: None, largest: manifest::LARGEST };
        let answer = match self.ask(repository, keyring, &question).await {
            Err(error) if error.class == Class::NotFound => return Ok(None),
            other => other?,
        };
        let digest = manifest::digest(&answer.headers).or_else(|| manifest::computed(&answer.body).filter(|_| !answer.body.is_empty()));
        let digest = digest.ok_or_else(|| Error::new(Class::Broken, host, "it returned an empty manifest"))?;
        Ok(Some((digest, manifest::platforms(&answer.body))))
    }

    /// Returns the tags of a repository that `keep` accepts. Pages in `known` are requested with their `ETag`s.
    ///
    /// # Errors
    /// If any page fails to load: the whole list is discarded. If the list exceeds a limit; the message names the
    /// limit.
    pub async fn tags(
        &self,
        repository: &RepositoryKey,
        keyring: &Keyring,
        known: Option<&Listing>,
        keep: &Keep<'_>,
    ) -> Result<Listing, Error> {
        let whole = self.hosts.timeouts.list;
        let listed = tokio::time::timeout(whole, self.read_tags(repository, keyring, known, keep)).await;
        // Not a failure of the host: a single request has its own timeout.
        listed.unwrap_or_else(|_| Err(refused(repository.registry(), format!("its list of tags was not complete within {whole:?}"))))
    }

    async fn read_tags(
        &self,
        repository: &RepositoryKey,
        keyring: &Keyring,
        known: Option<&Listing>,
        keep: &Keep<'_>,
    ) -> Result<Listing, Error> {
        let host = repository.registry();
        let mut listing = Listing::new(keep);
        let (mut remaining, mut held) = (Remaining::default(), self.hosts.budget.reader());
        let mut seen = HashSet::new();
        let mut tail = Some(format!("tags/list?n={PAGE_OF}"));
        while let Some(address) = tail.take() {
            if seen.len() == PAGES {
                return Err(refused(host, format!("its list has more than {PAGES} pages")));
            }
            seen.insert(address.clone());
            let before = known.and_then(|known| known.page(&address, keep));
            let question = Question {
                method: Method::GET,
                tail: &address,
                accept: "application/json",
                etag: before.and_then(|page| page.etag.as_deref()),
                largest: PAGE,
            };
            let answer = self.ask(repository, keyring, &question).await?;
            let (page, changed) = match before {
                Some(page) if answer.status == StatusCode::NOT_MODIFIED => {
                    page.tags.iter().try_for_each(|tag| remaining.take(tag)).map_err(|limit| unusable(host, limit))?;
                    (page.clone(), false)
                }
                _ => (read_page(host, address, &answer, keep, &mut remaining)?, true),
            };
            drop(answer);
            held.grow(page.size()).await.map_err(|error| refused(host, error.to_string()))?;
            tail.clone_from(&page.next);
            if let Some(next) = tail.take_if(|next| seen.contains(next))
                && !page.empty
            {
                let next: String = next.chars().take(LINK_CHARS).collect();
                return Err(refused(host, format!("its pages form a loop (back to {next})")));
            }
            listing.push(page, changed);
        }
        Ok(listing)
    }
}

fn refused(host: &str, what: String) -> Error {
    Error::new(Class::Refused, host, what)
}

fn unusable(host: &str, what: Unusable) -> Error {
    let class = match what {
        Unusable::Json | Unusable::Errors => Class::Broken,
        Unusable::Tags | Unusable::Bytes => Class::Refused,
    };
    Error::new(class, host, what.to_string())
}

fn read_page(host: &str, address: String, answer: &Answer, keep: &Keep<'_>, remaining: &mut Remaining) -> Result<Page, Error> {
    if answer.status != StatusCode::OK {
        let what = format!("it answered the request for the list of tags with {}", answer.status.as_u16());
        return Err(Error::new(Class::Broken, host, what));
    }
    let (tags, count) = tags::read(&answer.body, keep, remaining).map_err(|what| unusable(host, what))?;
    let next = page::next(&answer.url, &answer.headers).map_err(|error| refused(host, error.to_string()))?;
    // The path is the same. The mirror's own prefix is added again when the mirror is queried.
    let next = next.map(|next| format!("tags/list{}", next.find('?').map(|at| &next[at..]).unwrap_or_default()));
    let etag = answer.headers.get("etag").filter(|etag| etag.len() <= ETAG).and_then(|etag| etag.to_str().ok());
    Ok(Page { address, etag: etag.map(ToOwned::to_owned), tags, empty: count == 0, next })
}
