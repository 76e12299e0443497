//! The settings of `headwind run`: every flag and variable, defined once. Parsing, help and the table in the docs follow from
//! this definition.

mod metrics_source;
mod polling;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ArgAction;
use clap::builder::BoolishValueParser;
use headwind_core::config::Values;
use headwind_web::auth::Mode;
use headwind_web::auth::proxy::{HeaderName, Network};
use headwind_web::hosts::{Authority, Uri};
use headwind_web::ui::settings::Setting;
use headwind_webhook::proof::Secret;

pub(crate) use self::metrics_source::MetricsSourceArgs;
pub(crate) use self::polling::PollingArgs;
use crate::notifications::Notifications;
use crate::registries::Registries;

/// The settings of the operator. Each one is a flag and a variable.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Namespace of Headwind's own objects, such as the Lease. Default: the namespace of the pod, or `default` outside of a
    /// cluster
    #[arg(long, env = "HEADWIND_NAMESPACE", value_parser = namespace)]
    pub(crate) namespace: Option<String>,

    /// Comma-separated list of namespaces that Headwind watches, serves and changes. Default: all
    #[arg(long, env = "HEADWIND_WATCH_NAMESPACES", default_value = "", hide_default_value = true, value_parser = namespaces)]
    pub(crate) watch_namespaces: Namespaces,

    /// Listen address for webhooks
    #[arg(long, env = "HEADWIND_WEBHOOK_ADDR", default_value = "0.0.0.0:8080")]
    pub(crate) webhook_addr: SocketAddr,

    /// Listen address for the API
    #[arg(long, env = "HEADWIND_API_ADDR", default_value = "0.0.0.0:8081")]
    pub(crate) api_addr: SocketAddr,

    /// Listen address for the web UI
    #[arg(long, env = "HEADWIND_UI_ADDR", default_value = "0.0.0.0:8082")]
    pub(crate) ui_addr: SocketAddr,

    /// Listen address for metrics, health and readiness
    #[arg(long, env = "HEADWIND_METRICS_ADDR", default_value = "0.0.0.0:9090")]
    pub(crate) metrics_addr: SocketAddr,

    /// Shared secret that webhooks must present. If unset, webhooks are not authenticated, and Headwind confirms each one with
    /// the registry
    #[arg(long, env = "HEADWIND_WEBHOOK_SECRET", hide_env_values = true, value_parser = secret)]
    pub(crate) webhook_secret: Option<Secret>,

    /// Audience of the signed tokens of Google Pub/Sub. If set, such a token authenticates a webhook in place of the secret
    #[arg(long, env = "HEADWIND_WEBHOOK_GOOGLE_AUDIENCE", value_name = "AUDIENCE", requires = "webhook_google_email")]
    pub(crate) webhook_google_audience: Option<String>,

    /// Email of the service account that signed tokens of Google Pub/Sub must belong to
    #[arg(long, env = "HEADWIND_WEBHOOK_GOOGLE_EMAIL", value_name = "EMAIL", requires = "webhook_google_audience")]
    pub(crate) webhook_google_email: Option<String>,

    /// URL of Google's public keys
    #[arg(long, env = "HEADWIND_WEBHOOK_GOOGLE_KEYS", value_name = "URL", default_value = "https://www.googleapis.com/oauth2/v3/certs")]
    pub(crate) webhook_google_keys: String,

    /// Comma-separated list of the ARNs of Amazon SNS topics whose subscriptions Headwind confirms. Others are rejected
    #[arg(long, env = "HEADWIND_WEBHOOK_SNS_TOPICS", value_name = "ARNS", value_delimiter = ',')]
    pub(crate) webhook_sns_topics: Vec<String>,

    /// Confirm each webhook with the registry, with the workload's credentials, before acting on it. If unset: true when
    /// webhooks are not authenticated, else false
    #[arg(long, env = "HEADWIND_WEBHOOK_CONFIRM", action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub(crate) webhook_confirm: Option<bool>,

    /// Confirm the digest that a person approved with the registry before the update is applied. If the tag points to another
    /// digest, the new one needs approval again. Set it to false if Headwind cannot reach the registries
    #[arg(long, env = "HEADWIND_APPROVAL_CONFIRM", default_value_t = true, action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub(crate) approval_confirm: bool,

    #[command(flatten)]
    pub(crate) polling: PollingArgs,

    /// Do not update HelmReleases whose source is in another namespace. Set it if Flux runs with --no-cross-namespace-refs
    #[arg(long, env = "HEADWIND_NO_CROSS_NAMESPACE_REFS", default_value_t = false, action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub(crate) no_cross_namespace_refs: bool,

    #[command(flatten)]
    pub(crate) registries: Registries,

    /// Authentication of the callers of the API and the UI: `none` (every caller is web-ui-user), `simple` (the header
    /// X-User names the caller, without proof), `token` (a bearer token of the cluster) or `proxy` (a header from a
    /// trusted proxy). In the last two, Kubernetes RBAC decides what a caller may do
    #[arg(long, env = "HEADWIND_UI_AUTH_MODE", default_value_t = Mode::None)]
    pub(crate) ui_auth_mode: Mode,

    /// Comma-separated list of audiences for mode token. A token must have one of them. Default: the audience of the API server.
    /// Headwind writes decisions with the caller's token only if the API server accepts it
    #[arg(long, env = "HEADWIND_UI_TOKEN_AUDIENCES", value_name = "AUDIENCES", value_delimiter = ',', value_parser = word)]
    pub(crate) ui_token_audiences: Vec<String>,

    /// Header with the name of the user, for mode proxy
    #[arg(long, env = "HEADWIND_UI_PROXY_HEADER", value_name = "HEADER", default_value = "X-Forwarded-User")]
    pub(crate) ui_proxy_header: HeaderName,

    /// Header with the groups of the user, separated by commas, for mode proxy. Default: none, so users have no groups
    #[arg(long, env = "HEADWIND_UI_PROXY_GROUPS_HEADER", value_name = "HEADER")]
    pub(crate) ui_proxy_groups_header: Option<HeaderName>,

    /// Comma-separated list of the networks that the proxy connects from. Required in mode proxy. Headwind trusts the headers of
    /// these peers only
    #[arg(long, env = "HEADWIND_UI_PROXY_CIDRS", value_name = "CIDRS", value_delimiter = ',', required_if_eq("ui_auth_mode", "proxy"))]
    pub(crate) ui_proxy_cidrs: Vec<Network>,

    /// Allow approvals, rejections and rollbacks in the modes none and simple, which do not authenticate callers. If
    /// false, they are allowed only on a port that listens on loopback
    #[arg(long, env = "HEADWIND_UI_ANONYMOUS_ACTIONS", default_value_t = false, action = ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub(crate) ui_anonymous_actions: bool,

    /// File with a certificate chain in PEM format. If set, Headwind serves webhooks, the API and the UI over HTTPS, and reads the
    /// file again when it changes
    #[arg(long, env = "HEADWIND_TLS_CERT_FILE", value_name = "FILE", requires = "tls_key_file")]
    pub(crate) tls_cert_file: Option<PathBuf>,

    /// File with the private key of the certificate in PEM format
    #[arg(long, env = "HEADWIND_TLS_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub(crate) tls_key_file: Option<PathBuf>,

    /// Public URL of the web UI. The API and the UI accept requests that name its host
    #[arg(long, env = "HEADWIND_UI_URL", value_name = "URL", value_parser = url)]
    pub(crate) ui_url: Option<Uri>,

    /// Public URL of the API. The API and the UI accept requests that name its host
    #[arg(long, env = "HEADWIND_API_URL", value_name = "URL", value_parser = url)]
    pub(crate) api_url: Option<Uri>,

    /// Comma-separated list of additional values, with or without a port, that Headwind accepts in the Host header. Browsers
    /// may send changes from pages on these hosts
    #[arg(long, env = "HEADWIND_ALLOWED_HOSTS", value_name = "HOSTS", value_delimiter = ',', value_parser = host)]
    pub(crate) allowed_hosts: Vec<Authority>,

    #[command(flatten)]
    pub(crate) notifications: Notifications,

    #[command(flatten)]
    pub(crate) metrics_source: MetricsSourceArgs,

    /// Number of finished requests that Headwind keeps for each workload
    #[arg(long, env = "HEADWIND_HISTORY_LIMIT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) history_limit: u32,

    /// Name of this replica, unique among all replicas. Default: the host name with a unique suffix
    #[arg(long, env = "HEADWIND_IDENTITY", value_parser = identity)]
    pub(crate) identity: Option<String>,

    /// All settings with their values, for the web UI
    #[arg(skip)]
    pub(crate) settings: Vec<Setting>,

    /// The values that flags and variables fix, by variable
    #[arg(skip)]
    pub(crate) fixed: Values,
}

impl Run {
    /// Returns true if the sender of every webhook must be authenticated.
    pub(crate) fn authenticates_webhooks(&self) -> bool {
        self.webhook_secret.is_some() || self.webhook_google_audience.is_some()
    }

    /// Returns true if every webhook is confirmed with the registry.
    pub(crate) fn confirms_webhooks(&self) -> bool {
        self.webhook_confirm.unwrap_or(!self.authenticates_webhooks())
    }
}

/// A list of namespaces. An empty list means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Namespaces(pub(crate) Vec<String>);

fn namespaces(text: &str) -> Result<Namespaces, String> {
    let mut all: Vec<String> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(namespace).collect::<Result<_, _>>()?;
    // An empty list means all namespaces, so a list without a name must not count as empty.
    if all.is_empty() && !text.is_empty() {
        return Err(format!("{text:?} names no namespace; use a list like a,b, or leave the value empty for all namespaces"));
    }
    all.sort();
    all.dedup();
    Ok(Namespaces(all))
}

/// Parses the name of a namespace, an RFC 1123 label.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 63 || !text.chars().all(fits) || text.starts_with('-') || text.ends_with('-') {
        return Err(format!("{text:?} is not the name of a namespace; use at most 63 lower-case letters, digits and -"));
    }
    Ok(text.to_owned())
}

/// Parses an absolute http or https URL without user info, query and fragment.
fn url(text: &str) -> Result<Uri, String> {
    let url: Uri =
        text.trim().parse().map_err(|error| format!("{text:?} is not a URL: {error}; use a value like https://headwind.example.com"))?;
    let authority = match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => authority,
        _ => return Err(format!("{text:?} is not a URL; use a value like https://headwind.example.com")),
    };
    if authority.as_str().contains('@') {
        return Err("the URL must not contain user info; use a value like https://headwind.example.com".to_owned());
    }
    // `Uri` drops the fragment, so only the text contains it.
    if url.query().is_some() || text.contains('#') {
        return Err("the URL must not contain a query or a fragment; use a value like https://headwind.example.com".to_owned());
    }
    Ok(url)
}

/// Parses a word that is not empty.
fn word(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Parses a host with or without a port.
fn host(text: &str) -> Result<Authority, String> {
    if text.contains('*') {
        return Err(format!("{text:?} contains a wildcard, which is not supported; name each host, like a.example.com,b.example.com"));
    }
    let host: Authority =
        text.trim().parse().map_err(|error| format!("{text:?} is not a host: {error}; use a value like headwind.example.com"))?;
    if host.host().is_empty() || host.as_str().contains('@') {
        return Err(format!("{text:?} is not a host; use a value like headwind.example.com or headwind.example.com:8443"));
    }
    Ok(host)
}

/// Minimum length of a webhook secret, in characters. Shorter ones can be guessed.
const SECRET: usize = 8;

fn secret(text: &str) -> Result<Secret, String> {
    if text.trim().chars().count() < SECRET {
        Err(format!("a webhook secret must have at least {SECRET} characters; leave the variable unset to run without one"))
    } else {
        Ok(Secret::new(text))
    }
}

fn identity(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.len() > 253 {
        Err("an identity must have 1 to 253 characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::{Args, Command};

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn urls_and_hosts_are_checked() {
        assert_eq!(url("https://headwind.example:8443/ui").unwrap().host(), Some("headwind.example"));
        assert_eq!(host(" headwind.example:8443 ").unwrap().host(), "headwind.example");
        for bad in ["", "headwind.example", "ftp://headwind.example", "https://", "/ui"] {
            assert!(url(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "https://headwind.example", "user@headwind.example", "a b"] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
        for bad in ["*", "*.example.com", " *.example.com:8443"] {
            assert!(host(bad).unwrap_err().contains("name each host"), "{bad:?}");
        }
    }

    #[test]
    fn urls_are_only_a_scheme_a_host_and_a_path() {
        for bad in ["https://user@headwind.example", "https://user:password@headwind.example:8443/ui"] {
            assert!(url(bad).unwrap_err().contains("user info"), "{bad:?}");
        }
        for bad in ["https://headwind.example?a=b", "https://headwind.example/ui?", "https://headwind.example/#a"] {
            assert!(url(bad).unwrap_err().contains("a query or a fragment"), "{bad:?}");
        }
        assert_eq!(url("https://headwind.example/@ui").unwrap().path(), "/@ui");
    }

    #[test]
    fn unauthenticated_webhooks_are_confirmed() {
        let run = |flags: &[&str]| {
            let args = Args::try_parse_from(["headwind", "run"].iter().chain(flags)).unwrap();
            let Command::Run(run) = args.command else { panic!("run") };
            run.confirms_webhooks()
        };
        let google = ["--webhook-google-audience=a", "--webhook-google-email=e"];
        assert!(run(&[]));
        assert!(!run(&["--webhook-secret=long-enough"]));
        assert!(!run(&google));
        assert!(!run(&["--webhook-confirm=false"]));
        assert!(run(&["--webhook-secret=long-enough", "--webhook-confirm=true"]));
    }

    #[test]
    fn namespaces_are_checked() {
        assert_eq!(namespaces(" b, a,,a ").unwrap().0, ["a", "b"]);
        assert!(namespaces("").unwrap().0.is_empty());
        for none in [",", " , ", " "] {
            assert!(namespaces(none).unwrap_err().contains("names no namespace"), "{none:?}");
        }
        assert!(namespaces("a,B").is_err());
        assert!(namespaces("-a").is_err());
    }
}
