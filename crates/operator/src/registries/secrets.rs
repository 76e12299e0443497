//! The credentials of workloads, read from their pull secrets on demand.
//!
//! For a pod: the secrets of the template, then those of its service account. For the source of a chart: those in its
//! `secretRef`, `certSecretRef`, `proxySecretRef` and `serviceAccountName`. Secrets are not watched. They are read by
//! name, cached for a short time for all users, and dropped when a registry rejects them. A missing or invalid secret
//! is skipped, as the kubelet does it, and logged once.
//!
//! Anyone who may create workloads decides how many secrets there are. The secrets of one place, the time for reading
//! them, the concurrent reads, and the bytes of the caches are limited.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_core::workload::source::ChartAccess;
use headwind_core::workload::{PullSource, Workload};
use headwind_registry::credential::{Fault, Format};
use headwind_registry::{Fingerprint, Keyring, SecretError, Transport};
use k8s_openapi::api::core::v1::Secret;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::Semaphore;

use crate::cluster::{Class, ClusterClient, Failure};

/// Time for which a secret is cached.
const KEPT: Duration = Duration::from_mins(5);
/// Maximum bytes of the cached credentials of pods, of those of charts, and of the cached service accounts.
const BYTES: u64 = 32 * 1024 * 1024;
/// Approximate bytes of a cache entry in addition to its value.
const ENTRY: usize = 512;
/// Maximum number of warnings that are remembered so that they are not repeated.
const WARNINGS: u64 = 20_000;
/// Maximum number of pull secrets of one place, with those of its service account.
const PULL_SECRETS: usize = 32;
/// Maximum number of secrets of one place that are read at the same time.
const AT_ONCE: usize = 8;
/// Maximum number of secrets and service accounts that are read at the same time. Each may be 1 MiB.
const READS: usize = 16;
/// Maximum time for reading all secrets of one place.
const DEADLINE: Duration = Duration::from_secs(10);
/// The service account of a pod that names none.
const DEFAULT: &str = "default";
/// The two types of a pull secret with the key of its content.
const FORMATS: &[(&str, Format)] = &[(".dockerconfigjson", Format::DockerConfigJson), (".dockercfg", Format::DockerCfg)];

/// The owner of credentials: the pods of a workload in a namespace, or the source of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PullPlace {
    pub(crate) namespace: String,
    pub(crate) source: PullSource,
}

impl PullPlace {
    pub(crate) fn of(workload: &Workload) -> Self {
        let namespace = match &workload.pull {
            PullSource::Pod { .. } => &workload.key.namespace,
            PullSource::Chart(access) => &access.namespace,
        };
        Self { namespace: namespace.clone(), source: workload.pull.clone() }
    }
}

/// The purpose of secrets, for messages.
const IMAGES: &str = "secret for pulling images";
const CHARTS: &str = "secret for a chart repository";
const CERTIFICATES: &str = "secret with the certificates of a chart repository";
const PROXY: &str = "secret with the proxy of a chart repository";

fn value<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice())
}

/// Namespace and name.
type Name = (String, String);

/// The reader.
pub(crate) struct Secrets {
    cluster: ClusterClient,
    accounts: Cache<Name, Arc<Vec<String>>>,
    keyrings: Cache<Name, Arc<Keyring>>,
    charts: Cache<ChartAccess, Arc<Keyring>>,
    warned: moka::sync::Cache<Fingerprint, ()>,
    reads: Semaphore,
    deadline: Duration,
}

/// Returns the weight of a cache entry with a value of that many bytes.
fn weight(bytes: usize) -> u32 {
    u32::try_from(ENTRY + bytes).unwrap_or(u32::MAX)
}

/// Returns the names that are used: each once, at most [`PULL_SECRETS`].
fn limited(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(name.clone())).take(PULL_SECRETS).collect()
}

/// Returns one text for all faults of a secret; `None` if it has none.
fn summary(faults: &[Fault]) -> Option<String> {
    let first = faults.first()?;
    Some(if faults.len() == 1 { first.to_string() } else { format!("{} problems; the first: {first}", faults.len()) })
}

impl Secrets {
    pub(crate) fn new(cluster: ClusterClient) -> Self {
        let accounts = |_: &Name, names: &Arc<Vec<String>>| weight(names.iter().map(|name| size_of::<String>() + name.len()).sum());
        let keyrings = |_: &Name, keyring: &Arc<Keyring>| weight(keyring.size());
        let charts = |_: &ChartAccess, keyring: &Arc<Keyring>| weight(keyring.size());
        Self {
            cluster,
            accounts: Cache::builder().weigher(accounts).max_capacity(BYTES).time_to_live(KEPT).build(),
            keyrings: Cache::builder().weigher(keyrings).max_capacity(BYTES).time_to_live(KEPT).build(),
            charts: Cache::builder().weigher(charts).max_capacity(BYTES).time_to_live(KEPT).build(),
            // The default policy would drop new warnings rather than old ones.
            warned: moka::sync::Cache::builder().max_capacity(WARNINGS).eviction_policy(EvictionPolicy::lru()).build(),
            reads: Semaphore::new(READS),
            deadline: DEADLINE,
        }
    }

    /// Returns the credentials of a place, in the order in which they are tried.
    ///
    /// Fails if they cannot be read in time. Those that were read by then stay in the cache, so the next call has less to
    /// read.
    pub(crate) async fn keyring(&self, place: &PullPlace) -> Result<Keyring, Failure> {
        let read = tokio::time::timeout(self.deadline, Box::pin(self.of_place(place))).await;
        read.unwrap_or_else(|_| Err(Failure::busy(&format!("the secrets were not read within {:?}", self.deadline), None)))
    }

    async fn of_place(&self, place: &PullPlace) -> Result<Keyring, Failure> {
        let (secrets, account) = match &place.source {
            PullSource::Pod { secrets, service_account } => (secrets, service_account.as_deref().unwrap_or(DEFAULT)),
            PullSource::Chart(access) => {
                let read = self.charts.try_get_with((**access).clone(), self.of_chart(access)).await;
                return read.map(|keyring| (*keyring).clone()).map_err(|failure: Arc<Failure>| (*failure).clone());
            }
        };
        let account = self.account(&place.namespace, account).await?;
        self.pull_secrets(&place.namespace, limited(secrets.iter().chain(account.iter()).cloned())).await
    }

    /// Drops the cached credentials of the place: a registry rejected them.
    pub(crate) async fn forget(&self, place: &PullPlace) {
        let (secrets, account) = match &place.source {
            PullSource::Pod { secrets, service_account } => (secrets.as_slice(), service_account.as_deref().or(Some(DEFAULT))),
            PullSource::Chart(access) => {
                self.charts.invalidate(&**access).await;
                (access.secret.as_slice(), access.service_account.as_deref())
            }
        };
        let name = |name: &str| (place.namespace.clone(), name.to_owned());
        for secret in secrets {
            self.keyrings.invalidate(&name(secret)).await;
        }
        let Some(account) = account.map(name) else { return };
        for secret in self.accounts.get(&account).await.iter().flat_map(|names| names.iter()) {
            self.keyrings.invalidate(&name(secret)).await;
        }
        self.accounts.invalidate(&account).await;
    }

    /// Returns the credentials and the transport of a chart source.
    async fn of_chart(&self, access: &ChartAccess) -> Result<Arc<Keyring>, Failure> {
        let ChartAccess { namespace, secret, certificates, proxy, service_account, insecure, pass_credentials, host } = access;
        let mut keyring = Keyring::default();
        if let Some(name) = secret {
            keyring.extend(&self.login(namespace, name, host).await?);
        }
        if let Some(account) = service_account {
            let names = self.account(namespace, account).await?;
            keyring.extend(&self.pull_secrets(namespace, (*names).clone()).await?);
        }
        let mut transport = Transport::default().with_plain_http(*insecure).with_passed_credentials(*pass_credentials);
        if let Some(name) = certificates {
            let with = |way: Transport, secret: &Secret| way.with_certificates(|key| value(secret, key));
            transport = self.extended(transport, (namespace, name), CERTIFICATES, with).await?;
        }
        if let Some(name) = proxy {
            let with = |way: Transport, secret: &Secret| way.with_proxy(|key| value(secret, key));
            transport = self.extended(transport, (namespace, name), PROXY, with).await?;
        }
        Ok(Arc::new(keyring.with_transport(transport)))
    }

    /// Adds a secret to the transport. The transport is unchanged if the secret cannot be used.
    async fn extended(
        &self,
        transport: Transport,
        (namespace, name): (&str, &str),
        what: &str,
        with: impl FnOnce(Transport, &Secret) -> Result<Transport, SecretError>,
    ) -> Result<Transport, Failure> {
        let Some(secret) = self.read(namespace, name, what).await? else { return Ok(transport) };
        Ok(with(transport.clone(), &secret).unwrap_or_else(|error| {
            self.warn_skipped((namespace, name), what, &error.to_string());
            transport
        }))
    }

    /// Reads a source's own secret: user name and password for its host, or a Docker configuration.
    async fn login(&self, namespace: &str, name: &str, host: &str) -> Result<Keyring, Failure> {
        let Some(secret) = self.read(namespace, name, CHARTS).await? else { return Ok(Keyring::default()) };
        match Keyring::from_login(host, |key| value(&secret, key)) {
            Ok(Some(keyring)) => Ok(keyring),
            Ok(None) => Ok(self.pull_secret(namespace, name, CHARTS, &secret)),
            Err(error) => {
                self.warn_skipped((namespace, name), CHARTS, &error.to_string());
                Ok(Keyring::default())
            }
        }
    }

    /// Returns the names of the pull secrets of a service account, at most [`PULL_SECRETS`].
    async fn account(&self, namespace: &str, name: &str) -> Result<Arc<Vec<String>>, Failure> {
        let read = async {
            let _permit = self.reads.acquire().await;
            match self.cluster.service_account(namespace, name).await {
                Ok(account) => {
                    let secrets = account.and_then(|account| account.image_pull_secrets).unwrap_or_default();
                    let names = secrets.into_iter().map(|secret| secret.name).filter(|name| !name.is_empty());
                    Ok(Arc::new(limited(names)))
                }
                Err(failure) if failure.class == Class::Forbidden => {
                    self.warn_skipped((namespace, name), "service account for pulling images", &failure.to_string());
                    Ok(Arc::default())
                }
                Err(failure) => Err(failure),
            }
        };
        self.accounts.try_get_with((namespace.to_owned(), name.to_owned()), read).await.map_err(|failure| (*failure).clone())
    }

    /// Returns the credentials of several pull secrets, in the order of the names.
    async fn pull_secrets(&self, namespace: &str, names: Vec<String>) -> Result<Keyring, Failure> {
        let read = stream::iter(names).map(|name| async move { self.secret(namespace, &name).await });
        let read: Vec<Arc<Keyring>> = read.buffered(AT_ONCE).try_collect().await?;
        let mut keyring = Keyring::default();
        for one in read {
            keyring.extend(&one);
        }
        Ok(keyring)
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Keyring>, Failure> {
        let read = async {
            let secret = self.read(namespace, name, IMAGES).await?;
            Ok(Arc::new(secret.map(|secret| self.pull_secret(namespace, name, IMAGES, &secret)).unwrap_or_default()))
        };
        self.keyrings.try_get_with((namespace.to_owned(), name.to_owned()), read).await.map_err(|failure: Arc<Failure>| (*failure).clone())
    }

    /// Reads a secret; `None` if it does not exist or may not be read.
    async fn read(&self, namespace: &str, name: &str, what: &str) -> Result<Option<Secret>, Failure> {
        let _permit = self.reads.acquire().await;
        match self.cluster.secret(namespace, name).await {
            Ok(Some(secret)) => Ok(Some(secret)),
            Ok(None) => {
                self.warn_skipped((namespace, name), what, "it does not exist");
                Ok(None)
            }
            Err(failure) if failure.class == Class::Forbidden => {
                self.warn_skipped((namespace, name), what, &failure.to_string());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Parses a pull secret. Skips invalid entries.
    fn pull_secret(&self, namespace: &str, name: &str, what: &str, secret: &Secret) -> Keyring {
        let Some((format, bytes)) = FORMATS.iter().find_map(|(key, format)| Some((*format, value(secret, key)?))) else {
            self.warn_skipped((namespace, name), what, "not a pull secret: expected .dockerconfigjson or .dockercfg");
            return Keyring::default();
        };
        let (keyring, faults) = Keyring::read(format, bytes);
        if let Some(fault) = summary(&faults) {
            let outcome = if keyring.is_empty() { "skipped" } else { "partly used" };
            self.warn_once((namespace, name), &format!("{what} {outcome}: {fault}"));
        }
        keyring
    }

    fn warn_skipped(&self, object: (&str, &str), what: &str, fault: &str) {
        self.warn_once(object, &format!("{what} skipped: {fault}"));
    }

    fn warn_once(&self, (namespace, name): (&str, &str), text: &str) {
        if self.is_new((namespace, name), text) {
            tracing::warn!(secret.namespace = namespace, secret.name = name, "{text}");
        }
    }

    /// Returns true if the warning was not logged before, as far as it is remembered.
    fn is_new(&self, (namespace, name): (&str, &str), text: &str) -> bool {
        let warning = Fingerprint::of([namespace, name, text].map(str::as_bytes));
        self.warned.entry(warning).or_insert(()).is_fresh()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use headwind_core::artifact::reference::RepositoryKey;
    use headwind_registry::Credential;
    use http::{Request, Response};
    use k8s_openapi::ByteString;
    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::served_versions::ServedVersions;

    /// An API server with every secret and every service account.
    #[derive(Default)]
    struct Server {
        /// The pull secrets of each service account.
        account: Vec<String>,
        /// The secret that is never returned.
        stuck: Option<&'static str>,
        /// The secrets that were returned.
        returned: Mutex<Vec<String>>,
        running: AtomicUsize,
        most_running: AtomicUsize,
    }

    impl Server {
        async fn answer(&self, path: &str) -> Value {
            let (_, name) = path.rsplit_once('/').unwrap();
            if path.contains("/serviceaccounts/") {
                let secrets: Vec<Value> = self.account.iter().map(|name| json!({"name": name})).collect();
                return json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}, "imagePullSecrets": secrets});
            }
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_running.fetch_max(running, Ordering::SeqCst);
            if self.stuck == Some(name) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            self.returned.lock().push(name.to_owned());
            let login = json!({"auths": {"r.example": {"username": name, "password": "p"}}}).to_string();
            let data = BTreeMap::from([(".dockerconfigjson".to_owned(), ByteString(login.into_bytes()))]);
            serde_json::to_value(Secret { data: Some(data), ..Secret::default() }).unwrap()
        }
    }

    /// Returns a reader of the server.
    fn secrets(server: &Arc<Server>) -> Secrets {
        let server = Arc::clone(server);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, path) = (Arc::clone(&server), request.uri().path().to_owned());
            async move {
                let value = server.answer(&path).await;
                Ok::<_, Infallible>(Response::new(Body::from(value.to_string().into_bytes())))
            }
        });
        let client = kube::Client::new(service, "default");
        Secrets::new(ClusterClient::new(client, Arc::new(ServedVersions::default()), false))
    }

    fn place(secrets: &[&str]) -> PullPlace {
        let secrets = secrets.iter().map(|&name| name.to_owned()).collect();
        PullPlace { namespace: "shop".to_owned(), source: PullSource::Pod { secrets, service_account: None } }
    }

    /// The order of the secrets is the order of the credentials.
    #[tokio::test]
    async fn the_secrets_of_a_place_are_limited_and_read_concurrently() {
        let server = Arc::new(Server { account: (0..100).map(|number| format!("s{number}")).collect(), ..Server::default() });
        let keyring = secrets(&server).keyring(&place(&["b", "a", "b", "s1"])).await.unwrap();
        let found = keyring.lookup(&RepositoryKey::parse("r.example/web").unwrap());
        let expected = ["b", "a", "s1", "s0", "s2", "s3", "s4", "s5"].map(|name| Credential::login(name, "p"));
        assert_eq!(found, expected);
        assert_eq!(server.returned.lock().len(), PULL_SECRETS);
        assert_eq!(server.most_running.load(Ordering::SeqCst), AT_ONCE);
    }

    #[tokio::test]
    async fn a_stuck_read_ends_and_what_was_read_is_kept() {
        let server = Arc::new(Server { stuck: Some("b"), ..Server::default() });
        let secrets = Secrets { deadline: Duration::from_millis(200), ..secrets(&server) };
        for _ in 0..2 {
            let failure = secrets.keyring(&place(&["a", "b", "c"])).await.unwrap_err();
            assert_eq!(failure.class, Class::Busy);
        }
        let mut returned = server.returned.lock().clone();
        returned.sort();
        assert_eq!(returned, ["a", "c"], "each is read once");
    }

    #[tokio::test]
    async fn only_the_oldest_warning_is_repeated() {
        let secrets = secrets(&Arc::default());
        let is_new = |number: u64| secrets.is_new(("shop", "regcred"), &number.to_string());
        for number in 0..=WARNINGS {
            assert!(is_new(number));
            secrets.warned.run_pending_tasks();
        }
        assert!(!is_new(1) && !is_new(WARNINGS));
        assert!(is_new(0));
    }

    #[test]
    fn the_faults_of_a_secret_are_one_text() {
        let faults = |secret: &Value| Keyring::read(Format::DockerCfg, secret.to_string().as_bytes()).1;
        assert_eq!(summary(&faults(&json!({}))), None);
        assert_eq!(summary(&faults(&json!({"a.io": {}}))).unwrap(), "the entry for \"a.io\" is empty");
        let two = summary(&faults(&json!({"a.io": {}, "b.io": {}}))).unwrap();
        assert_eq!(two, "2 problems; the first: the entry for \"a.io\" is empty");
    }
}
