//! What the registry says about a claim, before anything follows from it.
//!
//! [`need`] says for which containers the registry has to be asked. It is asked by `HEAD` with the credentials of the
//! workloads that use the tag, once for all that have the same, and its answer counts, not what the call said. A look-up
//! has a deadline, and never waits for the look-ups of another host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use headwind_core::decide::Refusal;
use headwind_core::evidence::{Belief, Need, need};
use headwind_core::policy::{Candidate, Occasion};
use headwind_core::reason::Reason;
use headwind_core::settings::{Annotations, Settings};
use headwind_core::workload::{Container, PullSource, Target};
use headwind_registry::{Class, Error};

use super::claims::{Arrived, Host, Lane, LookUp, LookedUp, PATIENCE};
use super::offer::Offer;
use super::proposer::{Look, Recording, User};
use crate::registries::asking::{AskError, Asking, Presence};
use crate::registries::secrets::Place;

/// How long one question to a registry may take, all its redirects and tokens included.
const DEADLINE: Duration = Duration::from_secs(15);
/// How many questions of one look-up, each with other credentials, are asked side by side.
const AT_ONCE: usize = 4;

/// Asks registries about claims.
#[derive(Clone)]
pub(crate) struct Evidence {
    pub(crate) asking: Arc<Asking>,
    /// Whether every claim is confirmed.
    pub(crate) confirm: bool,
}

/// The workloads that a claim is about.
#[derive(Default)]
pub(super) struct Sorted {
    /// Those for which the claim stands as it is.
    pub(super) ready: Vec<User>,
    /// Where the registry has to be asked for the others, and whether the claim stands without it.
    pub(super) look_ups: BTreeMap<Lane, bool>,
}

/// The workloads that see the registry with the same credentials.
struct Group {
    access: [u8; 32],
    places: BTreeSet<Place>,
    users: Vec<(User, Need)>,
}

/// What a question led to.
enum Answer {
    Told(Presence),
    Failed(Error),
    /// The credentials could not be read, or the host is left alone.
    NotAsked,
}

impl Evidence {
    fn belief(&self, arrived: &Arrived) -> Belief {
        Belief { proven: arrived.proven, confirm: self.confirm }
    }

    /// What has to be known before the claim may lead to something for the workload.
    pub(super) fn need(&self, arrived: &Arrived, target: &Target, defaults: &Annotations) -> Need {
        let of = |container: &Container| {
            let settings = Settings::resolve(defaults, &target.annotations, &container.name).ok()?;
            Some(need(&arrived.claim, self.belief(arrived), container, &settings))
        };
        target.containers.iter().filter_map(of).max().unwrap_or(Need::Nothing)
    }

    /// Sorts the workloads that use the claim's repository.
    pub(super) fn sort(&self, recording: &Recording, arrived: &Arc<Arrived>) -> Sorted {
        let mut sorted = Sorted::default();
        let users = recording.state.index.read().users(&arrived.claim.origin);
        for (target, defaults) in users {
            match self.need(arrived, &target, &defaults) {
                Need::Nothing => sorted.ready.push(User { target, defaults, digest: arrived.claim.digest.clone() }),
                // What would not be taken anyway is not worth a question.
                _ if !recording.could_take(arrived, &target, &defaults) => recording.refuse_all(arrived, &target, &defaults),
                need => {
                    let optional = sorted.look_ups.entry(lane(arrived, &target)).or_insert(true);
                    *optional &= need != Need::Proof;
                }
            }
        }
        sorted
    }

    /// Asks what has to be known for the workloads of the look-up's lane, and hands on those that have an answer.
    pub(super) async fn look_up(&self, recording: &Recording, look_up: &LookUp) -> (LookedUp, Host) {
        let (groups, mut unread) = self.groups(recording, look_up).await;
        let mut settled = look_up.settled.clone();
        let mut host = Host::NotAsked;
        let mut answers = stream::iter(groups)
            .map(|group| async {
                let answer = if look_up.skip { Answer::NotAsked } else { self.ask(&look_up.arrived, &group).await };
                let host = match &answer {
                    Answer::Failed(error) if error.class.is_of_the_host() => Host::Down(error.wait),
                    Answer::Told(_) | Answer::Failed(_) => Host::Answers,
                    Answer::NotAsked => Host::NotAsked,
                };
                let access = group.access;
                (access, host, self.follow(recording, &look_up.arrived, group, &answer).await)
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
    pub(super) async fn give_up(&self, recording: &Recording, look_up: &LookUp) {
        let (groups, _) = self.groups(recording, look_up).await;
        let message = format!("the registry did not confirm it within {} minutes; the claim is dropped", PATIENCE.as_secs() / 60);
        for group in groups {
            refuse(recording, &look_up.arrived, &group.users, Need::Proof, Reason::NotConfirmed, &message);
        }
    }

    /// The workloads of the lane that have no answer yet, by what they see the registry with, and whether the credentials
    /// of some could not be read.
    async fn groups(&self, recording: &Recording, look_up: &LookUp) -> (Vec<Group>, bool) {
        let LookUp { arrived, lane: here, settled, .. } = look_up;
        let claim = &arrived.claim;
        let mut by_place: BTreeMap<Place, Vec<(User, Need)>> = BTreeMap::new();
        let users = recording.state.index.read().users(&claim.origin);
        for (target, defaults) in users {
            let need = self.need(arrived, &target, &defaults);
            if need != Need::Nothing && lane(arrived, &target) == *here && recording.could_take(arrived, &target, &defaults) {
                let user = User { digest: claim.digest.clone(), defaults, target };
                by_place.entry(Place::of(&user.target)).or_default().push((user, need));
            }
        }
        let mut groups: BTreeMap<[u8; 32], Group> = BTreeMap::new();
        let mut unread = false;
        let mut read = stream::iter(by_place)
            .map(|(place, users)| async move { (self.asking.secrets.keyring(&place).await, place, users) })
            .buffer_unordered(AT_ONCE);
        while let Some((keyring, place, users)) = read.next().await {
            match keyring {
                Ok(keyring) => {
                    let access = self.asking.access(&claim.origin, &keyring);
                    let group = groups.entry(access).or_insert_with(|| Group { access, places: BTreeSet::new(), users: Vec::new() });
                    group.places.insert(place);
                    group.users.extend(users);
                }
                Err(failure) => {
                    tracing::warn!(namespace = place.namespace, error = %failure, "failed to read pull secrets; retrying");
                    unread = true;
                }
            }
        }
        (groups.into_values().filter(|group| !settled.contains(&group.access)).collect(), unread)
    }

    async fn ask(&self, arrived: &Arrived, group: &Group) -> Answer {
        let claim = &arrived.claim;
        let Some(tag) = claim.tag.as_deref() else { return Answer::NotAsked };
        let question = self.asking.confirm(&claim.origin, claim.chart.as_deref(), tag, &group.places);
        match tokio::time::timeout(DEADLINE, Box::pin(question)).await {
            Ok(Ok(presence)) => Answer::Told(presence),
            Ok(Err(AskError::Registry(error))) => Answer::Failed(error),
            Ok(Err(AskError::Secrets(failure))) => {
                tracing::warn!(error = %failure, "failed to read pull secrets; retrying");
                Answer::NotAsked
            }
            Err(_) => Answer::Failed(no_answer(claim.origin.host())),
        }
    }

    /// Hands on the workloads that the answer is enough for. Returns whether some have to wait for another one.
    async fn follow(&self, recording: &Recording, arrived: &Arc<Arrived>, group: Group, answer: &Answer) -> bool {
        let told = |users: Vec<(User, Need)>| users.into_iter().map(|(user, _)| user).collect::<Vec<User>>();
        match answer {
            Answer::Told(Presence::There(digest)) => {
                let seen = |user: User| User { digest: digest.clone().or(user.digest), ..user };
                recording.claim(self, arrived, told(group.users).into_iter().map(seen).collect()).await;
                false
            }
            Answer::Told(Presence::NotThere) => {
                refuse(recording, arrived, &group.users, Need::Presence, Reason::NotInRegistry, Reason::NotInRegistry.sentence());
                let stand: Vec<_> = group.users.into_iter().filter(|(_, need)| *need < Need::Presence).collect();
                recording.claim(self, arrived, told(stand)).await;
                false
            }
            Answer::Failed(_) | Answer::NotAsked => {
                let (open, stand): (Vec<_>, Vec<_>) = group.users.into_iter().partition(|(_, need)| *need == Need::Proof);
                if let Answer::Failed(error) = answer
                    && !error.class.is_of_the_host()
                {
                    let message = format!("{}: {error}; retrying", Reason::NotConfirmed.sentence());
                    refuse(recording, arrived, &open, Need::Proof, Reason::NotConfirmed, &message);
                }
                recording.claim(self, arrived, told(stand)).await;
                !open.is_empty()
            }
        }
    }
}

fn no_answer(host: &str) -> Error {
    Error { class: Class::TimedOut, wait: None, host: host.to_owned(), message: format!("no answer within {} s", DEADLINE.as_secs()) }
}

/// What both say of the host together.
fn worse(a: Host, b: Host) -> Host {
    match (a, b) {
        (Host::Down(a), Host::Down(b)) => Host::Down(a.max(b)),
        (Host::Down(wait), _) | (_, Host::Down(wait)) => Host::Down(wait),
        (Host::Answers, _) | (_, Host::Answers) => Host::Answers,
        (Host::NotAsked, Host::NotAsked) => Host::NotAsked,
    }
}

/// The way to the claim's host that the workload asks by.
fn lane(arrived: &Arrived, target: &Target) -> Lane {
    let namespace = match &target.pull {
        PullSource::Chart(access) if access.proxy.is_some() || access.certificates.is_some() || access.insecure => {
            Some(access.namespace.clone())
        }
        PullSource::Chart(_) | PullSource::Pod { .. } => None,
    };
    Lane { host: arrived.claim.origin.host().to_owned(), namespace }
}

/// Reports a refusal to the workloads that need at least so much.
fn refuse(recording: &Recording, arrived: &Arrived, users: &[(User, Need)], at_least: Need, reason: Reason, message: &str) {
    let claim = &arrived.claim;
    let refusal = Refusal { reason, message: message.to_owned() };
    let offer = Offer::new(Occasion::Event, vec![Candidate::new(claim.tag.clone().unwrap_or_default(), None)]);
    let look = Look { origin: &claim.origin, offer: &offer, trigger: claim.trigger };
    for (user, _) in users.iter().filter(|(_, need)| *need >= at_least) {
        for container in user.target.containers.iter().filter(|container| claim.is_about(container)) {
            recording.refused(&look, &user.target, container, &refusal);
        }
    }
}
