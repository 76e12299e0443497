//! A transition, its request and its workload, with the texts of a report.

use headwind_core::artifact::ArtifactKind;
use headwind_core::notification::{Notice, new_notices};
use headwind_core::reason::{Reason, Reasoned};
use headwind_core::request::{ChangeKind, Request};
use headwind_core::transition::{ApprovalChange, Transition, transition};
use headwind_core::workload::WorkloadKey;
use headwind_core::workload::release::CHART;
use headwind_k8s::update_request::UpdateRequest;

use crate::observe::requests::{Change, Held};

/// A transition of a request.
#[derive(Debug, Clone)]
pub struct ReportEntry {
    /// The workload that the request is for.
    pub workload: WorkloadKey,
    /// The UID of the request.
    pub uid: String,
    /// The request after the transition.
    pub request: Request,
    /// Why the version was proposed; empty if only a part of the request is known.
    pub why: String,
    /// The change that is reported.
    pub transition: Transition,
    /// The notifications that follow from the change.
    pub(crate) notices: Vec<Notice>,
    pub(crate) resource_version: u128,
    /// True if this failure is the one after which updates are paused.
    pub(crate) pauses_updates: bool,
}

impl ReportEntry {
    /// Returns the entry for a change, if it is a transition to report.
    pub(crate) fn of(change: &Change) -> Option<Self> {
        Self::new(change.before.as_ref(), &change.after)
    }

    /// Returns the entry for a request of which every notification is new.
    pub(crate) fn whole(object: &UpdateRequest) -> Option<Self> {
        Self::new(None, object)
    }

    /// Returns the entry for the latest transition of a request whose earlier status is unknown.
    pub(crate) fn latest(workload: &WorkloadKey, held: Held<'_>) -> Option<Self> {
        match held {
            Held::Open(object) => Self::new(None, object),
            Held::Finished(finished) => {
                let (request, version) = (finished.read(), finished.version());
                let transition = transition(None, &request)?;
                let resource_version = version.resource_version.parse().ok()?;
                Some(Self {
                    workload: workload.clone(),
                    uid: version.uid,
                    request,
                    why: String::new(),
                    transition,
                    notices: Vec::new(),
                    resource_version,
                    pauses_updates: false,
                })
            }
        }
    }

    fn new(before: Option<&Request>, object: &UpdateRequest) -> Option<Self> {
        let request = object.read();
        Some(Self {
            transition: transition(before, &request)?,
            notices: new_notices(before, &request),
            workload: object.workload_key(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            why: object.spec.reason.clone(),
            resource_version: object.metadata.resource_version.as_deref()?.parse().ok()?,
            pauses_updates: false,
            request,
        })
    }

    pub(crate) fn artifacts(&self) -> ArtifactKind {
        self.request.spec.kind
    }

    /// Describes the proposal.
    pub(crate) fn proposal(&self) -> String {
        let spec = &self.request.spec;
        let approval = match self.transition.approval {
            Some(ApprovalChange::ProposedAndApproved) => "approved by policy",
            _ => "waits for approval",
        };
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        format!("{}{} to {}{why}; {approval}", self.subject(), spec.current_image, spec.new_image)
    }

    /// Describes the change written to the workload.
    pub(crate) fn change(&self, kind: ChangeKind) -> Reasoned {
        let Request { spec, status, .. } = &self.request;
        let subject = self.subject();
        let replaced = |from: &str, to: &str| format!("{subject}{from} replaced by {to}");
        match kind {
            ChangeKind::Update if self.request.is_restart() => {
                let digest = spec.new_digest.as_deref().map(|digest| format!(" to pull {digest}")).unwrap_or_default();
                Reasoned::new(Reason::Applied, format!("{subject}pods with {} restarted{digest}", spec.new_image))
            }
            ChangeKind::Update => Reasoned::new(Reason::Applied, replaced(&spec.current_image, &spec.new_image)),
            ChangeKind::ManualRollback => Reasoned::new(
                Reason::RollingBack,
                replaced(status.rolled_back_from.as_deref().unwrap_or(&spec.current_image), &spec.new_image),
            ),
            ChangeKind::AutomaticRollback => {
                let to = status.rollout.as_ref().and_then(|watch| watch.returned_to.as_deref()).unwrap_or(&spec.current_image);
                Reasoned::new(Reason::RollingBack, replaced(self.request.placed_image(), to))
            }
        }
    }

    /// Returns an identifier of the change that is unique within the request. It depends only on the change: the next leader may know only a
    /// later status, and reports the change with another transition.
    pub(crate) fn change_id(&self, kind: ChangeKind) -> String {
        let what = match kind {
            ChangeKind::Update => "update",
            ChangeKind::ManualRollback => "manual rollback",
            ChangeKind::AutomaticRollback => "automatic rollback",
        };
        format!("{what} {}", self.request.status.times_applied)
    }

    fn subject(&self) -> String {
        match self.request.spec.container.as_deref() {
            Some(CHART) if self.artifacts() == ArtifactKind::Chart => "chart ".to_owned(),
            Some(container) => format!("container {container}: "),
            None => String::new(),
        }
    }
}
