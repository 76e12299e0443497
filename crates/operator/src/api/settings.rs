//! Headwind's own settings for people: read them, and save changes.
//!
//! A save is guarded by the version of the object that the person saw: exactly one of several people who save at the
//! same time succeeds.

use std::collections::BTreeMap;

use headwind_core::config::Store;
use headwind_k8s::access::SETTINGS;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::audit::Action;
use super::caller::Caller;
use super::commands::to_the_end;
use super::handle::Handle;
use crate::cluster::as_caller::NotWritten;
use crate::cluster::{Class, Failure};
use crate::settings::{Holds, ObjectVersion, StoredSettings};

/// A change of one of the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsChange {
    /// The object.
    pub store: Store,
    /// The version that the person saw.
    pub version: ObjectVersion,
    /// The new value of each setting; `None` removes it.
    pub values: BTreeMap<String, Option<String>>,
}

/// A change that was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The object is not the one that the person saw.
    #[error("somebody else changed the {} headwind", .0.kind())]
    Conflict(Store),
    /// The API server does not accept the caller's token, or no longer.
    #[error("the API server does not accept the token: {0}")]
    Unauthenticated(String),
    /// The account that writes it may not.
    #[error("the API server does not allow it: {0}")]
    Forbidden(String),
    /// The API server did not answer.
    #[error("failed to query the API server: {0}")]
    Unavailable(String),
}

impl SaveError {
    fn of(store: Store, failure: &Failure) -> Self {
        match failure.class {
            Class::Conflict | Class::NotFound => Self::Conflict(store),
            Class::Forbidden | Class::Invalid => Self::Forbidden(failure.to_string()),
            Class::Busy | Class::NoAnswer => Self::Unavailable(failure.to_string()),
        }
    }
}

impl Handle {
    /// Returns the settings as this replica knows them.
    pub fn settings(&self) -> StoredSettings {
        self.settings.current()
    }

    /// Saves a change: with the caller's own token if the API server accepts it, else as Headwind. Writes the audit
    /// line. This replica adopts the change at once. Runs to its end even if the caller does not wait for it.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub async fn save_settings(&self, caller: Caller, change: SettingsChange) -> Result<(), SaveError> {
        let handle = self.clone();
        to_the_end(async move {
            let saved = match change.store {
                Store::ConfigMap => handle.save::<ConfigMap>(&caller, &change).await,
                Store::Secret => handle.save::<Secret>(&caller, &change).await,
            };
            let names: Vec<&str> = change.values.keys().map(String::as_str).collect();
            Action::on_settings(change.store, &handle.own_namespace).ended(&caller, saved.as_ref().err(), &names.join(" "));
            saved
        })
        .await
        .unwrap_or_else(|failure| Err(SaveError::Unavailable(failure)))
    }

    pub(super) async fn save<K: Holds>(&self, caller: &Caller, change: &SettingsChange) -> Result<(), SaveError> {
        let failed = |failure: Failure| SaveError::of(change.store, &failure);
        let found: Option<K> = self.cluster.own_object(&self.own_namespace, SETTINGS).await.map_err(failed)?;
        self.adopt(found.clone());
        if found.as_ref().and_then(|object| object.meta().resource_version.clone()) != change.version {
            return Err(SaveError::Conflict(change.store));
        }
        let exists = found.is_some();
        let mut object = found.unwrap_or_else(|| K::empty(&self.own_namespace));
        object.change(&change.values);
        let written = match &caller.token {
            Some(token) => self.as_caller.write(token.expose(), &object, exists).await.map_err(|error| match error {
                NotWritten::Unauthenticated(message) => SaveError::Unauthenticated(message),
                NotWritten::Failed(failure) => failed(failure),
            })?,
            None => self.cluster.write_own_object(&object, exists).await.map_err(failed)?,
        };
        self.adopt(Some(written));
        Ok(())
    }

    fn adopt<K: Holds>(&self, object: Option<K>) {
        match object.map(Holds::read) {
            Some((metadata, values)) => self.settings.set(K::STORE, &metadata, values),
            None => self.settings.clear(K::STORE),
        }
    }
}
