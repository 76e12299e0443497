//! The stored part of a finished request: the fields that the rules use, in less than 300 bytes (360 with two digests).
//!
//! The rest (message, approvals, conditions, the state of the rollout watch) is read from the API server on demand.

use std::sync::Arc;

use headwind_core::artifact::ArtifactKind;
use headwind_core::policy::Policy;
use headwind_core::reason::Reason;
use headwind_core::request::{Phase, Request, Spec, Status};
use headwind_core::rollout::RolloutState;
use headwind_core::trigger::Trigger;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;

use crate::cluster::object::ObjectVersion;

use super::texts::{Packer, Texts};

/// A finished request. Times are kept in milliseconds.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Name, UID, resource version, container, the images, the digests, the replaced image of a manual rollback, the
    /// approver, and the image chosen by admission.
    texts: Box<[u8]>,
    /// Shared with other requests of the workload.
    target_uid: Arc<str>,
    created: i64,
    proposed: i64,
    ended_at: Option<std::num::NonZeroI64>,
    applied_at: Option<std::num::NonZeroI64>,
    times_applied: u32,
    phase: Phase,
    reason: Option<Reason>,
    kind: ArtifactKind,
    policy: Policy,
    trigger: Trigger,
    flags: u8,
}

const REQUIRE_APPROVAL: u8 = 1;
/// Its change was rolled back.
const RETURNED: u8 = 2;

impl Finished {
    /// Creates the stored part of a request. `target_uid` is a shared copy of its workload's UID.
    pub(crate) fn of(object: &UpdateRequest, target_uid: Arc<str>) -> Self {
        // A finished request waits for no sibling.
        let Request { name, target_uid: _, fault: _, created, siblings: _, proposed, spec, status } = object.read();
        let ObjectVersion { uid, resource_version } = ObjectVersion::of(object);
        let millis = |at: Option<Timestamp>| at.and_then(|at| std::num::NonZeroI64::new(at.as_millisecond()));
        let returned = status.rollout.as_ref().is_some_and(|watch| watch.returned_to.is_some());
        let texts = Packer::default()
            .put(Some(&name))
            .put(Some(&uid))
            .put(Some(&resource_version))
            .put(spec.container.as_deref())
            .put(Some(&spec.current_image))
            .put(Some(&spec.new_image))
            .put(spec.current_digest.as_deref())
            .put(spec.new_digest.as_deref())
            .put(status.rolled_back_from.as_deref())
            .put(status.approved_by.as_deref())
            .put(status.applied_image.as_deref())
            .pack();
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        Self {
            texts,
            target_uid,
            created: created.as_millisecond(),
            proposed: proposed.as_millisecond(),
            ended_at: millis(status.finished_at),
            applied_at: millis(status.applied_at),
            times_applied: status.times_applied,
            phase: status.phase,
            reason: status.reason,
            kind: spec.kind,
            policy: spec.policy,
            trigger: spec.trigger,
            flags: flag(spec.require_approval, REQUIRE_APPROVAL) | flag(returned, RETURNED),
        }
    }

    /// Returns the request for the rules.
    pub(crate) fn read(&self) -> Request {
        let mut texts = Texts::new(&self.texts);
        let mut text = || texts.take();
        let name = text().unwrap_or_default();
        // The rules do not use UID and resource version.
        let (_, _) = (text(), text());
        let container = text();
        let (current_image, new_image) = (text().unwrap_or_default(), text().unwrap_or_default());
        let (current_digest, new_digest, rolled_back_from, approved_by, applied_image) = (text(), text(), text(), text(), text());
        let time = |at: i64| Timestamp::from_millisecond(at).unwrap_or_default();
        let created = time(self.created);
        let returned = (self.flags & RETURNED != 0)
            .then(|| RolloutState { returned_to: Some(current_image.clone()), ..RolloutState::new(0, created) });
        Request {
            name,
            target_uid: self.target_uid.to_string(),
            fault: None,
            created,
            siblings: Vec::new(),
            proposed: time(self.proposed),
            spec: Spec {
                kind: self.kind,
                container,
                current_image,
                new_image,
                current_digest,
                new_digest,
                policy: self.policy,
                require_approval: self.flags & REQUIRE_APPROVAL != 0,
                approvals: 1,
                expires_at: None,
                trigger: self.trigger,
            },
            status: Status {
                reason: self.reason,
                approved_by,
                applied_image,
                finished_at: self.ended_at.map(|at| time(at.get())),
                applied_at: self.applied_at.map(|at| time(at.get())),
                rolled_back_from,
                rollout: returned,
                ..self.phase_status()
            },
        }
    }

    /// Returns only phase and count, which decide whether the request blocks its version.
    fn phase_status(&self) -> Status {
        Status { phase: self.phase, times_applied: self.times_applied, ..Status::default() }
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> String {
        Texts::new(&self.texts).take().unwrap_or_default()
    }

    /// Returns the identity of the object and of its version.
    pub(crate) fn version(&self) -> ObjectVersion {
        let mut texts = Texts::new(&self.texts);
        let (_, uid, resource_version) = (texts.take(), texts.take(), texts.take());
        ObjectVersion { uid: uid.unwrap_or_default(), resource_version: resource_version.unwrap_or_default() }
    }

    /// Returns the phase.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the time when it reached its last finished phase.
    pub(crate) fn finished_at(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.ended_at?.get()).ok()
    }

    /// Returns the policy that accepted the version.
    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// Returns the UID of its workload.
    pub(crate) fn target_uid(&self) -> &Arc<str> {
        &self.target_uid
    }

    /// Returns the creation time.
    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_millisecond(self.created).unwrap_or_default()
    }

    /// Returns the memory that it uses, including its place in a list.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.texts.len()
    }
}
