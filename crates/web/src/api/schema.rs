//! The schemas of the API's responses, used for the responses and the OpenAPI document.

use std::borrow::Cow;
use std::collections::BTreeMap;

use headwind_core::explain::Explained;
use headwind_core::gate::Waiting;
use headwind_core::gate::outlook::Span;
use headwind_core::policy::{CandidateVerdict, Outcome};
use headwind_core::request::Request;
use headwind_core::request::timeline::Moment;
use headwind_core::workload::owner::Owner;
use headwind_k8s::manifest;
use headwind_k8s::update_request::UpdateRequest;
use headwind_operator::{Past, RecordingFailure, WorkloadView};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An UpdateRequest, as in Kubernetes.
#[derive(Debug, Clone)]
pub(crate) struct Update(pub(crate) UpdateRequest);

impl Serialize for Update {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl PartialSchema for Update {
    /// Returns the schema of the CRD, so that both stay equal.
    fn schema() -> RefOr<Schema> {
        let crd = manifest::crd();
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema")
            .and_then(|schema| serde_json::from_value(schema.clone()).ok())
            .unwrap_or_else(|| RefOr::T(Schema::Object(ObjectBuilder::new().build())))
    }
}

impl ToSchema for Update {
    fn name() -> Cow<'static, str> {
        "UpdateRequest".into()
    }
}

/// A page of requests, in the shape of a Kubernetes list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateList {
    /// `headwind.sh/v1alpha1`
    pub(crate) api_version: &'static str,
    /// `UpdateRequestList`
    pub(crate) kind: &'static str,
    pub(crate) metadata: ListMeta,
    /// The requests, ordered by namespace and name.
    pub(crate) items: Vec<Update>,
}

/// The position of the next page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMeta {
    /// The value of `continue` for the next page. Empty on the last page.
    pub(crate) r#continue: String,
    /// The number of requests on the following pages.
    pub(crate) remaining_item_count: usize,
}

/// The optional body of an action.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// The person that the caller acts for. Headwind adds the name to the message only.
    pub(crate) approver: Option<String>,
    /// The reason, for the record.
    pub(crate) reason: Option<String>,
    /// For an approval: true if the update does not wait for the cool-down.
    #[serde(rename = "skipCoolDown")]
    pub(crate) skip_cool_down: Option<bool>,
}

/// Several requests for one action.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    pub(crate) updates: Vec<Name>,
    /// The person that the caller acts for. Headwind adds the name to the message only.
    pub(crate) approver: Option<String>,
    /// The reason for all of them, for the record.
    pub(crate) reason: Option<String>,
}

/// The name of a request.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The results of a bulk action.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkResults {
    /// One result for each request, in the order of the body.
    pub(crate) results: Vec<BulkResult>,
}

/// The result for one request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkResult {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The HTTP status that the action would have as a single request.
    pub(crate) status: u16,
    /// The phase of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<&'static str>,
    /// The error, if the action failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// The optional body of a rollback.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollBack {
    /// The container. Required only if several containers have a history.
    pub(crate) container: Option<String>,
    /// The number of steps back. Default: 1.
    pub(crate) index: Option<usize>,
    /// The reason, for the record.
    pub(crate) reason: Option<String>,
}

/// The earlier images of the containers of a workload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct History {
    /// The images by container, the newest first.
    pub(crate) entries: Vec<HistoryEntry>,
}

/// One image of a container.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryEntry {
    /// The number of steps back, which is the `index` for a rollback. 0 for the current image.
    pub(crate) index: usize,
    pub(crate) container: String,
    pub(crate) image: String,
    /// When the image was applied (RFC 3339).
    pub(crate) timestamp: String,
    /// The request that applied the image. None for the image before the first update.
    pub(crate) update_request_name: Option<String>,
    /// The approver of the update. None if the policy approved it.
    pub(crate) approved_by: Option<String>,
}

impl From<Past> for HistoryEntry {
    fn from(Past { index, entry }: Past) -> Self {
        Self {
            index,
            container: entry.container,
            image: entry.image,
            timestamp: entry.timestamp.to_string(),
            update_request_name: entry.update_request_name,
            approved_by: entry.approved_by,
        }
    }
}

/// A page of workloads.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkloadList {
    pub(crate) metadata: ListMeta,
    /// The workloads, ordered by namespace, kind and name.
    pub(crate) items: Vec<Workload>,
}

/// A tracked workload.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Workload {
    pub(crate) namespace: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// The tool or controller that owns the object and may revert a change, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<OwnerView>,
    pub(crate) containers: Vec<TrackedContainer>,
    /// The requests on record, the newest first.
    pub(crate) requests: Vec<RequestSummary>,
    /// The error of each registry that Headwind could not query, by repository.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) registry_errors: BTreeMap<String, String>,
}

/// The owner of a workload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnerView {
    /// `Flux`, `Argo CD`, `Helm` or `controller`.
    pub(crate) manager: &'static str,
    /// Its object, such as `Kustomization flux-system/apps`.
    pub(crate) name: String,
}

impl From<&Owner> for OwnerView {
    fn from(owner: &Owner) -> Self {
        Self { manager: owner.manager.as_str(), name: owner.name.to_string() }
    }
}

/// A container of a workload.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrackedContainer {
    pub(crate) name: String,
    /// The current image (for a release: the chart with its version).
    pub(crate) image: String,
    /// For a release: the running version, if it differs from the one in the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) running: Option<String>,
    pub(crate) policy: Option<&'static str>,
    pub(crate) require_approval: Option<bool>,
    /// The newest known version, whether the policy accepts it or not.
    pub(crate) newest: Option<String>,
    /// The image that Headwind would propose now.
    pub(crate) would_take: Option<String>,
    /// Why Headwind would propose it, or proposes nothing, as a stable code.
    pub(crate) reason: &'static str,
    /// The reason as a message for people.
    pub(crate) message: String,
    /// The reason why an approved update of the container waits now. Not set if Headwind would apply it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<WaitingView>,
    /// When an update may be applied in the next seven days. Only in `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outlook: Option<Vec<SpanView>>,
    /// Why the latest update could not be recorded as an UpdateRequest, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recording_failure: Option<RecordingFailureView>,
    /// The verdicts on the best candidates, at most 300. Only in `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) candidates: Option<Vec<CandidateView>>,
    /// The number of all candidates by verdict. Only in `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) candidate_counts: Option<CandidateCounts>,
}

/// The number of candidates by verdict.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CandidateCounts {
    pub(crate) chosen: usize,
    pub(crate) eligible: usize,
    pub(crate) refused: usize,
}

/// An update that could not be recorded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordingFailureView {
    /// The message of the API server.
    pub(crate) message: String,
    /// The image of the update.
    pub(crate) new_image: String,
    /// When Headwind last tried (RFC 3339).
    pub(crate) at: String,
    /// When Headwind retries. Not set if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_at: Option<String>,
}

impl From<&RecordingFailure> for RecordingFailureView {
    fn from(failure: &RecordingFailure) -> Self {
        let RecordingFailure { message, new_image, at, retry_at } = failure;
        Self { message: message.clone(), new_image: new_image.clone(), at: at.to_string(), retry_at: retry_at.map(|at| at.to_string()) }
    }
}

/// The reason why an approved update waits. The condition `Waiting` of a request has the same content.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WaitingView {
    /// The reason, as a stable code.
    pub(crate) reason: &'static str,
    /// The reason as a message for people.
    pub(crate) message: String,
    /// When the update no longer waits for this reason (RFC 3339). Not set if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
}

impl From<&Waiting> for WaitingView {
    fn from(Waiting { reason, message, until }: &Waiting) -> Self {
        Self { reason: reason.code(), message: message.clone(), until: until.map(|until| until.to_string()) }
    }
}

/// A time in which an update may be applied, or waits for one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpanView {
    /// When it begins (RFC 3339).
    pub(crate) from: String,
    /// When it ends (RFC 3339). Not set if that is not known, or later than the seven days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// The reason why an update waits, as a stable code. Not set if it may be applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
}

impl From<&Span> for SpanView {
    fn from(Span { from, until, waiting }: &Span) -> Self {
        let reason = waiting.as_ref().map(|waiting| waiting.reason.code());
        Self { from: from.to_string(), until: until.map(|until| until.to_string()), reason }
    }
}

/// The verdict on one candidate.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CandidateView {
    pub(crate) tag: String,
    /// `chosen`, `eligible` or `refused`.
    pub(crate) verdict: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A summary of a request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestSummary {
    pub(crate) name: String,
    pub(crate) container: Option<String>,
    pub(crate) new_image: String,
    pub(crate) phase: &'static str,
    pub(crate) message: Option<String>,
    /// The reason why the approved update waits, as in its condition `Waiting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<WaitingView>,
}

impl Workload {
    /// Returns the view without the candidates.
    pub(crate) fn summary(view: &WorkloadView) -> Self {
        let mut workload = Self::whole(view);
        for container in &mut workload.containers {
            container.candidates = None;
            container.outlook = None;
            container.candidate_counts = None;
        }
        workload
    }

    /// Returns the whole view.
    pub(crate) fn whole(view: &WorkloadView) -> Self {
        // The message of a finished request is not in memory; its own URL returns it.
        let request = |request: &Request| RequestSummary {
            name: request.name.clone(),
            container: request.spec.container.clone(),
            new_image: request.spec.new_image.clone(),
            phase: request.status.phase.as_str(),
            message: request.status.message.clone().or_else(|| request.status.reason.map(|reason| reason.sentence().to_owned())),
            waiting: request.status.waiting.as_ref().map(WaitingView::from),
        };
        Self {
            namespace: view.key.namespace.clone(),
            kind: view.key.kind.as_str(),
            name: view.key.name.clone(),
            owner: view.owner.as_ref().map(OwnerView::from),
            containers: view
                .containers
                .iter()
                .map(|container| TrackedContainer {
                    recording_failure: view.unrecorded.get(&container.container).map(RecordingFailureView::from),
                    ..TrackedContainer::from(container)
                })
                .collect(),
            requests: view.requests.iter().map(request).collect(),
            registry_errors: view.registry_errors.clone(),
        }
    }
}

impl From<&Explained> for TrackedContainer {
    fn from(explained: &Explained) -> Self {
        let candidate = |verdict: &CandidateVerdict| CandidateView {
            tag: verdict.tag.clone(),
            verdict: match verdict.outcome {
                Outcome::Chosen => "chosen",
                Outcome::Eligible => "eligible",
                Outcome::Refused => "refused",
            },
            reason: verdict.reason.code(),
            message: verdict.message.clone(),
        };
        let settings = explained.settings.as_ref().ok();
        Self {
            name: explained.container.clone(),
            image: explained.image.clone(),
            running: explained.running.clone(),
            policy: settings.map(|settings| settings.policy.as_str()),
            require_approval: settings.map(|settings| settings.require_approval),
            newest: explained.newest.clone(),
            would_take: explained.would_take.clone(),
            reason: explained.because.reason.code(),
            message: explained.because.message.clone(),
            waiting: explained.gate.waiting().map(WaitingView::from),
            outlook: Some(explained.outlook.iter().map(SpanView::from).collect()),
            recording_failure: None,
            candidates: Some(explained.candidates.iter().map(candidate).collect()),
            candidate_counts: Some(CandidateCounts {
                chosen: explained.counts.chosen,
                eligible: explained.counts.eligible,
                refused: explained.counts.refused,
            }),
        }
    }
}

/// The timeline of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Timeline {
    /// The moments, the oldest first.
    pub(crate) moments: Vec<MomentView>,
}

/// One moment of a timeline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MomentView {
    /// The time (RFC 3339).
    pub(crate) at: String,
    /// `created`, `reopened`, `approved`, `rejected`, `applied`, `returned`, `progressed`,
    /// `available` or `finished`.
    pub(crate) what: &'static str,
    /// The person who acted, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<String>,
    pub(crate) message: String,
}

impl From<Moment> for MomentView {
    fn from(Moment { at, what, who, message }: Moment) -> Self {
        Self { at: at.to_string(), what, who, message }
    }
}
