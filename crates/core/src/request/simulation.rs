//! The machine under everything that can go wrong, with the real rules and a model of the cluster.
//!
//! One workload, a store that compares and swaps, two replicas with copies of their own that lag
//! behind, and at random: events (twice, late, out of order), people, other hands on the image and
//! on the annotations, crashes, answers that get lost, clocks that jump, and a second leader that
//! has not noticed yet. After every step the invariants are checked.
//!
//! `HEADWIND_SIMULATIONS` sets how many schedules are run, `HEADWIND_SEED` runs one of them alone.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::action::{Action, act};
use super::invariant::{Applied, Moved, violations};
use super::{Apply, Identity, Observed, Phase, Request, Spec, Step, mark_name, next};
use crate::decide::{self, Decision, Site};
use crate::event::Trigger;
use crate::policy::{Candidate, Occasion, Policy};
use crate::reason::Reason;
use crate::reference::Digest;
use crate::settings::{Annotations, key};
use crate::target::{Container, Kind, Target, TargetKey};
use crate::version::parse_tag;

const SCHEDULES: u64 = 100_000;
const STEPS: u32 = 40;

/// `SplitMix64`: small, and the same everywhere.
struct Dice(u64);

impl Dice {
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

type Stored = (Request, u64);

/// The API server.
#[derive(Clone)]
struct Cluster {
    target: Target,
    requests: BTreeMap<String, Stored>,
    version: u64,
    applied: Vec<Applied>,
    moved: Vec<Moved>,
}

/// A replica's copy, and its clock's error in seconds.
#[derive(Clone)]
struct Replica {
    target: Target,
    requests: BTreeMap<String, Stored>,
    skew: i64,
}

struct World {
    dice: Dice,
    cluster: Cluster,
    replicas: [Replica; 2],
    leader: usize,
    second: i64,
    trail: Vec<String>,
}

struct Known<'a>(&'a Replica);

impl decide::Record for Known<'_> {
    fn obstacle(&self, _: &str, identity: &Identity) -> Option<Reason> {
        self.0.requests.get(&name(identity)).and_then(|(request, _)| request.status.obstacle())
    }

    fn open_for(&self, container: &str) -> Vec<String> {
        let open = self
            .0
            .requests
            .values()
            .filter(|(request, _)| request.status.phase.is_open() && request.spec.container.as_deref() == Some(container));
        open.map(|(request, _)| request.spec.new_image.clone()).collect()
    }
}

/// A name of objects has no `@`, which the mark of a reopened request does.
fn name(identity: &Identity) -> String {
    identity.as_str().replace('@', "~")
}

fn target(dice: &mut Dice) -> Target {
    let container = |index: usize, name: &str| Container {
        name: name.to_owned(),
        image: "app:1.0.0".to_owned(),
        init: false,
        index,
        pulls_always: index == 0,
        restarted_for: None,
        first_seen: None,
    };
    let mut annotations = Annotations::new();
    annotations.insert(key::POLICY.to_owned(), dice.pick(&["minor", "major", "all", "force"]).to_string());
    annotations.insert(key::REQUIRE_APPROVAL.to_owned(), dice.pick(&["true", "false"]).to_string());
    annotations.insert(key::MIN_UPDATE_INTERVAL.to_owned(), dice.pick(&["0", "60", "300"]).to_string());
    Target {
        key: TargetKey { kind: Kind::Deployment, namespace: "n".to_owned(), name: "app".to_owned() },
        uid: "u".to_owned(),
        resource_version: "1".to_owned(),
        generation: 1,
        annotations,
        has_annotations: true,
        template_has_annotations: true,
        containers: vec![container(0, "a"), container(1, "b")],
        pull: crate::target::PullSource::default(),
        deleting: false,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let target = target(&mut dice);
        let cluster = Cluster { target: target.clone(), requests: BTreeMap::new(), version: 1, applied: Vec::new(), moved: Vec::new() };
        let replica = Replica { target, requests: BTreeMap::new(), skew: 0 };
        Self { dice, cluster, replicas: [replica.clone(), replica], leader: 0, second: 1_000_000, trail: Vec::new() }
    }

    fn now(&self, who: usize) -> Timestamp {
        Timestamp::from_second(self.second + self.replicas[who].skew).unwrap()
    }

    fn bump(&mut self) -> u64 {
        self.cluster.version += 1;
        self.cluster.version
    }

    /// The watch catches up, wholly or with the target or the requests alone.
    fn sync(&mut self, who: usize) {
        let part = self.dice.roll(4);
        if part != 1 {
            self.replicas[who].target = self.cluster.target.clone();
        }
        if part != 2 {
            self.replicas[who].requests = self.cluster.requests.clone();
        }
    }

    fn step(&mut self) {
        let who = usize::try_from(self.dice.roll(2)).unwrap();
        match self.dice.roll(20) {
            0..=3 => self.event(who),
            4..=9 => self.reconcile(self.leader),
            // The other one has not noticed that it leads no more, or not yet.
            10 => self.reconcile(1 - self.leader),
            11 => self.leader = 1 - self.leader,
            12 => {
                // A crash: the successor begins with a whole list.
                self.replicas[who].target = self.cluster.target.clone();
                self.replicas[who].requests = self.cluster.requests.clone();
            }
            13 => self.person(who),
            14 => self.other_hand(),
            15 => self.second += i64::try_from(self.dice.roll(400)).unwrap(),
            16 => self.replicas[who].skew = i64::try_from(self.dice.roll(20)).unwrap() - 10,
            _ => self.sync(who),
        }
    }

    fn event(&mut self, who: usize) {
        let tag = format!("1.{}.{}", self.dice.roll(3), self.dice.roll(3));
        let digest =
            (self.dice.roll(2) == 0).then(|| Digest::parse(&format!("sha256:{}", self.dice.pick(&["a", "b"]).repeat(64))).unwrap());
        let copies = 1 + self.dice.roll(2);
        for _ in 0..copies {
            let replica = self.replicas[who].clone();
            for container in &replica.target.containers {
                let candidate = Candidate { tag: tag.clone(), digest: digest.clone() };
                let site = Site {
                    target: &replica.target,
                    defaults: &Annotations::new(),
                    container,
                    candidates: &[candidate],
                    occasion: Occasion::Event,
                    trigger: Trigger::Webhook,
                };
                let decision = decide::decide(&site, &Known(&replica));
                if let Decision::Propose(proposal) = decision {
                    self.create(who, &proposal);
                }
            }
        }
    }

    fn create(&mut self, who: usize, proposal: &decide::Proposal) {
        let name = name(&proposal.identity);
        let standing = self.cluster.requests.get(&name).map(|(request, _)| request.status.makes_room());
        if standing == Some(false) {
            return;
        }
        let request = Request {
            name: name.clone(),
            target_uid: self.cluster.target.uid.clone(),
            fault: None,
            created: Timestamp::from_second(self.second).unwrap(),
            spec: Spec {
                container: Some(proposal.container.clone()),
                current_image: proposal.current_image.clone(),
                new_image: proposal.new_image.clone(),
                current_digest: proposal.current_digest.clone(),
                new_digest: proposal.new_digest.clone(),
                policy: proposal.policy,
                require_approval: proposal.require_approval,
                expires_at: None,
                trigger: proposal.trigger,
            },
            status: super::Status::default(),
        };
        self.trail.push(format!("{} {who} creates {name} from {}", self.second, proposal.current_image));
        // A new object of an old name: what its predecessor did is not its own.
        self.cluster.applied.retain(|applied| mark_name(&applied.mark) != name);
        let version = self.bump();
        self.cluster.requests.insert(name.clone(), (request.clone(), version));
        if self.dice.roll(3) > 0 {
            self.replicas[who].requests.insert(name, (request, version));
        }
    }

    fn store(&mut self, who: usize, name: &str, status: super::Status, read: u64) {
        let version = self.cluster.version + 1;
        let Some((request, stored)) = self.cluster.requests.get_mut(name) else { return };
        if *stored == read {
            self.trail
                .push(format!("{} {who} writes {name}: {} to {} ({:?})", self.second, request.status.phase, status.phase, status.reason));
            self.cluster.moved.push(Moved { request: name.to_owned(), from: request.status.phase, to: status.phase });
            request.status = status;
            *stored = version;
            self.cluster.version = version;
            if self.dice.roll(8) == 0 {
                return; // The answer is lost.
            }
        }
        let fresh = self.cluster.requests.get(name).cloned();
        self.replicas[who].requests.extend(fresh.map(|fresh| (name.to_owned(), fresh)));
    }

    fn reconcile(&mut self, who: usize) {
        for _ in 0..20 {
            let replica = self.replicas[who].clone();
            let requests: Vec<&Request> = replica.requests.values().map(|(request, _)| request).collect();
            let observed = Observed {
                target: Some(&replica.target),
                defaults: &Annotations::new(),
                requests: &requests,
                now: self.now(who),
                history_limit: 10,
            };
            match next(&observed) {
                Step::Rest(_) => return,
                Step::Write(write) => {
                    let read = replica.requests[&write.request].1;
                    self.store(who, &write.request, write.status, read);
                }
                Step::Delete { request } => {
                    let read = replica.requests[&request].1;
                    if self.cluster.requests.get(&request).is_some_and(|(_, stored)| *stored == read) {
                        self.cluster.requests.remove(&request);
                    }
                    self.replicas[who].requests = self.cluster.requests.clone();
                }
                Step::Apply(apply) => self.apply(who, &replica, &apply),
            }
            // A process can die between any two steps, and its copies lag.
            match self.dice.roll(12) {
                0 => return,
                1 => self.sync(who),
                _ => {}
            }
        }
    }

    /// The guarded patch, as `headwind_k8s::patch` makes it and the API server judges it.
    fn apply(&mut self, who: usize, replica: &Replica, apply: &Apply) {
        let real = &self.cluster.target;
        let tested = [key::LAST_UPDATE, key::LAST_REQUEST].iter().all(|key| match replica.target.annotations.get(*key) {
            Some(seen) => real.annotations.get(*key) == Some(seen),
            None => real.resource_version == replica.target.resource_version,
        });
        let same = |change: &super::Change| real.container(&change.container).is_some_and(|container| container.image == change.from);
        if !tested || !apply.changes.iter().all(same) {
            self.replicas[who].target = self.cluster.target.clone();
            return;
        }
        for change in &apply.changes {
            Self::check_apply(replica, change);
            let request = &replica.requests[&change.request].0;
            let (mark, approved) = (request.mark(), request.status.approved_by.is_some() || !request.spec.require_approval);
            self.trail.push(format!("{} {who} applies {mark}: {} to {}", self.second, change.from, change.to));
            self.cluster.applied.push(Applied {
                mark,
                container: change.container.clone(),
                from: change.from.clone(),
                to: change.to.clone(),
                approved,
            });
        }
        let version = self.bump();
        let real = &mut self.cluster.target;
        for change in &apply.changes {
            let container = real.containers.iter_mut().find(|container| container.name == change.container).unwrap();
            container.image.clone_from(&change.to);
            container.restarted_for.clone_from(&change.restart_for);
        }
        for (name, value) in [
            (key::LAST_UPDATE, apply.last_update.to_string()),
            (key::LAST_REQUEST, apply.last_request.clone()),
            (key::UPDATE_HISTORY, apply.history.clone()),
        ] {
            real.annotations.insert(name.to_owned(), value);
        }
        real.generation += 1;
        real.resource_version = version.to_string();
        if self.dice.roll(5) > 0 {
            self.replicas[who].target = self.cluster.target.clone();
        }
    }

    fn check_apply(replica: &Replica, change: &super::Change) {
        let (request, _) = &replica.requests[&change.request];
        let tag = |image: &str| parse_tag(image.trim_start_matches("app:").split('@').next().unwrap());
        if request.spec.policy != Policy::Force && replica.target.annotations[key::POLICY] != "force" {
            let (old, new) = (tag(&change.from).unwrap(), tag(&change.to).unwrap());
            assert!(new.cmp_precedence(&old).is_gt(), "{} goes down from {} to {}", change.request, change.from, change.to);
        }
    }

    fn person(&mut self, who: usize) {
        let names: Vec<String> = self.replicas[who].requests.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = self.dice.pick(&names).clone();
        let action = *self.dice.pick(&[Action::Approve, Action::Approve, Action::Reject, Action::Reopen]);
        let (request, read) = self.replicas[who].requests[&name].clone();
        if let Ok(status) = act(&request, action, "ann", None, self.now(who)) {
            self.store(who, &name, status, read);
        }
    }

    fn other_hand(&mut self) {
        let version = self.bump();
        let place = usize::try_from(self.dice.roll(2)).unwrap();
        let image = format!("app:1.{}.{}", self.dice.roll(2), self.dice.roll(2));
        let annotation = match self.dice.roll(4) {
            0 => Some((key::REQUIRE_APPROVAL, *self.dice.pick(&["true", "false"]))),
            1 => Some((key::POLICY, *self.dice.pick(&["patch", "minor", "none", "nonsense", "force"]))),
            2 => {
                // With the history goes what fences off a leader whose copies lag by several steps:
                // who breaks it is supposed not to do it in that very moment.
                for replica in &mut self.replicas {
                    replica.requests = self.cluster.requests.clone();
                }
                Some((key::UPDATE_HISTORY, "broken"))
            }
            _ => None,
        };
        let real = &mut self.cluster.target;
        real.resource_version = version.to_string();
        if let Some((name, value)) = annotation {
            real.annotations.insert(name.to_owned(), value.to_owned());
        } else {
            self.trail.push(format!("{} another hand sets {place} to {image}", self.second));
            real.containers[place].image = image;
            real.generation += 1;
        }
    }

    fn check(&self) {
        let requests: Vec<Request> = self.cluster.requests.values().map(|(request, _)| request.clone()).collect();
        let wrong = violations(&requests, &self.cluster.applied, &self.cluster.moved);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// When everybody has seen everything and no more happens, nothing that is due is left.
    fn settle(&mut self) {
        for round in 0..60 {
            for who in 0..2 {
                self.replicas[who].target = self.cluster.target.clone();
                self.replicas[who].requests = self.cluster.requests.clone();
                self.replicas[who].skew = 0;
            }
            let (before, leader) = (self.cluster.version, self.leader);
            self.reconcile(leader);
            self.check();
            self.second += 1000;
            if before == self.cluster.version && round > 2 {
                break;
            }
            assert!(round < 59, "no rest");
        }
        let target = &self.cluster.target;
        for (request, _) in self.cluster.requests.values() {
            let due = request.status.phase == Phase::Approved
                || (request.status.phase == Phase::Pending
                    && !request.spec.require_approval
                    && target.annotations[key::REQUIRE_APPROVAL] == "false");
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
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
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
