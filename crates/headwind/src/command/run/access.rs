//! Configures authentication and authorization for the API and the UI, from the settings.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use headwind_operator::Handle;
use headwind_web::auth::proxy::Proxy;
use headwind_web::auth::{Auth, Mode, Reviews, TokenSettings};
use headwind_web::guard::Guard;
use headwind_web::hosts::{Hosts, Uri, without_default_port};

use crate::args::Run;

/// Returns the access rules of the ports with these addresses. All of them share what the API server said about callers.
pub(super) fn guards<const N: usize>(args: &Run, namespace: &str, handle: &Handle, addresses: [SocketAddr; N]) -> [Guard; N] {
    let urls = || [&args.ui_url, &args.api_url].into_iter().flatten();
    let reviews: Arc<dyn Reviews> = Arc::new(handle.clone());
    let proven = match args.ui_auth_mode {
        Mode::None | Mode::Simple => None,
        Mode::Token => {
            let (audiences, tls) = (args.ui_token_audiences.clone(), args.tls_cert_file.is_some());
            Some(Auth::token(TokenSettings { audiences, tls, https: https_hosts(urls()) }, &reviews))
        }
        Mode::Proxy => {
            let (user, groups) = (args.ui_proxy_header.clone(), args.ui_proxy_groups_header.clone());
            Some(Auth::proxy(Proxy { user, groups, networks: args.ui_proxy_cidrs.clone() }, &reviews))
        }
    };
    addresses.map(|address| {
        let open = || Auth::open(args.ui_auth_mode == Mode::Simple, anonymous_actions(args, address));
        let auth = proven.clone().unwrap_or_else(open);
        Guard::new(auth, Hosts::new(namespace, urls(), &args.allowed_hosts))
    })
}

/// Returns the hosts that browsers reach over HTTPS, with their ports, without the default port.
fn https_hosts<'a>(urls: impl Iterator<Item = &'a Uri>) -> BTreeSet<String> {
    let https = urls.filter(|url| url.scheme_str() == Some("https")).filter_map(Uri::authority);
    https.map(|authority| without_default_port("https", authority)).collect()
}

/// Returns true if unauthenticated callers may act on a port.
fn anonymous_actions(args: &Run, address: SocketAddr) -> bool {
    args.ui_anonymous_actions || address.ip().is_loopback()
}

/// Logs what people that prove nothing may do, and what the mode lacks.
pub(super) fn warn(args: &Run) {
    let may = if [args.api_addr, args.ui_addr].iter().any(|address| anonymous_actions(args, *address)) {
        "read everything, approve, reject and roll back"
    } else {
        "read everything"
    };
    match args.ui_auth_mode {
        Mode::None => tracing::warn!("HEADWIND_UI_AUTH_MODE is none: anyone who can reach the API or the UI may {may}"),
        Mode::Simple => tracing::warn!("HEADWIND_UI_AUTH_MODE is simple: anyone who can reach the API or the UI may {may}, under any name"),
        Mode::Token if args.tls_cert_file.is_none() => tracing::warn!(
            "HEADWIND_UI_AUTH_MODE is token, and the API and the UI are served without TLS: tokens cross the network in clear text; \
             set HEADWIND_TLS_CERT_FILE, or use a proxy that terminates TLS or kubectl port-forward"
        ),
        Mode::Token | Mode::Proxy => {}
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Args, Command};

    #[test]
    fn https_hosts_have_no_default_port() {
        let urls = ["https://HW.example:443/ui", "https://api.example", "https://node.example:8443", "http://plain.example:80"];
        let hosts: Vec<String> = https_hosts(urls.map(Uri::from_static).iter()).into_iter().collect();
        assert_eq!(hosts, ["api.example", "hw.example", "node.example:8443"]);
    }

    #[test]
    fn who_proves_nothing_acts_on_loopback_only() {
        let may = |address: &str, flags: &[&str]| {
            let args = Args::try_parse_from(["headwind", "run"].iter().chain(flags)).unwrap();
            let Command::Run(run) = args.command else { panic!("run") };
            anonymous_actions(&run, address.parse().unwrap())
        };
        for (address, expected) in
            [("127.0.0.1:8082", true), ("[::1]:8082", true), ("0.0.0.0:8082", false), ("[::]:8082", false), ("10.0.0.7:8082", false)]
        {
            assert_eq!(may(address, &[]), expected, "{address}");
            assert!(may(address, &["--ui-anonymous-actions=true"]), "{address}: allowed by name");
        }
    }
}
