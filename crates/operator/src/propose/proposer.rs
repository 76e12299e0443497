//! From a claim to UpdateRequests: decides for every container that uses the repository, and records the proposals.
//!
//! Runs on every replica. The name of a request follows from the decision, so two replicas, or the same claim twice,
//! create one object. An update that is already recorded costs no call. A request that cannot be recorded affects only
//! its own container ([`super::unrecorded`]).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use headwind_core::artifact::reference::Digest;
use headwind_core::artifact::{Artifact, Origin};
use headwind_core::claim::Claim;
use headwind_core::decide::{self, Decision, Evaluation, PriorRequests, Proposal};
use headwind_core::evidence::Trust;
use headwind_core::policy::Occasion;
use headwind_core::reason::{Reason, Reasoned};
use headwind_core::request::{Request, outdated};
use headwind_core::settings::Annotations;
use headwind_core::workload::{Container, Workload};
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use kube::ResourceExt as _;
use parking_lot::RwLock;

use super::Inbox;
use super::claims::Arrived;
use super::judged::{DecisionInput, Judged, Offered, judge_each, needs};
use super::last_scan::LastScans;
use super::object::{name_siblings, request_of};
use super::offer::Offer;
use super::prior::{prior_requests, requests_of};
use super::unrecorded::{Heard, Retry, Verdict};
use crate::cluster::object::ObjectVersion;
use crate::cluster::{Class, ClusterClient, Failure};
use crate::observe::early_reads::EarlyReads;
use crate::observe::queue::Queue;
use crate::observe::state::State;
use crate::report::events::EventRecorder;
use crate::report::metrics::{ClassLabel, Metrics};
use crate::report::trace::Traces;

/// Number of workloads of one claim that are processed concurrently.
const AT_ONCE: usize = 16;
/// Timeout for recording one request.
const DEADLINE: Duration = Duration::from_secs(10);

/// The proposer, with its dependencies.
#[derive(Clone)]
pub(crate) struct Proposer {
    pub(crate) state: Arc<State>,
    pub(crate) cluster: ClusterClient,
    pub(crate) early_reads: Arc<EarlyReads>,
    pub(crate) events: EventRecorder,
    pub(crate) metrics: Metrics,
    pub(crate) queue: Queue,
    pub(crate) inbox: Arc<Inbox>,
    /// The results of the last scans.
    pub(crate) last_scans: Arc<RwLock<LastScans>>,
    /// True if every claim is verified with the registry.
    pub(crate) verify: bool,
    /// True if approvals are bound to the digest of the tag.
    pub(crate) bind: bool,
    pub(crate) traces: Traces,
}

/// A workload with the defaults of its namespace, and the decisions about a claim.
#[derive(Debug)]
pub(super) struct User {
    pub(super) workload: Arc<Workload>,
    pub(super) defaults: Arc<Annotations>,
    pub(super) heard: Heard,
    pub(super) judged: Vec<Judged>,
}

/// A proposal with the claim that led to it.
struct Wanted {
    proposal: Proposal,
    heard: Heard,
}

impl Proposer {
    /// Records the updates that follow from a claim, for each of these workloads separately. Takes the next workload as
    /// soon as fewer than the maximum are in progress.
    pub(super) async fn claim(&self, users: impl Iterator<Item = User>) {
        stream::iter(users)
            .for_each_concurrent(AT_ONCE, |user| async move {
                let User { workload, defaults, heard, judged } = user;
                let companions = self.companions(&heard.arrived, &workload, &defaults);
                let all = std::iter::once((heard, judged)).chain(companions);
                let wanted = all.flat_map(|(heard, judged)| self.wanted(&workload, &heard, judged)).collect();
                self.propose(&workload, &defaults, wanted).await;
            })
            .await;
    }

    /// Returns the waiting claims about other containers of the workload that need no query, with the decisions about
    /// them. Claims that arrive together become one rollout.
    fn companions(&self, arrived: &Arrived, workload: &Workload, defaults: &Annotations) -> Vec<(Heard, Vec<Judged>)> {
        let origins = workload.containers.iter().filter_map(Container::origin);
        let others: HashSet<Origin> = origins.filter(|origin| *origin != arrived.claim.origin).collect();
        let waiting: Vec<Arc<Arrived>> = {
            let claims = self.inbox.claims.lock();
            others.iter().flat_map(|origin| claims.queued(origin)).collect()
        };
        if waiting.is_empty() {
            return Vec::new();
        }
        let prior = prior_requests(&self.state, workload);
        let decided = |arrived: Arc<Arrived>| {
            let heard = Heard { arrived, answer: None };
            let judged = self.judged_by(&heard, workload, defaults, &prior);
            (heard, judged)
        };
        let stands = |(_, judged): &(Heard, Vec<Judged>)| {
            needs(judged).is_empty() && judged.iter().any(|one| matches!(one.decision, Decision::Propose(_)))
        };
        waiting.into_iter().map(decided).filter(stands).collect()
    }

    /// Reports the decisions about a claim and returns the proposals.
    fn wanted(&self, workload: &Workload, heard: &Heard, judged: Vec<Judged>) -> Vec<Wanted> {
        let of = |Judged { container, offer, decision }: Judged| match decision {
            Decision::Propose(proposal) => Some(Wanted { proposal: *proposal, heard: heard.clone() }),
            Decision::Refuse(refusal) => {
                let container = workload.container(&container)?;
                self.refused(&heard.arrived.claim.origin, &offer, workload, container, &refusal);
                None
            }
            // The workload has changed since its question was answered. The next push or poll decides about its current
            // state.
            Decision::Ask(_) => None,
        };
        judged.into_iter().filter_map(of).collect()
    }

    /// Decides about the container from claims that led to a proposal before, in the order in which they arrived.
    fn decide_again(&self, workload: &Workload, defaults: &Annotations, container: &Container, heard: &[Heard]) -> Option<Proposal> {
        let prior = prior_requests(&self.state, workload);
        match self.decide(&Offered::settled(container, heard)?.input(), workload, defaults, container, &prior) {
            Decision::Propose(proposal) => Some(*proposal),
            Decision::Ask(_) | Decision::Refuse(_) => None,
        }
    }

    /// Records the proposals for one workload of a scan that started at `began`. Returns how many requests were
    /// created.
    pub(crate) async fn propose_all(&self, workload: &Workload, defaults: &Annotations, proposals: Vec<Proposal>, began: Timestamp) -> u64 {
        let found = |proposal: Proposal| Some(Wanted { heard: found(workload, &proposal, began)?, proposal });
        self.propose(workload, defaults, proposals.into_iter().filter_map(found).collect()).await
    }

    async fn propose(&self, workload: &Workload, defaults: &Annotations, mut wanted: Vec<Wanted>) -> u64 {
        {
            let follow_digest = wanted.iter().any(|wanted| wanted.proposal.policy.follows_digest());
            let known = if follow_digest { requests_of(&self.state, workload) } else { Vec::new() };
            wanted.retain(|wanted| !self.is_outdated(workload, wanted, &known) && !self.joins(workload, defaults, wanted));
        }
        let now = Timestamp::now();
        let mut requests: Vec<UpdateRequest> =
            wanted.iter().map(|wanted| request_of(workload, &wanted.proposal, wanted.heard.arrived.at, now)).collect();
        name_siblings(&mut requests);
        let made = stream::iter(wanted.into_iter().zip(requests))
            .map(|(Wanted { proposal, heard }, request)| async move { self.record(workload, &proposal, &request, vec![heard]).await })
            .buffer_unordered(AT_ONCE)
            .filter(|made| std::future::ready(*made));
        made.count().await as u64
    }

    /// Returns true if a newer push is among the workload's requests.
    fn is_outdated(&self, workload: &Workload, wanted: &Wanted, requests: &[Request]) -> bool {
        let Wanted { proposal, heard } = wanted;
        let reason = outdated(proposal, heard.arrived.at, requests);
        if let Some(reason) = reason {
            self.metrics.refused(reason);
            tracing::debug!(
                workload.kind = %workload.key.kind, workload.namespace = workload.key.namespace, workload.name = workload.key.name,
                container = proposal.container, image.new = proposal.new_image, reason = reason.code(), "no update: {reason}"
            );
        }
        reason.is_some()
    }

    /// Adds the claim to the unrecorded ones of the container, if there are any. They are retried together.
    fn joins(&self, workload: &Workload, defaults: &Annotations, wanted: &Wanted) -> bool {
        let key = (workload.key.clone(), wanted.proposal.container.clone());
        let best = |heard: &[Heard]| {
            let container = workload.container(&key.1)?;
            let proposal = self.decide_again(workload, defaults, container, heard)?;
            chosen(container, &proposal, heard)
        };
        self.inbox.unrecorded.lock().join(&key, &workload.uid, &wanted.heard, best)
    }

    /// Retries the unrecorded updates of a container.
    pub(super) async fn retry(&self, retry: &Retry) {
        let Retry { key, uid, claims } = retry;
        let known = {
            let index = self.state.index.read();
            index.workload(&key.0).map(|workload| (workload, index.defaults(&key.0.namespace)))
        };
        let wanted = known.filter(|(workload, _)| workload.uid == *uid).and_then(|(workload, defaults)| {
            let container = workload.container(&key.1)?;
            let proposal = self.decide_again(&workload, &defaults, container, claims)?;
            let heard = claims.get(chosen(container, &proposal, claims)?)?.clone();
            Some((workload, Wanted { proposal, heard }))
        });
        match wanted.filter(|(workload, wanted)| !self.is_outdated(workload, wanted, &requests_of(&self.state, workload))) {
            Some((workload, Wanted { proposal, heard })) => {
                let request = request_of(&workload, &proposal, heard.arrived.at, Timestamp::now());
                self.record(&workload, &proposal, &request, claims.clone()).await;
            }
            None => self.inbox.unrecorded.lock().recorded(key, claims, self.state.leadership.now()),
        }
    }

    /// Creates the request. A failure is stored for its container and reported on the workload. Returns true if a
    /// request was created.
    async fn record(&self, workload: &Workload, proposal: &Proposal, request: &UpdateRequest, claims: Vec<Heard>) -> bool {
        let key = (workload.key.clone(), proposal.container.clone());
        let created = tokio::time::timeout(DEADLINE, self.create(workload, proposal, request)).await;
        let late = || Failure::busy(&format!("the API server did not answer within {} s", DEADLINE.as_secs()), None);
        let now = self.state.leadership.now();
        match created.unwrap_or_else(|_| Err(late())) {
            Ok(created) => {
                self.inbox.unrecorded.lock().recorded(&key, &claims, now);
                created
            }
            Err(failure) => {
                let at = Timestamp::now();
                let verdict = self.inbox.unrecorded.lock().failed(key, &workload.uid, claims, &proposal.new_image, &failure, (now, at));
                self.not_recorded(workload, proposal, &failure, verdict, at);
                false
            }
        }
    }

    fn not_recorded(&self, workload: &Workload, proposal: &Proposal, failure: &Failure, verdict: Verdict, at: Timestamp) {
        let Proposal { container, new_image, .. } = proposal;
        self.metrics.recording_failures.get_or_create(&ClassLabel { class: failure.class.as_str() }).inc();
        // A workload that the API server does not find is gone; its watch will report that.
        let then = match verdict {
            Verdict::Retry => {
                tracing::debug!(
                    workload.kind = %workload.key.kind, workload.namespace = workload.key.namespace, workload.name = workload.key.name,
                    container, image.new = new_image, error = %failure, "update not recorded; retrying"
                );
                return;
            }
            Verdict::Report => "retrying",
            Verdict::GivenUp => "giving up; the next push or poll tries again",
        };
        let note = format!("container {container}: the update to {new_image} could not be recorded: {failure}; {then}");
        self.events.warn(workload, Reason::NotRecorded, &format!("{container} {at}"), &note);
        self.inbox.changed.notify_one();
    }

    /// Decides about each container that a new claim is about, without reporting.
    pub(super) fn judged(&self, heard: &Heard, workload: &Workload, defaults: &Annotations) -> Vec<Judged> {
        self.judged_by(heard, workload, defaults, &prior_requests(&self.state, workload))
    }

    fn judged_by(&self, heard: &Heard, workload: &Workload, defaults: &Annotations, prior: &PriorRequests) -> Vec<Judged> {
        let trust = Trust { verify: self.verify, bind: self.bind, ..Trust::REGISTRY };
        judge_each(heard, workload, trust, |input, container| self.judge(input, workload, defaults, container, prior))
    }

    /// Decides about one container, without reporting.
    fn judge(
        &self,
        input: &DecisionInput<'_>,
        workload: &Workload,
        defaults: &Annotations,
        container: &Container,
        prior: &PriorRequests,
    ) -> Decision {
        let DecisionInput { offer, trigger, evidence, .. } = *input;
        let nodes = self.state.nodes.all();
        let evaluation = Evaluation {
            workload,
            defaults,
            container,
            candidates: &offer.candidates,
            occasion: offer.occasion,
            trigger,
            nodes: nodes.as_deref().map(Vec::as_slice),
        };
        decide::decide_by(&evaluation, evidence, prior, |inquiry| offer.choose(inquiry))
    }

    /// Decides about one container, and reports a refusal. If the decision is a question, the caller answers it and
    /// decides again. `prior` are the requests of the workload.
    pub(crate) fn decide(
        &self,
        input: &DecisionInput<'_>,
        workload: &Workload,
        defaults: &Annotations,
        container: &Container,
        prior: &PriorRequests,
    ) -> Decision {
        let decision = self.judge(input, workload, defaults, container, prior);
        let scans = input.offer.occasion == Occasion::Scan;
        match &decision {
            Decision::Propose(_) if scans => self.last_scans.write().proposed(workload, container),
            Decision::Propose(_) | Decision::Ask(_) => {}
            Decision::Refuse(refusal) => {
                if scans {
                    let index = self.state.index.read();
                    self.last_scans.write().refused(&index, (workload, defaults), container, refusal.clone());
                }
                self.refused(input.origin, input.offer, workload, container, refusal);
            }
        }
        decision
    }

    pub(super) fn refused(&self, origin: &Origin, offer: &Offer, workload: &Workload, container: &Container, refusal: &Reasoned) {
        let Reasoned { reason, message } = refusal;
        // A scan sees the same versions repeatedly, so it reports no Event for them.
        let tag = match offer.occasion {
            Occasion::Event => {
                self.metrics.refused(*reason);
                offer.candidates.first().map(|candidate| candidate.tag.as_str()).unwrap_or_default()
            }
            Occasion::Scan => "",
        };
        if calls_for_a_person(*reason) {
            // A fault of the workload applies to every tag.
            let subject = if concerns_the_workload(*reason) { message.as_str() } else { tag };
            self.events.warn(
                workload,
                *reason,
                &format!("{} {subject}", container.name),
                &format!("container {}: {message}", container.name),
            );
        } else {
            tracing::debug!(
                workload.kind = %workload.key.kind, workload.namespace = workload.key.namespace, workload.name = workload.key.name,
                container = container.name, image.repository = %origin, image.tag = tag, reason = reason.code(), "no update: {message}"
            );
        }
    }

    /// Returns true if a request was created.
    async fn create(&self, workload: &Workload, proposal: &Proposal, request: &UpdateRequest) -> Result<bool, Failure> {
        let decided = Timestamp::now();
        if !request.spec.require_approval && self.state.leadership.leads() {
            self.early_reads.start(workload, &request.name_any());
        }
        let made = match self.cluster.create_request(request).await {
            Ok(made) => made,
            Err(failure) if failure.class == Class::Conflict => match self.replace_superseded(workload, proposal, request).await? {
                Some(made) => made,
                None => return Ok(false),
            },
            Err(failure) if failure.class == Class::NotFound && self.state.index.read().workload(&workload.key).is_none() => {
                return Ok(false);
            }
            Err(failure) => return Err(failure),
        };
        self.traces.recorded(&made, decided);
        self.state.record(made);
        self.queue.now(workload.key.clone());
        Ok(true)
    }

    /// Replaces a superseded request with the same name. A request in any other phase is kept.
    async fn replace_superseded(
        &self,
        workload: &Workload,
        proposal: &Proposal,
        request: &UpdateRequest,
    ) -> Result<Option<UpdateRequest>, Failure> {
        let namespace = request.namespace().unwrap_or_default();
        let Some(existing) = self.cluster.request(&namespace, &request.name_any()).await? else {
            return Err(gone_meanwhile());
        };
        if !existing.asks_for(&workload.key, &workload.uid, &proposal.identity) {
            self.name_taken(workload, proposal, &existing);
            self.state.record(existing);
            return Ok(None);
        }
        if existing.read().status.is_replaceable() {
            self.cluster.delete_request(&namespace, &request.name_any(), &ObjectVersion::of(&existing)).await?;
            return Ok(Some(self.cluster.create_request(request).await?));
        }
        self.state.record(existing);
        self.queue.now(request.workload_key());
        Ok(None)
    }

    /// Reports that a request for something else has the same name.
    fn name_taken(&self, workload: &Workload, proposal: &Proposal, existing: &UpdateRequest) {
        self.metrics.request_names_taken.inc();
        let name = existing.name_any();
        let note = format!(
            "container {}: {} cannot be proposed: UpdateRequest {name} has the same name and is for {}; delete it",
            proposal.container, proposal.new_image, existing.spec.new_image
        );
        self.events.warn(workload, Reason::NameTaken, &name, &note);
    }
}

fn gone_meanwhile() -> Failure {
    Failure::conflict("the request was deleted at this moment")
}

/// Returns true if a person should fix or know about the refusal.
fn calls_for_a_person(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidAnnotation
            | Reason::InvalidImage
            | Reason::CurrentNotAVersion
            | Reason::PatternMissing
            | Reason::DigestOnly
            | Reason::DigestUnknown
            | Reason::PlatformMissing
            | Reason::PlatformsUnknown
            | Reason::NotInRegistry
            | Reason::NotConfirmed
            | Reason::RevertedExternally
    )
}

/// Returns true if a refusal is independent of the tag.
fn concerns_the_workload(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidAnnotation
            | Reason::InvalidImage
            | Reason::CurrentNotAVersion
            | Reason::PatternMissing
            | Reason::DigestOnly
            | Reason::PlatformsUnknown
    )
}

/// Returns the claim that the proposal is based on.
fn chosen(container: &Container, proposal: &Proposal, heard: &[Heard]) -> Option<usize> {
    let artifact = container.artifact().ok()?;
    let new = Artifact::parse(artifact.kind(), &proposal.new_image).ok()?;
    let is_it = |heard: &Heard| {
        let candidate = heard.candidate(container, &artifact)?;
        let digest = candidate.digest.map(|digest| digest.to_string());
        (new.version().is_none_or(|version| version == candidate.tag) && digest == proposal.new_digest).then_some(())
    };
    heard.iter().rposition(|heard| is_it(heard).is_some())
}

/// Returns the result of a scan as a claim.
fn found(workload: &Workload, proposal: &Proposal, began: Timestamp) -> Option<Heard> {
    let container = workload.container(&proposal.container)?;
    let new = Artifact::parse(container.kind(), &proposal.new_image).ok()?;
    let origin = container.origin()?;
    let digest = proposal.new_digest.as_deref().and_then(|digest| Digest::parse(digest).ok());
    let claim = Claim {
        chart: matches!(origin, Origin::Charts(_)).then(|| new.name().to_owned()),
        tag: new.version().map(str::to_owned),
        digest,
        trigger: proposal.trigger,
        origin,
    };
    Some(Heard { arrived: Arc::new(Arrived { claim, at: began, proven: true }), answer: None })
}

#[cfg(test)]
mod tests;
