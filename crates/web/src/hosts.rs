//! The accepted hosts of requests, and the origins that browsers may act from.
//!
//! With DNS rebinding, a browser reaches Headwind's address under the attacker's host name. The browser then treats the
//! attacker's page and Headwind as one origin, but the request still contains that host name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
pub use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, HeaderName};

/// `Sec-Fetch-Site`: the browser's statement about the origin of a request.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The Services of the shipped manifests.
const SERVICES: [&str; 5] = ["headwind", "headwind-api", "headwind-metrics", "headwind-ui", "headwind-webhook"];

/// The accepted hosts.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// Names and addresses, in lower case and without a port.
    names: BTreeSet<String>,
    /// Origins whose pages may act, as in the header `Origin`.
    origins: BTreeSet<String>,
}

impl Hosts {
    /// Accepts the Services in `namespace`, the hosts of `urls` (`HEADWIND_UI_URL`, `HEADWIND_API_URL`) and the
    /// `listed` ones (`HEADWIND_ALLOWED_HOSTS`). Loopback and the address of the connection are always accepted.
    pub fn new<'a>(namespace: &str, urls: impl IntoIterator<Item = &'a Uri>, listed: &'a [Authority]) -> Self {
        let services = SERVICES.iter().flat_map(|service| {
            ["", ".svc", ".svc.cluster.local"]
                .map(|suffix| format!("{service}.{namespace}{suffix}"))
                .into_iter()
                .chain([(*service).to_owned()])
        });
        let given: Vec<&Authority> = urls.into_iter().filter_map(Uri::authority).chain(listed).collect();
        Self {
            names: services.chain(["localhost".to_owned()]).chain(given.iter().map(|authority| name(authority))).collect(),
            // Each host counts with both schemes: a proxy may terminate TLS, and a listed host has no scheme.
            origins: given.iter().flat_map(|authority| ["http", "https"].map(|scheme| origin(scheme, authority))).collect(),
        }
    }

    /// Returns true if the request's host is accepted. `local` is the address that the client connected to.
    pub(crate) fn knows(&self, uri: &Uri, headers: &HeaderMap, local: Option<IpAddr>) -> bool {
        // A request in absolute form contains the host twice.
        let Some(header) = named(headers) else { return false };
        [Some(&header), uri.authority()].into_iter().flatten().all(|authority| self.is_known(&name(authority), local))
    }

    fn is_known(&self, host: &str, local: Option<IpAddr>) -> bool {
        let own = |address: IpAddr| address.is_loopback() || local.is_some_and(|local| local.to_canonical() == address.to_canonical());
        self.names.contains(host) || host.parse().is_ok_and(own)
    }

    /// Returns true unless a browser sends the request for a page of another site. Programs send neither
    /// `Sec-Fetch-Site` nor `Origin`.
    pub(crate) fn is_own_origin(&self, headers: &HeaderMap) -> bool {
        let site = headers.get(FETCH_SITE).map(axum::http::HeaderValue::as_bytes);
        if matches!(site, Some(b"same-origin" | b"none")) {
            return true;
        }
        let Some(page) = headers.get(ORIGIN) else { return site.is_none() };
        let Some((scheme, page)) = page.to_str().ok().and_then(|page| page.split_once("://")) else { return false };
        let Ok(page) = page.parse::<Authority>() else { return false };
        let page = origin(scheme, &page);
        let addressed = site.is_none() && named(headers).is_some_and(|host| origin(scheme, &host) == page);
        addressed || self.origins.contains(&page)
    }

    /// Returns true if a browser says that the request comes from a page that may act.
    pub(crate) fn is_page(&self, headers: &HeaderMap) -> bool {
        (headers.contains_key(FETCH_SITE) || headers.contains_key(ORIGIN)) && self.is_own_origin(headers)
    }
}

/// Returns the host in the request's header, if it occurs once.
pub(crate) fn named(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// Returns the host with its port in lower case, without the default port of the scheme. Browsers omit this port in `Host`
/// and `Origin`.
pub fn without_default_port(scheme: &str, authority: &Authority) -> String {
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let text = authority.as_str();
    text.strip_suffix(default).unwrap_or(text).to_ascii_lowercase()
}

/// Returns the origin of the pages of a host.
fn origin(scheme: &str, authority: &Authority) -> String {
    format!("{scheme}://{}", without_default_port(scheme, authority))
}

/// Returns the host without its port: a forwarded port may have any number.
pub(crate) fn name(authority: &Authority) -> String {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn hosts() -> Hosts {
        let url = Uri::from_static("https://headwind.example:8443/ui");
        Hosts::new("hw", [&url], &["proxy.example".parse().unwrap(), "10.9.9.9:30081".parse().unwrap()])
    }

    #[rstest::rstest]
    #[case::loopback("127.0.0.1:8081", true)]
    #[case::loopback_v6("[::1]:8081", true)]
    #[case::localhost("LocalHost:9999", true)]
    #[case::pod("10.1.2.3:8081", true)]
    #[case::another_address("10.1.2.4:8081", false)]
    #[case::node("10.9.9.9:30081", true)]
    #[case::service("headwind-api", true)]
    #[case::service_in_full("headwind-api.hw.svc.cluster.local.:8081", true)]
    #[case::service_of_another("headwind-api.other.svc", false)]
    #[case::ui("headwind.example", true)]
    #[case::listed("PROXY.example:443", true)]
    #[case::rebound("rebind.evil.example:8081", false)]
    #[case::below_a_known_one("x.headwind.example", false)]
    #[case::nip("127.0.0.1.nip.example", false)]
    #[case::user("localhost@evil.example", false)]
    #[case::empty("", false)]
    fn hosts_that_are_known(#[case] host: &'static str, #[case] expected: bool) {
        let local = Some("::ffff:10.1.2.3".parse().unwrap());
        assert_eq!(hosts().knows(&Uri::from_static("/api/v1/updates"), &headers(&[("host", host)]), local), expected);
    }

    #[test]
    fn one_host_everywhere() {
        let known = |uri: &'static str, all: &[(&'static str, &'static str)]| hosts().knows(&Uri::from_static(uri), &headers(all), None);
        assert!(known("http://localhost/x", &[("host", "localhost")]));
        assert!(!known("http://evil.example/x", &[("host", "localhost")]), "absolute form");
        assert!(!known("/x", &[]));
        let mut two = headers(&[("host", "localhost")]);
        two.append("host", "evil.example".parse().unwrap());
        assert!(!hosts().knows(&Uri::from_static("/x"), &two, None));
    }

    #[rstest::rstest]
    #[case::curl(&[], true)]
    #[case::own_page(&[("origin", "http://h:1"), ("sec-fetch-site", "same-origin")], true)]
    #[case::typed(&[("sec-fetch-site", "none")], true)]
    #[case::own_page_over_http(&[("origin", "http://h:1")], true)]
    #[case::other_page(&[("origin", "http://evil")], false)]
    #[case::other_port(&[("origin", "http://h:2")], false)]
    #[case::other_local_port(&[("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")], false)]
    #[case::null_origin(&[("origin", "null")], false)]
    #[case::other_site(&[("sec-fetch-site", "cross-site")], false)]
    #[case::other_site_with_our_name(&[("origin", "http://h:1"), ("sec-fetch-site", "cross-site")], false)]
    #[case::the_ui(&[("origin", "https://headwind.example:8443"), ("sec-fetch-site", "cross-site")], true)]
    #[case::listed(&[("origin", "https://proxy.example")], true)]
    fn origins_that_may_act(#[case] all: &[(&'static str, &'static str)], #[case] expected: bool) {
        let mut headers = headers(all);
        headers.insert(HOST, "h:1".parse().unwrap());
        assert_eq!(hosts().is_own_origin(&headers), expected);
    }

    #[rstest::rstest]
    #[case::default_port_of_https("https", "HW.example:443", "hw.example")]
    #[case::default_port_of_http("http", "hw.example:80", "hw.example")]
    #[case::no_port("https", "hw.example", "hw.example")]
    #[case::other_port("https", "hw.example:8443", "hw.example:8443")]
    #[case::port_of_http("https", "hw.example:80", "hw.example:80")]
    #[case::port_of_https("http", "hw.example:443", "hw.example:443")]
    #[case::v6("https", "[::1]:443", "[::1]")]
    fn default_ports_are_removed(#[case] scheme: &str, #[case] authority: &str, #[case] expected: &str) {
        assert_eq!(without_default_port(scheme, &authority.parse().unwrap()), expected);
    }

    #[rstest::rstest]
    #[case::in_the_setting("https://hw.example:443", "https://hw.example", true)]
    #[case::in_the_origin("https://hw.example", "https://hw.example:443", true)]
    #[case::of_http_in_the_setting("http://hw.example:80", "http://hw.example", true)]
    #[case::of_http_in_the_origin("http://hw.example", "http://hw.example:80", true)]
    #[case::of_the_other_scheme("https://hw.example:443", "http://hw.example", false)]
    #[case::another("https://hw.example", "https://hw.example:8443", false)]
    fn origins_with_default_ports(#[case] url: &'static str, #[case] origin: &'static str, #[case] expected: bool) {
        let url = Uri::from_static(url);
        let headers = headers(&[("host", "h:1"), ("origin", origin), ("sec-fetch-site", "cross-site")]);
        assert_eq!(Hosts::new("hw", [&url], &[]).is_own_origin(&headers), expected);
        let listed = [url.authority().unwrap().clone()];
        assert_eq!(Hosts::new("hw", [], &listed).is_own_origin(&headers), expected, "listed");
    }

    #[test]
    fn an_own_page_with_a_default_port() {
        for (host, origin) in [("h:443", "https://h"), ("h", "https://h:443"), ("h:80", "http://h"), ("h", "http://h:80")] {
            assert!(Hosts::default().is_own_origin(&headers(&[("host", host), ("origin", origin)])), "{host} {origin}");
        }
        assert!(!Hosts::default().is_own_origin(&headers(&[("host", "h:443"), ("origin", "http://h")])));
    }
}
