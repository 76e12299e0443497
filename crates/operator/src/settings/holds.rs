//! The common parts of the ConfigMap and the Secret.

use std::collections::BTreeMap;
use std::fmt::Debug;

use headwind_core::config::{Store, Values};
use headwind_k8s::access::SETTINGS;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::{ByteString, NamespaceResourceScope};
use kube::Resource;
use kube::core::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An object with settings.
pub(crate) trait Holds:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// The object: the ConfigMap or the Secret.
    const STORE: Store;

    /// Returns its metadata and its entries.
    fn read(self) -> (ObjectMeta, Values);

    /// Returns an object without entries.
    fn empty(namespace: &str) -> Self;

    /// Sets and removes entries. All others stay as they are.
    fn change(&mut self, changes: &BTreeMap<String, Option<String>>);
}

fn metadata(namespace: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(SETTINGS.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some([("app.kubernetes.io/name".to_owned(), "headwind".to_owned())].into()),
        ..ObjectMeta::default()
    }
}

fn change<V>(data: &mut BTreeMap<String, V>, changes: &BTreeMap<String, Option<String>>, entry: impl Fn(&str) -> V) {
    for (name, value) in changes {
        match value {
            Some(value) => drop(data.insert(name.clone(), entry(value))),
            None => drop(data.remove(name)),
        }
    }
}

impl Holds for ConfigMap {
    const STORE: Store = Store::ConfigMap;

    fn read(self) -> (ObjectMeta, Values) {
        (self.metadata, self.data.unwrap_or_default())
    }

    fn empty(namespace: &str) -> Self {
        Self { metadata: metadata(namespace), ..Self::default() }
    }

    fn change(&mut self, changes: &BTreeMap<String, Option<String>>) {
        change(self.data.get_or_insert_default(), changes, str::to_owned);
    }
}

impl Holds for Secret {
    const STORE: Store = Store::Secret;

    fn read(self) -> (ObjectMeta, Values) {
        let text = |(name, bytes): (String, ByteString)| (name, String::from_utf8_lossy(&bytes.0).into_owned());
        (self.metadata, self.data.unwrap_or_default().into_iter().map(text).collect())
    }

    fn empty(namespace: &str) -> Self {
        Self { metadata: metadata(namespace), type_: Some("Opaque".to_owned()), ..Self::default() }
    }

    fn change(&mut self, changes: &BTreeMap<String, Option<String>>) {
        change(self.data.get_or_insert_default(), changes, |value| ByteString(value.as_bytes().to_vec()));
    }
}
