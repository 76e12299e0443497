//! Queries registries for the answers that decisions about claims need.
//!
//! A decision returns the question that must be answered before it proposes a version
//! ([`Question`](headwind_core::evidence::Question)). The verifier sends a `HEAD` with the credentials of the workloads
//! that use the tag, once for all with the same credentials. Headwind decides again with the registry's answer, not
//! with the content of the call. A look-up has a deadline, and never waits for the look-ups of another host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use headwind_core::artifact::Origin;
use headwind_core::evidence::{Answer, Need, Query};
use headwind_core::policy::{Candidate, Occasion};
use headwind_core::reason::{Reason, Reasoned};
use headwind_core::settings::Annotations;
use headwind_core::workload::{PullSource, Workload};
use headwind_registry::{Class, Error, Fingerprint};

use super::claims::{Arrived, Host, Lane, LookUp, LookedUp, PATIENCE};
use super::judged::needs;
use super::offer::Offer;
use super::proposer::{Proposer, User};
use super::unrecorded::Heard;
use crate::registries::asking::{AskError, Asking};
use crate::registries::secrets::PullPlace;

/// Timeout of one query to a registry, including all redirects and tokens.
const DEADLINE: Duration = Duration::from_secs(15);
/// Number of concurrent queries of one look-up, each with other credentials.
const AT_ONCE: usize = 4;

/// Queries registries about claims.
#[derive(Clone)]
pub(crate) struct Verifier {
    pub(crate) asking: Arc<Asking>,
}

/// The look-ups that a claim needs; true if the claim also counts without an answer.
pub(super) type LookUps = BTreeMap<Lane, bool>;

/// The workloads with the same credentials.
struct Group {
    access: Fingerprint,
    places: BTreeSet<PullPlace>,
    open: Vec<Open>,
}

/// A workload for which the claim is not decided.
struct Open {
    workload: Arc<Workload>,
    defaults: Arc<Annotations>,
    needs: BTreeSet<Need>,
}

impl Open {
    /// Returns true if nothing follows from the claim without an answer.
    fn is_required(&self) -> bool {
        is_required(&self.needs)
    }
}

/// Returns true if one of the needs is required.
fn is_required(needs: &BTreeSet<Need>) -> bool {
    needs.iter().copied().any(Need::is_required)
}

/// The result of a query.
enum QueryResult {
    Answer(Answer),
    Failed(Error),
    /// The credentials could not be read, or the host is backed off.
    NotAsked,
}

/// Decides about the workloads that use the claim's repository, one after the other. Returns those that need no answer,
/// or for which the claim leads to nothing, and adds the look-ups for the others.
pub(super) fn decided(proposer: &Proposer, arrived: &Arc<Arrived>, look_ups: &mut LookUps) -> impl Iterator<Item = User> {
    let users = proposer.state.index.read().users(&arrived.claim.origin);
    users.into_iter().filter_map(|(workload, defaults)| {
        let heard = Heard { arrived: Arc::clone(arrived), answer: None };
        let judged = proposer.judged(&heard, &workload, &defaults);
        let needs = needs(&judged);
        if needs.is_empty() {
            return Some(User { workload, defaults, heard, judged });
        }
        let optional = look_ups.entry(lane(arrived, &workload)).or_insert(true);
        *optional &= !is_required(&needs);
        None
    })
}

impl Verifier {
    /// Queries what the workloads of the look-up's lane need, and processes those that have an answer.
    pub(super) async fn look_up(&self, proposer: &Proposer, look_up: &LookUp) -> (LookedUp, Host) {
        let (groups, mut unread) = self.groups(proposer, look_up).await;
        let mut settled = look_up.settled.clone();
        let mut host = Host::NotAsked;
        let mut answers = stream::iter(groups)
            .map(|group| async {
                let answer = if look_up.skip { QueryResult::NotAsked } else { self.ask(&look_up.arrived, &group).await };
                let host = match &answer {
                    QueryResult::Failed(error) if error.class.is_of_the_host() => Host::Down(error.wait),
                    QueryResult::Answer(_) | QueryResult::Failed(_) => Host::Answers,
                    QueryResult::NotAsked => Host::NotAsked,
                };
                let access = group.access;
                (access, host, self.follow(proposer, look_up, group, &answer).await)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((access, says, open)) = answers.next().await {
            host = worse(host, says);
            if open {
                unread = true;
            } else {
                settled.insert(access);
            }
        }
        (if unread { LookedUp::Again { settled } } else { LookedUp::Answered }, host)
    }

    /// Reports that the claim was not confirmed in time.
    pub(super) async fn give_up(&self, proposer: &Proposer, look_up: &LookUp) {
        let (groups, _) = self.groups(proposer, look_up).await;
        let message = format!("the registry did not confirm it within {} minutes; the claim is dropped", PATIENCE.as_secs() / 60);
        for group in groups {
            let open: Vec<_> = group.open.into_iter().filter(Open::is_required).collect();
            not_confirmed(proposer, &look_up.arrived, &open, &message);
        }
    }

    /// Returns the workloads of the lane without an answer, grouped by credentials, and true if some credentials could
    /// not be read.
    async fn groups(&self, proposer: &Proposer, look_up: &LookUp) -> (Vec<Group>, bool) {
        let LookUp { arrived, lane: here, settled, .. } = look_up;
        let claim = &arrived.claim;
        let mut by_place: BTreeMap<PullPlace, Vec<Open>> = BTreeMap::new();
        let users = proposer.state.index.read().users(&claim.origin);
        for (workload, defaults) in users {
            if lane(arrived, &workload) != *here {
                continue;
            }
            let heard = Heard { arrived: Arc::clone(arrived), answer: None };
            let needs = needs(&proposer.judged(&heard, &workload, &defaults));
            if !needs.is_empty() {
                by_place.entry(PullPlace::of(&workload)).or_default().push(Open { workload, defaults, needs });
            }
        }
        let mut groups: BTreeMap<Fingerprint, Group> = BTreeMap::new();
        let mut unread = false;
        let mut read = stream::iter(by_place)
            .map(|(place, open)| async move { (self.asking.secrets.keyring(&place).await, place, open) })
            .buffer_unordered(AT_ONCE);
        while let Some((keyring, place, open)) = read.next().await {
            match keyring {
                Ok(keyring) => {
                    let access = self.asking.access(&claim.origin, &keyring);
                    let group = groups.entry(access).or_insert_with(|| Group { access, places: BTreeSet::new(), open: Vec::new() });
                    group.places.insert(place);
                    group.open.extend(open);
                }
                Err(failure) => {
                    tracing::warn!(namespace = place.namespace, error = %failure, "failed to read pull secrets; retrying");
                    unread = true;
                }
            }
        }
        (groups.into_values().filter(|group| !settled.contains(&group.access)).collect(), unread)
    }

    async fn ask(&self, arrived: &Arrived, group: &Group) -> QueryResult {
        let claim = &arrived.claim;
        let Some(tag) = claim.tag.as_deref() else { return QueryResult::NotAsked };
        let needs = group.open.iter().flat_map(|one| &one.needs).copied().collect();
        let Query { platforms } = Query::of(&needs);
        let answer = async {
            match &claim.origin {
                Origin::Registry(repository) if platforms => self.asking.platforms(repository, tag, &group.places).await,
                origin => self.asking.confirm(origin, claim.chart.as_deref(), tag, &group.places).await,
            }
        };
        match tokio::time::timeout(DEADLINE, Box::pin(answer)).await {
            Ok(Ok(answer)) => QueryResult::Answer(answer),
            Ok(Err(AskError::Registry(error))) => QueryResult::Failed(error),
            Ok(Err(AskError::Secrets(failure))) => {
                tracing::warn!(error = %failure, "failed to read pull secrets; retrying");
                QueryResult::NotAsked
            }
            Err(_) => QueryResult::Failed(no_answer(claim.origin.host())),
        }
    }

    /// Processes the workloads for which the answer suffices. Returns true if some still wait for another one.
    async fn follow(&self, proposer: &Proposer, look_up: &LookUp, group: Group, result: &QueryResult) -> bool {
        let arrived = &look_up.arrived;
        let (open, answered): (Vec<_>, Vec<_>) = match result {
            // Distribution notifies about a manifest before it links the tag: a tag that is missing at first is queried
            // again.
            QueryResult::Answer(Answer::Missing) if look_up.tries == 0 => (group.open, Vec::new()),
            QueryResult::Answer(_) => (Vec::new(), group.open),
            // Without an answer, only claims that need no confirmation are accepted.
            QueryResult::Failed(_) | QueryResult::NotAsked => group.open.into_iter().partition(Open::is_required),
        };
        if let QueryResult::Failed(error) = result
            && !error.class.is_of_the_host()
        {
            let message = format!("{}: {error}; retrying", Reason::NotConfirmed.sentence());
            not_confirmed(proposer, arrived, &open, &message);
        }
        let answer = match result {
            QueryResult::Answer(answer) => answer,
            QueryResult::Failed(_) | QueryResult::NotAsked => &Answer::Unavailable,
        };
        let decided = |Open { workload, defaults, needs: _ }: Open| {
            let heard = Heard { arrived: Arc::clone(arrived), answer: Some(answer.clone()) };
            let judged = proposer.judged(&heard, &workload, &defaults);
            User { workload, defaults, heard, judged }
        };
        proposer.claim(answered.into_iter().map(decided)).await;
        !open.is_empty()
    }
}

fn no_answer(host: &str) -> Error {
    Error { class: Class::TimedOut, wait: None, host: host.to_owned(), message: format!("no response within {} s", DEADLINE.as_secs()) }
}

/// Returns the worse of two states of the host.
fn worse(a: Host, b: Host) -> Host {
    match (a, b) {
        (Host::Down(a), Host::Down(b)) => Host::Down(a.max(b)),
        (Host::Down(wait), _) | (_, Host::Down(wait)) => Host::Down(wait),
        (Host::Answers, _) | (_, Host::Answers) => Host::Answers,
        (Host::NotAsked, Host::NotAsked) => Host::NotAsked,
    }
}

/// Returns the lane of the workload's queries to the claim's host.
fn lane(arrived: &Arrived, workload: &Workload) -> Lane {
    let namespace = match &workload.pull {
        PullSource::Chart(access) if access.proxy.is_some() || access.certificates.is_some() || access.insecure => {
            Some(access.namespace.clone())
        }
        PullSource::Chart(_) | PullSource::Pod { .. } => None,
    };
    Lane { host: arrived.claim.origin.host().to_owned(), namespace }
}

/// Reports to the workloads that the registry did not confirm the claim.
fn not_confirmed(proposer: &Proposer, arrived: &Arrived, open: &[Open], message: &str) {
    let claim = &arrived.claim;
    let refusal = Reasoned { reason: Reason::NotConfirmed, message: message.to_owned() };
    let offer = Offer::new(Occasion::Event, vec![Candidate::new(claim.tag.clone().unwrap_or_default(), None)]);
    for one in open {
        for container in one.workload.containers.iter().filter(|container| claim.is_about(container)) {
            proposer.refused(&claim.origin, &offer, &one.workload, container, &refusal);
        }
    }
}
