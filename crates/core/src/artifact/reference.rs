//! The parser of image references.
//!
//! Contains the grammar of references (the distribution project's `reference` package), the normalisation to a
//! repository key (Docker Hub's defaults), and the replacement of a tag or a digest that preserves the user's spelling.
//! Code that matches repositories uses [`RepositoryKey`]; code that writes an image writes an [`ImageReference`].
//!
//! ```text
//! nginx:1.25                 -> docker.io/library/nginx, tag 1.25
//! localhost:5000/a/b@sha256… -> localhost:5000/a/b, digest
//! ```

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Docker Hub's name in references, and its other names.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_TOO: &[&str] = &["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"];
/// Maximum length of a repository name (distribution: `NameTotalLengthMax`).
const NAME: usize = 255;
/// Maximum length of a tag.
const TAG: usize = 128;
/// Maximum length of a reference.
const REFERENCE: usize = 1024;

/// The reasons why a text is not a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text is empty.
    #[error("the reference is empty")]
    Empty,
    /// The repository's path is invalid.
    #[error("the repository's name is not valid (lower-case letters and digits in parts, separated by '/', '.', '_', '__' or '-')")]
    Name,
    /// The path has an upper-case letter, the most frequent mistake.
    #[error("a repository's name must not have upper-case letters")]
    UpperCase,
    /// The registry's host is invalid.
    #[error("the registry's host is not valid")]
    Host,
    /// The tag is invalid.
    #[error("the tag is not valid (a letter, digit or '_', then at most 127 of these, '.' and '-')")]
    Tag,
    /// The digest is invalid.
    #[error("the digest is not valid (sha256: and 64 hexadecimal digits)")]
    Digest,
    /// The text is longer than any registry accepts.
    #[error("the reference is longer than 1,024 characters, or the repository's name longer than 255")]
    TooLong,
    /// Container runtimes treat the text as an image ID.
    #[error("a repository's name must not be 64 hexadecimal digits; container runtimes read that as an image ID")]
    ImageId,
}

/// Returns the part of an image's text that is worth keeping: all of a text that may be a reference, and of a longer one
/// only so much that it is still refused as [`ReferenceError::TooLong`].
pub fn bounded(text: &str) -> &str {
    text.get(..text.ceil_char_boundary(REFERENCE + 1)).unwrap_or(text)
}

/// A normalised repository, including the registry's host: `docker.io/library/nginx`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryKey(Arc<str>);

impl RepositoryKey {
    /// Parses a name with or without a host, as users write it in an image.
    ///
    /// # Errors
    /// If the text is not a name, or has a tag or digest.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let reference = ImageReference::parse(text)?;
        if reference.tag().is_some() || reference.digest().is_some() { Err(ReferenceError::Name) } else { Ok(reference.repository) }
    }

    /// Returns the repository at `path` of the registry at `host`. The host never comes from the path.
    ///
    /// # Errors
    /// If either of them is invalid.
    pub fn from_parts(host: &str, path: &str) -> Result<Self, ReferenceError> {
        if !is_host(host) {
            return Err(ReferenceError::Host);
        }
        check_path(path)?;
        Self::normal(host, path)
    }

    fn normal(host: &str, path: &str) -> Result<Self, ReferenceError> {
        let host = host.to_ascii_lowercase();
        let bare = host.strip_suffix(":443").unwrap_or(&host);
        let hub = bare == DOCKER_HUB || DOCKER_HUB_TOO.contains(&bare);
        let key = match (hub, path.contains('/')) {
            (true, false) => format!("{DOCKER_HUB}/library/{path}"),
            (true, true) => format!("{DOCKER_HUB}/{path}"),
            (false, _) => format!("{host}/{path}"),
        };
        if key.len() > NAME { Err(ReferenceError::TooLong) } else { Ok(Self(key.into())) }
    }

    /// Returns the registry's host, with its port.
    pub fn registry(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(host, _)| host)
    }

    /// Returns the name at the registry.
    pub fn path(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, path)| path)
    }

    /// Returns host and path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for RepositoryKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The digest of a manifest: `sha256:` and 64 hexadecimal digits (OCI image spec, descriptor).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Arc<str>);

impl Digest {
    /// Parses a digest.
    ///
    /// # Errors
    /// If it is invalid, or a registered algorithm has another length.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let (algorithm, hex) = text.split_once(':').ok_or(ReferenceError::Digest)?;
        let lower_hex = hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let length = match algorithm {
            "sha256" => hex.len() == 64,
            "sha384" => hex.len() == 96,
            "sha512" => hex.len() == 128,
            _ => (32..=256).contains(&hex.len()) && is_algorithm(algorithm),
        };
        if length && lower_hex { Ok(Self(text.into())) } else { Err(ReferenceError::Digest) }
    }

    /// Returns the digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_algorithm(text: &str) -> bool {
    text.len() <= 64
        && text.split(['+', '.', '_', '-']).all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0.as_ref().to_owned()
    }
}

/// A parsed image reference in the user's spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// The name exactly as written.
    name: String,
    repository: RepositoryKey,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageReference {
    /// Parses a reference.
    ///
    /// # Errors
    /// If it is invalid. The error states the invalid part.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() > REFERENCE {
            return Err(ReferenceError::TooLong);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        // A colon after the last slash begins a tag; an earlier one begins a port.
        let path_from = rest.rfind('/').map_or(0, |at| at + 1);
        let (directory, last) = rest.split_at(path_from);
        let (name, tag) = match last.split_once(':') {
            Some((_, tag)) if !is_tag(tag) => return Err(ReferenceError::Tag),
            Some((base, tag)) => (rest.get(..directory.len() + base.len()).unwrap_or(rest), Some(tag.to_owned())),
            None => (rest, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((first, path)) if looks_like_host(first) => (first, path),
            _ => (DOCKER_HUB, name),
        };
        if !is_host(host) {
            return Err(ReferenceError::Host);
        }
        check_path(path)?;
        if name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ReferenceError::ImageId);
        }
        Ok(Self { name: name.to_owned(), repository: RepositoryKey::normal(host, path)?, tag, digest })
    }

    /// Returns the normalised repository.
    pub fn repository(&self) -> &RepositoryKey {
        &self.repository
    }

    /// Returns the registry's host.
    pub fn registry(&self) -> &str {
        self.repository.registry()
    }

    /// Returns the written tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the effective tag: `latest` if neither tag nor digest is written; `None` if only a digest is written.
    pub fn effective_tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// Returns the written digest, if there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the name in the user's spelling, without tag and digest.
    pub fn name_as_written(&self) -> &str {
        &self.name
    }

    /// Returns the same image at another tag, without a digest.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// Returns the same image at another tag and digest.
    #[must_use]
    pub fn with_tag_and_digest(&self, tag: &str, digest: &Digest) -> Self {
        Self { tag: Some(tag.to_owned()), digest: Some(digest.clone()), ..self.clone() }
    }

    /// Returns the same image at another digest. A written tag is kept.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self { digest: Some(digest.clone()), ..self.clone() }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Returns true if the text is a valid tag: `[\w][\w.-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= TAG && text.bytes().next().is_some_and(word) && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// Returns true if the first part of a name is a host and not a part of the path (distribution's `splitDockerDomain`):
/// it has a dot or a colon, is `localhost`, or has an upper-case letter.
fn looks_like_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Returns true for `domain-name [":" port]` or an IPv6 address in brackets.
pub fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.is_empty() || !address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.') {
                return false;
            }
            return port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Checks `path-component ["/" path-component]*` with `[a-z0-9]+` separated by `.`, `_`, `__` or dashes.
fn check_path(path: &str) -> Result<(), ReferenceError> {
    if path.len() > NAME {
        return Err(ReferenceError::TooLong);
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::UpperCase);
    }
    if path.split('/').all(is_component) { Ok(()) } else { Err(ReferenceError::Name) }
}

fn is_component(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<u8>| byte.is_some_and(plain);
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|between| !between.is_empty());
    ends(part.bytes().next())
        && ends(part.bytes().last())
        && separators.into_iter().all(|between| matches!(between, "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
}

#[cfg(test)]
mod tests;
