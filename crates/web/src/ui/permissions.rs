//! The permissions of the caller: every question of the UI to the authentication of the port.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue};
use headwind_core::config::Store;
use headwind_core::request::action;
use headwind_core::workload::{Kind, WorkloadKey};
use headwind_operator::{Caller, Visible};

use super::Ui;
use crate::auth::{Action, Refused};

/// Returns the namespaces that the caller may list.
///
/// # Errors
/// Why that is not known.
pub(super) async fn visible(ui: &Ui, caller: &Caller) -> Result<Visible, String> {
    ui.guard.auth().visible(caller).await.map_err(|refused| refused.to_string())
}

/// Returns the namespaces that hold something, of those that the caller may list.
pub(super) fn namespaces(ui: &Ui, visible: &Visible) -> Vec<String> {
    ui.handle.namespaces().into_iter().filter(|namespace| visible.includes(namespace)).collect()
}

/// Returns true if the caller may list every namespace that holds something.
pub(super) fn sees_everything(ui: &Ui, visible: &Visible) -> bool {
    visible.covers(&ui.handle.namespaces())
}

/// Returns true if the headers of an open stream still prove who the caller is.
///
/// # Errors
/// Why that is not known.
pub(super) async fn is_still_known(ui: &Ui, headers: &HeaderMap, caller: &Caller) -> Result<bool, String> {
    match ui.guard.auth().authenticate(headers, caller.peer.parse().ok()).await {
        Ok(known) => Ok(known.name == caller.name),
        Err(refused @ (Refused::Unavailable(_) | Refused::TooMany(_))) => Err(refused.to_string()),
        Err(Refused::Unknown(_) | Refused::Forbidden(_) | Refused::Missing { .. }) => Ok(false),
    }
}

/// Checks that the headers of a request prove who the caller is.
pub(super) async fn is_known(ui: &Ui, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<(), Refused> {
    ui.guard.auth().authenticate(headers, peer).await.map(drop)
}

/// Checks an action before it is done, or a read before it is answered.
pub(super) async fn check(ui: &Ui, caller: &Caller, action: &Action) -> Result<(), Refused> {
    ui.guard.auth().authorize(caller, action).await
}

/// The same for the items of a bulk action, before the first is done.
pub(super) async fn check_all(ui: &Ui, caller: &Caller, actions: &[Action]) -> Vec<Result<(), Refused>> {
    ui.guard.auth().authorize_all(caller, actions).await
}

/// The question whether the caller may read a request.
pub(super) fn reads(namespace: &str, name: &str) -> Action {
    Action::Get { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// The question whether the caller may decide about a request.
pub(super) fn decides(decision: action::Action, namespace: &str, name: &str) -> Action {
    Action::Decide { decision, namespace: namespace.to_owned(), name: name.to_owned() }
}

/// The question whether the caller may decide about every request of a namespace. A rollback needs the same.
fn decides_about_all(namespace: &str) -> Action {
    Action::RollBack { workload: WorkloadKey { kind: Kind::Deployment, namespace: namespace.to_owned(), name: String::new() } }
}

/// The question whether the caller may read what a page shows of a workload.
pub(super) fn looks_at(key: &WorkloadKey) -> Action {
    Action::List { namespace: Some(key.namespace.clone()) }
}

/// The requests that the caller may approve or reject.
#[derive(Debug, Clone, Default)]
pub(super) struct Rights {
    may: BTreeMap<(String, String), bool>,
    /// True if Kubernetes did not answer a question.
    unknown: bool,
}

impl Rights {
    /// Asks about the requests, each as namespace and name.
    pub(super) async fn of(ui: &Ui, caller: &Caller, requests: Vec<(String, String)>) -> Self {
        let (mut rights, mut whole) = (Self::default(), BTreeMap::new());
        for (namespace, name) in requests {
            // Most callers may decide about every request of a namespace, or about none.
            if !whole.contains_key(&namespace) {
                let may = rights.ask(ui, caller, &decides_about_all(&namespace)).await;
                whole.insert(namespace.clone(), may);
            }
            let may = whole.get(&namespace).copied().unwrap_or_default()
                || rights.ask(ui, caller, &decides(action::Action::Approve, &namespace, &name)).await;
            rights.may.insert((namespace, name), may);
        }
        rights
    }

    async fn ask(&mut self, ui: &Ui, caller: &Caller, action: &Action) -> bool {
        let refused = ui.guard.auth().denial(caller, action).await;
        self.unknown |= matches!(refused, Some(Refused::Unavailable(_)));
        refused.is_none()
    }

    /// Returns true if Kubernetes did not answer all questions.
    pub(super) fn are_unknown(&self) -> bool {
        self.unknown
    }

    /// Returns true if the caller may decide about the request.
    pub(super) fn allows(&self, namespace: &str, name: &str) -> bool {
        self.may.get(&(namespace.to_owned(), name.to_owned())).copied().unwrap_or_default()
    }
}

/// Returns true if the caller may roll the workload back.
pub(super) async fn may_roll_back(ui: &Ui, caller: &Caller, key: &WorkloadKey) -> bool {
    ui.guard.auth().may(caller, &Action::RollBack { workload: key.clone() }).await
}

/// Returns why the caller may not change the settings of that object, with a command that asks about it; `None` if the
/// caller may.
pub(super) async fn no_change(ui: &Ui, caller: &Caller, store: Store, creates: bool) -> Option<(String, Option<String>)> {
    let action = changes(ui, store, creates);
    let refused = ui.guard.auth().denial(caller, &action).await?;
    Some((refused.to_string(), refused.permission().map(headwind_operator::Permission::can_i)))
}

/// The question whether the caller may change the settings of that object.
pub(super) fn changes(ui: &Ui, store: Store, creates: bool) -> Action {
    Action::ChangeSettings { store, namespace: ui.settings.namespace.clone(), creates }
}

/// The question whether the caller may freeze and resume all updates.
pub(super) fn limits(ui: &Ui) -> Action {
    changes(ui, Store::ConfigMap, ui.handle.settings().version(Store::ConfigMap).is_none())
}

/// Returns true if the caller may freeze and resume all updates.
pub(super) async fn may_change_limits(ui: &Ui, caller: &Caller) -> bool {
    ui.guard.auth().may(caller, &limits(ui)).await
}

/// The question whether the caller may send a test message.
pub(super) fn tests(ui: &Ui, channel: &str) -> Action {
    let creates = ui.handle.settings().version(Store::ConfigMap).is_none();
    Action::TestChannel { channel: channel.to_owned(), namespace: ui.settings.namespace.clone(), creates }
}

/// Returns true if people sign in here.
pub(super) fn has_login(ui: &Ui) -> bool {
    ui.guard.auth().has_login()
}

/// Opens a session with a token. Returns the cookie.
pub(super) async fn log_in(ui: &Ui, token: &str, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<HeaderValue, Refused> {
    let opened = ui.guard.auth().log_in(token, headers, peer).await;
    opened.map(|(_, cookie)| cookie)
}

/// Ends the session of a browser. Returns the cookie.
pub(super) fn log_out(ui: &Ui, headers: &HeaderMap) -> Option<HeaderValue> {
    ui.guard.auth().log_out(headers).ok()
}
