//! The maximum number of rollouts at the same time, in the cluster and in one namespace.
//!
//! The rollouts of a workload count as one: its pods are replaced once. Updates that wait for the end of another rollout
//! form a queue, oldest approved first. An update may start if a slot is left after those before it in the queue.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Waiting;
use crate::reason::Reason;
use crate::workload::WorkloadKey;

/// The rollouts in progress, and the updates that start next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollouts {
    /// Maximum number in the cluster; `None` means unlimited.
    pub limit: Option<u32>,
    /// Maximum number in one namespace; `None` means unlimited.
    pub limit_per_namespace: Option<u32>,
    /// The workloads that are rolled out now.
    pub running: BTreeSet<WorkloadKey>,
    /// The updates of the queue for which a slot is left.
    pub next: BTreeSet<Turn>,
}

/// The place of an update in the queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// When the update was approved.
    pub since: Timestamp,
    /// Its workload.
    pub workload: WorkloadKey,
}

impl Rollouts {
    /// Returns true if there is a limit.
    pub fn is_limited(&self) -> bool {
        self.limit.is_some() || self.limit_per_namespace.is_some()
    }

    /// Gives the slots that are left to the updates of the queue, which begins with the oldest. Reads no further than to
    /// the last slot.
    pub fn give_slots<'a>(&mut self, queue: impl Iterator<Item = &'a Turn>) {
        let mut next = BTreeSet::new();
        let mut slots = Slots::of(self);
        let mut given: BTreeSet<&WorkloadKey> = self.running.iter().collect();
        for turn in queue {
            if slots.cluster_is_full() {
                break;
            }
            if given.contains(&turn.workload) {
                next.insert(turn.clone());
            } else if slots.full(&turn.workload).is_none() {
                slots.take(&turn.workload);
                given.insert(&turn.workload);
                next.insert(turn.clone());
            }
        }
        self.next = next;
    }

    /// Returns what the update waits for, if it does. A workload that is being rolled out needs no other slot.
    pub(super) fn waiting(&self, turn: &Turn) -> Option<Waiting> {
        if !self.is_limited() || self.running.contains(&turn.workload) {
            return None;
        }
        let mut slots = Slots::of(self);
        let before: BTreeSet<&WorkloadKey> = self.next.iter().take_while(|first| *first < turn).map(|first| &first.workload).collect();
        for workload in before.into_iter().filter(|workload| **workload != turn.workload && !self.running.contains(*workload)) {
            slots.take(workload);
        }
        let full = slots.full(&turn.workload)?;
        let message = format!("{}: {full}", Reason::TooManyRollouts.sentence());
        Some(Waiting { reason: Reason::TooManyRollouts, message, until: None })
    }
}

/// The slots that are left.
struct Slots<'a> {
    limit: Option<u32>,
    limit_per_namespace: Option<u32>,
    total: u32,
    namespaces: BTreeMap<&'a str, u32>,
}

impl<'a> Slots<'a> {
    fn of(rollouts: &'a Rollouts) -> Self {
        let Rollouts { limit, limit_per_namespace, .. } = *rollouts;
        let mut slots = Self { limit, limit_per_namespace, total: 0, namespaces: BTreeMap::new() };
        for workload in &rollouts.running {
            slots.take(workload);
        }
        slots
    }

    fn take(&mut self, workload: &'a WorkloadKey) {
        self.total += 1;
        *self.namespaces.entry(&workload.namespace).or_default() += 1;
    }

    fn cluster_is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.total >= limit)
    }

    /// Returns which limit leaves no slot for the workload.
    fn full(&self, workload: &WorkloadKey) -> Option<String> {
        let in_namespace = self.namespaces.get(workload.namespace.as_str()).copied().unwrap_or_default();
        match (self.limit, self.limit_per_namespace) {
            (Some(limit), _) if self.total >= limit => Some(format!("at most {limit} in the cluster")),
            (_, Some(limit)) if in_namespace >= limit => Some(format!("at most {limit} in the namespace {}", workload.namespace)),
            (_, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::workload::Kind;

    fn key(text: &str) -> WorkloadKey {
        let (namespace, name) = text.split_once('/').unwrap();
        WorkloadKey { kind: Kind::Deployment, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn turn(since: i64, workload: &str) -> Turn {
        Turn { since: Timestamp::from_second(since).unwrap(), workload: key(workload) }
    }

    /// The queue is given in order, oldest first.
    fn may_start(limits: (Option<u32>, Option<u32>), running: &str, queue: &str, who: &str) -> bool {
        let queue: Vec<&str> = queue.split_whitespace().collect();
        let mut turns = queue.iter().zip(0..).map(|(workload, since)| turn(since, workload));
        let mut rollouts = Rollouts {
            limit: limits.0,
            limit_per_namespace: limits.1,
            running: running.split_whitespace().map(key).collect(),
            next: BTreeSet::new(),
        };
        let all: BTreeSet<Turn> = turns.clone().collect();
        rollouts.give_slots(all.iter());
        let own = turns.find(|turn| turn.workload == key(who)).unwrap_or_else(|| turn(100, who));
        rollouts.waiting(&own).is_none()
    }

    #[rstest]
    #[case::unlimited((None, None), "a/1 a/2 a/3", "", "a/4", true)]
    #[case::slot_left((Some(3), None), "a/1 a/2", "", "a/4", true)]
    #[case::full((Some(3), None), "a/1 a/2 b/3", "", "a/4", false)]
    #[case::more_than_full((Some(1), None), "a/1 a/2 b/3", "", "a/4", false)]
    #[case::none_at_all((Some(0), None), "", "", "a/4", false)]
    #[case::it_is_being_rolled_out((Some(2), None), "a/1 a/2", "", "a/1", true)]
    #[case::the_oldest_first((Some(2), None), "a/1", "a/2 a/3", "a/2", true)]
    #[case::then_the_next((Some(2), None), "a/1", "a/2 a/3", "a/3", false)]
    #[case::a_newcomer_waits((Some(2), None), "a/1", "a/2", "a/9", false)]
    #[case::a_newcomer_has_a_slot((Some(3), None), "a/1", "a/2", "a/9", true)]
    #[case::namespace_room((None, Some(2)), "a/1 b/1 b/2", "", "a/2", true)]
    #[case::namespace_full((None, Some(2)), "a/1 b/1 b/2", "", "b/3", false)]
    #[case::a_full_namespace_does_not_block((Some(5), Some(2)), "b/1 b/2", "b/3 b/4 b/5 a/1", "a/1", true)]
    #[case::the_slot_goes_to_the_oldest_that_can((Some(3), Some(2)), "b/1 b/2", "b/3 a/1 a/2", "a/2", false)]
    #[case::twice_in_the_queue((Some(2), None), "", "a/1 a/1 a/2", "a/2", true)]
    fn who_may_start(
        #[case] limits: (Option<u32>, Option<u32>),
        #[case] running: &str,
        #[case] queue: &str,
        #[case] who: &str,
        #[case] starts: bool,
    ) {
        assert_eq!(may_start(limits, running, queue, who), starts);
    }

    #[rstest]
    #[case::as_many_as_slots((Some(3), None), "a/1", "a/2 a/3 a/4", "a/2 a/3")]
    #[case::none_left((Some(1), None), "a/1", "a/2", "")]
    #[case::no_limit((None, None), "a/1", "a/2 a/3", "a/2 a/3")]
    #[case::a_full_namespace_is_passed_over((Some(4), Some(1)), "a/1", "a/2 b/1 b/2 c/1", "b/1 c/1")]
    #[case::a_running_workload_needs_no_slot((Some(2), None), "a/1", "a/1 a/2 a/3", "a/1 a/2")]
    #[case::one_slot_for_two_updates_of_a_workload((Some(2), None), "", "a/1 a/1 a/2 a/3", "a/1 a/1 a/2")]
    fn who_is_next(#[case] limits: (Option<u32>, Option<u32>), #[case] running: &str, #[case] queue: &str, #[case] expected: &str) {
        let queue: Vec<Turn> = queue.split_whitespace().zip(0..).map(|(workload, since)| turn(since, workload)).collect();
        let running = running.split_whitespace().map(key).collect();
        let mut rollouts = Rollouts { limit: limits.0, limit_per_namespace: limits.1, running, next: BTreeSet::new() };
        rollouts.give_slots(queue.iter());
        let next: Vec<&str> = rollouts.next.iter().map(|turn| turn.workload.name.as_str()).collect();
        let expected: Vec<&str> = expected.split_whitespace().map(|name| name.split_once('/').unwrap().1).collect();
        assert_eq!(next, expected);
    }

    #[test]
    fn the_queue_is_read_to_the_last_slot_only() {
        let queue: Vec<Turn> = (0..100).map(|since| turn(since, &format!("a/{since}"))).collect();
        let read = std::cell::Cell::new(0);
        let mut rollouts = Rollouts { limit: Some(3), running: [key("b/1")].into(), ..Rollouts::default() };
        rollouts.give_slots(queue.iter().inspect(|_| read.set(read.get() + 1)));
        assert_eq!((rollouts.next.len(), read.get()), (2, 3));
    }

    #[test]
    fn the_message_names_the_limit() {
        let rollouts =
            |limit, limit_per_namespace| Rollouts { limit, limit_per_namespace, running: [key("a/1")].into(), ..Rollouts::default() };
        let message = |rollouts: Rollouts| rollouts.waiting(&turn(1, "a/2")).unwrap().message;
        assert!(message(rollouts(Some(1), None)).ends_with("at most 1 in the cluster"));
        assert!(message(rollouts(None, Some(1))).ends_with("at most 1 in the namespace a"));
    }
}
