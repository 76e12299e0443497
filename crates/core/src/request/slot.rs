//! The place of a request in the queue for a rollout, and how long the rollout takes one of the limited slots
//! ([`crate::gate::Rollouts`]).

use std::time::Duration;

use jiff::Timestamp;

use super::{Phase, Request, after};
use crate::reason::Reason;

/// Time without progress after which a rollout that waits for a person leaves its slot to others.
const HELD: Duration = Duration::from_mins(10);
/// The same for every other rollout. Its timeout, and the time that its pods must stay available, are settings of the
/// workload's owner: without this limit, one owner could hold all slots of the cluster.
const STALLED: Duration = Duration::from_hours(1);

impl Request {
    /// Returns since when the update waits for its turn: since its approval. If the policy approved it, it takes the place
    /// of the requests that it replaced: a workload with a new version every hour would otherwise be the last one forever.
    /// `all` are the requests of its workload.
    pub fn queued_since<'a>(&self, all: impl IntoIterator<Item = &'a Request>) -> Timestamp {
        if let Some(approved) = self.status.approved_at {
            return approved;
        }
        let mut replaced: Vec<(Timestamp, Timestamp)> = all
            .into_iter()
            .filter(|other| other.is_replaced_by(self))
            .filter_map(|other| Some((other.status.finished_at?, other.created)))
            .collect();
        // Each one was replaced by the one before it, so there was no time at which none of them waited.
        replaced.sort_unstable_by(|one, other| other.cmp(one));
        let mut since = self.created;
        for (ended, created) in replaced {
            if ended < since {
                break;
            }
            since = since.min(created);
        }
        since
    }

    /// Returns true if the policy approved it, and a newer version of the container replaced it before it was applied.
    fn is_replaced_by(&self, newer: &Self) -> bool {
        let status = &self.status;
        let is_replaced = (status.phase, status.reason, status.times_applied) == (Phase::Superseded, Some(Reason::NewerVersion), 0);
        is_replaced && !self.needs_approval() && !newer.needs_approval() && self.spec.container == newer.spec.container
    }

    /// Returns when the rollout leaves its slot if it makes no progress: earlier if it waits for a person, because it is
    /// paused or suspended, or somebody has to delete pods. Returns `None` if Headwind does not watch a rollout of it.
    pub fn leaves_slot_at(&self) -> Option<Timestamp> {
        let watch = self.status.rollout.as_ref()?;
        let waits = watch.held || matches!(self.status.reason, Some(Reason::RolloutPaused | Reason::OnDelete | Reason::Suspended));
        // The watch restarts its timeout while pods have to be deleted.
        let since = if watch.held { watch.progressed_at } else { watch.started_at };
        Some(if waits { after(since, HELD) } else { after(watch.progressed_at, STALLED) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Status;
    use crate::rollout::RolloutState;
    use crate::testing::request;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn replaced(name: &str, created: i64, ended: i64) -> Request {
        let status =
            Status { phase: Phase::Superseded, reason: Some(Reason::NewerVersion), finished_at: Some(at(ended)), ..Status::default() };
        Request { status, ..request(name, "a:1", "a:2", at(created)) }
    }

    #[test]
    fn a_newer_version_takes_the_place_of_the_one_that_it_replaces() {
        let newest = request("newest", "a:1", "a:4", at(300));
        let (second, first, earlier) = (replaced("2", 200, 300), replaced("1", 100, 201), replaced("0", 10, 50));
        assert_eq!(newest.queued_since([&earlier, &first, &second, &newest]), at(100));
        assert_eq!(newest.queued_since([&first, &newest]), at(300), "it was replaced by another one");
        let mut applied = second.clone();
        applied.status.times_applied = 1;
        assert_eq!(newest.queued_since([&applied]), at(300));
        let mut approved = newest;
        approved.status.approved_at = Some(at(400));
        assert_eq!(approved.queued_since([&second]), at(400), "a person approved this version");
    }

    #[test]
    fn a_rollout_without_progress_leaves_its_slot() {
        let watch = |held| RolloutState { held, progressed_at: at(100), ..RolloutState::new(1, at(40)) };
        let leaves = |reason, held| {
            let status = Status { phase: Phase::RollingOut, reason: Some(reason), rollout: Some(watch(held)), ..Status::default() };
            Request { status, ..request("web-1", "a:1", "a:2", at(0)) }.leaves_slot_at()
        };
        assert_eq!(leaves(Reason::RolloutProgressing, false), Some(at(3700)));
        assert_eq!(leaves(Reason::RolloutPaused, true), Some(at(700)));
        assert_eq!(leaves(Reason::RollingBack, true), Some(at(700)));
        assert_eq!(leaves(Reason::OnDelete, false), Some(at(640)));
    }
}
