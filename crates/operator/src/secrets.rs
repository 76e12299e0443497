//! The credentials of workloads, read from their pull secrets when they are needed.
//!
//! Pod template first, then its service account, as SPEC section 7 says. Nothing is watched:
//! secrets are read by name, kept for a short time, once for all who name them, and forgotten
//! when a registry refuses them. A secret that is missing or broken is passed over, as the kubelet
//! does it, and told once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::target::{PullSource, Target};
use headwind_registry::Keyring;
use headwind_registry::credential::Format;
use moka::future::Cache;
use parking_lot::Mutex;

use crate::verbs::{Class, Failure, Verbs};

/// How long a secret that was read is believed.
const KEPT: Duration = Duration::from_mins(5);
/// How many secrets and service accounts are kept.
const CAPACITY: u64 = 20_000;
/// The service account of a pod that names none.
const DEFAULT: &str = "default";
/// The two types of a pull secret with the key of its content.
const FORMATS: &[(&str, Format)] = &[(".dockerconfigjson", Format::DockerConfigJson), (".dockercfg", Format::DockerCfg)];

/// Where credentials come from: a pod's source in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) namespace: String,
    pub(crate) source: PullSource,
}

impl Place {
    pub(crate) fn of(target: &Target) -> Self {
        Self { namespace: target.key.namespace.clone(), source: target.pull.clone() }
    }

    fn account(&self) -> &str {
        self.source.service_account.as_deref().unwrap_or(DEFAULT)
    }
}

/// Namespace and name.
type Name = (String, String);

/// The reader.
pub(crate) struct Secrets {
    verbs: Verbs,
    accounts: Cache<Name, Arc<Vec<String>>>,
    keyrings: Cache<Name, Arc<Keyring>>,
    told: Mutex<HashSet<(Name, String)>>,
}

impl Secrets {
    pub(crate) fn new(verbs: Verbs) -> Self {
        Self {
            verbs,
            accounts: Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT).build(),
            keyrings: Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT).build(),
            told: Mutex::default(),
        }
    }

    /// The credentials of a place, in the order in which they are tried.
    pub(crate) async fn keyring(&self, place: &Place) -> Result<Keyring, Failure> {
        let mut keyring = Keyring::default();
        let account = self.account(&place.namespace, place.account()).await?;
        for name in place.source.secrets.iter().chain(account.iter()) {
            keyring.extend(&*self.secret(&place.namespace, name).await?);
        }
        Ok(keyring)
    }

    /// Has everything of the place read anew: a registry refused what is there.
    pub(crate) async fn forget(&self, place: &Place) {
        let name = |name: &str| (place.namespace.clone(), name.to_owned());
        let account = name(place.account());
        for secret in self.accounts.get(&account).await.iter().flat_map(|names| names.iter()).chain(&place.source.secrets) {
            self.keyrings.invalidate(&name(secret)).await;
        }
        self.accounts.invalidate(&account).await;
    }

    async fn account(&self, namespace: &str, name: &str) -> Result<Arc<Vec<String>>, Failure> {
        let read = async {
            match self.verbs.service_account(namespace, name).await {
                Ok(account) => {
                    let secrets = account.and_then(|account| account.image_pull_secrets).unwrap_or_default();
                    Ok(Arc::new(secrets.into_iter().map(|secret| secret.name).filter(|name| !name.is_empty()).collect()))
                }
                Err(failure) if failure.class == Class::Forbidden => {
                    self.tell((namespace, name), "serviceaccount", &failure.to_string());
                    Ok(Arc::default())
                }
                Err(failure) => Err(failure),
            }
        };
        self.accounts.try_get_with((namespace.to_owned(), name.to_owned()), read).await.map_err(|failure| (*failure).clone())
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Keyring>, Failure> {
        let read = async {
            let secret = match self.verbs.secret(namespace, name).await {
                Ok(Some(secret)) => secret,
                Ok(None) => {
                    self.tell((namespace, name), "secret", "it is not there");
                    return Ok(Arc::default());
                }
                Err(failure) if failure.class == Class::Forbidden => {
                    self.tell((namespace, name), "secret", &failure.to_string());
                    return Ok(Arc::default());
                }
                Err(failure) => return Err(failure),
            };
            let data = secret.data.unwrap_or_default();
            let Some((format, bytes)) = FORMATS.iter().find_map(|(key, format)| Some((*format, data.get(*key)?))) else {
                self.tell((namespace, name), "secret", "it is no pull secret: it has neither .dockerconfigjson nor .dockercfg");
                return Ok(Arc::default());
            };
            let (keyring, faults) = Keyring::read(format, &bytes.0);
            for fault in faults {
                self.tell((namespace, name), "secret", &fault.to_string());
            }
            Ok(Arc::new(keyring))
        };
        self.keyrings.try_get_with((namespace.to_owned(), name.to_owned()), read).await.map_err(|failure: Arc<Failure>| (*failure).clone())
    }

    fn tell(&self, (namespace, name): (&str, &str), what: &str, fault: &str) {
        let mut told = self.told.lock();
        if told.len() as u64 >= CAPACITY {
            told.clear();
        }
        if told.insert(((namespace.to_owned(), name.to_owned()), fault.to_owned())) {
            tracing::warn!(secret.namespace = namespace, secret.name = name, "{what} for pulling images passed over: {fault}");
        }
    }
}
