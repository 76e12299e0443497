//! Simulates the state machine with the real rules, a model of the cluster and random faults.
//!
//! The model has one workload, a store with optimistic locking and two replicas with their own lagging copies. Random
//! events are: webhooks (duplicated, late, out of order), actions of people, external changes of images and
//! annotations, crashes, lost responses, steps of the clock, and a second leader that has not noticed its loss. A model
//! of the Deployment controller rolls out, and versions whose patch number is [`BAD`] crash. Admission denies patches
//! at random, and in one of five schedules it pins every image to a digest. The invariants are checked after every
//! step. In one of four schedules the workload is a release: it has no pods, a model of Flux reports the state of its
//! versions, and people suspend it. Some workloads have a cool-down and time windows, people freeze the workload and
//! everything, failures of others pause updates, and rollouts of others take the slots.
//!
//! It is one long file because the model and the faults are read together.
//!
//! `HEADWIND_SIMULATIONS` sets the number of schedules, `HEADWIND_SEED` runs a single schedule.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::action::{Action, act};
use super::invariant::{Applied, Moved, violations};
use super::refusal::{Refusal, refused};
use super::{Apply, ChangeKind, Observed, Phase, Presence, Request, Spec, Step, history_of, mark_name, named_requests, next};
use crate::artifact::reference::Digest;
use crate::artifact::version::parse_tag;
use crate::decide::{self, Decision, Evaluation, Identity, PriorRequests};
use crate::evidence::{Answer, Evidence, Trust};
use crate::gate::{self, Facts, Freeze, Gate, Limits};
use crate::policy::{Candidate, Occasion, Policy};
use crate::reason::Reason;
use crate::rollout::flux::{Condition, ConditionType, Snapshot};
use crate::rollout::pod::{ContainerView, PodSnapshot, PodView};
use crate::rollout::{DeploymentView, HelmReleaseView, View};
use crate::settings::{Annotations, Settings, key};
use crate::testing;
use crate::trigger::Trigger;
use crate::workload::history::History;
use crate::workload::release::{resolve, samples};
use crate::workload::{Container, Kind, Workload};

const SCHEDULES: u64 = 50_000;
const STEPS: u32 = 40;
/// Versions 1.x.2 do not run.
const BAD: &str = ".2";
const REPLICAS: u32 = 3;
/// Schedules begin at 13:46, and are in the closed quarters of an hour at 14:00 and 14:30 for a while.
const WINDOW: &str = "00:00-14:00; 14:15-23:59";
const DENIED: &str = "14:30-14:45";
/// Maximum difference between the clocks of replicas, in seconds.
const SKEW: i64 = 10;

/// Returns true for final phases that are not a result of the request's own rollout.
fn is_given_up(phase: Phase) -> bool {
    matches!(phase, Phase::Superseded | Phase::Expired | Phase::Failed)
}

fn bad(image: &str) -> bool {
    unpinned(image).ends_with(BAD)
}

/// Returns the image without its digest.
fn unpinned(image: &str) -> &str {
    image.split('@').next().unwrap()
}

/// `SplitMix64`: small, and the same on every platform.
struct Rng(u64);

impl Rng {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }
}

/// Returns the image after admission.
fn admitted(pins: bool, image: &str) -> String {
    if pins && !image.contains('@') { format!("{image}@sha256:{}", "c".repeat(64)) } else { image.to_owned() }
}

type Stored = (Request, u64);

/// The API server.
#[derive(Clone)]
struct Cluster {
    workload: Workload,
    requests: BTreeMap<String, Stored>,
    version: u64,
    applied: Vec<Applied>,
    moved: Vec<Moved>,
    /// The images before the newest generation.
    old_images: Vec<String>,
    /// Number of pods of the newest generation.
    updated: u32,
    /// When the newest generation started.
    began: i64,
    /// True if an admission webhook pins images that have no digest.
    pins: bool,
    /// Versions of containers that were rolled back and that no person requested again.
    quarantine: BTreeSet<(String, String)>,
}

/// A replica's copy, and its clock's error in seconds.
#[derive(Clone)]
struct Replica {
    snapshot: Option<PodSnapshot>,
    workload: Workload,
    /// True if its copy contains the workload: a copy may lack an object that exists.
    holds: bool,
    requests: BTreeMap<String, Stored>,
    skew: i64,
}

impl Replica {
    /// Returns its knowledge about the requests.
    fn prior(&self) -> PriorRequests {
        PriorRequests::new(|_, _, identity| name(identity), self.requests.values().map(|(request, _)| request.prior()).collect())
    }

    /// Updates its copy of the workload.
    fn take_in(&mut self, workload: &Workload) {
        self.workload = workload.clone();
        self.holds = true;
    }
}

struct World {
    rng: Rng,
    cluster: Cluster,
    replicas: [Replica; 2],
    leader: usize,
    second: i64,
    /// Time since the last interruption of the watches, in seconds.
    calm: i64,
    /// The limits on the updates of all workloads. The rollout of this one is added.
    limits: Limits,
    trail: Vec<String>,
}

/// Returns an object name: it has no `@`, unlike the marker of a reopened request.
fn name(identity: &Identity) -> String {
    identity.as_str().replace('@', "~")
}

fn workload(rng: &mut Rng, release: bool) -> Workload {
    let container = |index: usize, name: &str| Container { index, pulls_always: index == 0, ..Container::new(name, "app:1.0.0") };
    let mut annotations = Annotations::new();
    annotations.insert(key::POLICY.to_owned(), rng.pick(&["minor", "major", "all", "force"]).to_string());
    annotations.insert(key::REQUIRE_APPROVAL.to_owned(), rng.pick(&["true", "false"]).to_string());
    annotations.insert(key::AUTO_ROLLBACK.to_owned(), rng.pick(&["true", "true", "false"]).to_string());
    annotations.insert(key::SETTLE_TIME.to_owned(), rng.pick(&["0", "20"]).to_string());
    annotations.insert(key::ROLLBACK_TIMEOUT.to_owned(), rng.pick(&["60", "300"]).to_string());
    annotations.insert(key::HEALTH_CHECK_RETRIES.to_owned(), rng.pick(&["1", "3"]).to_string());
    annotations.insert(key::MIN_UPDATE_INTERVAL.to_owned(), rng.pick(&["0", "60", "300"]).to_string());
    annotations.insert(format!("{}.b", key::MIN_UPDATE_INTERVAL), rng.pick(&["0", "60", "300"]).to_string());
    annotations.insert(key::COOL_DOWN.to_owned(), rng.pick(&["0", "0", "0", "200"]).to_string());
    if rng.roll(6) == 0 {
        annotations.insert(key::UPDATE_WINDOW.to_owned(), WINDOW.to_owned());
        annotations.insert(key::UPDATE_WINDOW_DENY.to_owned(), DENIED.to_owned());
    }
    if release {
        let alone = samples::alone(samples::templated("app", "1.0.0"), &[]);
        let workload = resolve(&alone, Some(&samples::helm("https://charts.example")), 1);
        return Workload { resource_version: "1".to_owned(), generation: 1, annotations, ..workload };
    }
    Workload {
        uid: "u".to_owned(),
        resource_version: "1".to_owned(),
        generation: 1,
        annotations,
        has_annotations: true,
        template_has_annotations: true,
        ..Workload::new(testing::key(Kind::Deployment, "app"), vec![container(0, "a"), container(1, "b")])
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut workload = workload(&mut rng, seed % 4 == 3);
        if seed % 3 == 2 {
            workload.annotations.insert(key::APPROVALS.to_owned(), "2".to_owned());
        }
        let cluster = Cluster {
            workload: workload.clone(),
            requests: BTreeMap::new(),
            version: 1,
            applied: Vec::new(),
            moved: Vec::new(),
            old_images: workload.containers.iter().map(|container| container.image.clone()).collect(),
            updated: REPLICAS,
            began: 0,
            pins: seed % 5 == 1 && workload.release.is_none(),
            quarantine: BTreeSet::new(),
        };
        let replica = Replica { snapshot: None, workload, holds: true, requests: BTreeMap::new(), skew: 0 };
        Self {
            rng,
            cluster,
            replicas: [replica.clone(), replica],
            leader: 0,
            second: 1_000_000,
            calm: 0,
            limits: Limits::default(),
            trail: Vec::new(),
        }
    }

    /// Returns true if two people must approve.
    fn needs_two(&self) -> bool {
        self.cluster.workload.annotations.contains_key(key::APPROVALS)
    }

    fn now(&self, who: usize) -> Timestamp {
        Timestamp::from_second(self.second + self.replicas[who].skew).unwrap()
    }

    fn bump(&mut self) -> u64 {
        self.cluster.version += 1;
        self.cluster.version
    }

    /// The watch catches up, completely, or only for the workload or for the requests.
    fn sync(&mut self, who: usize) {
        let part = self.rng.roll(4);
        if part != 1 {
            self.replicas[who].take_in(&self.cluster.workload);
        }
        if part != 2 {
            self.replicas[who].requests = self.cluster.requests.clone();
        }
    }

    fn step(&mut self) {
        let who = usize::try_from(self.rng.roll(2)).unwrap();
        match self.rng.roll(26) {
            0..=3 => self.event(who),
            4..=9 => self.reconcile(self.leader),
            // The other replica has not noticed its loss, or its election, yet.
            10 => self.reconcile(1 - self.leader),
            11 => self.leader = 1 - self.leader,
            12 => {
                // A crash: the next leader starts with complete lists, except for events before it has the workload.
                self.replicas[who].snapshot = None;
                self.replicas[who].take_in(&self.cluster.workload);
                self.replicas[who].holds = self.rng.roll(3) > 0;
                self.replicas[who].requests = self.cluster.requests.clone();
            }
            13 => self.person(who),
            14 => self.other_hand(),
            15 => self.second += i64::try_from(self.rng.roll(400)).unwrap(),
            16 => self.replicas[who].skew = i64::try_from(self.rng.roll(2 * SKEW.unsigned_abs())).unwrap() - SKEW,
            17..=20 => self.controller(),
            21 => self.second += i64::try_from(self.rng.roll(20)).unwrap(),
            22 => self.go_back(who),
            23 => self.limit(),
            _ => self.sync(who),
        }
    }

    /// The Deployment controller makes one step.
    fn controller(&mut self) {
        if self.cluster.workload.release.is_some() {
            return self.flux();
        }
        let version = self.bump();
        let cluster = &mut self.cluster;
        let crashes = cluster.workload.containers.iter().any(|container| bad(&container.image));
        cluster.updated = if crashes { 1 } else { (cluster.updated + 1).min(REPLICAS) };
        let old = REPLICAS - cluster.updated;
        cluster.workload.rollout = View::Deployment(DeploymentView {
            replicas: REPLICAS,
            paused: false,
            observed_generation: cluster.workload.generation,
            total: cluster.updated + old + u32::from(crashes),
            updated: cluster.updated,
            available: REPLICAS - u32::from(crashes),
            deadline_exceeded: None,
            replica_failure: None,
        });
        cluster.workload.resource_version = version.to_string();
    }

    /// helm-controller makes one step: it attempts the wanted version, then it has finished or gives up.
    fn flux(&mut self) {
        let version = self.bump();
        let Cluster { workload, updated, .. } = &mut self.cluster;
        let (generation, image) = (workload.generation, workload.containers[0].image.clone());
        let View::HelmRelease(view) = &mut workload.rollout else { unreachable!("a release has no other view") };
        if view.suspended {
            return;
        }
        let wanted = image.trim_start_matches("app:").to_owned();
        *updated = (*updated + 1).min(REPLICAS);
        let ends = *updated == REPLICAS;
        let failed = ends && bad(&image);
        let says = |kind, status, reason: &str| Condition {
            kind,
            status: Some(status),
            reason: reason.to_owned(),
            message: format!("Running: {reason}"),
            observed_generation: generation,
        };
        let conditions = match (ends, failed) {
            (false, _) => vec![says(ConditionType::Reconciling, true, "Progressing")],
            (true, false) => vec![says(ConditionType::Ready, true, "UpgradeSucceeded")],
            (true, true) => vec![
                says(ConditionType::Ready, false, "UpgradeFailed"),
                says(ConditionType::Released, false, "UpgradeFailed"),
                says(ConditionType::Stalled, true, "RetriesExceeded"),
            ],
        };
        let newest = Snapshot { version: wanted.clone(), status: if failed { "failed" } else { "deployed" }.to_owned(), oci_digest: None };
        **view = HelmReleaseView {
            generation,
            wanted: wanted.clone(),
            observed_generation: if ends { generation } else { view.observed_generation },
            attempted_generation: generation,
            attempted_revision: wanted,
            failures: u32::from(failed),
            conditions,
            newest: if ends { Some(newest) } else { view.newest.clone() },
            ..HelmReleaseView::default()
        };
        workload.resource_version = version.to_string();
    }

    /// Somebody freezes everything, too many updates of others fail, or rollouts of others begin or end.
    fn limit(&mut self) {
        let now = Timestamp::from_second(self.second).unwrap();
        let other = testing::key(Kind::Deployment, "other");
        match self.rng.roll(6) {
            0 => {
                let until = (self.rng.roll(2) == 0).then(|| Timestamp::from_second(self.second + 100).unwrap());
                self.limits.freeze = Some(Freeze { until, reason: None });
            }
            1 => self.limits.freeze = None,
            2 => self.limits.paused_since = self.limits.paused_since.is_none().then_some(now),
            3 => self.limits.rollouts.limit = Some(1),
            4 => drop(self.limits.rollouts.running.insert(other)),
            _ => drop(self.limits.rollouts.running.remove(&other)),
        }
        self.trail.push(format!("{} limits: {:?}", self.second, self.limits));
    }

    /// Returns the limits as a replica knows them.
    fn limits_of(&self, who: usize) -> Limits {
        let mut limits = self.limits.clone();
        let rolls_out = self.replicas[who].requests.values().any(|(request, _)| request.status.phase == Phase::RollingOut);
        limits.rollouts.running.extend(rolls_out.then(|| self.cluster.workload.key.clone()));
        limits
    }

    /// Somebody suspends or resumes the release.
    fn suspend(&mut self, suspended: bool) {
        let version = self.bump();
        let workload = &mut self.cluster.workload;
        let Some(site) = &mut workload.containers[0].chart else { return };
        site.skip_reason = suspended.then(|| Reason::Suspended.into());
        if let View::HelmRelease(view) = &mut workload.rollout {
            view.suspended = suspended;
        }
        workload.resource_version = version.to_string();
        self.trail.push(format!("{} suspended: {suspended}", self.second));
    }

    /// The template changed: its pods are recreated.
    fn renewed(&mut self, old_images: Vec<String>) {
        self.cluster.old_images = old_images;
        self.cluster.updated = 0;
        self.cluster.began = self.second;
        self.cluster.workload.generation += 1;
        if let View::HelmRelease(view) = &mut self.cluster.workload.rollout {
            view.generation = self.cluster.workload.generation;
        }
    }

    /// Returns the pods. Those of a bad version crash every five seconds.
    fn pods(&self) -> Vec<PodView> {
        let cluster = &self.cluster;
        let crashes = u32::try_from((self.second - cluster.began) / 5).unwrap_or_default();
        let pod = |new: bool, images: Vec<&str>| PodView {
            name: "pod".to_owned(),
            uid: String::new(),
            owned: false,
            new,
            deleting: false,
            unschedulable: None,
            lost_node: None,
            containers: cluster
                .workload
                .containers
                .iter()
                .zip(images)
                .map(|(container, image)| ContainerView {
                    name: container.name.clone(),
                    ready: !bad(image),
                    restarts: if bad(image) { crashes } else { 0 },
                    waiting: bad(image).then(|| ("CrashLoopBackOff".to_owned(), "back-off".to_owned())),
                    ..ContainerView::default()
                })
                .collect(),
        };
        let new = (cluster.updated > 0).then(|| pod(true, cluster.workload.containers.iter().map(|one| one.image.as_str()).collect()));
        new.into_iter().chain([pod(false, cluster.old_images.iter().map(String::as_str).collect())]).collect()
    }

    /// A person rolls a container back.
    fn go_back(&mut self, who: usize) {
        let replica = &self.replicas[who];
        let container = self.rng.pick(&replica.workload.containers).clone();
        let requests: Vec<&Request> = replica.requests.values().map(|(request, _)| request).collect();
        let history = history_of(&replica.workload, &requests);
        let Some(image) = history.before(&container.name, &container.image).next().map(|entry| entry.image.clone()) else { return };
        let name = format!("back-{}-{}", container.name, replica.workload.generation);
        if self.cluster.requests.contains_key(&name) {
            return;
        }
        let now = self.now(who);
        let version = self.bump();
        let request = Request {
            name: name.clone(),
            target_uid: self.cluster.workload.uid.clone(),
            fault: None,
            created: Timestamp::from_second(self.second).unwrap(),
            siblings: Vec::new(),
            proposed: Timestamp::from_second(self.second).unwrap(),
            spec: Spec {
                kind: container.kind(),
                container: Some(container.name.clone()),
                current_image: container.image.clone(),
                new_image: image,
                current_digest: None,
                new_digest: None,
                policy: Policy::Minor,
                require_approval: true,
                approvals: 1,
                expires_at: None,
                trigger: Trigger::Manual,
            },
            status: super::Status {
                phase: Phase::Approved,
                approved_by: Some("ann".to_owned()),
                approved_at: Some(now),
                ..super::Status::default()
            },
        };
        self.trail.push(format!("{} a person asks for {name}: {} to {}", self.second, container.image, request.spec.new_image));
        self.cluster.requests.insert(name, (request, version));
    }

    fn event(&mut self, who: usize) {
        let tag = format!("1.{}.{}", self.rng.roll(3), self.rng.roll(3));
        let digest = (self.rng.roll(2) == 0).then(|| Digest::parse(&format!("sha256:{}", self.rng.pick(&["a", "b"]).repeat(64))).unwrap());
        // An authenticated sender while the registry is unreachable.
        let mut evidence = Evidence::new(Trust::REGISTRY);
        evidence.add(tag.clone(), Answer::Unavailable);
        let copies = 1 + self.rng.roll(2);
        for _ in 0..copies {
            let replica = self.replicas[who].clone();
            for container in replica.workload.containers.iter().filter(|_| replica.holds) {
                let candidate = Candidate::new(tag.clone(), digest.clone());
                let site = Evaluation {
                    workload: &replica.workload,
                    defaults: &Annotations::new(),
                    container,
                    candidates: &[candidate],
                    occasion: Occasion::Event,
                    trigger: Trigger::Webhook,
                    nodes: None,
                };
                let decision = decide::decide(&site, &evidence, &replica.prior());
                if let Decision::Propose(proposal) = decision {
                    self.create(who, &proposal);
                }
            }
        }
    }

    fn create(&mut self, who: usize, proposal: &decide::Proposal) {
        let name = name(&proposal.identity);
        let replaceable = self.cluster.requests.get(&name).map(|(request, _)| request.status.is_replaceable());
        if replaceable == Some(false) {
            return;
        }
        let request = Request {
            name: name.clone(),
            target_uid: self.cluster.workload.uid.clone(),
            fault: None,
            created: Timestamp::from_second(self.second).unwrap(),
            siblings: Vec::new(),
            proposed: Timestamp::from_second(self.second).unwrap(),
            spec: Spec {
                kind: self.cluster.workload.containers[0].kind(),
                container: Some(proposal.container.clone()),
                current_image: proposal.current_image.clone(),
                new_image: proposal.new_image.clone(),
                current_digest: proposal.current_digest.clone(),
                new_digest: proposal.new_digest.clone(),
                policy: proposal.policy,
                require_approval: proposal.require_approval,
                approvals: 1,
                expires_at: (self.rng.roll(3) == 0).then(|| Timestamp::from_second(self.second + 600).unwrap()),
                trigger: proposal.trigger,
            },
            status: super::Status::default(),
        };
        self.trail.push(format!("{} {who} creates {name} from {}", self.second, proposal.current_image));
        // A new object with an old name: the changes of its predecessor are not its own.
        self.cluster.applied.retain(|applied| mark_name(&applied.mark) != name);
        let version = self.bump();
        self.cluster.requests.insert(name.clone(), (request.clone(), version));
        if self.rng.roll(3) > 0 {
            self.replicas[who].requests.insert(name, (request, version));
        }
    }

    fn store(&mut self, who: usize, name: &str, status: super::Status, read: u64) {
        let version = self.cluster.version + 1;
        let Some((request, stored)) = self.cluster.requests.get_mut(name) else { return };
        if *stored == read {
            self.trail
                .push(format!("{} {who} writes {name}: {} to {} ({:?})", self.second, request.status.phase, status.phase, status.reason));
            Self::check_end(request, &status);
            self.cluster.moved.push(Moved { request: name.to_owned(), from: request.status.phase, to: status.phase });
            request.status = status;
            *stored = version;
            self.cluster.version = version;
            if self.rng.roll(8) == 0 {
                return; // The response is lost.
            }
        }
        let fresh = self.cluster.requests.get(name).cloned();
        self.replicas[who].requests.extend(fresh.map(|fresh| (name.to_owned(), fresh)));
    }

    fn reconcile(&mut self, who: usize) {
        let mut live = false;
        for _ in 0..20 {
            let replica = self.replicas[who].clone();
            let requests: Vec<&Request> = replica.requests.values().map(|(request, _)| request).collect();
            let limits = self.limits_of(who);
            let observed = Observed {
                limits: &limits,
                presence: if replica.holds { Presence::Present { workload: &replica.workload, live } } else { Presence::Unknown },
                defaults: &Annotations::new(),
                requests: &requests,
                now: self.now(who),
                history_limit: 10,
                snapshot: replica.snapshot.as_ref(),
                seen_since: Timestamp::from_second(self.second - i64::try_from(self.rng.roll(60)).unwrap() - self.calm).unwrap(),
                clock_stepped: None,
                confirmations: None,
            };
            match next(&observed) {
                Step::Requeue(_) => return,
                Step::Confirm(confirm) => panic!("nobody answers {confirm:?}"),
                Step::Read => {
                    assert!(!live, "read twice");
                    self.replicas[who].take_in(&self.cluster.workload);
                    for name in named_requests(&self.cluster.workload) {
                        if let Some(found) = self.cluster.requests.get(name) {
                            self.replicas[who].requests.entry(name.to_owned()).or_insert_with(|| found.clone());
                        }
                    }
                    live = true;
                }
                Step::Write(write) => {
                    let read = replica.requests[&write.request].1;
                    assert!(
                        live || !write.from.is_open() || !is_given_up(write.status.phase),
                        "{} is ended because of a copy",
                        write.request
                    );
                    assert!(write.status.reason != Some(Reason::TargetGone), "{} is ended though the workload is there", write.request);
                    self.store(who, &write.request, write.status, read);
                }
                Step::Delete { request } => {
                    assert!(live, "{request} is deleted because of a copy");
                    let read = replica.requests[&request].1;
                    if self.cluster.requests.get(&request).is_some_and(|(_, stored)| *stored == read) {
                        self.cluster.requests.remove(&request);
                    }
                    self.replicas[who].requests = self.cluster.requests.clone();
                }
                Step::Evict(pod) => unreachable!("a Deployment needs no help: {pod:?}"),
                Step::InspectPods => {
                    assert!(replica.workload.release.is_none(), "a release has no pods");
                    self.replicas[who].take_in(&self.cluster.workload);
                    let generation = self.cluster.workload.generation;
                    let snapshot = PodSnapshot::new(self.now(who), generation, Some(self.pods()), replica.snapshot.as_ref());
                    self.replicas[who].snapshot = Some(snapshot);
                }
                Step::Apply(apply) => self.apply(who, &replica, &apply),
            }
            // A process can die between any two steps, and its copies lag.
            match self.rng.roll(12) {
                0 => return,
                1 => self.sync(who),
                _ => {}
            }
        }
    }

    /// Applies the guarded patch, as `headwind_k8s::patch` builds it and the API server checks it.
    fn apply(&mut self, who: usize, replica: &Replica, apply: &Apply) {
        let real = &self.cluster.workload;
        let tested = [key::LAST_UPDATE, key::LAST_REQUEST].iter().all(|key| match replica.workload.annotations.get(*key) {
            Some(seen) => real.annotations.get(*key) == Some(seen),
            None => real.resource_version == replica.workload.resource_version,
        });
        let tested = tested && (!apply.is_update() || real.resource_version == replica.workload.resource_version);
        let same = |change: &super::Change| real.container(&change.container).is_some_and(|container| container.image == change.from);
        if !tested || !apply.changes.iter().all(same) {
            self.replicas[who].take_in(&self.cluster.workload);
            return;
        }
        if self.calm == 0 && self.rng.roll(8) == 0 {
            return self.refuse(who, replica, apply);
        }
        self.check_gate(who, replica, apply);
        for change in &apply.changes {
            self.check_apply(who, replica, change);
            let request = &replica.requests[&change.request].0;
            let mark = if change.kind == ChangeKind::AutomaticRollback { request.back_mark() } else { request.mark() };
            let approved =
                request.status.approved_by.is_some() || !request.spec.require_approval || change.kind == ChangeKind::AutomaticRollback;
            let by_enough = change.kind == ChangeKind::AutomaticRollback
                || request.status.approved_by.is_none()
                || request.spec.trigger == Trigger::Manual
                || !self.needs_two()
                || request.has_quorum(2);
            self.trail.push(format!("{} {who} applies {mark}: {} to {} ({:?})", self.second, change.from, change.to, change.kind));
            self.cluster.applied.push(Applied {
                mark,
                container: change.container.clone(),
                from: change.from.clone(),
                to: change.to.clone(),
                approved: approved && by_enough,
            });
        }
        let version = self.bump();
        let images = self.cluster.workload.containers.iter().map(|container| container.image.clone()).collect();
        self.renewed(images);
        let real = &mut self.cluster.workload;
        for change in &apply.changes {
            let container = real.containers.iter_mut().find(|container| container.name == change.container).unwrap();
            container.image = admitted(self.cluster.pins, &change.to);
            container.restarted_for = change.restart_for.as_ref().map(|digest| format!("{}@{digest}", change.to));
        }
        for (name, value) in [
            (key::LAST_UPDATE, apply.last_update.to_string()),
            (key::LAST_REQUEST, apply.last_request.clone()),
            (key::UPDATE_HISTORY, apply.history.clone()),
        ] {
            real.annotations.insert(name.to_owned(), value);
        }
        real.resource_version = version.to_string();
        if self.rng.roll(5) > 0 {
            self.replicas[who].take_in(&self.cluster.workload);
        }
    }

    /// The API server denies the patch, or finds the object invalid.
    fn refuse(&mut self, who: usize, replica: &Replica, apply: &Apply) {
        let refusal = match self.rng.roll(6) {
            0 => Refusal::Invalid("invalid".to_owned()),
            _ => Refusal::Denied("denied".to_owned()),
        };
        for change in &apply.changes {
            let (request, read) = &replica.requests[&change.request];
            let status = refused(request, change.kind, &refusal, apply.changes.len() == 1, self.now(who)).status;
            self.store(who, &change.request, status, *read);
        }
    }

    /// Checks that nothing is applied while the gate says that it waits. A container may be updated together with
    /// another one before the workload's interval has passed, if its own interval has.
    fn check_gate(&self, who: usize, replica: &Replica, apply: &Apply) {
        let requests: Vec<&Request> = replica.requests.values().map(|(request, _)| request).collect();
        let (now, limits) = (self.now(who), self.limits_of(who));
        let history = history_of(&replica.workload, &requests);
        let answers = apply.changes.iter().map(|change| {
            let request = &replica.requests[&change.request].0;
            if change.kind == ChangeKind::AutomaticRollback {
                return (change, gate::check_rollback(request.status.waiting.as_ref(), now), Gate::Open);
            }
            let annotations = &replica.workload.annotations;
            let settings = Settings::valid(&Annotations::new(), annotations, &change.container);
            let is_invalid = Settings::resolve(&Annotations::new(), annotations, &change.container).is_err();
            let facts = Facts::of(&replica.workload, replica.workload.container(&change.container).unwrap(), &limits);
            let facts = request.facts(facts, &replica.workload, &history, &requests, now);
            assert!(facts.is_rollback || !is_invalid, "{} is applied while an annotation is invalid", change.request);
            let own = history.of(&change.container).next().map(|entry| entry.timestamp);
            let alone = Facts { last_update: own, ..facts.clone() };
            (change, gate::check(&settings, &facts, now), gate::check(&settings, &alone, now))
        });
        let answers: Vec<_> = answers.collect();
        let due = answers.iter().any(|(_, gate, _)| gate.is_open());
        for (change, gate, alone) in &answers {
            assert!(gate.is_open() || (due && alone.is_open()), "{} is applied although the gate says {gate:?}", change.request);
        }
    }

    /// Checks the gates once more, without the code that decides.
    fn check_limits(&self, who: usize, replica: &Replica, change: &super::Change) {
        let (request, _) = &replica.requests[&change.request];
        let (now, annotations) = (self.now(who), &replica.workload.annotations);
        let second_of_day = now.as_second().rem_euclid(86_400);
        let closed = [(14 * 3600, 15 * 60), (14 * 3600 + 30 * 60, 15 * 60)];
        let is_closed = closed.iter().any(|(start, long)| (*start..start + long).contains(&second_of_day));
        let name = &change.request;
        assert!(!(annotations.contains_key(key::UPDATE_WINDOW) && is_closed), "{name} is applied outside of its windows");
        assert!(annotations.get(key::FREEZE).is_none_or(|value| value != "true"), "{name} is applied though its workload is frozen");
        let Limits { freeze, paused_since, rollouts } = &self.limits;
        assert!(freeze.as_ref().is_none_or(|freeze| freeze.until.is_some_and(|until| until <= now)), "{name} is applied during a freeze");
        let by_policy = request.status.approved_by.is_none();
        assert!(!(by_policy && paused_since.is_some()), "{name} is applied though too many updates failed");
        let own = replica.requests.values().any(|(request, _)| request.status.phase == Phase::RollingOut);
        assert!(rollouts.limit.is_none() || rollouts.running.is_empty() || own, "{name} is one rollout too many");
        let cool_down: i64 = annotations[key::COOL_DOWN].parse().unwrap();
        // Without a cool-down, the clock of the replica that created the request does not matter.
        let is_old = cool_down == 0 || now.duration_since(request.created).as_secs() >= cool_down;
        assert!(is_old || request.status.skip_cool_down || request.spec.trigger == Trigger::Manual, "{name} is applied too early");
    }

    fn check_apply(&mut self, who: usize, replica: &Replica, change: &super::Change) {
        let (request, _) = &replica.requests[&change.request];
        if change.kind == ChangeKind::Update {
            self.check_limits(who, replica, change);
        }
        let left = replica.workload.containers[0].chart.as_ref().and_then(|site| site.skip_reason.as_ref());
        assert!(left.is_none() || change.kind == ChangeKind::AutomaticRollback, "{} is applied though {left:?}", change.request);
        let version = (change.container.clone(), unpinned(&change.to).to_owned());
        let forced = request.spec.policy.follows_digest() || replica.workload.annotations[key::POLICY] == "force";
        if change.kind == ChangeKind::Update {
            assert!(
                forced || !self.cluster.quarantine.contains(&version),
                "{} puts {version:?} in place, which was rolled back",
                change.request
            );
        } else if !forced {
            let ours =
                self.cluster.requests.values().any(|(one, _)| one.placed_image() == change.from && !one.spec.policy.follows_digest());
            self.cluster.quarantine.extend(ours.then(|| (change.container.clone(), unpinned(&change.from).to_owned())));
        }
        if change.kind == ChangeKind::AutomaticRollback {
            assert!(bad(&change.from), "{} takes back {}, which runs", change.request, change.from);
            assert_eq!(replica.workload.annotations[key::AUTO_ROLLBACK], "true", "automatic rollback of {} is disabled", change.request);
        }
        let tag = |image: &str| parse_tag(unpinned(image.trim_start_matches("app:")));
        if !forced && change.kind == ChangeKind::Update {
            let (old, new) = (tag(&change.from).unwrap(), tag(&change.to).unwrap());
            // A person who uses a lagging replica may name the version that is in place, as Headwind wrote it.
            let again = request.spec.trigger == Trigger::Manual && new == old;
            assert!(new.cmp_precedence(&old).is_gt() || again, "{} goes down from {} to {}", change.request, change.from, change.to);
        }
    }

    /// Checks that a broken version never completes and a working one never fails.
    fn check_end(request: &Request, status: &super::Status) {
        if request.status.phase != Phase::RollingOut || status.phase == Phase::RollingOut {
            return;
        }
        let bad = bad(&request.spec.new_image);
        match (status.phase, status.reason) {
            // These reasons state that nothing is known about the version.
            (Phase::Failed, Some(Reason::RolloutTimedOut | Reason::RollbackFailed)) | (Phase::RolledBack, Some(Reason::RolledBack)) => {}
            (Phase::Completed, _) => assert!(!bad, "{} is Completed", request.name),
            (Phase::RolledBack | Phase::Failed, _) => assert!(bad, "{} is {}: {:?}", request.name, status.phase, status.message),
            _ => {}
        }
    }

    fn person(&mut self, who: usize) {
        let names: Vec<String> = self.replicas[who].requests.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = self.rng.pick(&names).clone();
        let action = *self.rng.pick(&[Action::Approve, Action::Approve, Action::Reject, Action::Reopen]);
        let (request, read) = self.replicas[who].requests[&name].clone();
        let person = if self.needs_two() { *self.rng.pick(&["ann", "bob", "eve"]) } else { "ann" };
        if let Ok(mut status) = act(&request, action, person, None, self.now(who)) {
            if action == Action::Approve && self.rng.roll(3) == 0 {
                status = status.skipping_cool_down();
            }
            if action == Action::Reopen {
                let version = (request.spec.container.clone().unwrap(), unpinned(&request.spec.new_image).to_owned());
                self.cluster.quarantine.remove(&version);
            }
            self.store(who, &name, status, read);
        }
    }

    fn other_hand(&mut self) {
        if self.cluster.workload.release.is_some() && self.rng.roll(2) == 0 {
            let suspended = self.rng.roll(2) == 0;
            return self.suspend(suspended);
        }
        let version = self.bump();
        let place = usize::try_from(self.rng.roll(self.cluster.workload.containers.len() as u64)).unwrap();
        let image = format!("app:1.{}.{}", self.rng.roll(2), self.rng.roll(2));
        let annotation = match self.rng.roll(5) {
            4 => Some((key::FREEZE, *self.rng.pick(&["true", "false", "false"]))),
            0 => Some((key::REQUIRE_APPROVAL, *self.rng.pick(&["true", "false"]))),
            1 if self.rng.roll(3) == 0 => Some((key::AUTO_ROLLBACK, *self.rng.pick(&["true", "false"]))),
            1 => Some((key::POLICY, *self.rng.pick(&["patch", "minor", "none", "nonsense", "force"]))),
            2 => {
                // The history contains the fences against a leader whose copies lag by several steps. No fault happens
                // at that moment.
                let history = History::parse(self.cluster.workload.annotations.get(key::UPDATE_HISTORY).map(String::as_str)).0;
                if self.cluster.requests.values().any(|(one, _)| history.times_applied(&one.name) > one.status.times_applied as usize) {
                    return;
                }
                for replica in &mut self.replicas {
                    replica.requests = self.cluster.requests.clone();
                }
                Some((key::UPDATE_HISTORY, "broken"))
            }
            _ => None,
        };
        let real = &mut self.cluster.workload;
        real.resource_version = version.to_string();
        if let Some((name, value)) = annotation {
            self.trail.push(format!("{} somebody else sets {name} to {value}", self.second));
            real.annotations.insert(name.to_owned(), value.to_owned());
        } else {
            self.trail.push(format!("{} somebody else sets {place} to {image}", self.second));
            let images = real.containers.iter().map(|container| container.image.clone()).collect();
            real.containers[place].image = admitted(self.cluster.pins, &image);
            self.renewed(images);
        }
    }

    fn check(&self) {
        let requests: Vec<Request> = self.cluster.requests.values().map(|(request, _)| request.clone()).collect();
        let wrong = violations(&requests, &self.cluster.applied, &self.cluster.moved);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Once all copies are current and no more faults occur, nothing that is due may remain.
    fn settle(&mut self) {
        let mut quiet = 0;
        self.calm = 1000;
        self.suspend(false);
        // Ends every reason to wait except those that depend on the time.
        self.limits = Limits::default();
        self.cluster.workload.annotations.remove(key::FREEZE);
        // A request by a person waits until an invalid value is corrected.
        if let Some(policy) = self.cluster.workload.annotations.get_mut(key::POLICY).filter(|policy| *policy == "nonsense") {
            "none".clone_into(policy);
        }
        self.cluster.workload.resource_version = self.bump().to_string();
        for round in 0..120 {
            for who in 0..2 {
                self.replicas[who].take_in(&self.cluster.workload);
                self.replicas[who].requests = self.cluster.requests.clone();
                self.replicas[who].skew = 0;
            }
            for _ in 0..=REPLICAS {
                self.controller();
            }
            for who in 0..2 {
                self.replicas[who].take_in(&self.cluster.workload);
            }
            let (before, leader) = (self.cluster.version, self.leader);
            self.reconcile(leader);
            self.check();
            self.second += if round % 4 == 3 { 1000 } else { 10 };
            quiet = if before == self.cluster.version { quiet + 1 } else { 0 };
            if quiet > 8 {
                break;
            }
            assert!(round < 119, "no rest");
        }
        let workload = &self.cluster.workload;
        for (request, _) in self.cluster.requests.values() {
            let due = request.status.phase == Phase::Approved
                || (request.status.phase == Phase::Pending
                    && !request.spec.require_approval
                    && workload.annotations[key::REQUIRE_APPROVAL] == "false");
            assert!(request.status.phase != Phase::RollingOut, "{} is watched without end: {:?}", request.name, request.status);
            let lapsed =
                request.status.phase == Phase::Pending && request.needs_approval() && request.expires_at() <= self.now(self.leader);
            assert!(!lapsed, "{} waits without end: {:?}", request.name, request.status);
            assert!(!due, "{} is due and was left: {:?}", request.name, request.status);
        }
    }
}

fn run(seed: u64) {
    let ended = std::panic::catch_unwind(|| {
        let mut world = World::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                world.step();
                world.check();
            }
            world.settle();
        }));
        outcome.map_err(|cause| (cause, world.trail))
    });
    if let Ok(Err((cause, trail))) = ended {
        eprintln!("seed {seed}; what happened:\n  {}", trail.join("\n  "));
        std::panic::resume_unwind(cause);
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn none_lost_none_twice_none_wrong() {
    if let Some(seed) = variable("HEADWIND_SEED") {
        return run(seed);
    }
    let schedules = variable("HEADWIND_SIMULATIONS").unwrap_or(SCHEDULES);
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || (worker..schedules).step_by(usize::try_from(workers).unwrap()).for_each(run));
        }
    });
    println!("{schedules} schedules of {STEPS} steps, seeds 0 to {}", schedules - 1);
}
