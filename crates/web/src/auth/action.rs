//! The actions of callers, and the permissions that they need.

use headwind_core::config::Store;
use headwind_core::request::action;
use headwind_core::workload::WorkloadKey;
use headwind_operator::{AuditedAction, Permission};

/// An action of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// List the UpdateRequests and workloads of a namespace. `None` stands for all namespaces.
    List {
        /// The namespace.
        namespace: Option<String>,
    },
    /// Read one UpdateRequest.
    Get {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Query registries with the credentials of a workload, to explain it.
    Query {
        /// The workload.
        workload: WorkloadKey,
    },
    /// Approve, reject or reopen an UpdateRequest.
    Decide {
        /// The decision.
        decision: action::Action,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Roll a workload back. Its UpdateRequest has no name yet.
    RollBack {
        /// The workload.
        workload: WorkloadKey,
    },
    /// Save a change of Headwind's own settings.
    ChangeSettings {
        /// The object that holds them.
        store: Store,
        /// Headwind's own namespace.
        namespace: String,
        /// True if the object has to be created first.
        creates: bool,
    },
    /// Send a test message to a notification channel. A caller who may change the settings may also test
    /// them.
    TestChannel {
        /// The channel, as the caller names it.
        channel: String,
        /// Headwind's own namespace.
        namespace: String,
        /// True if the ConfigMap with the settings must be created first.
        creates: bool,
    },
}

impl Action {
    /// Returns the permission that the action needs.
    pub fn permission(&self) -> Permission {
        match self {
            Self::List { namespace } => Permission::on_requests("list", namespace.as_deref(), None),
            Self::Get { namespace, name } => Permission::on_requests("get", Some(namespace), Some(name)),
            Self::Query { workload } => Permission::on_workload("get", workload),
            Self::Decide { namespace, name, .. } => Permission::on_requests("approve", Some(namespace), Some(name)),
            Self::RollBack { workload } => Permission::on_requests("approve", Some(&workload.namespace), None),
            Self::ChangeSettings { store, namespace, creates } => {
                Permission::on_settings(if *creates { "create" } else { "update" }, *store, namespace)
            }
            Self::TestChannel { namespace, creates, .. } => {
                Permission::on_settings(if *creates { "create" } else { "update" }, Store::ConfigMap, namespace)
            }
        }
    }

    /// Returns true if the action changes nothing.
    pub fn is_read(&self) -> bool {
        self.audited().is_none()
    }

    /// Returns the action for the audit log; `None` for reads.
    pub(super) fn audited(&self) -> Option<AuditedAction> {
        match self {
            Self::List { .. } | Self::Get { .. } | Self::Query { .. } => None,
            Self::Decide { decision, namespace, name } => Some(AuditedAction::on_request(decision.as_str(), namespace, name)),
            Self::RollBack { workload } => Some(AuditedAction::on_workload("rollback", workload)),
            Self::ChangeSettings { store, namespace, .. } => Some(AuditedAction::on_settings(*store, namespace)),
            Self::TestChannel { channel, namespace, .. } => Some(AuditedAction::on_channel("test", namespace, channel)),
        }
    }
}
