//! Checks whether an open request is still valid for the current workload and settings, and whether a finished one
//! still blocks its version.

use jiff::Timestamp;

use super::admission::{is_same_version, rewritten};
use super::context::Context;
use super::step::end;
use super::{Phase, Request, Spec, Status, StatusWrite, Step, may_return_to};
use crate::artifact::reference::Digest;
use crate::artifact::version::natural_order;
use crate::artifact::{Artifact, ArtifactKind};
use crate::decide;
use crate::policy::{Candidate, Current, still_accepts};
use crate::reason::{Reason, Reasoned};
use crate::rollout::RolloutState;
use crate::settings::Settings;
use crate::trigger::Trigger;
use crate::workload::owner::Handling;
use crate::workload::{Container, release};

impl Context<'_> {
    /// Ends a request that is no longer valid.
    pub(super) fn end_invalid(&self, request: &Request) -> Option<Step> {
        let now = self.observed.now;
        if let Some(step) = reopened_by_hand(request, now) {
            return Some(step);
        }
        if request.status.times_applied > 0 && !request.is_restart() && self.is_in_place(request) {
            return Some(watch_again(request, self.workload.generation, now));
        }
        if self.is_rolled_out_by_owner(request) {
            return Some(watch_owner(request, self, now));
        }
        match self.check_valid(request) {
            Ok(()) => None,
            Err(Reasoned { reason: reason @ (Reason::InvalidRequest | Reason::InvalidImage), message }) => {
                Some(end(request, Phase::Failed, reason, Some(message), now))
            }
            Err(Reasoned { reason, message }) => Some(end(request, Phase::Superseded, reason, Some(message), now)),
        }
    }

    /// Returns true if the container runs the image that the request applied before.
    fn is_in_place(&self, request: &Request) -> bool {
        self.container_of(request).is_some_and(|container| container.image == request.placed_image())
    }

    /// Returns true if the owner of the workload applies its updates, and has applied this one.
    fn is_rolled_out_by_owner(&self, request: &Request) -> bool {
        let Some(container) = self.container_of(request) else { return false };
        let Request { spec, fault, .. } = request;
        self.workload.handling(&self.valid_settings(&container.name)) == Handling::Propose
            && fault.is_none()
            && container.image != spec.current_image
            && (container.image == spec.new_image || is_proposed_version(spec, &container.image))
    }

    /// Checks that the workload, with its current settings, would still get this update.
    fn check_valid(&self, request: &Request) -> Result<(), Reasoned> {
        if let Some(fault) = &request.fault {
            return Err(Reasoned::new(Reason::InvalidRequest, fault.clone()));
        }
        let Some(name) = request.spec.container.as_deref() else {
            return Err(Reasoned::new(Reason::InvalidRequest, "spec.container is missing".to_owned()));
        };
        let wanted = Artifact::parse(request.spec.kind, &request.spec.new_image)
            .map_err(|error| Reasoned::new(Reason::InvalidRequest, format!("newImage {:?}: {error}", request.spec.new_image)))?;
        let Some(container) = self.workload.container(name) else {
            return Err(Reasoned::new(Reason::ContainerGone, format!("the workload no longer has container {name}")));
        };
        if container.kind() != wanted.kind() {
            return Err(Reasoned::new(Reason::InvalidRequest, format!("{name} is not a {}", word(wanted.kind()))));
        }
        if let Some(skipped) = Self::skip_reason(container).filter(|skipped| !release::passes(skipped.reason)) {
            return Err(skipped);
        }
        if let Some(refused) = self.workload.refused_for_owner(&self.valid_settings(name)) {
            return Err(refused);
        }
        let installed = container.artifact().map_err(|error| {
            Reasoned::new(Reason::InvalidImage, format!("container {name} has image {:?}: {error}", container.shown_image()))
        })?;
        // A person who may approve versions must not be able to deploy an unrelated image.
        let known = request.spec.trigger == Trigger::Manual
            && self.history.of(name).any(|entry| entry.image == request.spec.new_image)
            && may_return_to(container, &self.workload.uid, &request.spec.new_image, self.observed.requests.iter().copied());
        if wanted.name() != installed.name() && !known {
            return Err(Reasoned::new(Reason::ImageChanged, format!("container {name} now runs {}", container.image)));
        }
        self.unmoved(request, container)?;
        if request.spec.trigger == Trigger::Manual {
            return Ok(());
        }
        let settings = self
            .settings(name)
            .map_err(|faults| Reasoned::new(Reason::PolicyChanged, format!("an annotation has an invalid value: {faults}")))?;
        if self.observed.requests.iter().any(|one| left_behind(one, request)) {
            return Err(Reasoned::new(Reason::RolledBack, format!("a person rolled back from {}", request.spec.new_image)));
        }
        decide::admits(&settings, container, &installed, request.spec.trigger)
            .map_err(|reason| Reasoned::new(Reason::PolicyChanged, reason.sentence()))?;
        still_allowed(request, container, &installed, &wanted, &settings)
    }

    /// Returns why the container is not updated with its current settings, if it is not.
    pub(super) fn skip_reason(container: &Container) -> Option<Reasoned> {
        container.chart.as_ref()?.skip_reason()
    }

    /// Checks that the container runs the image that the request was created for, or that only Headwind changed it
    /// since.
    fn unmoved(&self, request: &Request, container: &Container) -> Result<(), Reasoned> {
        if container.image == request.spec.current_image {
            return Ok(());
        }
        // A person asks for a change of the image that they saw.
        let found = request.spec.trigger != Trigger::Manual;
        let mut ours = self.history.of(&container.name);
        let newest_is_here = found && ours.next().is_some_and(|entry| entry.image == container.image);
        if newest_is_here && container.image != request.spec.new_image && ours.any(|entry| entry.image == request.spec.current_image) {
            return Ok(());
        }
        // It was created while the container ran a version that Headwind has rolled back since.
        let rolled_back = |one: &Request| {
            let back =
                one.status.phase == Phase::RolledBack || one.status.rollout.as_ref().is_some_and(|watch| watch.returned_to.is_some());
            back && one.spec.container == request.spec.container && one.placed_image() == request.spec.current_image
        };
        if newest_is_here && self.observed.requests.iter().any(|one| rolled_back(one)) {
            return Ok(());
        }
        Err(Reasoned::new(
            Reason::ImageChanged,
            format!("container {} was changed from {} to {} outside Headwind", container.name, request.spec.current_image, container.image),
        ))
    }
}

/// Returns true if somebody else wrote the proposed version into the workload: the same version, with the proposed digest
/// if it has one. An image without a tag must have the proposed digest.
fn is_proposed_version(spec: &Spec, there: &str) -> bool {
    let Ok(Artifact::Image(image)) = Artifact::parse(spec.kind, there) else { return false };
    let proposed = spec.new_digest.as_deref().and_then(|text| Digest::parse(text).ok());
    let fits = match (image.digest(), proposed) {
        (Some(digest), Some(proposed)) => *digest == proposed,
        (Some(_), None) => image.tag().is_some(),
        (None, _) => true,
    };
    fits && is_same_version(spec.kind, &spec.new_image, there)
}

fn word(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Image => "container with an image",
        ArtifactKind::Chart => "chart of a release",
    }
}

/// Returns true if a person rolled back from the version of `request`, and nobody reopened the request since.
fn left_behind(rollback: &Request, request: &Request) -> bool {
    let (Some(left), Some(applied)) = (&rollback.status.rolled_back_from, rollback.status.applied_at) else { return false };
    let wanted = &request.spec.new_image;
    // An admission webhook may have pinned the image that was rolled back.
    let pinned = || !request.is_restart() && is_same_version(request.spec.kind, wanted, left);
    let is_older = |at: Timestamp| at.as_second() <= applied.as_second();
    let stands = match request.status.reopened_at {
        Some(reopened) => is_older(reopened),
        // The rollback is recorded after it is applied, and its version may be proposed in between. A newer digest is
        // another version.
        None => !request.spec.policy.follows_digest() || is_older(request.created),
    };
    rollback.spec.container == request.spec.container && (left == wanted || pinned()) && stands
}

/// Checks that the settings, as they are now, still allow the update.
///
/// The policy chose the version once, among all candidates. This check never ranks it again: a single
/// candidate can be ordered differently from a whole list. Only where the settings or the image have changed
/// since does it compare the two versions, so that no update moves down.
fn still_allowed(
    request: &Request,
    container: &Container,
    installed: &Artifact,
    wanted: &Artifact,
    settings: &Settings,
) -> Result<(), Reasoned> {
    let changed = |message: String| Err(Reasoned::new(Reason::PolicyChanged, message));
    let rule = settings.rule();
    let Some(tag) = wanted.version() else {
        // Only policy force applies a digest without a tag.
        return if rule.policy.follows_digest() { Ok(()) } else { changed(Reason::DigestOnly.sentence().to_owned()) };
    };
    // The digest that a scan saw for the tag need not be the digest of the pods.
    let put = installed.digest().cloned().or_else(|| container.restarted_digest().and_then(|text| Digest::parse(text).ok()));
    let current = Current { digest: put, ..decide::current(installed, container) };
    let digest = request.spec.new_digest.as_deref().and_then(|text| Digest::parse(text).ok());
    still_accepts(&rule, wanted.kind(), &current, &Candidate::new(tag, digest))
        .map_err(|refused| Reasoned { reason: Reason::PolicyChanged, ..refused })?;
    let same = container.image == request.spec.current_image && request.spec.policy.ranks_whole_lists();
    if rule.policy.ranks_whole_lists() && !same && !is_higher(wanted.kind(), tag, installed.version().unwrap_or_default()) {
        return changed(format!("{tag} is not higher than {}", container.image));
    }
    Ok(())
}

/// Returns true if `tag` is higher than `current`, in version order if both are versions, else in natural order.
fn is_higher(kind: ArtifactKind, tag: &str, current: &str) -> bool {
    match (kind.read(tag), kind.read(current)) {
        (Some(tag), Some(current)) if tag.same_scheme(&current) => tag.cmp_precedence(&current).is_gt(),
        (_, _) => natural_order(tag, current).is_gt(),
    }
}

/// Starts to watch the rollout of a reopened request whose change is still in place.
fn watch_again(request: &Request, generation: i64, now: Timestamp) -> Step {
    let status = Status {
        phase: Phase::RollingOut,
        reason: Some(Reason::RolloutProgressing),
        message: Some(format!("{} is still in place; Headwind watches its rollout again", request.spec.new_image)),
        times_applied: request.status.times_applied.saturating_add(1),
        waiting: None,
        rollout: Some(RolloutState::new(generation, now)),
        ..request.status.clone()
    };
    Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
}

/// Starts to watch the rollout of a version that the owner of the workload has rolled out.
fn watch_owner(request: &Request, context: &Context<'_>, now: Timestamp) -> Step {
    let owner = context.workload.owner.as_deref().map(ToString::to_string).unwrap_or_default();
    let status = Status {
        phase: Phase::RollingOut,
        reason: Some(Reason::RolledOutByOwner),
        message: Some(format!("{owner} rolled out {}; Headwind watches the rollout", request.spec.new_image)),
        approved_at: context.approved_at(request),
        times_applied: request.status.times_applied.saturating_add(1),
        applied_at: Some(now),
        applied_image: context.container_of(request).and_then(|container| rewritten(request, container)),
        waiting: None,
        rollout: Some(RolloutState::new(context.workload.generation, now)),
        ..request.status.clone()
    };
    Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
}

/// Adds the reason and the time of an end to a request that was ended with plain `kubectl`.
pub(super) fn ended_by_hand(request: &Request, now: Timestamp) -> Option<Step> {
    let Status { phase, reason, finished_at, rejected_by, .. } = &request.status;
    if phase.is_open() || (finished_at.is_some() && reason.is_some()) {
        return None;
    }
    let mut status = request.status.clone();
    if *phase == Phase::Rejected {
        let said = format!("rejected by {}", rejected_by.as_deref().unwrap_or("somebody"));
        status.message = Some(request.status.rejection_reason().map_or(said.clone(), |why| format!("{said}: {why}")));
        status.reason = Some(Reason::RejectedByPerson);
        status.rejected_at = status.rejected_at.or(Some(now));
    } else {
        status.reason = reason.or(Some(Reason::EndedExternally));
        status.message = status.message.or_else(|| Some(Reason::EndedExternally.sentence().to_owned()));
    }
    status.finished_at = finished_at.or(Some(now));
    status.waiting = None;
    Some(Step::write(StatusWrite { request: request.name.clone(), from: *phase, status }))
}

/// Completes the status of a request that was reopened with plain `kubectl`. An approval that followed at once is the
/// first one after the reopening: earlier approvals no longer count, and neither does the person who rejected the update.
pub(super) fn reopened_by_hand(request: &Request, now: Timestamp) -> Option<Step> {
    let before = &request.status;
    if !request.is_reopening() {
        return None;
    }
    let mut status = before.reopened(Reason::Reopened.sentence().to_owned(), now);
    if before.phase == Phase::Approved {
        let by = before.approved_by.as_deref().unwrap_or("somebody");
        status.phase = Phase::Approved;
        status.reason = Some(Reason::ApprovedByPerson);
        status.message = Some(format!("reopened and approved by {by}"));
        status.approved_by.clone_from(&before.approved_by);
        status.approved_at = Some(now);
        status.skip_cool_down = before.skip_cool_down;
    }
    Some(Step::write(StatusWrite { request: request.name.clone(), from: before.phase, status }))
}
