//! The fixed facts about a kind of workload.

use crate::right::Right;
use headwind_core::workload::source::SourceKind;

/// The fixed facts about a kind of workload.
#[derive(Debug)]
pub struct KindFacts {
    /// The API group.
    pub group: &'static str,
    /// The supported versions of the API, the preferred one first.
    pub versions: &'static [&'static str],
    /// The plural name in API paths and RBAC rules.
    pub plural: &'static str,
    /// The short name, as kubectl has it.
    pub short_name: &'static str,
    /// The JSON pointer of the pod template; `None` for a kind without one.
    pub pod_template: Option<&'static str>,
    /// The way to find the pods of the newest revision.
    pub revision: Revision,
    /// The name of the gauge that counts the watched objects, without the prefix `headwind_`.
    pub watched_metric: &'static str,
    /// The purpose of reading and patching the kind, for the table of rights.
    pub purpose: &'static str,
    /// The rights that only this kind needs, in addition to those on the kind itself.
    pub rights: &'static [Right],
    /// True if a cluster may lack the kind.
    pub optional: bool,
    /// The APIs whose objects are needed to read this kind's. Their first lists are read before its own.
    pub read_after: &'static [SourceKind],
}

/// The way to find the pods of the newest revision of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// The kind has no pods to watch.
    NoPods,
    /// The workload's status contains the value of the label.
    Status {
        /// The label.
        label: &'static str,
    },
    /// By the label of the ReplicaSet whose annotation has the same value as the workload's.
    ReplicaSet {
        /// The label.
        label: &'static str,
        /// The annotation.
        annotation: &'static str,
    },
    /// By the label of the newest ControllerRevision.
    ControllerRevision {
        /// The label.
        label: &'static str,
    },
}

impl Revision {
    /// Returns the label that pods of one revision share; `None` for a kind without pods to watch.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Revision::NoPods => None,
            Revision::Status { label } | Revision::ReplicaSet { label, .. } | Revision::ControllerRevision { label } => Some(label),
        }
    }
}
