//! The one next step for a workload, from the workload and all its requests.
//!
//! Called by the operator's reconciler (and by the simulation) again and again until it says
//! [`Step::Rest`]. The order is what makes it safe: first what already happened is written down,
//! then what is void is ended, only then is anything new applied, and everything that is due
//! goes out in one patch.
//!
//! ```text
//! applied already? ─> void? ─> superseded? ─> expired? ─> watched? ─> due? ─> apply ─┐
//!        │               │          │            │           │         └─> waiting  │
//!        └───────────────┴──────────┴────────────┴───────────┴──> StatusWrite <─────┘ (next pass)
//! ```
//!
//! What is watched after its patch stands in [`super::follow`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::follow::{follow, gone_over, is_rollback, settle_back};
use super::{OVER, Phase, Request, Status, Waiting, fence, is_fence, mark_name, past_mark};
use crate::decide;
use crate::event::Trigger;
use crate::gate::{self, Gate};
use crate::history::History;
use crate::policy::{Candidate, Current, Kind as VersionKind, Occasion, Policy, judge};
use crate::reason::Reason;
use crate::reference::{Digest, ImageReference};
use crate::rollout::Watch;
use crate::rollout::pod::Look;
use crate::settings::{Annotations, Settings, key};
use crate::target::{Container, Target};

/// How many marks of what does not stand any more a workload carries at most.
const FENCES: usize = 10;

/// All that a decision about one workload needs to see.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The workload; `None` when it is gone.
    pub target: Option<&'a Target>,
    /// Headwind's annotations on the namespace.
    pub defaults: &'a Annotations,
    /// Every request of the workload, in any order.
    pub requests: &'a [&'a Request],
    /// The time.
    pub now: Timestamp,
    /// How many finished requests are kept (`HEADWIND_HISTORY_LIMIT`).
    pub history_limit: usize,
    /// The newest look at the workload's pods, if there was one.
    pub look: Option<&'a Look>,
    /// Since when the cluster is seen without a gap.
    pub seen_since: Timestamp,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write this status to this request.
    Write(Box<StatusWrite>),
    /// Patch the workload, once, for all the changes.
    Apply(Apply),
    /// Read the workload anew, look at its pods, and ask again with what they say.
    Look,
    /// Delete these pods of an older version, which keep the rollout from going on.
    Unblock(Vec<PodName>),
    /// Delete this finished request: enough newer ones are kept.
    Delete {
        /// The request's name.
        request: String,
    },
    /// Nothing now. Look again at that time, or on the next change.
    Rest(Option<Timestamp>),
}

impl Step {
    pub(super) fn write(write: StatusWrite) -> Self {
        Step::Write(Box::new(write))
    }
}

/// A pod, to be deleted if it is still the one that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodName {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A status for a request, to be written with the `resourceVersion` it was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusWrite {
    /// The request's name.
    pub request: String,
    /// The phase it leaves.
    pub from: Phase,
    /// Its whole new status.
    pub status: Status,
}

/// One guarded patch of the workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apply {
    /// What changes in which container; never empty, at most one a container.
    pub changes: Vec<Change>,
    /// The new value of `headwind.sh/last-update`.
    pub last_update: Timestamp,
    /// The new value of `headwind.sh/last-request`.
    pub last_request: String,
    /// The new value of `headwind.sh/update-history`.
    pub history: String,
}

/// The change of one container that one request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The request's name.
    pub request: String,
    /// The container's name.
    pub container: String,
    /// The image that must stand there for the patch to be made.
    pub from: String,
    /// The image that will.
    pub to: String,
    /// With an unchanged image: the text that goes into the pod template so that the pods are made
    /// anew, the digest where it is known.
    pub restart_for: Option<String>,
    /// Which way it goes.
    pub kind: ChangeKind,
}

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// To another version.
    Update,
    /// Back, because a person wants it.
    ManualRollback,
    /// Back, because the rollout failed.
    AutomaticRollback,
}

/// Decides the next step.
pub fn next(observed: &Observed<'_>) -> Step {
    let mut open: Vec<&Request> = observed.requests.iter().copied().filter(|request| request.status.phase.is_open()).collect();
    // The order of a cache or a list must not matter.
    open.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));

    let Some(target) = observed.target else {
        return open.first().map_or(Step::Rest(None), |request| end(request, Phase::Superseded, Reason::TargetGone, None, observed.now));
    };
    if let Some(orphan) = open.iter().find(|request| request.target_uid != target.uid) {
        return end(orphan, Phase::Superseded, Reason::TargetGone, None, observed.now);
    }
    if target.deleting {
        return Step::Rest(None);
    }
    let scene = Scene::new(target, observed);
    if let Some(step) = observed.requests.iter().find_map(|request| scene.settle_applied(request)) {
        return step;
    }
    if let Some(step) = open.iter().find_map(|request| settle_back(&scene, request)) {
        return step;
    }
    if let Some(step) = gone_over(&scene) {
        return step;
    }
    let (rolling, open): (Vec<&Request>, Vec<&Request>) = open.into_iter().partition(|request| request.status.phase == Phase::RollingOut);
    if let Some(step) = open.iter().find_map(|request| scene.void(request)) {
        return step;
    }
    if let Some(step) = open.iter().find_map(|request| scene.outdone(request, &open)) {
        return step;
    }
    if let Some(step) = open.iter().find_map(|request| scene.lapsed(request)) {
        return step;
    }
    if let Some(step) = observed.requests.iter().find_map(|request| ended_by_hand(request, observed.now)) {
        return step;
    }
    let watched = match follow(&scene, &rolling) {
        Ok(step) => return step,
        Err(again) => again,
    };
    let rest = || Step::Rest(scene.wake(&open).into_iter().chain(watched).min());
    scene.go_out(&open).unwrap_or_else(|| prune(&scene, observed).unwrap_or_else(rest))
}

/// The requests that the workload itself names as applied.
pub(super) fn marks(target: &Target) -> impl Iterator<Item = &str> {
    target.annotations.get(key::LAST_REQUEST).into_iter().flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty())
}

pub(super) fn end(request: &Request, phase: Phase, reason: Reason, message: Option<String>, now: Timestamp) -> Step {
    let mut status = request.status.clone();
    status.phase = phase;
    status.reason = Some(reason);
    status.message = Some(message.unwrap_or_else(|| reason.sentence().to_owned()));
    status.finished_at = Some(now);
    status.waiting = None;
    Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
}

/// A workload that is there, with what is read of it once.
pub(super) struct Scene<'a> {
    pub(super) target: &'a Target,
    pub(super) observed: &'a Observed<'a>,
    pub(super) history: History,
}

impl<'a> Scene<'a> {
    fn new(target: &'a Target, observed: &'a Observed<'a>) -> Self {
        let (mut history, whole) = History::parse(target.annotations.get(key::UPDATE_HISTORY).map(String::as_str));
        if !whole {
            repair(&mut history, target, observed.requests);
        }
        Self { target, observed, history }
    }

    pub(super) fn settings(&self, container: &str) -> Result<Settings, String> {
        Settings::resolve(self.observed.defaults, &self.target.annotations, container)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    fn last_update(&self) -> Option<Timestamp> {
        self.target.annotations.get(key::LAST_UPDATE).and_then(|text| text.parse().ok())
    }

    pub(super) fn container_of(&self, request: &Request) -> Option<&'a Container> {
        request.spec.container.as_deref().and_then(|name| self.target.container(name))
    }

    /// The workload names the request as applied: write that down, whatever stands there now.
    ///
    /// `last-request` tells of what stands there, the history of what stood there before: a copy of
    /// the request that lags far behind must not bring it back.
    fn settle_applied(&self, request: &Request) -> Option<Step> {
        // One that an old copy of the workload gave a reason to supersede was applied all the same.
        if !(request.status.phase.is_open() || request.status.phase == Phase::Superseded) || request.target_uid != self.target.uid {
            return None;
        }
        let noted = self.history.times_applied(&request.name) > request.status.times_applied as usize;
        if !noted && !marks(self.target).any(|mark| request.is_behind(mark)) {
            return None;
        }
        let now = self.observed.now;
        // Where a rollback is applied, the history forgets; an update it names.
        let back = request.spec.trigger == Trigger::Manual && !self.history.names(&request.name);
        let named = marks(self.target).any(|mark| mark == request.mark());
        let status = Status {
            phase: Phase::RollingOut,
            reason: Some(Reason::RolloutProgressing),
            message: Some(format!("{} is written into the workload", request.spec.new_image)),
            finished_at: None,
            // Who approves with plain `kubectl` writes a name and no time.
            approved_at: request.status.approved_at.or(request.status.approved_by.as_ref().map(|_| now)),
            times_applied: request.status.times_applied.saturating_add(1),
            applied_at: self.last_update().filter(|_| named).or(Some(now)),
            left: back.then(|| request.spec.current_image.clone()),
            waiting: None,
            rollout: Some(Watch::new(self.target.generation, now)),
            ..request.status.clone()
        };
        Some(Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status }))
    }

    /// Ends a request that makes no sense any more.
    fn void(&self, request: &Request) -> Option<Step> {
        let now = self.observed.now;
        if request.status.phase == Phase::Pending && request.status.finished_at.is_some() {
            return Some(reopened_by_hand(request, now));
        }
        if request.status.times_applied > 0 && !request.is_restart() && self.stands_already(request) {
            return Some(stands_still(request, self.target.generation, now));
        }
        match self.stands(request) {
            Ok(()) => None,
            Err((reason @ (Reason::InvalidRequest | Reason::InvalidImage), message)) => {
                Some(end(request, Phase::Failed, reason, Some(message), now))
            }
            Err((reason, message)) => Some(end(request, Phase::Superseded, reason, Some(message), now)),
        }
    }

    /// Whether the image that the request once put in place is there.
    fn stands_already(&self, request: &Request) -> bool {
        self.container_of(request).is_some_and(|container| container.image == request.spec.new_image)
    }

    /// Whether the workload, as it is now and is set up now, would still get this update.
    fn stands(&self, request: &Request) -> Result<(), (Reason, String)> {
        if let Some(fault) = &request.fault {
            return Err((Reason::InvalidRequest, fault.clone()));
        }
        let Some(name) = request.spec.container.as_deref() else {
            return Err((Reason::InvalidRequest, "the request names no container".to_owned()));
        };
        let wanted = ImageReference::parse(&request.spec.new_image)
            .map_err(|error| (Reason::InvalidRequest, format!("newImage {:?}: {error}", request.spec.new_image)))?;
        let Some(container) = self.target.container(name) else {
            return Err((Reason::ContainerGone, format!("the workload has no container {name} any more")));
        };
        let standing = container
            .reference()
            .map_err(|error| (Reason::InvalidImage, format!("container {name} has image {:?}: {error}", container.image)))?;
        // Who may approve versions may not thereby run what was never meant to run there.
        let known = request.spec.trigger == Trigger::Manual && self.history.of(name).any(|entry| entry.image == request.spec.new_image);
        if wanted.repository() != standing.repository() && !known {
            return Err((Reason::ImageChanged, format!("container {name} runs {} now", container.image)));
        }
        self.unmoved(request, container)?;
        if request.spec.trigger == Trigger::Manual {
            return Ok(());
        }
        let settings = self.settings(name).map_err(|faults| (Reason::PolicyChanged, format!("an annotation has a bad value: {faults}")))?;
        if self.observed.requests.iter().any(|one| left_behind(one, request)) {
            return Err((Reason::RolledBack, format!("a person went back from {} since", request.spec.new_image)));
        }
        decide::admits(&settings, container, standing.repository(), request.spec.trigger)
            .map_err(|reason| (Reason::PolicyChanged, reason.sentence().to_owned()))?;
        still_taken(request, container, &standing, &wanted, &settings)
    }

    /// The image is the one the request was made for, or Headwind's own updates moved it on from there.
    fn unmoved(&self, request: &Request, container: &Container) -> Result<(), (Reason, String)> {
        if container.image == request.spec.current_image {
            return Ok(());
        }
        // What a person asked for is meant for what they saw.
        let found = request.spec.trigger != Trigger::Manual;
        let mut ours = self.history.of(&container.name);
        let newest_is_here = found && ours.next().is_some_and(|entry| entry.image == container.image);
        if newest_is_here && container.image != request.spec.new_image && ours.any(|entry| entry.image == request.spec.current_image) {
            return Ok(());
        }
        // It was made while a version stood there that Headwind took back since.
        let taken_back = |one: &Request| {
            let back =
                one.status.phase == Phase::RolledBack || one.status.rollout.as_ref().is_some_and(|watch| watch.returned_to.is_some());
            back && one.spec.container == request.spec.container && one.spec.new_image == request.spec.current_image
        };
        if newest_is_here && self.observed.requests.iter().any(|one| taken_back(one)) {
            return Ok(());
        }
        Err((
            Reason::ImageChanged,
            format!("container {} was changed from {} to {} by another hand", container.name, request.spec.current_image, container.image),
        ))
    }

    /// Ends a request for whose container a better one is open.
    ///
    /// What a person approved gives way to nothing that still waits for an approval; what a person
    /// asked for and what Headwind found leave each other alone.
    fn outdone(&self, request: &Request, open: &[&Request]) -> Option<Step> {
        let rival = open.iter().find(|rival| {
            rival.name != request.name
                && rival.spec.container == request.spec.container
                && (rival.spec.trigger == Trigger::Manual) == (request.spec.trigger == Trigger::Manual)
                && (self.approved(rival) || !self.approved(request))
                && self.better(rival, request)
        })?;
        let message = format!("{} took its place", rival.spec.new_image);
        Some(end(request, Phase::Superseded, Reason::NewerVersion, Some(message), self.observed.now))
    }

    /// Whether `a` is to go out rather than `b`: the policy's choice, else the younger.
    fn better(&self, a: &Request, b: &Request) -> bool {
        let younger = (a.created, &a.name) > (b.created, &b.name);
        let Some(container) = self.container_of(a) else { return younger };
        let (Ok(standing), Ok(settings)) = (container.reference(), self.settings(&container.name)) else { return younger };
        let rule = settings.rule();
        if rule.policy == Policy::Force || a.spec.trigger == Trigger::Manual || b.spec.trigger == Trigger::Manual {
            return younger;
        }
        match decide::prefer(&rule, &standing, container, &a.spec.new_image, &b.spec.new_image) {
            Some(first) => first,
            None => younger,
        }
    }

    /// Whether nothing but its turn is missing.
    ///
    /// Approved by policy is what both the request and today's settings say needs no approval: a
    /// workload that asks for approval by now gets it asked.
    fn approved(&self, request: &Request) -> bool {
        match request.status.phase {
            Phase::Pending => {
                request.spec.trigger != Trigger::Manual
                    && !request.spec.require_approval
                    && request
                        .spec
                        .container
                        .as_deref()
                        .is_some_and(|name| self.settings(name).is_ok_and(|settings| !settings.require_approval))
            }
            Phase::Approved | Phase::Applying => true,
            Phase::RollingOut
            | Phase::Completed
            | Phase::Rejected
            | Phase::Failed
            | Phase::Expired
            | Phase::Superseded
            | Phase::RolledBack => false,
        }
    }

    fn lapsed(&self, request: &Request) -> Option<Step> {
        let due = request.status.phase == Phase::Pending && !self.approved(request) && request.expires_at() <= self.observed.now;
        due.then(|| end(request, Phase::Expired, Reason::PastExpiry, None, self.observed.now))
    }

    fn gate(&self, request: &Request) -> Gate {
        if request.spec.trigger == Trigger::Manual {
            // Who asks for it wants it now.
            return Gate::Open;
        }
        match request.spec.container.as_deref().map(|name| self.settings(name)) {
            Some(Ok(settings)) => gate::interval(self.last_update(), settings.min_update_interval, self.observed.now),
            Some(Err(_)) | None => Gate::Open,
        }
    }

    /// Applies what is due, or notes on each approved request what it waits for.
    fn go_out(&self, open: &[&Request]) -> Option<Step> {
        let approved: Vec<&Request> = open.iter().copied().filter(|request| self.approved(request)).collect();
        let mut due: BTreeMap<&str, &Request> = BTreeMap::new();
        // What a person asked for comes first.
        let (asked, found): (Vec<&Request>, Vec<&Request>) = approved.iter().partition(|request| request.spec.trigger == Trigger::Manual);
        for request in asked.into_iter().chain(found).filter(|request| self.gate(request) == Gate::Open) {
            if let Some(container) = request.spec.container.as_deref() {
                due.entry(container).or_insert(request);
            }
        }
        if !due.is_empty() {
            return Some(Step::Apply(self.patch(&due)));
        }
        approved.iter().find_map(|request| {
            let Gate::Wait { until, reason } = self.gate(request) else { return None };
            let waiting = Some(Waiting { reason, until });
            (request.status.waiting != waiting).then(|| {
                let status = Status { waiting, ..request.status.clone() };
                Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
            })
        })
    }

    fn patch(&self, due: &BTreeMap<&str, &Request>) -> Apply {
        let now = self.observed.now;
        let mut history = self.history.clone();
        let mut changes = Vec::with_capacity(due.len());
        let mut over = Vec::new();
        for (name, request) in due {
            let Some(container) = self.target.container(name) else { continue };
            let approver = request.status.approved_by.as_deref();
            let back = is_rollback(self, request);
            if back {
                over.extend(self.goes_over(container, &request.spec.new_image));
                history.go_back(name, &container.image, &request.spec.new_image, now);
            } else {
                history.record(name, &container.image, &request.spec.new_image, now, &request.name, approver);
            }
            changes.push(Change {
                request: request.name.clone(),
                container: (*name).to_owned(),
                from: container.image.clone(),
                to: request.spec.new_image.clone(),
                restart_for: request.is_restart().then(|| request.spec.new_digest.clone().unwrap_or_else(|| now.to_string())),
                kind: if back { ChangeKind::ManualRollback } else { ChangeKind::Update },
            });
        }
        let own = due.values().map(|request| request.mark());
        let last_request = self.standing_marks(due).chain(over).chain(own).collect::<Vec<_>>().join(",");
        Apply { changes, last_update: now, last_request, history: history.to_annotation() }
    }

    /// What says of the requests between the container's image and the one it goes back to that they
    /// were gone over: without it, an old copy of one of them would be applied again.
    fn goes_over(&self, container: &Container, image: &str) -> Vec<String> {
        let newer = self.history.of(&container.name).take_while(|entry| entry.image == container.image || entry.image != image);
        let over = |name: &str| match self.observed.requests.iter().find(|request| request.name == name) {
            Some(request) => request.over_mark(),
            None => fence(name, u32::try_from(self.history.times_applied(name)).unwrap_or(1), OVER),
        };
        newer.filter_map(|entry| entry.update_request_name.as_deref()).map(over).collect()
    }

    /// The earlier marks whose change still stands in a container that is not touched now, and the
    /// newest of those that say what became of others: they keep an old copy of a request from
    /// bringing its change back.
    pub(super) fn standing_marks(&self, due: &BTreeMap<&str, &Request>) -> impl Iterator<Item = String> {
        let mut room = FENCES;
        let mut kept: Vec<String> = Vec::new();
        for mark in marks(self.target).collect::<Vec<_>>().into_iter().rev() {
            let request = self.observed.requests.iter().find(|request| request.name == mark_name(mark));
            let untouched = request
                .and_then(|request| Some((request, self.container_of(request)?)))
                .is_some_and(|(request, one)| one.image == request.spec.new_image && !due.contains_key(one.name.as_str()));
            let past = match request {
                Some(request) => (request.spec.trigger == Trigger::Manual).then(|| request.past_mark()),
                None => Some(past_mark(mark)),
            };
            if untouched && !is_fence(mark) {
                kept.push(mark.to_owned());
            } else if let Some(fence) = is_fence(mark).then(|| mark.to_owned()).or(past)
                && room > 0
            {
                room -= 1;
                kept.push(fence);
            }
        }
        kept.into_iter().rev()
    }

    /// When something happens by the clock alone.
    fn wake(&self, open: &[&Request]) -> Option<Timestamp> {
        open.iter()
            .filter_map(|request| match (self.approved(request), self.gate(request)) {
                (true, Gate::Wait { until, .. }) => Some(until),
                (true, Gate::Open) => None,
                (false, _) => (request.status.phase == Phase::Pending).then(|| request.expires_at()),
            })
            .min()
    }

    /// Whether a finished request holds back a version that the policy would take today.
    fn holds_back(&self, request: &Request) -> bool {
        if request.target_uid != self.target.uid {
            return false;
        }
        if let Some(left) = &request.status.left {
            return self.would_take(request, left);
        }
        if request.status.makes_room() {
            return false;
        }
        self.would_take(request, &request.spec.new_image)
    }

    /// Whether the policy would take that image of the request today.
    fn would_take(&self, request: &Request, image: &str) -> bool {
        let Some(container) = self.container_of(request) else { return false };
        let (Ok(standing), Ok(wanted)) = (container.reference(), ImageReference::parse(image)) else { return false };
        match self.settings(&container.name) {
            Ok(settings) => still_taken(request, container, &standing, &wanted, &settings).is_ok(),
            // While the settings are broken nobody can say: keep it.
            Err(_) => true,
        }
    }
}

/// Whether a person went back from what `request` wants, after it was made or reopened.
fn left_behind(rollback: &Request, request: &Request) -> bool {
    let (Some(left), Some(applied)) = (&rollback.status.left, rollback.status.applied_at) else { return false };
    rollback.spec.container == request.spec.container
        && *left == request.spec.new_image
        && request.status.reopened_at.unwrap_or(request.created).as_second() <= applied.as_second()
}

/// Makes a history that somebody broke anew, from the requests that are on record.
fn repair(history: &mut History, target: &Target, requests: &[&Request]) {
    let stands = |request: &&Request| {
        request.target_uid == target.uid
            && request.status.times_applied > 0
            && request.status.phase != Phase::RolledBack
            && request.status.left.is_none()
            && !history.names(&request.name)
    };
    let mut applied: Vec<&Request> = requests.iter().copied().filter(stands).collect();
    applied.sort_by_key(|request| (request.status.applied_at, request.created));
    for request in applied {
        let Request { name, spec, status, .. } = request;
        let Some(container) = spec.container.as_deref() else { continue };
        let at = status.applied_at.unwrap_or(request.created);
        history.record(container, &spec.current_image, &spec.new_image, at, name, status.approved_by.as_deref());
    }
}

/// Whether the policy would still take the request's version from where the container is now.
fn still_taken(
    request: &Request,
    container: &Container,
    standing: &ImageReference,
    wanted: &ImageReference,
    settings: &Settings,
) -> Result<(), (Reason, String)> {
    let rule = settings.rule();
    let current = Current { tag: standing.effective_tag().map(str::to_owned), digest: container.known_digest(standing) };
    let Some(tag) = wanted.effective_tag().map(str::to_owned) else {
        // A digest alone is what policy force alone puts in place.
        return if rule.policy == Policy::Force { Ok(()) } else { Err((Reason::PolicyChanged, Reason::DigestOnly.sentence().to_owned())) };
    };
    let digest = request.spec.new_digest.as_deref().and_then(|text| Digest::parse(text).ok());
    let verdict = judge(&rule, VersionKind::Image, Occasion::Event, &current, &[Candidate { tag, digest }]);
    match verdict.candidates.first() {
        Some(candidate) if verdict.chosen.is_none() => Err((Reason::PolicyChanged, candidate.message.clone())),
        Some(_) | None => Ok(()),
    }
}

/// Reopened although its change is in place: whether it runs by now is what there is to find out.
fn stands_still(request: &Request, generation: i64, now: Timestamp) -> Step {
    let status = Status {
        phase: Phase::RollingOut,
        reason: Some(Reason::RolloutProgressing),
        message: Some(format!("{} is in place still; its rollout is watched again", request.spec.new_image)),
        times_applied: request.status.times_applied.saturating_add(1),
        waiting: None,
        rollout: Some(Watch::new(generation, now)),
        ..request.status.clone()
    };
    Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
}

/// Somebody ended the request with plain `kubectl`: give it the reason and the time that every end
/// has.
fn ended_by_hand(request: &Request, now: Timestamp) -> Option<Step> {
    let Status { phase, reason, finished_at, rejected_by, .. } = &request.status;
    if phase.is_open() || (finished_at.is_some() && reason.is_some()) {
        return None;
    }
    let mut status = request.status.clone();
    if *phase == Phase::Rejected {
        status.reason = Some(Reason::RejectedByPerson);
        status.message = Some(format!("rejected by {}", rejected_by.as_deref().unwrap_or("somebody")));
        status.rejected_at = status.rejected_at.or(Some(now));
    } else {
        status.reason = reason.or(Some(Reason::Settled));
        status.message = status.message.or_else(|| Some(Reason::Settled.sentence().to_owned()));
    }
    status.finished_at = finished_at.or(Some(now));
    status.waiting = None;
    Some(Step::write(StatusWrite { request: request.name.clone(), from: *phase, status }))
}

/// Somebody set the phase back with plain `kubectl`: give the request the rest of a reopened one.
fn reopened_by_hand(request: &Request, now: Timestamp) -> Step {
    let status = Status {
        phase: Phase::Pending,
        reason: Some(Reason::Reopened),
        message: Some(Reason::Reopened.sentence().to_owned()),
        reopened_at: Some(now),
        times_applied: request.status.times_applied,
        ..Status::default()
    };
    Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
}

/// Deletes the oldest finished request past the limit that holds nothing back.
fn prune(scene: &Scene<'_>, observed: &Observed<'_>) -> Option<Step> {
    let mut finished: Vec<&Request> = observed.requests.iter().copied().filter(|request| !request.status.phase.is_open()).collect();
    if finished.len() <= observed.history_limit {
        return None;
    }
    // Times in a status have whole seconds; of two that ended in one, the later made is the newer.
    finished.sort_by(|a, b| (b.status.finished_at, b.created, &b.name).cmp(&(a.status.finished_at, a.created, &a.name)));
    finished
        .iter()
        .skip(observed.history_limit)
        .rev()
        .find(|request| !scene.holds_back(request))
        .map(|request| Step::Delete { request: request.name.clone() })
}

#[cfg(test)]
mod tests;
