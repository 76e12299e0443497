//! Decisions about claims, for each container of a workload that a claim is about.
//!
//! Headwind decides about a claim once. If the decision asks the registry a question, the verifier gets the answer, and
//! Headwind decides again. The proposer reports the last decision and records the proposal.

use std::collections::BTreeSet;

use headwind_core::artifact::Origin;
use headwind_core::decide::{Asks as _, Decision};
use headwind_core::evidence::{Answer, Evidence, Need, Trust};
use headwind_core::policy::{Candidate, Occasion};
use headwind_core::trigger::Trigger;
use headwind_core::workload::{Container, Workload};

use super::offer::Offer;
use super::unrecorded::Heard;

/// The input of a decision, except for the container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecisionInput<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) offer: &'a Offer,
    pub(crate) trigger: Trigger,
    pub(crate) evidence: &'a Evidence,
}

/// The claims that offer versions to a container.
#[derive(Debug)]
pub(super) struct Offered<'a> {
    origin: &'a Origin,
    trigger: Trigger,
    offer: Offer,
    evidence: Evidence,
}

/// The decision about a container.
#[derive(Debug)]
pub(super) struct Judged {
    /// The name of the container.
    pub(super) container: String,
    /// The versions that the claim offers to it.
    pub(super) offer: Offer,
    pub(super) decision: Decision,
}

impl<'a> Offered<'a> {
    /// Returns new claims, with the registry's answers about them.
    fn new(container: &Container, heard: &'a [Heard], trust: Trust) -> Option<Self> {
        // A claim without a tag needs no query.
        let answer = |heard: &Heard| heard.answer.clone().or_else(|| heard.arrived.claim.tag.is_none().then_some(Answer::exists(None)));
        Self::of(container, heard, trust, answer)
    }

    /// Returns claims that led to a proposal before, in the order in which they arrived. The registry is not queried
    /// again.
    pub(super) fn settled(container: &Container, heard: &'a [Heard]) -> Option<Self> {
        Self::of(container, heard, Trust { bind: true, ..Trust::REGISTRY }, |heard| {
            Some(heard.answer.clone().unwrap_or(Answer::Unavailable))
        })
    }

    /// Returns `None` if no claim is about the container.
    fn of(container: &Container, heard: &'a [Heard], trust: Trust, answer: impl Fn(&Heard) -> Option<Answer>) -> Option<Self> {
        let artifact = container.artifact().ok()?;
        let claim = &heard.last()?.arrived.claim;
        let mut evidence = Evidence::new(trust);
        let mut candidates: Vec<Candidate> = Vec::new();
        for heard in heard {
            let Some(candidate) = heard.candidate(container, &artifact) else { continue };
            if let Some(answer) = answer(heard) {
                evidence.add(candidate.tag.clone(), answer);
            }
            candidates.push(candidate);
        }
        let offer = Offer::new(Occasion::Event, candidates);
        (!offer.candidates.is_empty()).then_some(Self { origin: &claim.origin, trigger: claim.trigger, offer, evidence })
    }

    pub(super) fn input(&self) -> DecisionInput<'_> {
        let Self { origin, trigger, offer, evidence } = self;
        DecisionInput { origin, offer, trigger: *trigger, evidence }
    }
}

/// Decides by `judge` about each container that a new claim is about. `trust` says what is asked of the registry.
pub(super) fn judge_each(
    heard: &Heard,
    workload: &Workload,
    trust: Trust,
    judge: impl Fn(&DecisionInput<'_>, &Container) -> Decision,
) -> Vec<Judged> {
    let trust = Trust { authenticated: heard.arrived.proven, ..trust };
    let judged = |container: &Container| {
        let offered = Offered::new(container, std::slice::from_ref(heard), trust)?;
        let decision = judge(&offered.input(), container);
        Some(Judged { container: container.name.clone(), offer: offered.offer, decision })
    };
    workload.containers.iter().filter_map(judged).collect()
}

/// Returns all answers of the registry that the containers of a workload need before the claim leads to an update; empty
/// if it needs none, or leads to no update in any case.
pub(super) fn needs(judged: &[Judged]) -> BTreeSet<Need> {
    let of = |judged: &Judged| judged.decision.question().map(|question| question.needs.clone());
    judged.iter().filter_map(of).flatten().collect()
}
