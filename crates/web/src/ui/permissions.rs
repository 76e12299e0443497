//! What the caller may do: every question of the UI to the authentication of the port.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use headwind_operator::{Caller, Visible};

use super::Ui;
use crate::auth::Access;

/// Returns the namespaces that the caller may list.
#[expect(clippy::unused_async, reason = "a mode that queries the API server waits here")]
pub(super) async fn visible(_ui: &Ui, _caller: &Caller) -> Visible {
    Visible::All
}

/// Returns the namespaces that hold something, of those that the caller may list.
pub(super) fn namespaces(ui: &Ui, visible: &Visible) -> Vec<String> {
    ui.handle.namespaces().into_iter().filter(|namespace| visible.includes(namespace)).collect()
}

/// Returns whether the headers of an open stream still prove who the caller is.
pub(super) async fn is_still_known(ui: &Ui, headers: &HeaderMap, caller: &Caller) -> bool {
    let known = ui.gate.auth.authenticate(headers, &caller.peer, Access::Read).await;
    known.is_ok_and(|known| known.name == caller.name)
}

/// Which namespaces the caller may approve in: for each one that was asked about, why not if not.
#[derive(Debug, Clone, Default)]
pub(super) struct Rights(BTreeMap<String, Option<String>>);

impl Rights {
    /// Asks about the namespaces.
    pub(super) async fn of(ui: &Ui, caller: &Caller, namespaces: impl IntoIterator<Item = &str>) -> Self {
        let mut rights = BTreeMap::new();
        for namespace in namespaces {
            if !rights.contains_key(namespace) {
                rights.insert(namespace.to_owned(), why_not(ui, caller, namespace).await);
            }
        }
        Self(rights)
    }

    /// Returns why the caller may not approve in the namespace, as a sentence; `None` if the caller may.
    pub(super) fn missing(&self, namespace: &str) -> Option<&str> {
        self.0.get(namespace).and_then(Option::as_deref)
    }

    /// Returns whether the caller may approve in the namespace.
    pub(super) fn allows(&self, namespace: &str) -> bool {
        self.missing(namespace).is_none()
    }
}

async fn why_not(ui: &Ui, caller: &Caller, namespace: &str) -> Option<String> {
    let refused = ui.gate.auth.authorize(caller, Access::Act).await.err();
    refused.map(|_| format!("You cannot approve updates in {namespace}"))
}
