//! Leader election: one pure step from what was read of the Lease.
//!
//! Expiry is decided by observation, never by comparing the server's timestamps with the local clock. A lease has
//! expired when *this* process has not seen its record change for a whole lease duration of its own monotonic clock.
//! Every write carries the `resourceVersion` that it was decided on, so if two replicas take the lease at once, one
//! write fails. The guards on every write to a workload protect against a leader that notices its loss too late.
//!
//! ```text
//! Follower ──Take──> Leader ──Renew──> Leader ──(no renewal for renew_deadline)──> Lost
//! ```

use std::time::Duration;

/// The three times of a lease (defaults as in client-go: 15 s, 10 s, 2 s).
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Time that a record must be unchanged before another replica may take it.
    pub duration: Duration,
    /// Time that a leader keeps acting without a successful renewal; less than `duration`.
    pub renew_deadline: Duration,
    /// Interval at which a follower reads and a leader renews.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { duration: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// The content of the Lease object when it was last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The holder; empty or `None` after a release.
    pub holder: Option<String>,
    /// Changes with every write; an equal one means that the record is unchanged.
    pub resource_version: String,
    /// The duration that its holder requested.
    pub duration: Duration,
}

/// The state of this process between reads. Times are monotonic, from its own origin.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    seen: Option<(Record, Duration)>,
    renewed_at: Option<Duration>,
}

impl Memory {
    /// Returns true if this process leads at `now` by its own clock.
    pub fn leads(&self, timing: Timing, now: Duration) -> bool {
        self.renewed_at.is_some_and(|at| now.saturating_sub(at) < timing.renew_deadline)
    }

    /// Returns true if this process has held the lease, whether or not it still leads.
    pub fn led(&self) -> bool {
        self.renewed_at.is_some()
    }

    /// Records a successful write of this process (take or renew). `started` is when the request was *sent*: the server
    /// may have accepted it at once and answered late.
    pub fn wrote(&mut self, record: Record, started: Duration) {
        self.seen = Some((record, started));
        self.renewed_at = Some(started);
    }
}

/// The next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// No Lease object exists: create it.
    Create,
    /// The lease is free or expired: write ourselves as its holder.
    Take,
    /// We hold it: renew it.
    Renew,
    /// Another replica holds it.
    Wait,
    /// We led and no longer do: stop acting.
    Lost,
}

/// Decides from the last read (`None`: there is no Lease object).
///
/// Do not call it after a failed read; use [`Memory::leads`] to know when to stop.
pub fn step(memory: &mut Memory, read: Option<&Record>, me: &str, timing: Timing, now: Duration) -> Step {
    let led = memory.led();
    if led && !memory.leads(timing, now) {
        return Step::Lost;
    }
    let Some(record) = read else {
        return if led { Step::Lost } else { Step::Create };
    };
    let unchanged_since = match &memory.seen {
        Some((seen, since)) if seen.resource_version == record.resource_version => *since,
        _ => {
            memory.seen = Some((record.clone(), now));
            now
        }
    };
    match record.holder.as_deref() {
        Some(holder) if holder == me && led => Step::Renew,
        Some(holder) if !holder.is_empty() => {
            if led {
                Step::Lost
            } else if now.saturating_sub(unchanged_since) >= record.duration.max(Duration::from_secs(1)) {
                Step::Take
            } else {
                Step::Wait
            }
        }
        _ if led => Step::Lost,
        _ => Step::Take,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, version: u32) -> Record {
        Record { holder: Some(holder.to_owned()), resource_version: version.to_string(), duration: Duration::from_secs(15) }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_free_lease_is_created_or_taken_at_once() {
        let t = Timing::default();
        assert_eq!(step(&mut Memory::default(), None, "a", t, s(0)), Step::Create);
        assert_eq!(step(&mut Memory::default(), Some(&record("", 1)), "a", t, s(0)), Step::Take);
    }

    #[test]
    fn anothers_lease_is_taken_only_after_it_stood_still_for_its_duration() {
        let (t, mut memory) = (Timing::default(), Memory::default());
        assert_eq!(step(&mut memory, Some(&record("b", 1)), "a", t, s(100)), Step::Wait);
        assert_eq!(step(&mut memory, Some(&record("b", 1)), "a", t, s(114)), Step::Wait);
        assert_eq!(step(&mut memory, Some(&record("b", 2)), "a", t, s(115)), Step::Wait, "it moved");
        assert_eq!(step(&mut memory, Some(&record("b", 2)), "a", t, s(130)), Step::Take);
    }

    #[test]
    fn a_name_that_came_back_waits_like_anyone() {
        let (t, mut memory) = (Timing::default(), Memory::default());
        assert_eq!(step(&mut memory, Some(&record("a", 1)), "a", t, s(0)), Step::Wait);
        assert_eq!(step(&mut memory, Some(&record("a", 1)), "a", t, s(15)), Step::Take);
    }

    #[test]
    fn a_leader_renews_and_stops_at_the_deadline() {
        let (t, mut memory) = (Timing::default(), Memory::default());
        memory.wrote(record("a", 1), s(0));
        assert!(memory.leads(t, s(9)));
        assert_eq!(step(&mut memory, Some(&record("a", 1)), "a", t, s(2)), Step::Renew);
        memory.wrote(record("a", 2), s(2));
        assert!(!memory.leads(t, s(12)));
        assert_eq!(step(&mut memory, Some(&record("a", 2)), "a", t, s(12)), Step::Lost);
    }

    #[test]
    fn a_leader_that_sees_another_holder_has_lost() {
        let (t, mut memory) = (Timing::default(), Memory::default());
        memory.wrote(record("a", 1), s(0));
        assert_eq!(step(&mut memory, Some(&record("b", 2)), "a", t, s(1)), Step::Lost);
        let mut memory = Memory::default();
        memory.wrote(record("a", 1), s(0));
        assert_eq!(step(&mut memory, None, "a", t, s(1)), Step::Lost);
    }

    /// Two processes with unrelated monotonic clocks, arbitrary pauses and failed writes never lead at the same moment
    /// of true time.
    #[test]
    fn never_two_leaders() {
        proptest::proptest!(|(moves in proptest::collection::vec((0_usize..2, 0_u64..20_000, proptest::bool::ANY), 1..200))| {
            let timing = Timing::default();
            let mut memory = [Memory::default(), Memory::default()];
            let names = ["a", "b"];
            let mut server: Option<Record> = None;
            let mut version = 0_u32;
            let mut time = Duration::ZERO;
            for (who, pause, works) in moves {
                time += Duration::from_millis(pause);
                let now = time + s(1000 * who as u64);
                match step(&mut memory[who], server.as_ref(), names[who], timing, now) {
                    Step::Create | Step::Take | Step::Renew if works => {
                        version += 1;
                        let written = record(names[who], version);
                        server = Some(written.clone());
                        memory[who].wrote(written, now);
                    }
                    Step::Lost => memory[who] = Memory::default(),
                    Step::Create | Step::Take | Step::Renew | Step::Wait => {}
                }
                let leaders = (0..2).filter(|&i| memory[i].leads(timing, time + s(1000 * i as u64))).count();
                proptest::prop_assert!(leaders <= 1);
            }
        });
    }
}
