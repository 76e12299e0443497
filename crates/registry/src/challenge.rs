//! What a 401 demands (RFC 9110 section 11.6.1; distribution "Token Authentication
//! Specification"; RFC 7617).
//!
//! The challenge of the failing response itself counts. Where a registry offers several, a bearer
//! token is preferred: the credential then goes to the token's issuer alone.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// User name and password with each request.
    Basic,
    /// A token, to be had at the realm.
    Bearer(Bearer),
}

/// Where a token is to be had and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bearer {
    /// The issuer's URL.
    pub(crate) realm: String,
    /// The registry's name at the issuer.
    pub(crate) service: Option<String>,
    /// What the token is for; several are separated by spaces.
    pub(crate) scope: Option<String>,
}

/// The scheme that a response demands; `None` where it demands none that is known.
pub(crate) fn read(headers: &HeaderMap) -> Option<Scheme> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else { continue };
        // A header that cannot be read to its end is used as far as it can.
        for challenge in http_auth::ChallengeParser::new(text).map_while(Result::ok) {
            let parameter = |name: &str| {
                let (_, value) = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
                Some(value.to_unescaped()).filter(|value| !value.is_empty())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = parameter("realm") {
                    return Some(Scheme::Bearer(Bearer { realm, service: parameter("service"), scope: parameter("scope") }));
                }
            } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Scheme::Basic);
            }
        }
    }
    basic
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use rstest::rstest;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Scheme {
        Scheme::Bearer(Bearer { realm: realm.to_owned(), service: service.map(ToOwned::to_owned), scope: scope.map(ToOwned::to_owned) })
    }

    #[rstest]
    #[case::hub(&[r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#],
        Some(bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:library/nginx:pull"))))]
    #[case::no_scope(&[r#"Bearer realm="https://r/token",service="r""#], Some(bearer("https://r/token", Some("r"), None)))]
    #[case::basic(&[r#"Basic realm="Registry Realm""#], Some(Scheme::Basic))]
    #[case::bare_basic(&["Basic"], Some(Scheme::Basic))]
    #[case::two_in_one(&[r#"Basic realm="x", Bearer realm="https://r/token""#], Some(bearer("https://r/token", None, None)))]
    #[case::two_headers(&[r#"Basic realm="x""#, r#"bearer REALM="https://r/token""#], Some(bearer("https://r/token", None, None)))]
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
}
