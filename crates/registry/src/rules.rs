//! The hosts and addresses that Headwind may connect to: the administrator's list of hosts, and the refused addresses.
//!
//! The client calls `Guard::admit` before each request, including each redirect, and resolves every name through
//! `Guard`, so that a refused address is refused when the connection is made. A name that resolves to another address a
//! second later (DNS rebinding) is refused as well. A refusal does not reveal what listens there.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Kind, kind};

/// The environment variables that set the proxy of the process. The administrator sets them.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The variable that every container of a cluster has.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// The administrator's changes to the defaults.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    in_cluster: bool,
    allow: Option<GlobSet>,
    /// Hosts (with their ports) that may be loopback in a cluster.
    own: HashSet<String>,
}

/// An invalid pattern in `HEADWIND_REGISTRY_ALLOW`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern for hosts {0:?}; expected a host such as ghcr.io, or a glob such as *.example.com")]
pub struct BadPattern(String);

/// The reasons why Headwind does not connect to a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{host} resolves to {what}; Headwind never connects there")]
    Never { host: String, what: &'static str },
    #[error(
        "{host} resolves to loopback; in a cluster, Headwind connects there only if HEADWIND_REGISTRY_CONFIG has an entry for the host"
    )]
    Loopback { host: String },
    #[error("{host} is not in the list of HEADWIND_REGISTRY_ALLOW")]
    NotAllowed { host: String },
}

impl Rules {
    /// Sets the defaults for a process inside or outside a cluster.
    #[must_use]
    pub fn in_cluster(self, in_cluster: bool) -> Self {
        Self { in_cluster, ..self }
    }

    /// Creates rules with the defaults for the environment of the process, and with the proxies that its variables set.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let filled = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let proxies = PROXIES.iter().filter_map(|name| filled(name));
        let proxies = proxies.filter_map(|proxy| Url::parse(&proxy).or_else(|_| Url::parse(&format!("http://{proxy}"))).ok());
        let own = proxies.filter_map(|proxy| authority(&proxy)).collect();
        Self { in_cluster: filled(IN_CLUSTER).is_some(), allow: None, own }
    }

    /// Restricts the rules to these hosts. Each pattern is a glob for a host, with or without its port. Without
    /// patterns, every host is allowed.
    ///
    /// # Errors
    /// If a pattern is not a valid glob.
    pub fn allowing<'a>(self, patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, BadPattern> {
        let mut set = GlobSetBuilder::new();
        let mut any = false;
        for pattern in patterns.into_iter().map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let bad = || BadPattern(pattern.to_owned());
            if pattern.contains(['/', '@']) {
                return Err(bad());
            }
            // An IPv6 address is in brackets, which are not a character class here.
            let escaped = pattern.replace('[', "\\[").replace(']', "\\]");
            set.add(GlobBuilder::new(&escaped).case_insensitive(true).backslash_escape(true).build().map_err(|_| bad())?);
            any = true;
        }
        let allow = if any { Some(set.build().map_err(|error| BadPattern(error.to_string()))?) } else { None };
        Ok(Self { allow, ..self })
    }

    fn allows(&self, host: &str) -> bool {
        let Some(allow) = &self.allow else { return true };
        allow.is_match(host) || host.rsplit_once(':').is_some_and(|(name, _)| allow.is_match(name))
    }
}

/// The rules, with the hosts of the administrator's entries.
#[derive(Debug)]
pub(crate) struct Guard {
    rules: Rules,
    /// With their ports, as in a URL.
    named: HashSet<String>,
    /// Without their ports.
    without_ports: HashSet<String>,
}

impl Guard {
    /// Creates a guard that treats these hosts (with their ports) as the administrator's own.
    pub(crate) fn new(rules: Rules, named: impl IntoIterator<Item = String>) -> Self {
        let (mut with_ports, mut without_ports) = (HashSet::new(), HashSet::new());
        for host in named.into_iter().chain(rules.own.iter().cloned()) {
            // With both schemes: a URL omits the scheme's default port.
            for url in ["http", "https"].iter().filter_map(|scheme| Url::parse(&format!("{scheme}://{host}")).ok()) {
                with_ports.extend(authority(&url));
                without_ports.extend(url.host_str().map(str::to_owned));
            }
        }
        Self { rules, named: with_ports, without_ports }
    }

    /// Checks a host against the administrator's list.
    pub(crate) fn allow(&self, host: &str) -> Result<(), Refusal> {
        if self.rules.allows(host) { Ok(()) } else { Err(Refusal::NotAllowed { host: host.to_owned() }) }
    }

    /// Checks the host of a URL. A name is resolved when the connection is made.
    pub(crate) async fn admit(&self, url: &Url) -> Result<(), Refusal> {
        let Some(authority) = authority(url) else { return Ok(()) };
        let is_named = self.named.contains(&authority);
        if let Some(address) = literal(url) {
            return self.judge(address, &authority, is_named);
        }
        let name = url.host_str().unwrap_or_default();
        // Another port of a host that the administrator named: the resolver does not get the port.
        if !is_named && self.rules.in_cluster && self.without_ports.contains(name) {
            let found = tokio::net::lookup_host((name, 0)).await.into_iter().flatten();
            return found.map(|found| self.judge(found.ip(), &authority, false)).find(Result::is_err).unwrap_or(Ok(()));
        }
        Ok(())
    }

    fn judge(&self, address: IpAddr, host: &str, is_named: bool) -> Result<(), Refusal> {
        let host = || host.to_owned();
        match kind(address) {
            Kind::Never(what) => Err(Refusal::Never { host: host(), what }),
            Kind::Loopback if self.rules.in_cluster && !is_named => Err(Refusal::Loopback { host: host() }),
            Kind::Loopback | Kind::Ordinary => Ok(()),
        }
    }

    /// Returns the addresses of a name that may be connected to; an error if there is none.
    fn filter(&self, name: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Refusal> {
        let (mut left, mut refusal) = (Vec::new(), None);
        for address in found {
            match self.judge(address.ip(), name, self.without_ports.contains(name)) {
                Ok(()) => left.push(address),
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            Some(refusal) if left.is_empty() => Err(refusal),
            _ => Ok(left),
        }
    }
}

/// The resolver of the registry clients.
#[derive(Debug, Clone)]
pub(crate) struct Resolver(pub(crate) Arc<Guard>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let left = guard.filter(&name.as_str().to_ascii_lowercase(), found)?;
            Ok(Box::new(left.into_iter()) as Addrs)
        })
    }
}

/// Returns host and port of a URL as in an image reference: without the scheme's default port.
pub(crate) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Returns true if the host, with or without its port, is loopback by its name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}")) else { return false };
    match literal(&url) {
        Some(address) => kind(address) == Kind::Loopback,
        None => url.host_str().is_some_and(|name| name == "localhost" || name.ends_with(".localhost")),
    }
}

/// Returns the IP address in the host part. [`Url`] has normalised its spelling.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    async fn admit(in_cluster: bool, named: &[&str], url: &str) -> Option<String> {
        let guard = Guard::new(Rules::default().in_cluster(in_cluster), named.iter().map(|&host| host.to_owned()));
        guard.admit(&Url::parse(url).unwrap()).await.err().map(|refusal| refusal.to_string())
    }

    #[rstest]
    #[case::metadata("http://169.254.169.254/latest", "169.254.169.254 resolves to a link-local address")]
    #[case::as_one_number("http://2852039166/", "169.254.169.254 resolves to")]
    #[case::as_hex("http://0xa9.0xfe.0xa9.0xfe/", "169.254.169.254 resolves to")]
    #[case::mapped("https://[::ffff:169.254.169.254]/", "resolves to a link-local address")]
    #[case::with_a_port("http://[fe80::1]:5000/", "[fe80::1]:5000 resolves to a link-local address")]
    #[tokio::test]
    async fn an_address_that_is_always_refused(#[case] url: &str, #[case] expected: &str) {
        // Also where the administrator named it.
        for named in [&[][..], &["169.254.169.254", "[fe80::1]:5000"]] {
            for in_cluster in [false, true] {
                let refusal = admit(in_cluster, named, url).await.unwrap();
                assert!(refusal.contains(expected), "{refusal}");
            }
        }
    }

    #[rstest]
    #[case::outside(false, &[], "http://127.0.0.1:5000/", true)]
    #[case::inside(true, &[], "http://127.0.0.1:5000/", false)]
    #[case::inside_and_named(true, &["127.0.0.1:5000"], "http://127.0.0.1:5000/", true)]
    #[case::another_port(true, &["127.0.0.1:5000"], "http://127.0.0.1:9090/", false)]
    #[case::v6(true, &[], "http://[::1]/", false)]
    #[case::name_of_another_port(true, &["localhost:5000"], "http://localhost:9090/", false)]
    #[case::name(true, &["localhost:5000"], "http://localhost:5000/", true)]
    #[case::port_of_the_scheme(true, &["127.0.0.1:80"], "http://127.0.0.1/", true)]
    #[case::private(true, &[], "http://10.0.0.1/", true)]
    #[tokio::test]
    async fn loopback(#[case] in_cluster: bool, #[case] named: &[&str], #[case] url: &str, #[case] admitted: bool) {
        assert_eq!(admit(in_cluster, named, url).await.is_none(), admitted);
    }

    #[test]
    fn a_name_is_refused_by_what_it_resolves_to() {
        let guard = Guard::new(Rules::default().in_cluster(true), ["named:5000".to_owned()]);
        let found = |addresses: &[&str]| addresses.iter().map(|at| SocketAddr::new(at.parse().unwrap(), 0)).collect::<Vec<_>>().into_iter();
        let left = |name: &str, addresses: &[&str]| guard.filter(name, found(addresses)).map(|left| left.len());
        assert_eq!(left("a", &["10.0.0.1", "169.254.169.254"]), Ok(1));
        assert_eq!(left("a", &["169.254.169.254"]), Err(Refusal::Never { host: "a".to_owned(), what: "a link-local address" }));
        assert_eq!(left("a", &["::1"]), Err(Refusal::Loopback { host: "a".to_owned() }));
        assert_eq!(left("named", &["::1"]), Ok(1));
        assert_eq!(left("a", &[]), Ok(0));
    }

    #[rstest]
    #[case(&[], "anything.example", true)]
    #[case(&["ghcr.io", "*.example.com"], "ghcr.io", true)]
    #[case(&["ghcr.io", "*.example.com"], "GHCR.io", true)]
    #[case(&["ghcr.io", "*.example.com"], "a.b.example.com:5000", true)]
    #[case(&["ghcr.io", "*.example.com"], "example.com", false)]
    #[case(&["ghcr.io"], "ghcr.io.evil.example", false)]
    #[case(&["a:5000"], "a:5000", true)]
    #[case(&["a:5000"], "a:5001", false)]
    #[case(&["[::1]:5000"], "[::1]:5000", true)]
    fn the_list_of_hosts(#[case] patterns: &[&str], #[case] host: &str, #[case] allowed: bool) {
        let rules = Rules::default().allowing(patterns.iter().copied()).unwrap();
        assert_eq!(Guard::new(rules, []).allow(host).is_ok(), allowed);
    }

    #[test]
    fn a_pattern_that_cannot_be_used() {
        assert!(Rules::default().allowing(["https://a"]).is_err());
        assert!(Rules::default().allowing(["{a"]).is_err());
    }

    #[test]
    fn the_process_says_where_it_runs_and_what_its_proxy_is() {
        let variable = |name: &str| match name {
            "KUBERNETES_SERVICE_HOST" => Some("10.0.0.1".to_owned()),
            "https_proxy" => Some("127.0.0.1:3128".to_owned()),
            _ => None,
        };
        let rules = Rules::from_env(&variable);
        assert!(rules.in_cluster && rules.own.contains("127.0.0.1:3128"));
        assert!(!Rules::from_env(&|_| None).in_cluster);
    }

    #[rstest]
    #[case("localhost:5000", true)]
    #[case("127.0.0.1", true)]
    #[case("[::1]:5000", true)]
    #[case("localhost.example", false)]
    #[case("10.0.0.1:5000", false)]
    fn loopback_by_name(#[case] host: &str, #[case] expected: bool) {
        assert_eq!(is_loopback(host), expected);
    }
}
