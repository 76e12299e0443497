//! The audit log: one line for each requested action, with its result.
//!
//! The lines have their own tracing target, which the process writes as JSON, whatever `RUST_LOG` is set to.

use std::fmt::Display;

use headwind_core::config::Store;
use headwind_core::workload::WorkloadKey;
use headwind_k8s::access::SETTINGS;
use headwind_k8s::update_request::UpdateRequest;

use super::caller::Caller;

/// The target of the lines.
pub const TARGET: &str = "headwind::audit";
/// Maximum length of a text from a caller, in characters.
const TEXT: usize = 256;

/// A requested action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `approve`, `reject`, `reopen` or `rollback`.
    pub verb: String,
    /// The kind of the object.
    pub resource_type: String,
    /// The object's namespace; empty for a bulk action that was denied as a whole.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl Action {
    /// An action on a workload.
    pub fn on_workload(verb: &str, key: &WorkloadKey) -> Self {
        Self { resource_type: key.kind.as_str().to_owned(), ..Self::on_request(verb, &key.namespace, &key.name) }
    }

    /// An action on an UpdateRequest.
    pub fn on_request(verb: &str, namespace: &str, name: &str) -> Self {
        let text = |text: &str| text.chars().take(TEXT).collect();
        Self { verb: text(verb), resource_type: "UpdateRequest".to_owned(), namespace: text(namespace), name: text(name) }
    }

    /// Returns the action for a change of Headwind's own settings.
    pub fn on_settings(store: Store, namespace: &str) -> Self {
        Self { resource_type: store.kind().to_owned(), ..Self::on_request("update", namespace, SETTINGS) }
    }

    /// Returns the action for a notification channel.
    pub fn on_channel(verb: &str, namespace: &str, channel: &str) -> Self {
        Self { resource_type: "NotificationChannel".to_owned(), ..Self::on_request(verb, namespace, channel) }
    }

    /// Returns the action for a route of the API or the UI, for a request that never reaches its handler.
    pub fn of_path(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let parts = [(); 5].map(|()| parts.next().unwrap_or_default());
        Some(match parts {
            ["updates", "bulk", verb, "", _] if !verb.is_empty() => Self::on_request(verb, "", "bulk"),
            ["updates", namespace, name, verb, ""] if !verb.is_empty() => Self::on_request(verb, namespace, name),
            ["rollback", namespace, name, "", _] if !name.is_empty() => {
                Self { resource_type: "Deployment".to_owned(), ..Self::on_request("rollback", namespace, name) }
            }
            ["rollback", namespace, kind, name, ""] | ["workloads", namespace, kind, name, "rollback"] if !name.is_empty() => {
                Self { resource_type: kind.chars().take(TEXT).collect(), ..Self::on_request("rollback", namespace, name) }
            }
            ["settings", "notifications", channel, "test", ""] => Self::on_channel("test", "", channel),
            ["settings", "", ..] => Self::on_settings(Store::ConfigMap, ""),
            [verb @ ("freeze" | "unfreeze" | "resume"), "", ..] => {
                Self { verb: verb.to_owned(), ..Self::on_settings(Store::ConfigMap, "") }
            }
            _ => return None,
        })
    }

    /// Writes the result of the action.
    pub(crate) fn done<E: Display>(&self, caller: &Caller, result: Result<&UpdateRequest, &E>, reason: &str) {
        match result {
            Ok(request) => {
                self.line(caller, request.metadata.uid.as_deref().unwrap_or_default(), &request.spec.new_image, "success", reason);
            }
            Err(error) => self.line(caller, "", "", &format!("failure: {error}"), reason),
        }
    }

    /// Writes the result of an action without an UpdateRequest. `about` are the names of settings, or an answer.
    pub(crate) fn ended<E: Display>(&self, caller: &Caller, error: Option<&E>, about: &str) {
        let result = error.map_or_else(|| "success".to_owned(), |error| format!("failure: {error}"));
        self.line(caller, "", "", &result, about);
    }

    /// Writes that the action was denied before it started.
    pub fn denied(&self, caller: &Caller, status: u16, why: &str) {
        self.line(caller, "", "", &format!("denied: {status}"), why);
    }

    fn line(&self, caller: &Caller, uid: &str, image: &str, result: &str, reason: &str) {
        let Self { verb, resource_type, namespace, name } = self;
        let Caller { name: username, method, peer, uid: _, groups: _, extra: _, token: _ } = caller;
        tracing::info!(
            target: TARGET,
            timestamp = %jiff::Timestamp::now(),
            username,
            action = verb,
            resource_type,
            namespace,
            name,
            uid,
            image,
            method = method.as_str(),
            peer,
            result,
            reason,
            "{verb} {namespace}/{name}: {result}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("/api/v1/updates/shop/web-1/approve", Some(("approve", "UpdateRequest", "shop", "web-1")))]
    #[case("/api/v1/updates/bulk/reject", Some(("reject", "UpdateRequest", "", "bulk")))]
    #[case("/api/v1/rollback/shop/StatefulSet/db", Some(("rollback", "StatefulSet", "shop", "db")))]
    #[case("/api/v1/rollback/shop/web", Some(("rollback", "Deployment", "shop", "web")))]
    #[case("/api/v1/updates", None)]
    #[case("/updates/shop/web-1/approve", Some(("approve", "UpdateRequest", "shop", "web-1")))]
    #[case("/workloads/shop/StatefulSet/db/rollback", Some(("rollback", "StatefulSet", "shop", "db")))]
    #[case("/workloads/shop/StatefulSet/db", None)]
    #[case("/settings", Some(("update", "ConfigMap", "", "headwind")))]
    #[case("/api/v1/freeze", Some(("freeze", "ConfigMap", "", "headwind")))]
    #[case("/settings/notifications/slack/test", Some(("test", "NotificationChannel", "", "slack")))]
    #[case("/openapi.json", None)]
    fn what_a_route_stands_for(#[case] path: &str, #[case] expected: Option<(&str, &str, &str, &str)>) {
        let action = Action::of_path(path);
        let read = action.as_ref().map(|one| (&*one.verb, &*one.resource_type, &*one.namespace, &*one.name));
        assert_eq!(read, expected);
    }
}
