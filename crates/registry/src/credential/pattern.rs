//! The key of a credential: the images that it applies to.

use headwind_core::artifact::reference::RepositoryKey;

use super::glob;

/// Maximum length of a key, in bytes.
const KEY: usize = 255;
/// Maximum number of parts of a host.
const PARTS: usize = 16;
/// Maximum length of a part of a host that wildcards match, in bytes: that of a label in DNS.
const LABEL: usize = 63;
/// Docker Hub's names in configurations; the first is the one in a normalised reference.
const DOCKER_HUB: &[&str] = &["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"];

/// A parsed key: `[scheme://]host[:port][/path]`; parts of the host may be wildcards.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// Host, port and path in the form used for comparing and sorting.
    key: String,
    parts: Vec<Part>,
    port: String,
    path: String,
}

#[derive(Debug, Clone)]
enum Part {
    Exact(String),
    /// A well-formed pattern.
    Wild(String),
}

/// The reasons why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadKey {
    #[error("does not contain a registry host")]
    NoHost,
    #[error("is longer than {KEY} bytes, or its host has more than {PARTS} parts")]
    TooLong,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Parses a key.
    pub(crate) fn read(key: &str) -> Result<Self, BadKey> {
        if key.len() > KEY {
            return Err(BadKey::TooLong);
        }
        let rest = key.trim();
        let rest = rest.strip_prefix("https://").or_else(|| rest.strip_prefix("http://")).unwrap_or(rest);
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if authority.is_empty() || authority.contains(['@', '?', '#', ' ']) {
            return Err(BadKey::NoHost);
        }
        let authority = authority.to_ascii_lowercase();
        let authority = if DOCKER_HUB.contains(&authority.as_str()) { "docker.io".to_owned() } else { authority };
        // "It also considers /v2/ and /v1/ equivalent to the hostname."
        let path = path.strip_prefix("/v1").or_else(|| path.strip_prefix("/v2")).filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let path = if path == "/" { "" } else { path };
        let (host, port) = split(&authority);
        let parts = if host.starts_with('[') && host.contains(':') {
            vec![Part::Exact(host.to_owned())]
        } else if host.split('.').count() > PARTS {
            return Err(BadKey::TooLong);
        } else {
            host.split('.').map(Part::read).collect::<Option<Vec<_>>>().ok_or(BadKey::NoHost)?
        };
        Ok(Self { key: format!("{authority}{path}"), parts, port: port.to_owned(), path: path.to_owned() })
    }

    /// Creates a pattern for one host, without a path; `None` if the text would match other hosts as well.
    pub(crate) fn exact(host: &str) -> Option<Self> {
        let pattern = Self::read(host).ok()?;
        let exact = pattern.path.is_empty() && pattern.parts.iter().all(|part| matches!(part, Part::Exact(_)));
        exact.then_some(pattern)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.key
    }

    /// Returns its approximate size in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        // The parts, the port and the path are the texts of the key once more.
        size_of::<Self>() + 2 * self.key.len() + self.parts.len() * size_of::<Part>()
    }

    /// Returns true if the credential may be used for an image of the repository.
    pub(crate) fn matches(&self, repository: &RepositoryKey) -> bool {
        let (host, port) = split(repository.registry());
        port == self.port
            && self.path.strip_prefix('/').is_none_or(|path| repository.path().starts_with(path))
            && host.split('.').count() == self.parts.len()
            && self.parts.iter().zip(host.split('.')).all(|(part, text)| part.matches(text))
    }
}

impl Part {
    /// Parses a part; `None` if its wildcards are malformed.
    fn read(text: &str) -> Option<Self> {
        if glob::is_wild(text) { glob::is_valid(text).then(|| Part::Wild(text.to_owned())) } else { Some(Part::Exact(text.to_owned())) }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Part::Exact(own) => own == text,
            Part::Wild(pattern) => text.len() <= LABEL && glob::matches(pattern, text),
        }
    }
}

/// Splits host and port. A bracketed IPv6 address keeps its brackets.
fn split(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    }
}
