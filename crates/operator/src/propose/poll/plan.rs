//! The plan of scans: made from the index, and made again when something in it changes.
//!
//! A scan is one origin with one set of credentials. A workload that listens to polling has it scanned periodically. A
//! release is looked up once when it is new or changed, whatever its event source (`HEADWIND_HELM_AUTO_DISCOVERY`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use headwind_core::artifact::{ArtifactKind, Origin};
use headwind_core::decide;
use headwind_core::settings::{Annotations, Settings, key};
use headwind_core::trigger::Trigger;
use headwind_core::workload::owner::Handling;
use headwind_core::workload::{Container, Kind, Workload, WorkloadKey};
use headwind_registry::{Keyring, Lane};
use tokio::time::{Instant, timeout_at};

use super::look_ups::{LookUps, SOON, Subject};
use super::{Key, Poller, Polling};
use crate::observe::index::Resolved;
use crate::registries::secrets::PullPlace;

/// Number of places whose pull secrets are read concurrently.
const READING: usize = 8;
/// Timeout for reading the pull secrets of all places. The next plan continues: what was read is cached.
const ALL_READ: Duration = Duration::from_mins(2);

/// A planned scan.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) lane: Lane,
    pub(super) wanted: Wanted,
}

/// The requirements of a scan.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// The interval; none if it runs once.
    pub(super) interval: Option<Duration>,
    /// The places with these credentials.
    pub(super) places: BTreeSet<PullPlace>,
    /// The namespaces of the workloads that need it.
    pub(super) owners: BTreeSet<Arc<str>>,
    /// The releases that it looks up, each in its current state.
    pub(super) look_ups: HashMap<WorkloadKey, Subject>,
}

impl Wanted {
    /// Returns the interval for the schedule.
    pub(super) fn period(&self) -> Duration {
        let soon = (!self.look_ups.is_empty()).then_some(SOON);
        self.interval.into_iter().chain(soon).min().unwrap_or(SOON)
    }

    fn add(&mut self, other: Self) {
        self.interval = self.interval.into_iter().chain(other.interval).min();
        self.places.extend(other.places);
        self.owners.extend(other.owners);
        self.look_ups.extend(other.look_ups);
    }
}

/// The plan.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) scans: HashMap<Key, Planned>,
    /// All releases that can be looked up.
    pub(super) releases: HashSet<WorkloadKey>,
    /// The workloads that request a shorter interval than the administrator allows, with the requested interval.
    pub(super) raised: Vec<(Arc<Workload>, Duration)>,
}

/// Returns a fingerprint of the fields of a release that a look-up depends on.
fn fingerprint(workload: &Workload, defaults: &Annotations, container: &Container) -> Subject {
    let mut hash = DefaultHasher::new();
    let set = workload.annotations.iter().filter(|(name, _)| !key::MANAGED.contains(&name.as_str()));
    set.for_each(|pair| pair.hash(&mut hash));
    (defaults, &workload.uid, &container.image, container.origin(), &workload.pull).hash(&mut hash);
    hash.finish()
}

impl Polling {
    /// Returns the shortest interval that a workload may request. It is never longer than the default.
    pub(super) fn shortest(&self) -> Duration {
        self.interval.map_or(self.min_interval, |default| default.min(self.min_interval))
    }

    /// Returns true if a container is scanned periodically (true) or once (false); `None` if it is not scanned.
    pub(super) fn listens(&self, workload: &Workload, container: &Container, settings: &Settings) -> Option<bool> {
        if workload.deleting || settings.policy.is_off() || container.skip_reason(settings).is_some() {
            return None;
        }
        let artifact = container.artifact().ok()?;
        decide::admits(settings, container, &artifact, Trigger::Polling).ok()?;
        if workload.handling(settings) == Handling::Refuse {
            return None;
        }
        let polled = self.interval.is_some() && settings.event_source.allows(Trigger::Polling);
        let looked_up = self.discovery && artifact.kind() == ArtifactKind::Chart;
        (polled || looked_up).then_some(polled)
    }
}

/// Returns the polling interval of a workload that requests `wish`, and the wish if it is below the shortest interval.
fn bounded(wish: Option<Duration>, default: Option<Duration>, shortest: Duration) -> (Option<Duration>, Option<Duration>) {
    (wish.or(default).map(|interval| interval.max(shortest)), wish.filter(|wish| *wish < shortest))
}

impl Poller {
    /// Returns every scan that is needed, from the current index.
    pub(super) async fn plan(self: Arc<Self>, look_ups: Arc<LookUps>) -> Plan {
        let polling = self.polling();
        let mut plan = Plan::default();
        let mut wanted: HashMap<(Origin, PullPlace), Wanted> = HashMap::new();
        // Without polling, only releases are scanned.
        let all: Vec<Resolved> = {
            let index = self.proposer.state.index.read();
            index.all().filter(|one| polling.interval.is_some() || one.workload.key.kind == Kind::HelmRelease).collect()
        };
        for one in &all {
            for (container, settings) in one.containers() {
                let Some(settings) = settings else { continue };
                let Some(polled) = polling.listens(&one.workload, container, settings) else { continue };
                let Some(origin) = container.origin() else { continue };
                let mut entry = Wanted::default();
                if polled {
                    let (interval, raised) = bounded(settings.polling_interval, polling.interval, polling.shortest());
                    entry.interval = interval;
                    plan.raised.extend(raised.map(|wish| (Arc::clone(&one.workload), wish)));
                }
                if polling.discovery && container.chart.is_some() {
                    let now = fingerprint(&one.workload, &one.defaults, container);
                    plan.releases.insert(one.workload.key.clone());
                    if !look_ups.is_done(&one.workload.key, now) {
                        entry.look_ups.insert(one.workload.key.clone(), now);
                    }
                }
                if entry.interval.is_none() && entry.look_ups.is_empty() {
                    continue;
                }
                let place = PullPlace::of(&one.workload);
                entry.places.insert(place.clone());
                entry.owners.insert(Arc::from(one.workload.key.namespace.as_str()));
                wanted.entry((origin, place)).or_default().add(entry);
            }
        }
        let keyrings = self.keyrings(wanted.keys().map(|(_, place)| place.clone()).collect()).await;
        for ((origin, place), wanted) in wanted {
            let Some(keyring) = keyrings.get(&place) else { continue };
            let access = self.asking.access(&origin, keyring);
            let lane = Lane::of(origin.host(), keyring);
            let planned = plan.scans.entry((origin, access)).or_insert_with(|| Planned { lane, wanted: Wanted::default() });
            planned.wanted.add(wanted);
        }
        plan
    }

    async fn keyrings(&self, places: BTreeSet<PullPlace>) -> HashMap<PullPlace, Keyring> {
        let secrets = &self.asking.secrets;
        let deadline = Instant::now() + ALL_READ;
        let mut read = stream::iter(in_turns(places))
            .map(|place| async move { (timeout_at(deadline, secrets.keyring(&place)).await, place) })
            .buffer_unordered(READING);
        let (mut keyrings, mut late) = (HashMap::new(), 0_usize);
        while let Some((keyring, place)) = read.next().await {
            match keyring {
                Ok(Ok(keyring)) => {
                    keyrings.insert(place, keyring);
                }
                Ok(Err(failure)) => {
                    tracing::warn!(namespace = place.namespace, error = %failure, "failed to read pull secrets; the workloads of the namespace are not polled until it succeeds");
                }
                Err(_) => late += 1,
            }
        }
        if late > 0 {
            tracing::warn!(
                places = late,
                "not all pull secrets were read within {} s; their workloads are not polled until the next plan",
                ALL_READ.as_secs()
            );
        }
        keyrings
    }
}

/// Returns the places in turns: the first one of each namespace, then the second ones. A namespace with many does not
/// delay the others.
fn in_turns(places: BTreeSet<PullPlace>) -> Vec<PullPlace> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut turns: Vec<(usize, PullPlace)> = Vec::with_capacity(places.len());
    for place in places {
        let count = counts.entry(place.namespace.clone()).or_default();
        turns.push((*count, place));
        *count += 1;
    }
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use headwind_core::workload::PullSource;

    use super::*;

    #[test]
    fn namespaces_take_turns() {
        let place = |(namespace, account): (&str, &str)| PullPlace {
            namespace: namespace.to_owned(),
            source: PullSource::Pod { secrets: Vec::new(), service_account: Some(account.to_owned()) },
        };
        let all = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("c", "1"), ("c", "2")].map(place);
        let expected = [("a", "1"), ("b", "1"), ("c", "1"), ("a", "2"), ("c", "2"), ("a", "3")].map(place);
        assert_eq!(in_turns(all.into()), expected);
    }

    /// A tenant must not use up a registry's rate limit: the whole cluster shares every origin.
    #[rstest::rstest]
    #[case::none_asked(None, Some(300), 60, (300, None))]
    #[case::longer(Some(900), Some(300), 60, (900, None))]
    #[case::at_the_minimum(Some(60), Some(300), 60, (60, None))]
    #[case::below(Some(1), Some(300), 60, (60, Some(1)))]
    #[case::the_administrator_polls_more_often(Some(1), Some(10), 60, (10, Some(1)))]
    fn an_interval_has_a_minimum(
        #[case] wish: Option<u64>,
        #[case] default: Option<u64>,
        #[case] minimum: u64,
        #[case] (interval, raised): (u64, Option<u64>),
    ) {
        let [wish, default, raised] = [wish, default, raised].map(|seconds| seconds.map(Duration::from_secs));
        let polling = Polling { interval: default, min_interval: Duration::from_secs(minimum), discovery: false };
        assert_eq!(bounded(wish, default, polling.shortest()), (Some(Duration::from_secs(interval)), raised));
    }
}
