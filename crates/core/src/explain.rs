//! Explains why a workload runs its version, and which update would be proposed.
//!
//! Uses the functions that decide: [`decide::decide`] for the proposal, the policy's own verdict on each candidate, and
//! [`gate`] for when it may be applied.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::artifact::Artifact;
use crate::artifact::version::natural_order;
use crate::decide::{self, Decision, Evaluation, PriorRequests};
use crate::evidence::{Evidence, Query, Trust};
use crate::gate::outlook::{Span, outlook};
use crate::gate::{self, ApprovedBy, Facts, Gate, Limits, Turn};
use crate::policy::{Candidate, CandidateVerdict, Current, DIGEST_LOOKED_UP, Occasion, Outcome, Policy, Rule, choose, judge_without};
use crate::reason::{Reason, Reasoned};
use crate::request::{Phase, Request, history_of};
use crate::settings::{Annotations, Fault, Settings};
use crate::trigger::Trigger;
use crate::workload::placement::Node;
use crate::workload::{Container, Workload};

/// The note on a version whose platforms are not known yet.
const PLATFORMS_LOOKED_UP: &str = "Headwind queries its platforms before it proposes the version";

/// The explanation of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The container's name.
    pub container: String,
    /// Its current image, or the release's chart.
    pub image: String,
    /// For a release: the running version, if it differs from the one in the spec.
    pub running: Option<String>,
    /// Its settings, or the faults in its annotations.
    pub settings: Result<Settings, String>,
    /// Why it takes no part in updates, if so.
    pub out: Option<Reasoned>,
    /// The newest known version, whatever the policy says.
    pub newest: Option<String>,
    /// The image that would be proposed now.
    pub would_take: Option<String>,
    /// The most important verdict, or why nothing would be proposed.
    pub because: Reasoned,
    /// The verdicts on the candidates: on all of them, or on the best ones ([`Explained::keep_best`]).
    pub candidates: Vec<CandidateVerdict>,
    /// The number of verdicts of each outcome, over all candidates.
    pub counts: Counts,
    /// The gate's result for an approved update now. For an approved request that waits: what it waits for. For one that
    /// waits for a person: what it waits for if somebody approves it now.
    pub gate: Gate,
    /// When an update may be applied in the next days.
    pub outlook: Vec<Span>,
}

/// The number of candidates with each verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// The chosen candidate.
    pub chosen: usize,
    /// Accepted candidates that are not the best.
    pub eligible: usize,
    /// Refused candidates.
    pub refused: usize,
}

impl Counts {
    fn of(verdicts: &[CandidateVerdict]) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            match verdict.outcome {
                Outcome::Chosen => counts.chosen += 1,
                Outcome::Eligible => counts.eligible += 1,
                Outcome::Refused => counts.refused += 1,
            }
        }
        counts
    }
}

impl Explained {
    /// Keeps at most that many verdicts, in the order of the list: chosen and eligible ones first, then refused ones,
    /// the highest first. The counts are unchanged.
    pub fn keep_best(&mut self, most: usize) {
        if self.candidates.len() <= most {
            return;
        }
        let mut places: Vec<usize> = (0..self.candidates.len()).collect();
        let rank = |verdict: &CandidateVerdict| match verdict.outcome {
            Outcome::Chosen => 0,
            Outcome::Eligible => 1,
            Outcome::Refused => 2,
        };
        places.sort_by(|a, b| match (self.candidates.get(*a), self.candidates.get(*b)) {
            (Some(a), Some(b)) => rank(a).cmp(&rank(b)).then_with(|| natural_order(&b.tag, &a.tag)),
            (_, _) => Ordering::Equal,
        });
        let kept: BTreeSet<usize> = places.into_iter().take(most).collect();
        let mut place = 0..;
        self.candidates.retain(|_| place.next().is_some_and(|place| kept.contains(&place)));
    }
}

/// Returns the settings of a container, or their faults as one sentence.
fn settings(defaults: &Annotations, workload: &Workload, container: &str) -> Result<Settings, String> {
    Settings::resolve(defaults, &workload.annotations, container).map_err(|faults| sentence(&faults))
}

/// Returns why a container takes no part in updates, if so.
pub fn out(defaults: &Annotations, workload: &Workload, container: &Container) -> Option<Reasoned> {
    let settings = Settings::resolve(defaults, &workload.annotations, &container.name);
    out_of(settings.as_ref().map_err(Vec::as_slice), workload, container)
}

/// Returns the same from the container's settings or their faults.
pub fn out_of(settings: Result<&Settings, &[Fault]>, workload: &Workload, container: &Container) -> Option<Reasoned> {
    let settings = match settings {
        Ok(settings) => settings,
        Err(faults) => return Some(Reasoned::new(Reason::InvalidAnnotation, sentence(faults))),
    };
    if let Some(left) = container.skip_reason(settings) {
        return Some(left);
    }
    let artifact = match container.artifact() {
        Ok(artifact) => artifact,
        Err(error) => return Some(Reasoned::new(Reason::InvalidImage, format!("{:?}: {error}", container.shown_image()))),
    };
    // A manual trigger is always allowed, so only policy and tracking are checked.
    let refused = decide::admits(settings, container, &artifact, Trigger::Manual).err();
    refused.map(Reasoned::from).or_else(|| workload.refused_for_owner(settings))
}

fn sentence(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The time, and what holds then for the updates of all workloads.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The time.
    pub now: Timestamp,
    /// The limits.
    pub limits: &'a Limits,
    /// The nodes, if they are known.
    pub nodes: Option<&'a [Node]>,
}

/// Explains a container with the known tags of its repository. `requests` are those of the workload.
pub fn explain(
    workload: &Workload,
    defaults: &Annotations,
    container: &Container,
    candidates: &[Candidate],
    requests: &[&Request],
    prior: &PriorRequests,
    moment: Moment<'_>,
) -> Explained {
    let Moment { now, limits, nodes } = moment;
    let settings = settings(defaults, workload, &container.name);
    let rule = settings.as_ref().map(Settings::rule).unwrap_or_default();
    let artifact = container.artifact().ok();
    let mut explained = Explained {
        container: container.name.clone(),
        image: container.image.clone(),
        running: container.chart.as_ref().and_then(|evaluation| evaluation.running.clone()),
        out: out(defaults, workload, container),
        newest: None,
        would_take: None,
        because: Reason::NotQueried.into(),
        candidates: Vec::new(),
        counts: Counts::default(),
        gate: Gate::Open,
        outlook: Vec::new(),
        settings,
    };
    if let Ok(settings) = &explained.settings {
        let facts = facts(workload, container, settings, requests, limits, now);
        let outlook = outlook(settings, &facts, now);
        (explained.gate, explained.outlook) = (gate::check(settings, &facts, now), outlook);
    }
    let Some(artifact) = artifact else {
        explained.because = explained.out.clone().unwrap_or(explained.because);
        return explained;
    };
    let current = decide::current(&artifact, container);
    explained.newest = newest(&artifact, &current, candidates);
    let aside = aside(workload, container, &artifact, &rule, &current, candidates, prior);
    explained.candidates = judge_without(&rule, artifact.kind(), Occasion::Scan, &current, candidates, &aside).candidates;
    explained.counts = Counts::of(&explained.candidates);
    if let Some(out) = &explained.out {
        explained.because = out.clone();
        return explained;
    }
    if candidates.is_empty() {
        return explained;
    }
    let polls = explained.settings.as_ref().is_ok_and(|settings| settings.event_source.allows(Trigger::Polling));
    let trigger = if polls { Trigger::Polling } else { Trigger::Webhook };
    let evaluation = Evaluation { workload, defaults, container, candidates, occasion: Occasion::Scan, trigger, nodes };
    match decide::decide(&evaluation, &Evidence::new(Trust::REGISTRY), prior) {
        Decision::Propose(proposal) => {
            explained.would_take = Some(proposal.new_image.clone());
            explained.because = Reasoned::new(proposal.reason, proposal.message.clone());
        }
        Decision::Refuse(refusal) => explained.because = refusal,
        // A list of tags contains no digests: a scan looks up that of the chosen one.
        Decision::Ask(question) => {
            explained.would_take = Some(artifact.with_version(&question.tag).to_string());
            let chosen = explained.candidates.iter().find(|verdict| verdict.outcome == Outcome::Chosen);
            if let Some(verdict) = chosen {
                let Query { platforms } = Query::of(&question.needs);
                let later = if platforms { PLATFORMS_LOOKED_UP } else { DIGEST_LOOKED_UP };
                explained.because = Reasoned::new(verdict.reason, format!("{}; {later}", verdict.message));
            }
        }
    }
    explained
}

/// Returns the gate's facts for the approved request of the container, or for any update of it if there is none.
fn facts<'a>(
    workload: &'a Workload,
    container: &Container,
    settings: &Settings,
    requests: &[&'a Request],
    limits: &'a Limits,
    now: Timestamp,
) -> Facts<'a> {
    let any = Facts::of(workload, container, limits);
    let of_container = || requests.iter().copied().filter(|request| request.spec.container.as_ref() == Some(&container.name));
    let of_request = |request: &'a Request, any| request.facts(any, workload, &history_of(workload, requests), requests, now);
    if let Some(approved) = of_container().find(|request| request.is_approved(Some(settings))) {
        return of_request(approved, any);
    }
    // As if somebody approved now: the newest request that waits for it, or one that is created now.
    let turn = Some(Turn { since: now, workload: workload.key.clone() });
    match of_container().filter(|request| request.status.phase == Phase::Pending).max_by_key(|request| request.created) {
        Some(asks) => {
            let facts = of_request(asks, any);
            let approved_by = if facts.approved_by == ApprovedBy::Policy { ApprovedBy::Person } else { facts.approved_by };
            Facts { approved_by, turn, ..facts }
        }
        None => Facts { approved_by: if settings.require_approval { ApprovedBy::Person } else { ApprovedBy::Policy }, turn, ..any },
    }
}

/// Returns the newest of the candidates and the current version, whatever the policy says.
fn newest(artifact: &Artifact, current: &Current, candidates: &[Candidate]) -> Option<String> {
    let any = Rule { policy: Policy::All, pattern: None };
    let accepted = choose(&any, artifact.kind(), Occasion::Scan, current, candidates).accepted;
    accepted.first().and_then(|place| candidates.get(*place)).map(|best| best.tag.clone()).or_else(|| current.tag.clone())
}

/// Returns the candidates that the policy accepts and an existing request blocks, with the reason.
fn aside(
    workload: &Workload,
    container: &Container,
    artifact: &Artifact,
    rule: &Rule,
    current: &Current,
    candidates: &[Candidate],
    prior: &PriorRequests,
) -> BTreeMap<usize, Reason> {
    let accepted = choose(rule, artifact.kind(), Occasion::Scan, current, candidates).accepted;
    let reason = |place: &usize| decide::obstacle(workload, container, artifact, rule.policy, candidates.get(*place)?, prior);
    accepted.iter().filter_map(|place| Some((*place, reason(place)?))).collect()
}

#[cfg(test)]
mod tests;
