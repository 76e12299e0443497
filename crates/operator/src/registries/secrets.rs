//! The credentials of workloads, read from their pull secrets on demand.
//!
//! For a pod: the secrets of the template, then those of its service account. For the source of a chart: those in its
//! `secretRef`, `certSecretRef`, `proxySecretRef` and `serviceAccountName`. Secrets are not watched. They are read by
//! name, cached for a short time for all users, and dropped when a registry rejects them. A missing or invalid secret
//! is skipped, as the kubelet does it, and logged once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::workload::source::ChartAccess;
use headwind_core::workload::{PullSource, Workload};
use headwind_registry::credential::Format;
use headwind_registry::{Keyring, SecretError, Transport};
use k8s_openapi::api::core::v1::Secret;
use moka::future::Cache;
use parking_lot::Mutex;

use crate::cluster::{Class, ClusterClient, Failure};

/// Time for which a secret is cached.
const KEPT: Duration = Duration::from_mins(5);
/// Maximum number of cached secrets and service accounts.
const CAPACITY: u64 = 20_000;
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
    warned: Mutex<HashSet<(Name, String)>>,
}

impl Secrets {
    pub(crate) fn new(cluster: ClusterClient) -> Self {
        Self {
            cluster,
            accounts: Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT).build(),
            keyrings: Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT).build(),
            charts: Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT).build(),
            warned: Mutex::default(),
        }
    }

    /// Returns the credentials of a place, in the order in which they are tried.
    pub(crate) async fn keyring(&self, place: &PullPlace) -> Result<Keyring, Failure> {
        let (secrets, account) = match &place.source {
            PullSource::Pod { secrets, service_account } => (secrets, service_account.as_deref().unwrap_or(DEFAULT)),
            PullSource::Chart(access) => {
                let read = self.charts.try_get_with((**access).clone(), self.of_chart(access)).await;
                return read.map(|keyring| (*keyring).clone()).map_err(|failure: Arc<Failure>| (*failure).clone());
            }
        };
        let mut keyring = Keyring::default();
        let account = self.account(&place.namespace, account).await?;
        for name in secrets.iter().chain(account.iter()) {
            keyring.extend(&*self.secret(&place.namespace, name).await?);
        }
        Ok(keyring)
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
            for name in self.account(namespace, account).await?.iter() {
                keyring.extend(&*self.secret(namespace, name).await?);
            }
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
            self.warn_once((namespace, name), what, &error.to_string());
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
                self.warn_once((namespace, name), CHARTS, &error.to_string());
                Ok(Keyring::default())
            }
        }
    }

    async fn account(&self, namespace: &str, name: &str) -> Result<Arc<Vec<String>>, Failure> {
        let read = async {
            match self.cluster.service_account(namespace, name).await {
                Ok(account) => {
                    let secrets = account.and_then(|account| account.image_pull_secrets).unwrap_or_default();
                    Ok(Arc::new(secrets.into_iter().map(|secret| secret.name).filter(|name| !name.is_empty()).collect()))
                }
                Err(failure) if failure.class == Class::Forbidden => {
                    self.warn_once((namespace, name), "service account for pulling images", &failure.to_string());
                    Ok(Arc::default())
                }
                Err(failure) => Err(failure),
            }
        };
        self.accounts.try_get_with((namespace.to_owned(), name.to_owned()), read).await.map_err(|failure| (*failure).clone())
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
        match self.cluster.secret(namespace, name).await {
            Ok(Some(secret)) => Ok(Some(secret)),
            Ok(None) => {
                self.warn_once((namespace, name), what, "it does not exist");
                Ok(None)
            }
            Err(failure) if failure.class == Class::Forbidden => {
                self.warn_once((namespace, name), what, &failure.to_string());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Parses a pull secret. Skips invalid entries.
    fn pull_secret(&self, namespace: &str, name: &str, what: &str, secret: &Secret) -> Keyring {
        let Some((format, bytes)) = FORMATS.iter().find_map(|(key, format)| Some((*format, value(secret, key)?))) else {
            self.warn_once((namespace, name), what, "not a pull secret: expected .dockerconfigjson or .dockercfg");
            return Keyring::default();
        };
        let (keyring, faults) = Keyring::read(format, bytes);
        for fault in faults {
            self.warn_once((namespace, name), what, &fault.to_string());
        }
        keyring
    }

    fn warn_once(&self, (namespace, name): (&str, &str), what: &str, fault: &str) {
        let mut warned = self.warned.lock();
        if warned.len() as u64 >= CAPACITY {
            warned.clear();
        }
        if warned.insert(((namespace.to_owned(), name.to_owned()), fault.to_owned())) {
            tracing::warn!(secret.namespace = namespace, secret.name = name, "{what} skipped: {fault}");
        }
    }
}
