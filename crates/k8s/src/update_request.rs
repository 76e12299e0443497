//! The UpdateRequest: the record of every update, as stored in Kubernetes.
//!
//! The CRD is generated from these types. [`UpdateRequest::read`] parses an object into the rules' [`Request`].
//! [`UpdateRequest::with_status`] writes a decided status back.
//!
//! The file is long because each field has its schema, its description for `kubectl explain`, and both conversions.

use headwind_core::artifact::ArtifactKind;
use headwind_core::decide::Identity;
use headwind_core::policy::Policy;
use headwind_core::reason::Reason;
use headwind_core::request::{self, Approval, Phase, Request};
use headwind_core::trigger::Trigger;
use headwind_core::workload::release::CHART;
use headwind_core::workload::{Kind, WorkloadKey};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition;
use crate::kinds::facts;

mod rollout;

pub use rollout::RolloutStatus;

/// Annotation on the request with the time when its claim arrived, to the millisecond. The API server's creation
/// timestamp has whole seconds and is later: too imprecise to order two pushes.
pub const PROPOSED_AT: &str = "headwind.sh/proposed-at";
/// Annotation on the request with the names of the requests that the same event creates for other containers of the
/// workload, separated by commas.
pub const SIBLINGS: &str = "headwind.sh/siblings";
/// Maximum time between proposal and creation of a request. A longer time in the annotation is ignored.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);
/// Maximum number of siblings that are read. No pod template has that many containers.
const MAX_SIBLINGS: usize = 64;

/// The requested change. Immutable after creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "headwind.sh",
    version = "v1alpha1",
    kind = "UpdateRequest",
    plural = "updaterequests",
    singular = "updaterequest",
    shortname = "ur",
    shortname = "upd",
    namespaced,
    status = "UpdateRequestStatus",
    derive = "PartialEq",
    doc = "The record of one update of a container image or of the chart version of a release. Created by Headwind; approved, rejected and reopened by people.",
    selectable = ".spec.targetRef.kind",
    selectable = ".spec.targetRef.name",
    selectable = ".spec.targetRef.uid",
    selectable = ".status.phase",
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRef.name", description = "The workload"),
    printcolumn(name = "Container", type_ = "string", json_path = ".spec.containerName"),
    printcolumn(
        name = "Current",
        type_ = "string",
        json_path = ".spec.currentImage",
        description = "The image when the request was created"
    ),
    printcolumn(name = "New", type_ = "string", json_path = ".spec.newImage", description = "The proposed image"),
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("spec is immutable; create a new request instead"),
    validation = Rule::new("self.updateType != 'image' || (has(self.containerName) && self.containerName != '')").message("an image update must name its container")
)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRequestSpec {
    /// The workload to change. It is in the namespace of the request.
    pub target_ref: TargetRef,
    /// The kind of change: the image of a container, or the chart version of a release.
    pub update_type: UpdateType,
    /// The container whose image changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container_name: Option<String>,
    /// The image when the request was created, in the form that the user wrote.
    #[schemars(length(max = 1024))]
    pub current_image: String,
    /// The image that Headwind writes.
    #[schemars(length(min = 1, max = 1024))]
    pub new_image: String,
    /// The digest that ran when the request was created, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub current_digest: Option<String>,
    /// The digest of the new image, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub new_digest: Option<String>,
    /// The policy that accepted the new version.
    pub policy: PolicyName,
    /// The reason why the policy accepted the new version.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// True if a person must approve the update.
    pub require_approval: bool,
    /// The number of people who must approve the update. Default: 1. If the annotation of the workload changes, its
    /// value takes precedence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub approvals: Option<i32>,
    /// When the request expires if nobody approves or rejects it. Default: 24 hours after creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The trigger of the update.
    pub trigger: TriggerName,
}

/// A reference to a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// The API version of the workload, such as `apps/v1`.
    #[schemars(length(max = 253))]
    pub api_version: String,
    /// The kind of the workload, such as `Deployment`.
    pub kind: KindName,
    /// The name of the workload.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The UID of the workload. An object that is created again under the same name is another workload.
    #[schemars(length(max = 128))]
    pub uid: String,
    /// The namespace of the workload. Must be the namespace of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum UpdateType {
    /// The image of a container.
    Image,
    /// The chart version of a HelmRelease.
    HelmChart,
}

impl UpdateType {
    /// Returns the update type for this kind of artifact.
    pub fn of(artifacts: ArtifactKind) -> Self {
        match artifacts {
            ArtifactKind::Image => UpdateType::Image,
            ArtifactKind::Chart => UpdateType::HelmChart,
        }
    }

    /// Returns the kind of artifact that changes.
    pub fn artifacts(self) -> ArtifactKind {
        match self {
            UpdateType::Image => ArtifactKind::Image,
            UpdateType::HelmChart => ArtifactKind::Chart,
        }
    }
}

macro_rules! schema_words {
    ($(#[$doc:meta])* $name:ident($inner:ty): $words:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<serde_json::Value> = $words;
                schemars::json_schema!({"type": "string", "enum": words})
            }
        }
    };
}

schema_words! {
    /// A kind's name.
    KindName(Kind): Kind::ALL.iter().map(|kind| serde_json::json!(kind)).collect()
}
schema_words! {
    /// A policy's name.
    PolicyName(Policy): Policy::ALL.iter().map(|policy| serde_json::json!(policy)).collect()
}
schema_words! {
    /// A trigger's name.
    TriggerName(Trigger): [Trigger::Webhook, Trigger::Polling, Trigger::Manual].iter().map(|trigger| serde_json::json!(trigger)).collect()
}
schema_words! {
    /// A phase's name.
    PhaseName(Phase): Phase::ALL.iter().map(|phase| serde_json::json!(phase)).collect()
}

/// The state of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRequestStatus {
    /// The phase of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PhaseName>,
    /// The reason for the phase, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason as a message for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The user who approved the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// True if the user who approved the request skips the cool-down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_cool_down: Option<bool>,
    /// When the request was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Time>,
    /// The approvals that Headwind has counted, if several people must approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalStatus>,
    /// The users who rejected the request before it was reopened. If several people must approve, they do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previously_rejected_by: Vec<String>,
    /// The user who rejected the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_by: Option<String>,
    /// When the request was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_at: Option<Time>,
    /// When a person last reopened the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<Time>,
    /// When the request last finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The number of times that the change was applied. More than once only after the request was reopened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub times_applied: Option<i32>,
    /// When the change was last applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Time>,
    /// The image that an admission webhook wrote instead of the new image: the same version, pinned to a digest or
    /// with another registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub applied_image: Option<String>,
    /// The number of consecutive times that admission control denied the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub times_denied: Option<i32>,
    /// For a manual rollback: the image that it replaced. Headwind does not propose that version again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub rolled_back_from: Option<String>,
    /// The state of the rollout watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// Until when the update waits. The condition `Waiting` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_until: Option<Time>,
    /// When this status was last updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<Time>,
    /// The generation of the request that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the update is complete and its pods are available. `Progressing`: the update continues without a person.
    /// `Waiting`: an approved update waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// An approval by one user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalStatus {
    /// The user.
    pub by: String,
    /// When the user approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

impl UpdateRequest {
    /// Returns the workload that it updates.
    pub fn workload_key(&self) -> WorkloadKey {
        WorkloadKey {
            kind: self.spec.target_ref.kind.0,
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.spec.target_ref.name.clone(),
        }
    }

    /// Returns the container that it updates. A release has one.
    pub fn container(&self) -> Option<&str> {
        match self.spec.update_type {
            UpdateType::Image => self.spec.container_name.as_deref(),
            UpdateType::HelmChart => Some(CHART),
        }
    }

    /// Returns the phase. An object with an empty status is new.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().and_then(|status| status.phase).map_or(Phase::Pending, |phase| phase.0)
    }

    /// Parses the object into the rules' request.
    pub fn read(&self) -> Request {
        let fault = self.fault();
        let UpdateRequestSpec {
            target_ref,
            update_type,
            container_name: _,
            current_image,
            new_image,
            current_digest,
            new_digest,
            policy,
            reason: _,
            require_approval,
            approvals,
            expires_at,
            trigger,
        } = self.spec.clone();
        Request {
            name: self.metadata.name.clone().unwrap_or_default(),
            target_uid: target_ref.uid,
            fault,
            created: self.created(),
            siblings: self.siblings(),
            proposed: self.proposed(),
            spec: request::Spec {
                kind: update_type.artifacts(),
                container: self.container().map(str::to_owned),
                current_image,
                new_image,
                current_digest,
                new_digest,
                policy: policy.0,
                require_approval,
                approvals: approvals.and_then(|people| u32::try_from(people).ok()).unwrap_or(1),
                expires_at: expires_at.map(|time| time.0),
                trigger: trigger.0,
            },
            status: self.status.as_ref().map(UpdateRequestStatus::read).unwrap_or_default(),
        }
    }

    fn siblings(&self) -> Vec<String> {
        let names = self.metadata.annotations.as_ref().and_then(|all| all.get(SIBLINGS));
        names.into_iter().flat_map(|names| names.split(',')).take(MAX_SIBLINGS).map(str::to_owned).collect()
    }

    /// Returns true if the request asks for `identity` in the workload with this kind, name and UID.
    ///
    /// The API server keeps names unique, not their meaning: a name that Headwind derives may be taken by a request for
    /// something else.
    pub fn asks_for(&self, workload: &WorkloadKey, uid: &str, identity: &Identity) -> bool {
        let of = &self.spec.target_ref;
        self.workload_key() == *workload && of.uid == uid && self.read().spec.asks_for(identity)
    }

    fn born(&self) -> Timestamp {
        self.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    }

    fn proposed_at(&self) -> Option<Timestamp> {
        self.metadata.annotations.as_ref()?.get(PROPOSED_AT)?.parse().ok()
    }

    /// Returns the creation time: by the API server's clock, refined by [`PROPOSED_AT`] if the two agree.
    fn created(&self) -> Timestamp {
        let born = self.born();
        self.proposed_at().filter(|proposed| proposed.as_second() == born.as_second()).unwrap_or(born)
    }

    /// Returns the time when its claim arrived. A claim may have waited for its registry or for the API server.
    fn proposed(&self) -> Timestamp {
        let born = self.born();
        let waited = |proposed: &Timestamp| proposed.as_second() <= born.as_second() && born.duration_since(*proposed) <= LONGEST_WAIT;
        self.proposed_at().filter(waited).unwrap_or(born)
    }

    /// Returns the reason why the request is invalid, whatever its workload is.
    ///
    /// A CRD rule cannot read an object's namespace, so this check and the admission policy do.
    fn fault(&self) -> Option<String> {
        let UpdateRequestSpec { target_ref, update_type, .. } = &self.spec;
        match (&target_ref.namespace, &self.metadata.namespace) {
            (Some(named), Some(own)) if named != own => {
                return Some(format!("targetRef.namespace is {named}, but a request may only be for its own namespace, {own}"));
            }
            _ => {}
        }
        let kind = target_ref.kind.0;
        match (update_type, facts(kind).pod_template) {
            (UpdateType::Image, Some(_)) | (UpdateType::HelmChart, None) => None,
            (UpdateType::HelmChart, Some(_)) => Some(format!("a {kind} has no chart version")),
            (UpdateType::Image, None) => Some(format!("a {kind} has no container with an image")),
        }
    }

    /// Returns the object with a decided status, ready to be written.
    #[must_use]
    pub fn with_status(&self, status: &request::Status, now: Timestamp) -> Self {
        let mut changed = self.clone();
        let before = self.status.clone().unwrap_or_default();
        changed.status = Some(before.following(status, self.metadata.generation, now));
        changed
    }
}

impl UpdateRequestStatus {
    fn read(&self) -> request::Status {
        let Self {
            phase,
            reason,
            message,
            approved_by,
            skip_cool_down,
            approved_at,
            approvals,
            previously_rejected_by,
            rejected_by,
            rejected_at,
            reopened_at,
            finished_at,
            times_applied,
            applied_at,
            applied_image,
            times_denied,
            rolled_back_from,
            rollout,
            waiting_until,
            last_updated: _,
            observed_generation: _,
            conditions,
        } = self;
        let at = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        let code = |text: &str| serde_json::from_value::<Reason>(text.into()).ok();
        request::Status {
            phase: phase.map_or(Phase::Pending, |phase| phase.0),
            // A code of a newer version is stored unchanged.
            reason: reason.as_deref().map(|text| code(text).unwrap_or(Reason::Unrecognized)),
            message: message.clone(),
            approved_by: approved_by.clone(),
            skip_cool_down: skip_cool_down.unwrap_or_default(),
            approved_at: at(approved_at),
            approvals: approvals.iter().map(|approval| Approval { by: approval.by.clone(), at: at(&approval.at) }).collect(),
            dissenters: previously_rejected_by.clone(),
            rejected_by: rejected_by.clone(),
            rejected_at: at(rejected_at),
            reopened_at: at(reopened_at),
            finished_at: at(finished_at),
            times_applied: times_applied.and_then(|times| u32::try_from(times).ok()).unwrap_or_default(),
            applied_at: at(applied_at),
            applied_image: applied_image.clone(),
            times_denied: times_denied.and_then(|times| u32::try_from(times).ok()).unwrap_or_default(),
            rolled_back_from: rolled_back_from.clone(),
            waiting: condition::waiting(conditions, at(waiting_until)),
            rollout: rollout.as_ref().map(RolloutStatus::read),
        }
    }

    /// Returns the stored form of a decided status that follows this one.
    fn following(&self, status: &request::Status, generation: Option<i64>, now: Timestamp) -> Self {
        let request::Status {
            phase,
            reason,
            message,
            approved_by,
            skip_cool_down,
            approved_at,
            approvals,
            dissenters,
            rejected_by,
            rejected_at,
            reopened_at,
            finished_at,
            times_applied,
            applied_at,
            applied_image,
            times_denied,
            rolled_back_from,
            waiting,
            rollout,
        } = status.clone();
        let conditions = condition::following(&self.conditions, status, generation, now);
        Self {
            phase: Some(PhaseName(phase)),
            reason: match reason {
                Some(Reason::Unrecognized) => self.reason.clone(),
                reason => reason.map(|reason| reason.code().to_owned()),
            },
            message,
            approved_by,
            skip_cool_down: skip_cool_down.then_some(true),
            approved_at: approved_at.map(Time),
            approvals: approvals.into_iter().map(|Approval { by, at }| ApprovalStatus { by, at: at.map(Time) }).collect(),
            previously_rejected_by: dissenters,
            rejected_by,
            rejected_at: rejected_at.map(Time),
            reopened_at: reopened_at.map(Time),
            finished_at: finished_at.map(Time),
            times_applied: i32::try_from(times_applied).ok().filter(|times| *times > 0),
            applied_at: applied_at.map(Time),
            applied_image,
            times_denied: i32::try_from(times_denied).ok().filter(|times| *times > 0),
            rolled_back_from,
            rollout: rollout.as_ref().map(RolloutStatus::of),
            waiting_until: waiting.and_then(|waiting| waiting.until).map(Time),
            last_updated: Some(Time(now)),
            observed_generation: generation,
            conditions,
        }
    }
}

#[cfg(test)]
mod tests;
