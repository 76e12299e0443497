//! Which scans are wanted: made of the index, and made anew when something in it changes.
//!
//! A scan is one origin with one way to be asked. A workload that listens to polling has it asked again
//! and again; a release is looked up once when it is new or changed, whatever it listens to (SPEC section
//! 8, `HEADWIND_HELM_AUTO_DISCOVERY`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use headwind_core::artifact::Origin;
use headwind_core::claim::Trigger;
use headwind_core::decide;
use headwind_core::policy::Kind as VersionKind;
use headwind_core::settings::{Annotations, Settings, key};
use headwind_core::target::{Container, Target, TargetKey};
use headwind_registry::Keyring;

use super::{Key, Poller};
use crate::secrets::Place;

/// Pull secrets that are read side by side.
const READING: usize = 8;
/// No workload is polled more often than this.
const SHORTEST: Duration = Duration::from_secs(1);
/// A look-up begins at some moment of this time, so that a start with hundreds of releases is no burst.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// The releases that were looked up, each as it was then.
pub(super) type Discovered = HashMap<TargetKey, u64>;

/// What is known of a scan before it is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Planned {
    /// How often; none where it is made once.
    pub(super) interval: Option<Duration>,
    /// Whose credentials amount to this.
    pub(super) places: BTreeSet<Place>,
    /// The releases that are looked up by it, each as it is now.
    pub(super) look_ups: HashMap<TargetKey, u64>,
}

impl Planned {
    /// What the schedule is told.
    pub(super) fn period(&self) -> Duration {
        let soon = (!self.look_ups.is_empty()).then_some(SOON);
        self.interval.into_iter().chain(soon).min().unwrap_or(SOON)
    }

    fn add(&mut self, other: Self) {
        self.interval = self.interval.into_iter().chain(other.interval).min();
        self.places.extend(other.places);
        self.look_ups.extend(other.look_ups);
    }
}

/// The plan, and the releases that are there to be looked up at all.
pub(super) struct Plan {
    pub(super) scans: HashMap<Key, Planned>,
    pub(super) releases: HashSet<TargetKey>,
}

/// A release as far as a look-up depends on it.
fn fingerprint(target: &Target, defaults: &Annotations, container: &Container) -> u64 {
    let mut hash = DefaultHasher::new();
    let set = target.annotations.iter().filter(|(name, _)| !key::MANAGED.contains(&name.as_str()));
    set.for_each(|pair| pair.hash(&mut hash));
    (defaults, &target.uid, &container.image, container.origin(), &target.pull).hash(&mut hash);
    hash.finish()
}

impl Poller {
    /// The settings of a container that is to be asked for, and whether again and again.
    pub(super) fn listens(&self, target: &Target, defaults: &Annotations, container: &Container) -> Option<(Settings, bool)> {
        let settings = Settings::resolve(defaults, &target.annotations, &container.name).ok()?;
        let artifact = container.artifact().ok()?;
        let left = container.left_alone(&settings).is_some();
        if target.deleting || left || decide::admits(&settings, container, &artifact, Trigger::Polling).is_err() {
            return None;
        }
        let polled = self.interval.is_some() && settings.event_source.allows(Trigger::Polling);
        let looked_up = self.discovery && artifact.kind() == VersionKind::Chart;
        (polled || looked_up).then_some((settings, polled))
    }

    /// Every scan that is wanted, of the index as it is now.
    pub(super) async fn plan(self: Arc<Self>, discovered: Arc<Discovered>) -> Plan {
        let mut wanted: HashMap<(Origin, Place), Planned> = HashMap::new();
        let mut releases = HashSet::new();
        {
            let index = self.recording.state.index.read();
            for (target, defaults) in index.all() {
                for container in &target.containers {
                    let Some((settings, polled)) = self.listens(target, &defaults, container) else { continue };
                    let Some(origin) = container.origin() else { continue };
                    let mut entry = Planned::default();
                    if polled {
                        entry.interval = settings.polling_interval.or(self.interval).map(|interval| interval.max(SHORTEST));
                    }
                    if self.discovery && container.chart.is_some() {
                        let now = fingerprint(target, &defaults, container);
                        releases.insert(target.key.clone());
                        if discovered.get(&target.key) != Some(&now) {
                            entry.look_ups.insert(target.key.clone(), now);
                        }
                    }
                    if entry.interval.is_none() && entry.look_ups.is_empty() {
                        continue;
                    }
                    let place = Place::of(target);
                    entry.places.insert(place.clone());
                    wanted.entry((origin, place)).or_default().add(entry);
                }
            }
        }
        let keyrings = self.keyrings(wanted.keys().map(|(_, place)| place.clone()).collect()).await;
        let mut scans: HashMap<Key, Planned> = HashMap::new();
        for ((origin, place), planned) in wanted {
            let Some(keyring) = keyrings.get(&place) else { continue };
            let access = self.asking.access(&origin, keyring);
            scans.entry((origin, access)).or_default().add(planned);
        }
        Plan { scans, releases }
    }

    async fn keyrings(&self, places: BTreeSet<Place>) -> HashMap<Place, Keyring> {
        let asking = &self.asking;
        stream::iter(places)
            .map(|place| async move {
                match asking.secrets.keyring(&place).await {
                    Ok(keyring) => Some((place, keyring)),
                    Err(failure) => {
                        tracing::warn!(namespace = place.namespace, error = %failure, "pull secrets cannot be read; its workloads are not polled until they can");
                        None
                    }
                }
            })
            .buffer_unordered(READING)
            .filter_map(std::future::ready)
            .collect()
            .await
    }
}
