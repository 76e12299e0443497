//! Helm charts, and the classic repositories that publish them.
//!
//! A chart is written as `name:version` wherever a workload has an image (requests, history, Events). Its version is
//! one that Helm accepts ([`crate::artifact::version::parse_chart`]), or a range, which Flux resolves. In an OCI
//! registry a chart is a repository and its version a tag, with `_` in place of `+` (Helm, "OCI support").

use std::fmt;
use std::sync::Arc;

/// Maximum length of a chart's name, and of a repository's address.
const NAME: usize = 250;
const ADDRESS: usize = 2048;

/// The reasons why a text is not a chart or a chart repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChartError {
    /// The chart's name is invalid.
    #[error("the chart's name is not valid (letters, digits, '.', '_', '-' in parts, separated by '/')")]
    Name,
    /// There is no version.
    #[error("the chart has no version; expected name:version")]
    NoVersion,
    /// The address has a scheme other than HTTP and HTTPS.
    #[error("the repository's address begins with neither https:// nor http://")]
    Scheme,
    /// The address has a user, a fragment, or no host.
    #[error("the repository's address is not valid (https://host[:port][/path], no user in it)")]
    Address,
}

/// A chart at a version, as written in a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartReference {
    name: String,
    version: String,
}

impl ChartReference {
    /// Creates a reference from a name and a version, which may be a range.
    ///
    /// # Errors
    /// [`ChartError::Name`].
    pub fn new(name: &str, version: &str) -> Result<Self, ChartError> {
        if is_name(name) { Ok(Self { name: name.to_owned(), version: version.to_owned() }) } else { Err(ChartError::Name) }
    }

    /// Parses `name:version`.
    ///
    /// # Errors
    /// See [`ChartError`].
    pub fn parse(text: &str) -> Result<Self, ChartError> {
        let (name, version) = text.split_once(':').ok_or(ChartError::NoVersion)?;
        Self::new(name, version)
    }

    /// Returns the chart's name in its repository.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the version, or the range.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the same chart at another version.
    #[must_use]
    pub fn with_version(&self, version: &str) -> Self {
        Self { name: self.name.clone(), version: version.to_owned() }
    }
}

impl fmt::Display for ChartReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    text.len() <= NAME && text.split('/').all(part)
}

/// Returns the tag of a version in an OCI registry.
pub fn tag_of(version: &str) -> String {
    version.replace('+', "_")
}

/// Returns the version of a tag in an OCI registry.
pub fn version_of(tag: &str) -> String {
    tag.replace('_', "+")
}

/// The address of a classic Helm repository (one with an `index.yaml`), normalised: scheme and host in lower case, no
/// default port, no trailing slash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChartRepository(Arc<str>);

impl ChartRepository {
    /// Parses an address.
    ///
    /// # Errors
    /// See [`ChartError`].
    pub fn parse(text: &str) -> Result<Self, ChartError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(ChartError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            _ => return Err(ChartError::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '#' | '\\' | '"' | '<' | '>');
        if authority.is_empty() || authority.contains('@') || text.len() > ADDRESS || text.contains(odd) {
            return Err(ChartError::Address);
        }
        let authority = authority.to_ascii_lowercase();
        let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
        Ok(Self(format!("{scheme}://{authority}{}", path.trim_end_matches('/')).into()))
    }

    /// Returns the whole address with its query. Do not show it to people.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns host and port, as in the address.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or(&*self.0, |(_, rest)| rest);
        rest.find(['/', '?']).and_then(|end| rest.get(..end)).unwrap_or(rest)
    }

    /// Returns the address of its index. The query after `?` is kept, as in Helm.
    pub fn index(&self) -> String {
        match self.0.split_once('?') {
            Some((address, query)) => format!("{}/index.yaml?{query}", address.trim_end_matches('/')),
            None => format!("{}/index.yaml", self.0),
        }
    }
}

/// Displays it without its query, which may contain a token.
impl fmt::Display for ChartRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split_once('?').map_or(&*self.0, |(address, _)| address))
    }
}

impl fmt::Debug for ChartRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "HTTPS://Charts.Example:443/stable/",
        Ok("https://charts.example/stable"),
        "charts.example",
        "https://charts.example/stable/index.yaml"
    )]
    #[case("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080"), "127.0.0.1:8080", "http://127.0.0.1:8080/index.yaml")]
    #[case("https://h/a?token=x", Ok("https://h/a?token=x"), "h", "https://h/a/index.yaml?token=x")]
    #[case("oci://h/a", Err(ChartError::Scheme), "", "")]
    #[case("https://user:pass@h/a", Err(ChartError::Address), "", "")]
    #[case("https:///a", Err(ChartError::Address), "", "")]
    #[case("https://h/a#b", Err(ChartError::Address), "", "")]
    #[case("https://h/a b", Err(ChartError::Address), "", "")]
    #[case("", Err(ChartError::Scheme), "", "")]
    fn repositories(#[case] text: &str, #[case] expected: Result<&str, ChartError>, #[case] host: &str, #[case] index: &str) {
        let read = ChartRepository::parse(text);
        assert_eq!(read.as_ref().map(ChartRepository::as_str).map_err(|error| *error), expected);
        if let Ok(read) = read {
            assert_eq!((read.host(), read.index().as_str()), (host, index));
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let repository = ChartRepository::parse("https://h/a?token=secret").unwrap();
        assert_eq!((repository.to_string().as_str(), format!("{repository:?}").as_str()), ("https://h/a", "\"https://h/a\""));
    }

    #[rstest]
    #[case("podinfo:6.5.0", Ok(("podinfo", "6.5.0")))]
    #[case("team/app:1.0.0+build:7", Ok(("team/app", "1.0.0+build:7")))]
    #[case("podinfo:>=1.2", Ok(("podinfo", ">=1.2")))]
    #[case("podinfo", Err(ChartError::NoVersion))]
    #[case("./podinfo:1", Err(ChartError::Name))]
    #[case("a b:1", Err(ChartError::Name))]
    #[case(":1", Err(ChartError::Name))]
    fn references(#[case] text: &str, #[case] expected: Result<(&str, &str), ChartError>) {
        let read = ChartReference::parse(text);
        assert_eq!(read.as_ref().map(|chart| (chart.name(), chart.version())).map_err(|error| *error), expected);
        if let Ok(read) = read {
            assert_eq!(read.to_string(), text);
            assert_eq!(read.with_version("9").to_string(), format!("{}:9", read.name()));
        }
    }

    #[test]
    fn a_plus_is_no_letter_of_a_tag() {
        assert_eq!(tag_of("1.2.3+a.b"), "1.2.3_a.b");
        assert_eq!(version_of("1.2.3_a.b"), "1.2.3+a.b");
    }
}
