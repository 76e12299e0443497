use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_mins(5);

/// Number of concurrent scans over all lanes, unless a test sets it.
const SLOTS: usize = 256;

/// A simulation of lanes that answer after some time or not at all, second by second. A key is a lane and a number.
struct World {
    schedule: Schedule<(u8, u16), u8>,
    now: Duration,
    running: Vec<(Duration, (u8, u16), Outcome)>,
    asked: BTreeMap<(u8, u16), Vec<Duration>>,
    lateness: BTreeMap<u8, Vec<Duration>>,
    most: BTreeMap<u8, usize>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            schedule: Schedule::new(seed, SLOTS),
            now: Duration::ZERO,
            running: Vec::new(),
            asked: BTreeMap::new(),
            lateness: BTreeMap::new(),
            most: BTreeMap::new(),
        }
    }

    fn set(&mut self, key: (u8, u16), interval: Duration) {
        self.set_of(key, interval, &[&format!("namespace{}", key.0)]);
    }

    fn set_of(&mut self, key: (u8, u16), interval: Duration, owners: &[&str]) {
        let owners = owners.iter().map(|owner| Arc::from(*owner)).collect();
        self.schedule.set(self.now, &key, Wish { lane: key.0, at_once: 4, interval, owners });
    }

    /// Runs for that long. `host` returns the duration and the result of a host's scan.
    fn run(&mut self, time: Duration, host: impl Fn(u8) -> (Duration, Outcome)) {
        let end = self.now + time;
        while self.now < end {
            loop {
                let now = self.now;
                let (ended, running): (Vec<_>, Vec<_>) = self.running.drain(..).partition(|(at, ..)| *at <= now);
                self.running = running;
                for (_, key, outcome) in ended {
                    self.schedule.done(now, &key, outcome);
                }
                let Next::Scan(key, late) = self.schedule.next(now) else { break };
                assert!(self.running.iter().all(|(_, other, _)| *other != key), "{key:?} is asked twice at once");
                let (takes, outcome) = host(key.0);
                self.running.push((now + takes, key, outcome));
                self.asked.entry(key).or_default().push(now);
                self.lateness.entry(key.0).or_default().push(late);
                let running = self.running.iter().filter(|(_, other, _)| other.0 == key.0).count();
                let most = self.most.entry(key.0).or_default();
                *most = running.max(*most);
            }
            self.now += SECOND;
        }
    }

    fn count(&self, host: u8) -> usize {
        self.asked.iter().filter(|(key, _)| key.0 == host).map(|(_, times)| times.len()).sum()
    }
}

#[test]
fn first_scans_are_spread_and_the_same_with_the_same_seed() {
    let firsts = |seed| {
        let mut world = World::new(seed);
        (0..100).for_each(|number| world.set((0, number), INTERVAL));
        world.run(SPREAD + SECOND, |_| (Duration::ZERO, Outcome::Answered));
        assert_eq!(world.asked.len(), 100);
        world.asked
    };
    let one = firsts(1);
    assert_eq!(one, firsts(1));
    assert_ne!(one, firsts(2));
    let in_the_first_ten_seconds = one.values().filter(|times| times[0] < 10 * SECOND).count();
    assert!((5..35).contains(&in_the_first_ten_seconds), "{in_the_first_ten_seconds}");
}

#[test]
fn each_interval_is_one_scan() {
    let mut world = World::new(7);
    (0..200).for_each(|number| world.set((0, number), INTERVAL));
    world.run(10 * INTERVAL, |_| (Duration::ZERO, Outcome::Answered));
    for times in world.asked.values() {
        assert!((10..=11).contains(&times.len()), "{times:?}");
        assert!(times.windows(2).all(|two| two[1].saturating_sub(two[0]).abs_diff(INTERVAL) <= INTERVAL.mul_f64(JITTER)));
    }
}

#[test]
fn a_dead_and_a_slow_host_delay_nobody() {
    let mut world = World::new(3);
    for host in 0..5 {
        (0..40).for_each(|number| world.set((host, number), INTERVAL));
    }
    world.run(6 * INTERVAL, |host| match host {
        0 => (10 * SECOND, Outcome::HostFailed(None)),
        1 => (2 * SECOND, Outcome::Answered),
        _ => (Duration::ZERO, Outcome::Answered),
    });
    for host in 2..5 {
        assert!(world.lateness[&host].iter().all(|late| *late <= SECOND), "host {host}");
    }
    assert!(world.lateness[&1].iter().all(|late| *late <= 20 * SECOND));
    assert!(world.most.values().all(|most| *most <= 4), "{:?}", world.most);
    // The dead host is tried at most every five minutes and ten seconds, once it is known to be down.
    assert!(world.count(0) < 20, "{}", world.count(0));
}

#[test]
fn a_host_is_left_alone_for_as_long_as_it_says() {
    let mut world = World::new(3);
    (0..10).for_each(|number| world.set((0, number), 60 * SECOND));
    world.run(SECOND * 120, |_| (SECOND, Outcome::HostFailed(Some(1000 * SECOND))));
    let asked = world.count(0);
    assert!(asked <= 4, "{asked}");
    world.run(SECOND * 700, |_| unreachable!());
    world.run(SECOND * 400, |_| (SECOND, Outcome::Answered));
    assert_eq!(world.asked.len(), 10, "all of them come when it opens again");
}

#[test]
fn a_host_that_comes_back_is_served_at_once() {
    let mut world = World::new(3);
    (0..20).for_each(|number| world.set((0, number), INTERVAL));
    world.run(4 * INTERVAL, |_| (SECOND, Outcome::HostFailed(None)));
    world.asked.clear();
    world.run(lane::BACKOFF.max + INTERVAL, |_| (SECOND, Outcome::Answered));
    assert_eq!(world.asked.len(), 20);
}

#[test]
fn what_is_refused_comes_less_often_and_spoils_no_other() {
    let mut world = World::new(3);
    world.set((0, 0), 60 * SECOND);
    world.set((0, 1), 60 * SECOND);
    let mut refused = 0;
    for _ in 0..7200 {
        world.now += SECOND;
        let now = world.now;
        while let Next::Scan(key, late) = world.schedule.next(now) {
            assert!(late <= SECOND);
            refused += usize::from(key.1 == 0);
            world.asked.entry(key).or_default().push(now);
            world.schedule.done(now, &key, if key.1 == 0 { Outcome::Refused } else { Outcome::Answered });
        }
    }
    assert!((5..=9).contains(&refused), "{refused}");
    assert!(world.asked[&(0, 1)].len() >= 118);
}

#[test]
fn intervals_change_and_keys_come_and_go() {
    let mut world = World::new(3);
    world.set((0, 0), Duration::from_hours(10));
    world.run(SPREAD + SECOND, |_| (Duration::ZERO, Outcome::Answered));
    world.set((0, 0), 60 * SECOND);
    world.run(120 * SECOND, |_| (Duration::ZERO, Outcome::Answered));
    assert!(world.count(0) >= 2, "a shorter interval counts from now");
    world.schedule.retain(world.now, |_| false);
    assert!(world.schedule.is_empty() && world.schedule.lanes.is_empty(), "nothing is left behind");
    assert_eq!(world.schedule.next(world.now + INTERVAL), Next::Idle);
    let before = world.count(0);
    world.run(INTERVAL, |_| unreachable!());
    assert_eq!(world.count(0), before);

    // Removed while it runs, and added again before it ends: it stays.
    world.set((0, 1), SECOND);
    world.run(2 * SECOND, |_| (100 * SECOND, Outcome::Answered));
    world.schedule.remove(&(0, 1));
    world.set((0, 1), SECOND);
    world.run(200 * SECOND, |_| (SECOND, Outcome::Answered));
    assert!(world.asked[&(0, 1)].len() > 10);
}

/// The owner of a source may set a proxy or a CA: that is another lane to the same host.
#[test]
fn a_transport_does_not_block_the_host() {
    const PLAIN: u8 = 0;
    const PROXY: u8 = 1;
    let mut world = World::new(3);
    (0..20).for_each(|number| world.set((PROXY, number), 60 * SECOND));
    world.set((PLAIN, 0), 2 * SECOND);
    world.run(120 * SECOND, |lane| match lane {
        PROXY => (SECOND, Outcome::HostFailed(None)),
        _ => (Duration::ZERO, Outcome::Answered),
    });
    assert!(world.count(PLAIN) >= 50, "{}", world.count(PLAIN));
    assert!(world.count(PROXY) < 20, "{}", world.count(PROXY));
}

#[test]
fn what_fails_comes_behind_the_others_of_its_lane() {
    let mut world = World::new(3);
    (0..5).for_each(|number| world.set((0, number), 60 * SECOND));
    let mut bad = 0;
    for _ in 0..1200 {
        world.now += SECOND;
        let now = world.now;
        while let Next::Scan(key, _) = world.schedule.next(now) {
            world.asked.entry(key).or_default().push(now);
            let outcome = if key.1 == 0 { Outcome::HostFailed(None) } else { Outcome::Answered };
            bad += usize::from(key.1 == 0);
            world.schedule.done(now, &key, outcome);
        }
    }
    assert!(bad > 0);
    for number in 1..5 {
        assert!(world.asked[&(0, number)].len() >= 10, "{:?}", world.asked[&(0, number)]);
    }
}

/// 264 lists that take a minute each, on different hosts, are needed by one namespace.
#[test]
fn one_namespace_does_not_take_every_slot() {
    let mut world = World::new(3);
    (1..=255).for_each(|host| world.set_of((host, 0), 10 * SECOND, &["hostile"]));
    world.set_of((0, 0), 10 * SECOND, &["other"]);
    // A shared scan is never charged to the owner without free slots.
    world.set_of((0, 1), 10 * SECOND, &["hostile", "third"]);
    let mut most = 0;
    for _ in 0..300 {
        world.run(SECOND, |host| if host == 0 { (Duration::ZERO, Outcome::Answered) } else { (60 * SECOND, Outcome::Answered) });
        most = most.max(world.running.len());
    }
    assert!((64..=66).contains(&most), "{most}");
    assert!(world.lateness[&0].iter().all(|late| *late <= SECOND), "{:?}", world.lateness[&0]);
    assert!(world.count(0) >= 50, "{}", world.count(0));
    assert_eq!(world.asked.len(), 257, "every one of the slow lists has its turn");
}

/// A slot that becomes free goes to the namespace that uses the fewest.
#[test]
fn few_slots_are_shared() {
    let mut world = World { schedule: Schedule::new(1, 8), ..World::new(1) };
    for owner in 0..8_u8 {
        (0..30).for_each(|number| world.set_of((owner * 30 + number, 0), SECOND, &[&format!("namespace{owner}")]));
    }
    world.set_of((255, 0), SECOND, &["small"]);
    world.run(600 * SECOND, |_| (5 * SECOND, Outcome::Answered));
    let late = world.lateness[&255].iter().max().copied().unwrap_or_default();
    assert!(late <= 10 * SECOND, "{late:?}");
}

/// A key that waits for a slot of its namespace is kept when an earlier one cannot start.
#[test]
fn what_waits_for_a_slot_gets_it() {
    let mut world = World { schedule: Schedule::new(1, 4), ..World::new(1) };
    for host in 0..6 {
        world.set_of((host, 0), SECOND, &["one"]);
    }
    world.run(60 * SECOND, |host| (SECOND, if host < 4 { Outcome::HostFailed(Some(1000 * SECOND)) } else { Outcome::Answered }));
    assert!(world.count(4) > 10 && world.count(5) > 10, "{:?}", world.asked);
}

#[test]
fn a_lane_that_is_left_alone_is_remembered_until_it_opens() {
    let mut world = World::new(3);
    world.set((0, 0), SECOND);
    world.run(2 * SECOND, |_| (Duration::ZERO, Outcome::HostFailed(Some(100 * SECOND))));
    world.schedule.retain(world.now, |_| false);
    assert_eq!(world.schedule.lanes.len(), 1);
    world.schedule.retain(world.now + 200 * SECOND, |_| false);
    assert!(world.schedule.lanes.is_empty());
}

proptest! {
    #[test]
    fn whatever_happens_each_key_is_asked_one_at_a_time_and_again(
        seed: u64,
        keys in prop::collection::vec((0_u8..4, 0_u16..6, 1_u64..600), 1..24),
        behaviour in prop::collection::vec((0_u64..20, 0_u8..3, prop::option::of(0_u64..400)), 4),
    ) {
        let mut world = World::new(seed);
        for (host, number, interval) in &keys {
            world.set((*host, *number), SECOND * u32::try_from(*interval).unwrap());
        }
        world.run(Duration::from_mins(15), |host| {
            let (takes, kind, wait) = behaviour[usize::from(host)];
            let outcome = match kind {
                0 => Outcome::Answered,
                1 => Outcome::Refused,
                _ => Outcome::HostFailed(wait.map(Duration::from_secs)),
            };
            (Duration::from_secs(takes), outcome)
        });
        for (host, most) in &world.most {
            prop_assert!(*most <= 4, "host {host} had {most}");
        }
        // Once all hosts work again, all of them are scanned again.
        world.asked.clear();
        world.run(Duration::from_hours(2), |_| (Duration::ZERO, Outcome::Answered));
        for (host, number, _) in &keys {
            prop_assert!(world.asked.contains_key(&(*host, *number)));
        }
    }
}
