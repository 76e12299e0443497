//! The rollout after a patch: the requests in phase `RollingOut`.
//!
//! The second half of [`super::next()`]. Each request judges the rollout of its own container. Failed ones are rolled
//! back together, in one patch. The workload records the rollback ([`Request::back_mark`]), so the next leader never
//! repeats it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::applied_marker::{marks, named_requests};
use super::context::Context;
use super::refusal::together;
use super::step::end;
use super::{Apply, Change, ChangeKind, Phase, PodName, Request, Status, StatusWrite, Step, after, may_return_to};
use crate::artifact::Artifact;
use crate::artifact::reference::{Digest, ImageReference};
use crate::gate::{Gate, check_rollback};
use crate::reason::Reason;
use crate::rollout::pod::{PodSnapshot, PodView, RefusedEviction};
use crate::rollout::{Failure, RolloutLimits, RolloutObservation, RolloutProblem, RolloutState, RolloutStatus, Verdict, View, judge};
use crate::settings::Settings;
use crate::trigger::Trigger;
use crate::workload::history::{Entry, History};
use crate::workload::owner::Handling;
use crate::workload::{Container, Workload};

/// Starts to watch the rollback, once the workload records it.
pub(super) fn settle_rollback(context: &Context<'_>, request: &Request) -> Option<Step> {
    let watch = request.status.rollout.as_ref()?;
    let back = request.back_mark();
    if request.status.phase != Phase::RollingOut || watch.returned_to.is_some() || !marks(context.workload).any(|mark| mark == back) {
        return None;
    }
    let image = context.container_of(request).map_or_else(|| request.spec.current_image.clone(), |container| container.image.clone());
    let status = Status {
        reason: Some(Reason::RollingBack),
        message: Some(rollback_message(request, &image, watch.failure.as_ref())),
        times_denied: 0,
        waiting: None,
        rollout: Some(RolloutState {
            returned_to: Some(image),
            cause: watch.failure.clone(),
            ..RolloutState::new(context.workload.generation, context.observed.now)
        }),
        ..request.status.clone()
    };
    Some(Step::write(StatusWrite { request: request.name.clone(), from: Phase::RollingOut, status }))
}

fn rollback_message(request: &Request, to: &str, cause: Option<&Failure>) -> String {
    let why = cause.map(|failure| format!(": {}", failure.message)).unwrap_or_default();
    format!("{} failed; rolling back to {to}{why}", request.spec.new_image)
}

/// Marks updates as rolled back after a person rolled back past them.
pub(super) fn rolled_back_past(context: &Context<'_>) -> Option<Step> {
    context.observed.requests.iter().find_map(|request| {
        let Status { phase, times_applied, .. } = request.status;
        let stood = matches!(phase, Phase::RollingOut | Phase::Completed | Phase::Failed | Phase::Superseded) && times_applied > 0;
        let over = request.over_mark();
        if !stood || !marks(context.workload).any(|mark| mark == over) {
            return None;
        }
        let to = context.container_of(request).map(|container| format!(" to {}", container.image)).unwrap_or_default();
        Some(end(request, Phase::RolledBack, Reason::RolledBack, Some(format!("a person rolled back{to}")), context.observed.now))
    })
}

/// Maximum age of a cached object compared with this process's own last write.
const STALE: Duration = Duration::from_mins(1);

/// Continues to watch the rollouts. Returns a step, or the time of the next check.
pub(super) fn follow(context: &Context<'_>, rolling: &[&Request]) -> Result<Step, Option<Timestamp>> {
    let rollout_status = context.workload.rollout.rollout_status(context.workload.generation);
    let mut failed: Vec<(&Request, Failure)> = Vec::new();
    let mut wake: Option<Timestamp> = None;
    for request in rolling {
        match one(context, request, &rollout_status) {
            Outcome::Step(step) => return Ok(step),
            Outcome::Failed(failure) => match check_rollback(request.status.waiting.as_ref(), context.observed.now) {
                Gate::Wait(waiting) => wake = wake.into_iter().chain(waiting.until).min(),
                Gate::Open => failed.push((request, failure)),
            },
            Outcome::Rest(again) => wake = wake.into_iter().chain(again).min(),
        }
    }
    roll_back(context, &failed).ok_or(wake)
}

enum Outcome {
    Step(Step),
    /// It failed, automatic rollback is enabled, and there is an image to roll back to.
    Failed(Failure),
    Rest(Option<Timestamp>),
}

fn one(context: &Context<'_>, request: &Request, rollout_status: &RolloutStatus) -> Outcome {
    let now = context.observed.now;
    let fallback = RolloutState::new(context.workload.generation, now);
    let watch = request.status.rollout.as_ref().unwrap_or(&fallback);
    let recreated;
    let watch = if context.workload.generation < watch.generation {
        // The copy of the workload is older than the request: wait for the watch.
        let limits = after(watch.progressed_at, STALE);
        if context.workload.destination.is_none() || now < limits {
            return Outcome::Rest(context.workload.destination.as_ref().map(|_| limits));
        }
        // If this lasts, the object with the release's version was recreated, and its generations restarted at one.
        recreated = RolloutState { generation: context.workload.generation, ..watch.clone() };
        &recreated
    } else {
        watch
    };
    if let Some(step) = taken_over(context, request, watch) {
        return Outcome::Step(step);
    }
    if names_unknown(context) && !context.observed.presence.is_live() {
        // That request may be the cause of failures in another container.
        return Outcome::Step(Step::Read);
    }
    let name = request.spec.container.as_deref().unwrap_or_default();
    let others = answered_for(context, name);
    let settings = context.settings(name).unwrap_or_default();
    // Without pods, the status is the only evidence.
    let seen = PodSnapshot::new(now, context.workload.generation, Some(Vec::new()), None);
    let nothing = (!context.workload.rollout.has_pods()).then_some(seen);
    let observation = RolloutObservation {
        watch,
        rollout_status,
        snapshot: nothing
            .as_ref()
            .or_else(|| context.observed.snapshot.filter(|snapshot| snapshot.generation == context.workload.generation)),
        container: name,
        others: &others,
        limits: RolloutLimits::from(&settings).at_least(context.workload.rollout.least_timeout()),
        now,
        seen_since: context.observed.seen_since,
        clock_stepped: context.observed.clock_stepped,
    };
    let awaited = || awaited(context, rollout_status, observation.snapshot);
    match judge(&observation) {
        Verdict::InspectPods => Outcome::Step(Step::InspectPods),
        Verdict::Continue(memory, again) => {
            match remember(request, *memory, rollout_status, awaited()).or_else(|| evict(context, request, awaited()?)) {
                Some(step) => Outcome::Step(step),
                None => Outcome::Rest(again),
            }
        }
        Verdict::Healthy => Outcome::Step(healthy(context, request, watch, &settings)),
        Verdict::TimedOut(message) => {
            let stuck = awaited().map(|pod| format!("; {pod}")).unwrap_or_default();
            Outcome::Step(timed_out(request, watch, message + &stuck, now))
        }
        Verdict::Failed(failure) => failed(context, request, watch, &settings, failure),
    }
}

/// Returns true if the workload carries the change of an unknown request: the copy of the requests is stale, or the
/// request was deleted.
fn names_unknown(context: &Context<'_>) -> bool {
    named_requests(context.workload).any(|name| !context.observed.requests.iter().any(|request| request.name == name))
}

/// Returns the other containers whose failures have their own request: its rollout is watched as well, or it failed and
/// was not rolled back. Failures of their pods are not evidence against this container.
pub(super) fn answered_for<'a>(context: &Context<'a>, container: &str) -> Vec<&'a str> {
    let all = context.workload.containers.iter().filter(|one| one.name != container);
    let answered = |one: &&Container| context.observed.requests.iter().any(|request| answers_for(context, request, one));
    all.filter(answered).map(|one| one.name.as_str()).collect()
}

/// Returns true if failures of the container are those of this request: it placed the image, and is not completed.
pub(super) fn answers_for(context: &Context<'_>, request: &Request, container: &Container) -> bool {
    let applied = request.status.times_applied > 0 || marks(context.workload).any(|mark| mark == request.name);
    applied
        && request.status.phase != Phase::Completed
        && request.spec.container.as_ref() == Some(&container.name)
        && request.placed_image() == container.image
}

/// A pod of an older version that an ordered StatefulSet waits for. The StatefulSet does not replace any pod before
/// that one is ready, in either direction (Kubernetes documentation: "Forced rollback").
#[derive(Debug, Clone, Copy)]
struct Awaited<'a> {
    pod: &'a PodView,
    snapshot: &'a PodSnapshot,
}

impl Awaited<'_> {
    /// Returns the refusal of its eviction, if it was refused.
    fn refused(&self) -> Option<&RefusedEviction> {
        self.snapshot.refused.as_ref().filter(|refused| refused.uid == self.pod.uid)
    }
}

impl fmt::Display for Awaited<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the StatefulSet waits for a pod of another version: {}", self.pod.state())?;
        self.refused().map_or(Ok(()), |refused| write!(f, "; Headwind cannot evict it: {}", refused.why))
    }
}

fn awaited<'a>(context: &Context<'_>, rollout_status: &RolloutStatus, snapshot: Option<&'a PodSnapshot>) -> Option<Awaited<'a>> {
    let View::StatefulSet(view) = &context.workload.rollout else { return None };
    if view.parallel || !matches!(rollout_status, RolloutStatus::Moving(_, _)) {
        return None;
    }
    let snapshot = snapshot?;
    let unready = snapshot.pods.iter().flatten().filter(|pod| pod.owned && (pod.deleting || !pod.is_ready()));
    let first = unready.filter_map(|pod| Some((view.to_replace(&pod.name)?, pod))).min_by_key(|(ordinal, _)| *ordinal);
    first.map(|(_, pod)| Awaited { pod, snapshot }).filter(|awaited| !awaited.pod.new && !awaited.pod.deleting)
}

/// Evicts the awaited pod as a last resort: only if it was unhealthy in `retries` consecutive checks, and only if it is
/// in a state that it cannot leave by itself or is of the version that is rolled back. A pod that is not ready for a
/// while, or is being created, is left to Kubernetes.
fn evict(context: &Context<'_>, request: &Request, awaited: Awaited<'_>) -> Option<Step> {
    let Awaited { pod, snapshot } = awaited;
    let name = request.spec.container.as_deref().unwrap_or_default();
    let settings = context.settings(name).unwrap_or_default();
    let limits = RolloutLimits::from(&settings);
    let back =
        request.status.rolled_back_from.is_some() || request.status.rollout.as_ref().is_some_and(|watch| watch.returned_to.is_some());
    let lasting = snapshot.unwell.get(&pod.uid).is_some_and(|looks| *looks >= limits.retries);
    let waits = awaited.refused().is_some_and(|refused| context.observed.now < refused.again);
    let ours = context.workload.handling(&settings) == Handling::Patch;
    let due = ours && lasting && (back || pod.failure().is_some()) && !waits;
    due.then(|| Step::Evict(PodName { name: pod.name.clone(), uid: pod.uid.clone() }))
}

/// Ends the watch if somebody else, or a newer request, has changed the image.
fn taken_over(context: &Context<'_>, request: &Request, watch: &RolloutState) -> Option<Step> {
    let now = context.observed.now;
    let image = context.container_of(request).map(|container| container.image.as_str());
    let expected = watch.returned_to.as_deref().unwrap_or(request.placed_image());
    if image == Some(expected) {
        return None;
    }
    let changed = image.map_or_else(|| "the container is gone".to_owned(), |image| format!("the container now runs {image}"));
    if let Some(returned) = &watch.returned_to {
        return Some(end(request, Phase::RolledBack, cause(watch), Some(format!("rolled back to {returned}; {changed}")), now));
    }
    let name = request.spec.container.as_deref().unwrap_or_default();
    let ours = context.history.of(name).next().is_some_and(|entry| {
        Some(entry.image.as_str()) == image && entry.update_request_name.as_ref().is_some_and(|by| *by != request.name)
    });
    let reason = match (image, ours) {
        (None, _) => Reason::ContainerGone,
        (Some(_), true) => Reason::NewerVersion,
        (Some(_), false) => Reason::ImageChanged,
    };
    Some(end(request, Phase::Superseded, reason, Some(format!("the workload changed during the rollout: {changed}")), now))
}

fn cause(watch: &RolloutState) -> Reason {
    watch.cause.as_ref().map_or(Reason::RolledBack, |failure| failure.reason)
}

/// Stores the state of the watch, if it has changed.
fn remember(request: &Request, memory: RolloutState, rollout_status: &RolloutStatus, awaited: Option<Awaited<'_>>) -> Option<Step> {
    let hindered = awaited.filter(|awaited| awaited.refused().is_some()).map(|awaited| awaited.to_string());
    let said = |words: &String| request.status.message.as_ref().is_some_and(|message| message.contains(words));
    if request.status.rollout.as_ref() == Some(&memory) && hindered.as_ref().is_none_or(said) {
        return None;
    }
    let (reason, progress) = match rollout_status {
        RolloutStatus::Held(reason) => (*reason, Some(reason.sentence().to_owned())),
        RolloutStatus::Unseen | RolloutStatus::Failed(_) | RolloutStatus::NoRollout => (Reason::RolloutProgressing, None),
        RolloutStatus::Moving(count, Some(RolloutProblem::Waits(reason))) => (*reason, Some(format!("{count}; {}", reason.sentence()))),
        RolloutStatus::Moving(count, Some(RolloutProblem::Blameless(words))) => {
            (Reason::RolloutProgressing, Some(format!("{count}; {words}")))
        }
        RolloutStatus::Moving(count, _) => (Reason::RolloutProgressing, Some(count.to_string())),
        RolloutStatus::Complete(count) => (Reason::RolloutProgressing, Some(format!("{count}; waiting for the end of settle-time"))),
    };
    let mut parts: Vec<String> = progress.into_iter().collect();
    if let Some(failure) = memory.failure.as_ref().filter(|_| memory.failed_checks > 0) {
        parts.push(format!("consecutive failed checks: {}; {}", memory.failed_checks, failure.message));
    }
    parts.extend(hindered);
    let mut status = request.status.clone();
    match &memory.returned_to {
        // The cause of the rollback stays the reason until the rollback is complete.
        Some(image) => parts.insert(0, rollback_message(request, image, memory.cause.as_ref())),
        None => status.reason = Some(reason),
    }
    status.message = Some(parts.join("; ")).filter(|message| !message.is_empty()).or(status.message);
    status.rollout = Some(memory);
    Some(Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status }))
}

fn healthy(context: &Context<'_>, request: &Request, watch: &RolloutState, settings: &Settings) -> Step {
    let now = context.observed.now;
    let stayed = match settings.settle_time.as_secs() {
        0 => String::new(),
        _ if context.workload.rollout == View::NoRollout => String::new(),
        seconds => format!(", and has been for {seconds} s"),
    };
    let well = context.workload.rollout.well();
    if let Some(image) = &watch.returned_to {
        let why = watch.cause.as_ref().map(|cause| format!("; {} failed with {}: {}", request.spec.new_image, cause.reason, cause.message));
        let message = format!("rolled back to {image}, {well}{stayed}{}", why.unwrap_or_default());
        return end(request, Phase::RolledBack, Reason::RollbackComplete, Some(message), now);
    }
    let what = if request.is_restart() { "was pulled again" } else { "is in place" };
    let reason = if request.status.rolled_back_from.is_some() { Reason::RollbackComplete } else { Reason::RolloutComplete };
    end(request, Phase::Completed, reason, Some(format!("{} {what}, {well}{stayed}", request.spec.new_image)), now)
}

fn timed_out(request: &Request, watch: &RolloutState, message: String, now: Timestamp) -> Step {
    match &watch.returned_to {
        // Nothing shows that the restored image is bad.
        Some(image) => {
            let message = format!("rolled back to {image}, but that rollout timed out: {message}");
            end(request, Phase::RolledBack, Reason::RollbackFailed, Some(message), now)
        }
        None if request.status.rolled_back_from.is_some() => end(request, Phase::Failed, Reason::RollbackFailed, Some(message), now),
        None => end(request, Phase::Failed, Reason::RolloutTimedOut, Some(message), now),
    }
}

/// Ends a rollback whose pods do not run either. Headwind does not retry it.
fn failed_rollback(request: &Request, watch: &RolloutState, message: &str, now: Timestamp) -> Step {
    let image = watch.returned_to.as_deref().unwrap_or_default();
    end(
        request,
        Phase::RolledBack,
        Reason::RollbackFailed,
        Some(format!("rolled back to {image}, which does not run either: {message}")),
        now,
    )
}

fn failed(context: &Context<'_>, request: &Request, watch: &RolloutState, settings: &Settings, failure: Failure) -> Outcome {
    let now = context.observed.now;
    let Failure { reason, message } = &failure;
    if watch.returned_to.is_some() {
        return Outcome::Step(failed_rollback(request, watch, message, now));
    }
    if request.status.rolled_back_from.is_some() {
        let message = format!("the rollback to {} failed too: {message}", request.spec.new_image);
        return Outcome::Step(end(request, Phase::Failed, Reason::RollbackFailed, Some(message), now));
    }
    // Nobody has chosen the defaults that replace invalid settings.
    let wished = settings.auto_rollback && context.workload.handling(settings) == Handling::Patch;
    match (wished, return_to(context, request)) {
        (true, Some(_)) => Outcome::Failed(failure),
        (true, None) => {
            let message = format!("{message}; {}", Reason::NothingToRollBackTo.sentence());
            Outcome::Step(end(request, Phase::Failed, *reason, Some(message), now))
        }
        (false, _) => Outcome::Step(end(request, Phase::Failed, *reason, Some(message.clone()), now)),
    }
}

/// Returns the image to roll back to: the previous one that is not known to be bad.
fn return_to(context: &Context<'_>, request: &Request) -> Option<String> {
    let name = request.spec.container.as_deref()?;
    let new = request.placed_image();
    if request.is_restart() {
        // The tag already names the new digest, so the previous one needs its digest.
        let before = request.spec.current_digest.as_deref().and_then(|text| Digest::parse(text).ok())?;
        return Some(ImageReference::parse(&request.spec.new_image).ok()?.with_digest(&before).to_string());
    }
    let proven = |entry: &&Entry| {
        entry.update_request_name.as_ref().is_none_or(|by| {
            context.observed.requests.iter().find(|one| one.name == *by).is_none_or(|one| one.status.phase == Phase::Completed)
        })
    };
    let ours = context.history.of(name).next().is_some_and(|entry| entry.image == new);
    let container = context.container_of(request)?;
    let vouched = |entry: &&Entry| may_return_to(container, &context.workload.uid, &entry.image, context.observed.requests.iter().copied());
    let noted = context.history.before(name, new).filter(|_| ours).filter(vouched).find(proven).map(|entry| entry.image.clone());
    noted.or_else(|| Some(request.spec.current_image.clone())).filter(|image| image != new && request.artifact(image).is_some())
}

/// Returns one patch that restores the previous images.
fn roll_back(context: &Context<'_>, failed: &[(&Request, Failure)]) -> Option<Step> {
    let now = context.observed.now;
    let mut history = context.history.clone();
    let mut changes = Vec::new();
    let mut due: BTreeMap<&str, &Request> = BTreeMap::new();
    for (request, _) in failed {
        if let Some(container) = context.container_of(request).filter(|_| return_to(context, request).is_some()) {
            due.entry(&container.name).or_insert(request);
        }
    }
    let due = together(due);
    for request in due.values() {
        let (Some(container), Some(to)) = (context.container_of(request), return_to(context, request)) else { continue };
        history.go_back(&container.name, &container.image, &to, now);
        changes.push(Change {
            request: request.name.clone(),
            container: container.name.clone(),
            from: container.image.clone(),
            to,
            restart_for: None,
            kind: ChangeKind::AutomaticRollback,
        });
    }
    if changes.is_empty() {
        return None;
    }
    let own = due.values().map(|request| request.back_mark());
    let last_request = context.kept_marks(&due).chain(own).collect::<Vec<_>>().join(",");
    Some(Step::Apply(Apply { changes, last_update: now, last_request, history: history.to_annotation() }))
}

/// Returns true if a manual request is a rollback: to an image that the container ran before, or, if the history does
/// not contain it, to a lower version.
pub(super) fn is_rollback(context: &Context<'_>, request: &Request) -> bool {
    goes_back(context.workload, &context.history, request)
}

/// Returns the same from the workload and its history.
pub(super) fn goes_back(workload: &Workload, history: &History, request: &Request) -> bool {
    let container = request.spec.container.as_deref().and_then(|name| workload.container(name));
    let Some(container) = container.filter(|_| request.spec.trigger == Trigger::Manual) else { return false };
    let known = history.before(&container.name, &container.image).any(|entry| entry.image == request.spec.new_image);
    known || is_lower(request.artifact(&request.spec.new_image), request.artifact(&container.image))
}

fn is_lower(artifact: Option<Artifact>, than: Option<Artifact>) -> bool {
    let (Some(artifact), Some(than)) = (artifact, than) else { return false };
    let version = |artifact: &Artifact| artifact.kind().read(artifact.version()?);
    artifact.name() == than.name() && version(&artifact).zip(version(&than)).is_some_and(|(one, other)| one.cmp_precedence(&other).is_lt())
}

#[cfg(test)]
mod tests;
