//! A registry with a request log and configurable misbehavior, for what the real one cannot do: many hosts, counted
//! requests, expired tokens, hostile pages, slow and broken responses.
//!
//! It implements the part of the distribution specification that Headwind uses: `HEAD` and `GET` of manifests, lists of
//! tags in pages with `Link` and `ETag`, Basic and Bearer challenges, and token issuing at `/token`. Every request is
//! logged with its content.

use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::fake_server::{Asked, Site, authorization, basic, set};
pub use crate::fake_server::{Fault, Seen};

/// The media type of the stored manifests.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The required authentication.
#[derive(Debug, Clone, Default)]
pub enum Demand {
    /// None.
    #[default]
    Nothing,
    /// Basic, with this user and password.
    Basic(String, String),
    /// Bearer, with a token from `realm` (its own `/token` if `None`). The issuer requires this user and password, or
    /// none.
    Bearer {
        /// The issuer, as a URL.
        realm: Option<String>,
        /// The user and password for a token.
        login: Option<(String, String)>,
        /// The lifetime that the issuer states, in seconds.
        expires_in: Option<u64>,
    },
}

#[derive(Default)]
struct Memory {
    repositories: BTreeMap<String, BTreeMap<String, String>>,
    changes: u64,
    demand: Demand,
    page: Option<usize>,
    etags: bool,
    tokens: HashMap<String, String>,
    issued: u64,
}

/// A running registry. It ends when the value is dropped.
pub struct FakeRegistry {
    site: Site,
    memory: Arc<Mutex<Memory>>,
}

impl Deref for FakeRegistry {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl FakeRegistry {
    /// Starts an empty registry on loopback, over plain HTTP, without authentication.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start() -> Result<Self> {
        let memory = Arc::new(Mutex::new(Memory::default()));
        let answering = Arc::clone(&memory);
        let answer = move |address, asked: Asked| ready(answering.lock().answer(address, &asked));
        let site = Site::start(answer).await.context("a port for the fake registry")?;
        Ok(Self { site, memory })
    }

    /// Sets a tag. Returns the digest, which is derived from the content.
    pub fn push(&self, repository: &str, tag: &str, content: &str) -> String {
        let digest = digest(content);
        let mut memory = self.memory.lock();
        memory.repositories.entry(repository.to_owned()).or_default().insert(tag.to_owned(), content.to_owned());
        memory.changes += 1;
        digest
    }

    /// Removes a tag.
    pub fn remove(&self, repository: &str, tag: &str) {
        let mut memory = self.memory.lock();
        memory.repositories.entry(repository.to_owned()).or_default().remove(tag);
        memory.changes += 1;
    }

    /// Sets the required authentication.
    pub fn demand(&self, demand: Demand) {
        self.memory.lock().demand = demand;
    }

    /// Splits lists into pages of that size, or of the requested size.
    pub fn pages_of(&self, page: Option<usize>) {
        self.memory.lock().page = page;
    }

    /// Enables or disables the `ETag` of lists.
    pub fn etags(&self, on: bool) {
        self.memory.lock().etags = on;
    }

    /// Revokes every issued token.
    pub fn revoke_tokens(&self) {
        self.memory.lock().tokens.clear();
    }
}

fn digest(content: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content.as_bytes())))
}

fn refusal(status: StatusCode, code: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#)).into_response()
}

impl Memory {
    fn answer(&mut self, address: SocketAddr, Asked { method, uri, headers, body }: &Asked) -> Response {
        let decoded = &basic(headers);
        if uri.path() == "/token" {
            return self.issue(uri, decoded, body);
        }
        let Some(rest) = uri.path().strip_prefix("/v2/") else { return refusal(StatusCode::NOT_FOUND, "UNSUPPORTED") };
        let (repository, tail) = if let Some(repository) = rest.strip_suffix("/tags/list") {
            (repository, None)
        } else if let Some((repository, reference)) = rest.rsplit_once("/manifests/") {
            (repository, Some(reference))
        } else {
            return refusal(StatusCode::NOT_FOUND, "UNSUPPORTED");
        };
        if let Some(challenge) = self.refuse(address, repository, authorization(headers), decoded) {
            let mut response = refusal(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
            set(&mut response, "www-authenticate", &challenge);
            return response;
        }
        let Some(tags) = self.repositories.get(repository) else { return refusal(StatusCode::NOT_FOUND, "NAME_UNKNOWN") };
        if let Some(reference) = tail {
            let content = tags.get(reference).or_else(|| tags.values().find(|content| digest(content) == reference));
            let Some(content) = content else { return refusal(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN") };
            let mut response =
                ([(header::CONTENT_TYPE, MANIFEST)], if *method == Method::HEAD { String::new() } else { content.clone() }).into_response();
            set(&mut response, "docker-content-digest", &digest(content));
            return response;
        }
        self.list(repository, tags, uri, headers)
    }

    fn list(&self, repository: &str, tags: &BTreeMap<String, String>, uri: &Uri, headers: &HeaderMap) -> Response {
        let query: HashMap<&str, &str> = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        let asked: usize = query.get("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let page = self.page.map_or(asked, |page| page.min(asked));
        let last = query.get("last").copied().unwrap_or_default();
        let mut names: Vec<&String> = tags.keys().filter(|tag| tag.as_str() > last).collect();
        let more = names.len() > page;
        names.truncate(page);
        let etag = format!("\"{}\"", digest(&format!("{names:?}{more}")));
        if self.etags && headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == etag.as_str()) {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        let body = serde_json::json!({"name": repository, "tags": names}).to_string();
        let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(last) = names.last().filter(|_| more) {
            set(&mut response, "link", &format!("</v2/{repository}/tags/list?last={last}&n={page}>; rel=\"next\""));
        }
        if self.etags {
            set(&mut response, "etag", &etag);
        }
        response
    }

    /// Returns the challenge, if the request lacks the required authentication.
    fn refuse(&self, address: SocketAddr, repository: &str, authorization: &str, decoded: &str) -> Option<String> {
        match &self.demand {
            Demand::Nothing => None,
            Demand::Basic(user, password) => (decoded != format!("{user}:{password}")).then(|| r#"Basic realm="fake registry""#.to_owned()),
            Demand::Bearer { realm, .. } => {
                let scope = format!("repository:{repository}:pull");
                let holds = authorization.strip_prefix("Bearer ").and_then(|token| self.tokens.get(token));
                let realm = realm.clone().unwrap_or_else(|| format!("http://{address}/token"));
                (holds != Some(&scope)).then(|| format!(r#"Bearer realm="{realm}",service="fake",scope="{scope}""#))
            }
        }
    }

    fn issue(&mut self, uri: &Uri, decoded: &str, body: &Bytes) -> Response {
        let Demand::Bearer { login, expires_in, .. } = &self.demand else { return refusal(StatusCode::NOT_FOUND, "UNSUPPORTED") };
        let form = String::from_utf8_lossy(body);
        let right = login
            .as_ref()
            .is_none_or(|(user, password)| decoded == format!("{user}:{password}") || form.contains(&format!("refresh_token={password}")));
        if !right {
            return refusal(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
        }
        let asked = if form.is_empty() { uri.query().unwrap_or_default() } else { &form };
        let scope = asked.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap_or_default();
        let scope = scope.replace("%3A", ":").replace("%2F", "/");
        self.issued += 1;
        let token = format!("token-{}", self.issued);
        let mut answer = serde_json::json!({ "token": token });
        if let Some(seconds) = expires_in {
            answer["expires_in"] = (*seconds).into();
        }
        self.tokens.insert(token, scope);
        axum::Json(answer).into_response()
    }
}
