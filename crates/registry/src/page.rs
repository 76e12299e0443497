//! The next page of a list (RFC 8288 `Link: <…>; rel="next"`, distribution-spec "Listing Tags").
//!
//! The next page must have the same host name and path, otherwise the list fails: Headwind sends its credential to
//! whatever the registry links to. The query always goes to the address of the first page, because a registry behind a
//! proxy often knows neither its own scheme nor its port.

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

/// Maximum length of a link that is followed.
const LONGEST: usize = 4096;

/// A link that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadLink {
    #[error("the link to the next page cannot be read")]
    Unreadable,
    #[error("the link to the next page is longer than {LONGEST} characters")]
    TooLong,
    #[error("the link to the next page points to another host ({0})")]
    Elsewhere(String),
    #[error("the link to the next page does not point to the list ({0})")]
    AnotherPath(String),
}

/// Maximum number of characters of a link in a message.
pub(crate) const LINK_CHARS: usize = 128;

/// Returns a link for a message, without parts that could be secret.
fn displayed(url: &Url) -> String {
    let host = crate::rules::authority(url).unwrap_or_default();
    format!("{}://{host}{}", url.scheme(), url.path()).chars().take(LINK_CHARS).collect()
}

/// Returns the next page after `current`, as path and query; `None` after the last one.
///
/// Ignores scheme and port: a registry behind a proxy writes its own.
pub(crate) fn next(current: &Url, headers: &HeaderMap) -> Result<Option<String>, BadLink> {
    for value in headers.get_all(LINK) {
        if value.len() > LONGEST {
            return Err(BadLink::TooLong);
        }
        let value = value.to_str().map_err(|_| BadLink::Unreadable)?;
        if let Some(target) = target(value)? {
            let url = current.join(target).map_err(|_| BadLink::Unreadable)?;
            if url.host_str() != current.host_str() || !url.username().is_empty() || url.password().is_some() {
                return Err(BadLink::Elsewhere(displayed(&url)));
            }
            if url.path() != current.path() {
                return Err(BadLink::AnotherPath(displayed(&url)));
            }
            let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
            return Ok(Some(format!("{}{query}", url.path())));
        }
    }
    Ok(None)
}

/// Returns the target of the link with `rel=next` in one header.
fn target(value: &str) -> Result<Option<&str>, BadLink> {
    let mut rest = value.trim();
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or(BadLink::Unreadable)?;
        // Parameters end at the next comma outside quotes.
        let mut quoted = false;
        let end = after.find(|c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let (parameters, after) = after.split_at(end.unwrap_or(after.len()));
        let is_next = parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Ok(Some(target.trim()));
        }
        rest = after.trim_start_matches(',').trim_start();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use rstest::rstest;

    fn ask(link: &str) -> Result<Option<String>, BadLink> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_str(link).unwrap());
        next(&Url::parse("https://r.example:5000/v2/a/b/tags/list?n=2").unwrap(), &headers)
    }

    #[rstest]
    #[case::relative(r#"</v2/a/b/tags/list?n=2&last=b>; rel="next""#, Ok(Some("/v2/a/b/tags/list?n=2&last=b")))]
    #[case::query_only(r#"<?last=b>; rel="next""#, Ok(Some("/v2/a/b/tags/list?last=b")))]
    #[case::absolute("<https://r.example:5000/v2/a/b/tags/list?last=b>; rel=next", Ok(Some("/v2/a/b/tags/list?last=b")))]
    #[case::behind_a_proxy("<http://r.example:5000/v2/a/b/tags/list?last=b>; rel=next", Ok(Some("/v2/a/b/tags/list?last=b")))]
    #[case::second(
        r#"</x,y>; rel="prev"; title="a, b", </v2/a/b/tags/list?last=c>; rel="last next""#,
        Ok(Some("/v2/a/b/tags/list?last=c"))
    )]
    #[case::none(r#"</x>; rel="prev""#, Ok(None))]
    #[case::empty("", Ok(None))]
    #[case::other_port("<https://r.example:5001/v2/a/b/tags/list?last=b>; rel=next", Ok(Some("/v2/a/b/tags/list?last=b")))]
    #[case::no_port("<https://r.example/v2/a/b/tags/list?last=b>; rel=next", Ok(Some("/v2/a/b/tags/list?last=b")))]
    #[case::other_case("<HTTPS://R.Example/v2/a/b/tags/list?last=b>; rel=next", Ok(Some("/v2/a/b/tags/list?last=b")))]
    #[case::elsewhere(
        "<https://evil.example/v2/a/b/tags/list?last=b>; rel=next",
        Err("another host (https://evil.example/v2/a/b/tags/list)")
    )]
    #[case::elsewhere_on_the_same_port("<https://evil.example:5000/v2/a/b/tags/list?last=b>; rel=next", Err("(https://evil.example:5000/"))]
    #[case::without_scheme("<//evil.example/v2/a/b/tags/list>; rel=next", Err("another host"))]
    #[case::user("<https://secret@r.example:5000/v2/a/b/tags/list>; rel=next", Err("another host (https://r.example:5000/"))]
    #[case::other_repository(
        "</v2/a/c/tags/list?last=b>; rel=next",
        Err("does not point to the list (https://r.example:5000/v2/a/c/tags/list)")
    )]
    #[case::climbs("<../../c/tags/list>; rel=next", Err("does not point to the list"))]
    #[case::no_brackets("/v2/a/b/tags/list?last=b; rel=next", Err("cannot be read"))]
    #[case::scheme("<file:///etc/passwd>; rel=next", Err("another host (file:///etc/passwd)"))]
    fn links(#[case] link: &str, #[case] expected: Result<Option<&str>, &str>) {
        match (ask(link), expected) {
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, expected) => assert_eq!(found, Ok(expected.unwrap().map(ToOwned::to_owned))),
        }
    }

    #[test]
    fn no_header_and_a_long_one() {
        assert_eq!(next(&Url::parse("https://r/v2/a/tags/list").unwrap(), &HeaderMap::new()), Ok(None));
        assert_eq!(ask(&format!("</v2/a/b/tags/list?last={}>; rel=next", "x".repeat(5000))), Err(BadLink::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn stays_on_the_list(link in "[ -~]{0,80}") {
            if let Ok(Some(path)) = ask(&link) {
                proptest::prop_assert!(path.starts_with("/v2/a/b/tags/list"));
            }
        }
    }
}
