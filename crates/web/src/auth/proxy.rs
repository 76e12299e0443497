//! Mode `proxy`: a header from a trusted peer names the caller.

use std::net::IpAddr;
use std::str::FromStr;

pub use axum::http::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use headwind_operator::Caller;
use ipnet::IpNet;

use super::refused::Refused;

/// Maximum length of the name of a user or group, in bytes.
const NAME: usize = 256;
/// Maximum number of groups.
const GROUPS: usize = 512;
/// The shortest allowed prefixes of trusted networks, for IPv4 and IPv6. A wider network would include strangers.
const SHORTEST: (u8, u8) = (8, 7);

/// A network of trusted peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    /// Parses `10.1.0.0/16` or one address.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let net = net.map_err(|_| format!("{text:?} is not a network; use a value like 10.1.0.0/16 or 10.1.2.3"))?;
        let shortest = if net.addr().is_ipv4() { SHORTEST.0 } else { SHORTEST.1 };
        if net.prefix_len() < shortest {
            return Err(format!("{text} is too large; use the network of the proxy, with a prefix of at least /{shortest}"));
        }
        Ok(Self(net.trunc()))
    }
}

/// The headers of the proxy, and its networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The header with the user's name.
    pub user: HeaderName,
    /// The header with the user's groups, separated by commas.
    pub groups: Option<HeaderName>,
    /// The networks that proxies connect from.
    pub networks: Vec<Network>,
}

impl Proxy {
    /// Adds name and groups to a caller.
    pub(super) fn identify(&self, headers: &HeaderMap, peer: Option<IpAddr>, caller: Caller) -> Result<Caller, Refused> {
        let trusted = peer.is_some_and(|peer| self.networks.iter().any(|net| net.0.contains(&peer.to_canonical())));
        if !trusted {
            return Err(Refused::Unknown("the connection does not come from a trusted proxy (HEADWIND_UI_PROXY_CIDRS)".to_owned()));
        }
        let wrong = |header: &HeaderName| {
            Refused::Unknown(format!(
                "the header {header} must occur once and contain a name: at most {NAME} bytes, no control characters, not beginning with system:"
            ))
        };
        let name = one(headers, &self.user).and_then(|value| name(value)).ok_or_else(|| wrong(&self.user))?;
        let groups = match &self.groups {
            Some(header) if headers.contains_key(header) => one(headers, header).and_then(groups).ok_or_else(|| wrong(header))?,
            Some(_) | None => Vec::new(),
        };
        Ok(Caller { name: name.to_owned(), groups, ..caller })
    }
}

/// Returns the text of a header that occurs once.
fn one<'a>(headers: &'a HeaderMap, header: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(header).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    std::str::from_utf8(HeaderValue::as_bytes(value)).ok()
}

fn name(text: &str) -> Option<&str> {
    let text = text.trim();
    // Invisible characters, and those that change the direction of text, could make one name look like another.
    let hidden =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    (!text.is_empty() && text.len() <= NAME && !text.starts_with("system:") && !text.chars().any(hidden)).then_some(text)
}

fn groups(text: &str) -> Option<Vec<String>> {
    let all: Option<Vec<String>> =
        text.split(',').map(str::trim).filter(|group| !group.is_empty()).map(|group| name(group).map(str::to_owned)).collect();
    all.filter(|all| all.len() <= GROUPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> Proxy {
        Proxy {
            user: HeaderName::from_static("x-forwarded-user"),
            groups: Some(HeaderName::from_static("x-forwarded-groups")),
            networks: vec!["10.1.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()],
        }
    }

    fn identify(peer: &str, all: &[(&str, &str)]) -> Option<(String, Vec<String>)> {
        let mut headers = HeaderMap::new();
        for (header, value) in all {
            headers.append(header.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let caller = proxy().identify(&headers, Some(peer.parse().unwrap()), Caller::default()).ok()?;
        Some((caller.name, caller.groups))
    }

    const PEER: &str = "10.1.2.3";
    const ANN: (&str, &str) = ("x-forwarded-user", "ann@example.com");

    #[test]
    fn a_trusted_proxy_names_the_caller() {
        let ann = |groups: &[&str]| Some(("ann@example.com".to_owned(), groups.iter().map(|&group| group.to_owned()).collect::<Vec<_>>()));
        assert_eq!(identify(PEER, &[ANN]), ann(&[]));
        assert_eq!(identify("::ffff:10.1.2.3", &[ANN]), ann(&[]));
        assert_eq!(identify("fd00::7", &[ANN, ("x-forwarded-groups", "shop-leads, dev,")]), ann(&["shop-leads", "dev"]));
        assert_eq!(identify(PEER, &[("x-forwarded-user", "Zoë")]).unwrap().0, "Zoë");
    }

    #[rstest::rstest]
    #[case::stranger("10.2.0.1", &[ANN])]
    #[case::stranger_that_claims_to_be_the_proxy("203.0.113.9", &[ANN, ("x-forwarded-for", "10.1.2.3"), ("x-real-ip", "10.1.2.3")])]
    #[case::no_header(PEER, &[])]
    #[case::twice(PEER, &[ANN, ANN])]
    #[case::of_kubernetes(PEER, &[("x-forwarded-user", " system:admin")])]
    #[case::group_of_kubernetes(PEER, &[ANN, ("x-forwarded-groups", "dev,system:masters")])]
    #[case::groups_twice(PEER, &[ANN, ("x-forwarded-groups", "dev"), ("x-forwarded-groups", "ops")])]
    #[case::tab(PEER, &[("x-forwarded-user", "a\tb")])]
    #[case::right_to_left(PEER, &[("x-forwarded-user", "ann\u{202e}")])]
    #[case::empty(PEER, &[("x-forwarded-user", " ")])]
    fn refused(#[case] peer: &str, #[case] headers: &[(&str, &str)]) {
        assert_eq!(identify(peer, headers), None);
    }

    #[test]
    fn lengths_and_peers_that_are_not_known() {
        let long = "a".repeat(NAME + 1);
        assert_eq!(identify(PEER, &[("x-forwarded-user", &long)]), None);
        assert!(proxy().identify(&HeaderMap::new(), None, Caller::default()).is_err());
        let all = vec!["g"; GROUPS + 1].join(",");
        assert_eq!(identify(PEER, &[ANN, ("x-forwarded-groups", &all)]), None);
    }

    #[test]
    fn networks() {
        for good in ["10.0.0.0/8", " 10.1.2.3 ", "fd00::/8", "::1", "fc00::/7"] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in ["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "proxy.example", "10.0.0.0/33", ""] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
