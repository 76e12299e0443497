//! Why a workload is on the version it is on, and what would make it move.
//!
//! Answers with the functions that decide: [`decide::decide`] for what would be proposed, the policy's own verdict on
//! each candidate, [`gate`] for when it may be applied.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::artifact::Artifact;
use crate::claim::Trigger;
use crate::decide::{self, Decision, Record, Site};
use crate::gate::{self, Gate};
use crate::policy::{Candidate, CandidateVerdict, Current, DIGEST_LOOKED_UP, Occasion, Outcome, Policy, Rule, choose, judge_without};
use crate::reason::Reason;
use crate::settings::{Annotations, Settings, key};
use crate::target::{Container, Target};

/// One container, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The container's name.
    pub container: String,
    /// Its image (or the release's chart), as it stands.
    pub image: String,
    /// For a release: the version that runs, where it is another than the one that stands there.
    pub running: Option<String>,
    /// What applies to it; the faults in its annotations where they are bad.
    pub settings: Result<Settings, String>,
    /// Why it takes no part, if it does not: as a code, and for a person.
    pub out: Option<(Reason, String)>,
    /// The newest version that is known, whatever the policy says of it.
    pub newest: Option<String>,
    /// The image that would be proposed now.
    pub would_take: Option<String>,
    /// Why, or why nothing: the verdict that matters, as a code and for a person.
    pub because: (Reason, String),
    /// The verdict on every candidate.
    pub candidates: Vec<CandidateVerdict>,
    /// Whether an approved update could go out at this moment.
    pub gate: Gate,
}

/// The settings of a container, with their faults as one sentence.
fn settings(defaults: &Annotations, target: &Target, container: &str) -> Result<Settings, String> {
    Settings::resolve(defaults, &target.annotations, container)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Why a container takes no part in updates at all, if it does not.
pub fn out(defaults: &Annotations, target: &Target, container: &Container) -> Option<(Reason, String)> {
    let settings = match settings(defaults, target, &container.name) {
        Ok(settings) => settings,
        Err(faults) => return Some((Reason::InvalidAnnotation, faults)),
    };
    if let Some(left) = container.left_alone(&settings) {
        return Some(left);
    }
    let artifact = match container.artifact() {
        Ok(artifact) => artifact,
        Err(error) => return Some((Reason::InvalidImage, format!("{:?}: {error}", container.image))),
    };
    // What a person asks for is always heard: what is left are policy and tracking.
    let refused = decide::admits(&settings, container, &artifact, Trigger::Manual).err();
    refused.map(|reason| (reason, reason.sentence().to_owned()))
}

/// Explains a container by the tags that are known of its repository.
pub fn explain(
    target: &Target,
    defaults: &Annotations,
    container: &Container,
    candidates: &[Candidate],
    record: &impl Record,
    now: Timestamp,
) -> Explained {
    let settings = settings(defaults, target, &container.name);
    let rule = settings.as_ref().map(Settings::rule).unwrap_or_default();
    let artifact = container.artifact().ok();
    let mut explained = Explained {
        container: container.name.clone(),
        image: container.image.clone(),
        running: container.chart.as_ref().and_then(|site| site.running.clone()),
        out: out(defaults, target, container),
        newest: None,
        would_take: None,
        because: (Reason::NotQueried, Reason::NotQueried.sentence().to_owned()),
        candidates: Vec::new(),
        gate: Gate::Open,
        settings,
    };
    if let Ok(settings) = &explained.settings {
        let last_update = target.annotations.get(key::LAST_UPDATE).and_then(|text| text.parse().ok());
        explained.gate = gate::interval(last_update, settings.min_update_interval, now);
    }
    let Some(artifact) = artifact else {
        explained.because = explained.out.clone().unwrap_or(explained.because);
        return explained;
    };
    let current = decide::current(&artifact, container);
    explained.newest = newest(&artifact, &current, candidates);
    let aside = aside(target, container, &artifact, &rule, &current, candidates, record);
    explained.candidates = judge_without(&rule, artifact.kind(), Occasion::Scan, &current, candidates, &aside).candidates;
    if let Some(out) = &explained.out {
        explained.because = out.clone();
        return explained;
    }
    if candidates.is_empty() {
        return explained;
    }
    let polls = explained.settings.as_ref().is_ok_and(|settings| settings.event_source.allows(Trigger::Polling));
    let trigger = if polls { Trigger::Polling } else { Trigger::Webhook };
    let site = Site { target, defaults, container, candidates, occasion: Occasion::Scan, trigger };
    match decide::decide(&site, record) {
        Decision::Propose(proposal) => {
            explained.would_take = Some(proposal.new_image.clone());
            explained.because = (proposal.reason, proposal.message.clone());
        }
        Decision::Refuse(refusal) => {
            explained.because = (refusal.reason, refusal.message);
            let chosen = explained.candidates.iter().find(|verdict| verdict.outcome == Outcome::Chosen);
            // A list of tags has no digests: a scan looks up that of the chosen one.
            if let (Reason::DigestUnknown, Some(verdict)) = (explained.because.0, chosen) {
                explained.would_take = Some(artifact.with_version(&verdict.tag).to_string());
                explained.because = (verdict.reason, format!("{}; {DIGEST_LOOKED_UP}", verdict.message));
            }
        }
    }
    explained
}

/// The newest of the candidates and the current version, whatever the policy says of it.
fn newest(artifact: &Artifact, current: &Current, candidates: &[Candidate]) -> Option<String> {
    let any = Rule { policy: Policy::All, pattern: None };
    let accepted = choose(&any, artifact.kind(), Occasion::Scan, current, candidates).accepted;
    accepted.first().and_then(|place| candidates.get(*place)).map(|best| best.tag.clone()).or_else(|| current.tag.clone())
}

/// The candidates that the policy accepts and that something on record stands in the way of, with the reason.
fn aside(
    target: &Target,
    container: &Container,
    artifact: &Artifact,
    rule: &Rule,
    current: &Current,
    candidates: &[Candidate],
    record: &impl Record,
) -> BTreeMap<usize, Reason> {
    let accepted = choose(rule, artifact.kind(), Occasion::Scan, current, candidates).accepted;
    let reason = |place: &usize| decide::obstacle(target, container, artifact, rule.policy, candidates.get(*place)?, record);
    accepted.iter().filter_map(|place| Some((*place, reason(place)?))).collect()
}

#[cfg(test)]
mod tests;
