//! The key of a credential: the images that it applies to.

use globset::{Glob, GlobMatcher};
use headwind_core::artifact::reference::RepositoryKey;

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
    Wild(Box<GlobMatcher>),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Parses a key; `None` if it has no host.
    pub(crate) fn read(key: &str) -> Option<Self> {
        let rest = key.trim();
        let rest = rest.strip_prefix("https://").or_else(|| rest.strip_prefix("http://")).unwrap_or(rest);
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if authority.is_empty() || authority.contains(['@', '?', '#', ' ']) {
            return None;
        }
        let authority = authority.to_ascii_lowercase();
        let authority = if DOCKER_HUB.contains(&authority.as_str()) { "docker.io".to_owned() } else { authority };
        // "It also considers /v2/ and /v1/ equivalent to the hostname."
        let path = path.strip_prefix("/v1").or_else(|| path.strip_prefix("/v2")).filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let path = if path == "/" { "" } else { path };
        let (host, port) = split(&authority);
        let parts = if host.starts_with('[') && host.contains(':') {
            vec![Part::Exact(host.to_owned())]
        } else {
            host.split('.').map(Part::read).collect::<Option<_>>()?
        };
        Some(Self { key: format!("{authority}{path}"), parts, port: port.to_owned(), path: path.to_owned() })
    }

    /// Creates a pattern for one host, without a path; `None` if the text would match other hosts as well.
    pub(crate) fn exact(host: &str) -> Option<Self> {
        let pattern = Self::read(host)?;
        let exact = pattern.path.is_empty() && pattern.parts.iter().all(|part| matches!(part, Part::Exact(_)));
        exact.then_some(pattern)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.key
    }

    /// Returns true if the credential may be used for an image of the repository.
    pub(crate) fn matches(&self, repository: &RepositoryKey) -> bool {
        let (host, port) = split(repository.registry());
        let parts: Vec<&str> = host.split('.').collect();
        port == self.port
            && parts.len() == self.parts.len()
            && self.parts.iter().zip(parts).all(|(part, text)| part.matches(text))
            && format!("/{}", repository.path()).starts_with(&self.path)
    }
}

impl Part {
    fn read(text: &str) -> Option<Self> {
        if text.contains(['*', '?', '[']) {
            // Braces have no meaning in the kubelet's matcher.
            let text = text.replace('{', "[{]").replace('}', "[}]");
            Some(Part::Wild(Box::new(Glob::new(&text).ok()?.compile_matcher())))
        } else {
            Some(Part::Exact(text.to_owned()))
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Part::Exact(own) => own == text,
            Part::Wild(glob) => glob.is_match(text),
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
