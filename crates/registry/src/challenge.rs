//! The challenge of a 401 (RFC 9110 section 11.6.1; distribution "Token Authentication Specification"; RFC 7617).
//!
//! Only the challenge of the failing response itself counts. If a registry offers several, Headwind prefers a bearer
//! token: it sends the credential to the token issuer only.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// The longest header that is read, in bytes.
const HEADER: usize = 4096;
/// Maximum length of an issuer's URL, a service name or a scope, in bytes.
const PARAMETER: usize = 2048;

/// The authentication scheme of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// User name and password with each request.
    Basic,
    /// A token from the realm.
    Bearer {
        /// The realm, service and scope.
        bearer: Bearer,
        /// True if a user name and a password work as well.
        or_basic: bool,
    },
}

/// The address of the token issuer, and the scope of the token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bearer {
    /// The issuer's URL.
    pub(crate) realm: String,
    /// The registry's name at the token issuer.
    pub(crate) service: Option<String>,
    /// The scope of the token. Several scopes are separated by spaces.
    pub(crate) scope: Option<String>,
}

impl Scheme {
    /// Returns the bytes of its strings.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Basic => 0,
            Self::Bearer { bearer, or_basic: _ } => bearer.size(),
        }
    }
}

impl Bearer {
    /// Returns the bytes of its strings.
    pub(crate) fn size(&self) -> usize {
        let Self { realm, service, scope } = self;
        realm.len() + service.as_ref().map_or(0, String::len) + scope.as_ref().map_or(0, String::len)
    }
}

/// Returns the scheme that a response demands; `None` if it demands no known scheme. Ignores a challenge that exceeds
/// the length limits.
pub(crate) fn read(headers: &HeaderMap) -> Option<Scheme> {
    let (mut basic, mut bearer) = (false, None);
    for value in headers.get_all(WWW_AUTHENTICATE).iter().filter(|value| value.len() <= HEADER) {
        let Ok(text) = value.to_str() else { continue };
        // If a header cannot be parsed to its end, the part before the error is used.
        for challenge in http_auth::ChallengeParser::new(text).map_while(Result::ok) {
            let parameter = |name: &str| {
                let (_, value) = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
                Some(value.to_unescaped()).filter(|value| !value.is_empty() && value.len() <= PARAMETER)
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = parameter("realm").filter(|_| bearer.is_none()) {
                    bearer = Some(Bearer { realm, service: parameter("service"), scope: parameter("scope") });
                }
            } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = true;
            }
        }
    }
    match bearer {
        Some(bearer) => Some(Scheme::Bearer { bearer, or_basic: basic }),
        None => basic.then_some(Scheme::Basic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use rstest::rstest;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Scheme {
        let text = |text: Option<&str>| text.map(ToOwned::to_owned);
        Scheme::Bearer { bearer: Bearer { realm: realm.to_owned(), service: text(service), scope: text(scope) }, or_basic: false }
    }

    fn or_basic(realm: &str) -> Scheme {
        let Scheme::Bearer { bearer, .. } = bearer(realm, None, None) else { return Scheme::Basic };
        Scheme::Bearer { bearer, or_basic: true }
    }

    #[rstest]
    #[case::hub(&[r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#],
        Some(bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:library/nginx:pull"))))]
    #[case::no_scope(&[r#"Bearer realm="https://r/token",service="r""#], Some(bearer("https://r/token", Some("r"), None)))]
    #[case::basic(&[r#"Basic realm="Registry Realm""#], Some(Scheme::Basic))]
    #[case::bare_basic(&["Basic"], Some(Scheme::Basic))]
    #[case::two_in_one(&[r#"Basic realm="x", Bearer realm="https://r/token""#], Some(or_basic("https://r/token")))]
    #[case::two_headers(&[r#"Basic realm="x""#, r#"bearer REALM="https://r/token""#], Some(or_basic("https://r/token")))]
    #[case::unknown_first(&[r#"Negotiate, Basic realm="x""#], Some(Scheme::Basic))]
    #[case::comma_in_scope(&[r#"Bearer realm="https://r/t",scope="repository:a/b:pull,push""#], Some(bearer("https://r/t", None, Some("repository:a/b:pull,push"))))]
    #[case::escaped(&[r#"Bearer realm="https://r/\"t""#], Some(bearer(r#"https://r/"t"#, None, None)))]
    #[case::without_realm(&[r#"Bearer service="r", Basic realm="x""#], Some(Scheme::Basic))]
    #[case::unknown(&["Negotiate"], None)]
    #[case::nothing(&[], None)]
    #[case::garbage(&["=,=\"\"", "Bearer realm="], None)]
    fn challenges(#[case] headers: &[&'static str], #[case] expected: Option<Scheme>) {
        let headers = headers.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_static(value))).collect();
        assert_eq!(read(&headers), expected);
    }

    #[test]
    fn what_is_too_long_is_passed_over() {
        let read = |text: String| read(&[(WWW_AUTHENTICATE, HeaderValue::from_str(&text).unwrap())].into_iter().collect());
        assert_eq!(read(format!(r#"Bearer realm="https://r/{}""#, "x".repeat(PARAMETER))), None);
        assert_eq!(
            read(format!(r#"Bearer realm="https://r/t",scope="{}""#, "x".repeat(PARAMETER + 1))),
            Some(bearer("https://r/t", None, None))
        );
        assert_eq!(read(format!(r#"Basic realm="{}""#, "x".repeat(HEADER))), None);
    }
}
