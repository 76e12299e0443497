//! The evidence of a workload's pods about its new version.
//!
//! Evidence comes only from the pods of the **new** revision. If several containers were changed together, each is
//! evidence only for its own update. A container that was not changed is evidence for all updates, unless it already
//! failed in the old pods.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Failure;
use crate::reason::Reason;

/// A snapshot of the pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSnapshot {
    /// When it was taken.
    pub at: Timestamp,
    /// The workload's generation at that time: a snapshot of another one does not count.
    pub generation: i64,
    /// The pods; `None` if Headwind may not list them.
    pub pods: Option<Vec<PodView>>,
    /// Unhealthy pods of an older version, by UID, with the number of snapshots since they were last healthy. A pod
    /// that has restarted is healthy if it was ready in two snapshots and did not restart in between.
    pub unwell: BTreeMap<String, u32>,
    /// The last refused eviction, while its pod exists and is unhealthy.
    pub refused: Option<RefusedEviction>,
}

/// An eviction that the API server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEviction {
    /// The pod's uid.
    pub uid: String,
    /// Why, in words that can follow "Headwind cannot evict it: ".
    pub why: String,
    /// When to retry.
    pub again: Timestamp,
}

impl PodSnapshot {
    /// Creates a snapshot that continues the previous one, if there was one.
    pub fn new(at: Timestamp, generation: i64, pods: Option<Vec<PodView>>, before: Option<&PodSnapshot>) -> Self {
        // Snapshots of another generation are about another version. After the clock was set back, the count starts
        // again.
        let before = before.filter(|before| before.generation == generation && before.at < at);
        let known: BTreeMap<&str, &PodView> =
            before.iter().flat_map(|before| before.pods.iter().flatten()).map(|pod| (pod.uid.as_str(), pod)).collect();
        let times = |pod: &PodView| {
            let earlier = known.get(pod.uid.as_str());
            let times = before.and_then(|before| before.unwell.get(&pod.uid)).copied().unwrap_or_default();
            if pod.is_unwell() || earlier.is_some_and(|earlier| earlier.restarts() < pod.restarts()) {
                Some(times.saturating_add(1))
            } else {
                // A container that crashes repeatedly is ready for a moment each time.
                Some(times).filter(|times| *times > 0 && pod.restarts() > 0 && earlier.is_some_and(|earlier| !earlier.is_ready()))
            }
        };
        let old = pods.iter().flatten().filter(|pod| !pod.new && !pod.deleting);
        let unwell: BTreeMap<String, u32> = old.filter_map(|pod| Some((pod.uid.clone(), times(pod)?))).collect();
        let refused = before.and_then(|before| before.refused.clone()).filter(|refused| unwell.contains_key(&refused.uid));
        Self { at, generation, pods, unwell, refused }
    }
}

/// The fields of a pod that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// True if the workload itself owns it, without a ReplicaSet in between.
    pub owned: bool,
    /// True if it is of the newest revision.
    pub new: bool,
    /// True if it is being deleted.
    pub deleting: bool,
    /// The scheduler's message while it is unschedulable.
    pub unschedulable: Option<String>,
    /// Its node, if that node does not respond.
    pub lost_node: Option<String>,
    /// Its containers, init containers first.
    pub containers: Vec<ContainerView>,
}

impl PodView {
    /// Returns true if all its containers are ready, on a node that responds.
    pub fn is_ready(&self) -> bool {
        let mut serving = self.containers.iter().filter(|one| !one.init).peekable();
        self.lost_node.is_none() && serving.peek().is_some() && serving.all(|one| one.ready)
    }

    /// Returns why it cannot become ready by itself: one of its containers waits in a bad state.
    pub fn failure(&self) -> Option<Failure> {
        self.containers.iter().find_map(|one| one.failure(&self.name))
    }

    /// Returns true if one of its containers has failed, or runs (or has ended) and is not ready. A pod that is only
    /// being created is not unhealthy.
    fn is_unwell(&self) -> bool {
        let begun = |one: &ContainerView| !one.init && !one.ready && (one.running || (one.waiting.is_none() && one.ended.is_some()));
        self.failure().is_some() || self.containers.iter().any(begun)
    }

    /// Returns the restarts of all its containers.
    fn restarts(&self) -> u64 {
        self.containers.iter().map(|one| u64::from(one.restarts)).sum()
    }

    /// Returns why it is not ready, in words.
    pub fn state(&self) -> String {
        let Self { name, unschedulable, lost_node, .. } = self;
        if let Some(failure) = self.failure() {
            return failure.message;
        }
        let waits = || {
            let one = self.containers.iter().find(|one| one.waiting.is_some() && !one.ready)?;
            let (reason, _) = one.waiting.as_ref()?;
            Some(format!("pod {name}, container {}: {reason}", one.name))
        };
        let unscheduled = unschedulable.as_ref().map(|words| format!("pod {name}: {words}"));
        let lost = lost_node.as_ref().map(|node| lost(name, node));
        unscheduled.or(lost).or_else(waits).unwrap_or_else(|| format!("pod {name} is not ready"))
    }
}

fn lost(pod: &str, node: &str) -> String {
    format!("pod {pod}: its node {node} does not answer (NotReady)")
}

/// The fields of a container's status that are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// True if it runs.
    pub running: bool,
    /// True if it is ready.
    pub ready: bool,
    /// True if it is an init container, which must terminate instead of becoming ready.
    pub init: bool,
    /// `restartCount`.
    pub restarts: u32,
    /// Reason and message of state `waiting`.
    pub waiting: Option<(String, String)>,
    /// Its last termination: reason, exit code and message.
    pub ended: Option<(String, i32, String)>,
}

/// The waiting reasons of the kubelet that mean failure.
const BAD: &[(&str, Reason)] = &[
    ("CrashLoopBackOff", Reason::CrashLoopBackOff),
    ("ImagePullBackOff", Reason::ImagePullBackOff),
    ("ErrImagePull", Reason::ErrImagePull),
    ("ErrImageNeverPull", Reason::ErrImagePull),
    ("InvalidImageName", Reason::InvalidImageName),
    ("CreateContainerConfigError", Reason::CreateContainerConfigError),
    ("CreateContainerError", Reason::CreateContainerError),
    ("RunContainerError", Reason::RunContainerError),
];
const OOM: &str = "OOMKilled";

impl ContainerView {
    fn out_of_memory(&self) -> bool {
        self.ended.as_ref().is_some_and(|(reason, _, _)| reason == OOM)
    }

    /// Describes its last termination.
    fn end(&self) -> Option<String> {
        let (reason, code, message) = self.ended.as_ref()?;
        let message = message.trim();
        let words = if message.is_empty() { String::new() } else { format!(": {message}") };
        Some(format!("{reason}, exit code {code}{words}"))
    }

    fn failure(&self, pod: &str) -> Option<Failure> {
        let (reason, message) = self.waiting.as_ref()?;
        let code = BAD.iter().find(|(bad, _)| bad == reason)?.1;
        // A container with a low memory limit is killed repeatedly, and waits with the same reason as others.
        let code = if code == Reason::CrashLoopBackOff && self.out_of_memory() { Reason::OOMKilled } else { code };
        let end = self.end().map(|end| format!(" (last ended: {end})")).unwrap_or_default();
        Some(Failure { reason: code, message: format!("pod {pod}, container {}: {reason}: {}{end}", self.name, message.trim()) })
    }

    fn restarted(&self, pod: &str) -> Failure {
        let reason = if self.out_of_memory() { Reason::OOMKilled } else { Reason::Restarting };
        let end = self.end().map(|end| format!(" (last ended: {end})")).unwrap_or_default();
        let times = if self.restarts == 1 { "once".to_owned() } else { format!("{} times", self.restarts) };
        Failure { reason, message: format!("pod {pod}, container {}: restarted {times}{end}", self.name) }
    }
}

/// The evidence of the pods about one changed container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Restarts of the containers that are evidence for it, in all new pods.
    pub restarts: u32,
    /// A container that waits for a bad reason.
    pub failure: Option<Failure>,
    /// The container with the most restarts.
    pub restarting: Option<Failure>,
    /// A container that runs and is not ready.
    pub unready: Option<Failure>,
    /// The scheduler's message about an unschedulable new pod.
    pub no_room: Option<String>,
    /// A new pod whose node does not respond.
    pub lost_node: Option<String>,
}

impl Evidence {
    /// Collects the evidence about `container`. `others` are the containers that changed with it.
    pub fn of(pods: &[PodView], container: &str, others: &[&str]) -> Self {
        let bad_before: BTreeSet<&str> = pods
            .iter()
            .filter(|pod| !pod.new)
            .flat_map(|pod| &pod.containers)
            .filter(|one| one.name != container && (one.failure("").is_some() || (one.restarts > 0 && !one.ready)))
            .map(|one| one.name.as_str())
            .collect();
        let speaks =
            |one: &&ContainerView| one.name == container || !(others.contains(&one.name.as_str()) || bad_before.contains(&*one.name));
        let mut found = Self::default();
        let mut most = 0;
        for pod in pods.iter().filter(|pod| pod.new && !pod.deleting) {
            found.no_room = found.no_room.or_else(|| pod.unschedulable.as_ref().map(|words| format!("pod {}: {words}", pod.name)));
            found.lost_node = found.lost_node.or_else(|| pod.lost_node.as_ref().map(|node| lost(&pod.name, node)));
            for one in pod.containers.iter().filter(speaks) {
                found.restarts = found.restarts.saturating_add(one.restarts);
                found.failure = found.failure.or_else(|| one.failure(&pod.name));
                if one.restarts > most {
                    most = one.restarts;
                    found.restarting = Some(one.restarted(&pod.name));
                }
                if one.running && !one.ready && !one.init && found.unready.is_none() {
                    let message = format!("pod {}, container {}: runs, but does not become ready", pod.name, one.name);
                    found.unready = Some(Failure { reason: Reason::PodsNotReady, message });
                }
            }
        }
        found
    }
}
