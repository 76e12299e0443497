//! The rights that Headwind needs on the API server, and the purpose of each: the only table of rights.
//!
//! The RBAC manifests, the chart and the docs are generated from it. The test bed runs the operator with exactly these
//! rights and fails on any 403 and on any unused right.

use headwind_core::workload::Kind;

use crate::kinds::{KindFacts, facts};
pub use crate::right::{Reach, Right};

/// The name of the Lease that leaders hold.
pub const LEASE: &str = "headwind";
/// The annotation of the Lease with the time since which updates are paused.
pub const PAUSED_SINCE: &str = "headwind.sh/updates-paused-since";
/// The name of the Secret with the key that seals session cookies.
pub const SESSION: &str = "headwind-session";

/// The name of the ConfigMap and of the Secret with Headwind's own settings.
pub const SETTINGS: &str = "headwind";

/// Returns all rights.
pub fn rights() -> Vec<Right> {
    let right = |group, resource, verbs, reach, why| Right { group, resource, verbs, name: None, reach, why };
    let on_kind = |kind: &Kind| {
        let KindFacts { group, plural, purpose, .. } = *facts(*kind);
        Right::watched(group, plural, &["get", "list", "watch", "patch"], purpose)
    };
    let mut all: Vec<Right> = Kind::ALL.iter().map(on_kind).collect();
    all.extend(Kind::ALL.iter().flat_map(|kind| facts(*kind).rights.iter().cloned()));
    all.extend([
        right(
            "headwind.sh",
            "updaterequests",
            &["get", "list", "watch", "create", "delete"],
            Reach::Watched,
            "store the record of every update",
        ),
        right("headwind.sh", "updaterequests/status", &["update"], Reach::Watched, "write the status of requests"),
        right("", "secrets", &["get"], Reach::Watched, "read the pull secrets that workloads name; by name when needed, never watched"),
        right("", "serviceaccounts", &["get"], Reach::Watched, "find the pull secrets of ServiceAccounts"),
        right("", "pods", &["list"], Reach::Watched, "find out why a rollout makes no progress; listed when needed, never watched"),
        right("events.k8s.io", "events", &["create"], Reach::Watched, "emit Kubernetes Events"),
        right("", "namespaces", &["list", "watch"], Reach::Cluster, "read the defaults in the annotations of Namespaces"),
        right("", "nodes", &["list"], Reach::Cluster, "find out the platforms of the nodes, if a workload has `platforms: cluster`"),
        right("", "namespaces", &["get"], Reach::Listed, "read the defaults in the annotations of the Namespace"),
        right(
            "coordination.k8s.io",
            "leases",
            &["create"],
            Reach::Own,
            "create the Lease for leader election (RBAC cannot restrict `create` to a name)",
        ),
        Right { name: Some(LEASE), ..right("coordination.k8s.io", "leases", &["get", "update"], Reach::Own, "leader election") },
        right("events.k8s.io", "events", &["create"], Reach::Own, "emit Events about settings that have no effect"),
        Right {
            name: Some(SETTINGS),
            ..right("", "configmaps", &["get", "list", "watch", "update"], Reach::Own, "follow the settings, and save those of the web UI")
        },
        right("", "configmaps", &["create"], Reach::Own, "create the ConfigMap for settings (RBAC cannot restrict `create` to a name)"),
        right("authentication.k8s.io", "tokenreviews", &["create"], Reach::Callers, "find out whose token a caller presents"),
        right("authorization.k8s.io", "subjectaccessreviews", &["create"], Reach::Callers, "find out what a caller may do"),
        right(
            "",
            "secrets",
            &["create"],
            Reach::Own,
            "create the key that seals session cookies, and the Secret for settings (RBAC cannot restrict `create` to a name)",
        ),
        Right {
            name: Some(SETTINGS),
            ..right(
                "",
                "secrets",
                &["get", "list", "watch", "update"],
                Reach::Own,
                "follow the settings that are secret, and save those of the web UI",
            )
        },
        Right { name: Some(SESSION), ..right("", "secrets", &["get"], Reach::Own, "read the key that seals session cookies") },
    ]);
    all
}
