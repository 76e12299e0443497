//! Decides when an approved update may be applied.
//!
//! [`check`] is the only place that decides it. [`crate::request::next()`] asks it before every apply and writes the
//! answer into the condition `Waiting` of the request; `explain` and the API show the same answer. A gate never drops
//! an update: the request waits, and Headwind applies it when the gate opens.
//!
//! ```text
//! Settings, Facts, now ──> owner, source, denial, confirmation, interval, cool_down, update_window, … ──> check ──> Open | Wait(Waiting)
//! ```
//!
//! A new reason to wait is a file in this folder, a line in `GATES` and, if it needs one, a field of [`Facts`]. A question
//! to the registry is not a gate: [`crate::evidence`] answers it before the update is proposed.

pub(crate) mod confirmation;
mod cool_down;
pub(crate) mod denial;
mod facts;
mod failure_budget;
mod freeze;
mod interval;
pub mod limits;
pub mod outlook;
mod owner;
mod queue;
mod rollouts;
mod siblings;
mod source;
mod update_window;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

pub use self::cool_down::until as cool_down_until;
pub use self::facts::{ApprovedBy, Facts};
pub use self::failure_budget::paused_since;
pub use self::freeze::Freeze;
pub use self::limits::Limits;
pub use self::rollouts::{Rollouts, Turn};
use crate::reason::Reason;
use crate::settings::Settings;

/// The gate's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// The update may be applied now.
    Open,
    /// The update waits.
    Wait(Waiting),
}

/// The reason why an approved update waits (the condition `Waiting` of a request). Displays as the message of the
/// condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The reason, as a stable code.
    pub reason: Reason,
    /// The reason as a message, without the time.
    pub message: String,
    /// When the update no longer waits for this reason, if that is known.
    pub until: Option<Timestamp>,
}

/// One gate: returns what the update waits for, if it is closed.
type GateFn = fn(&Settings, &Facts<'_>, Timestamp) -> Option<Waiting>;

/// Every gate. Each returns what the update waits for, if it does.
const GATES: &[GateFn] = &[
    owner::waiting,
    source::waiting,
    denial::waiting,
    confirmation::waiting,
    interval::waiting,
    siblings::waiting,
    cool_down::waiting,
    update_window::waiting,
    freeze::waiting,
    failure_budget::waiting,
];

/// Maximum number of waits that follow one another and are looked at.
const ROUNDS: usize = 8;

/// Decides whether an approved update may be applied now.
///
/// If it waits for several reasons, the answer is the one that ends last. One whose end is unknown counts as the last.
/// A time window may close before another wait ends: then the answer is when it opens again.
pub fn check(settings: &Settings, facts: &Facts<'_>, now: Timestamp) -> Gate {
    let mut gate = closed(settings, facts, now);
    for _ in 0..ROUNDS {
        let Some(end) = gate.waiting().and_then(|waiting| waiting.until) else { break };
        let later = closed(settings, facts, end);
        if later.is_open() {
            break;
        }
        gate = later;
    }
    if !gate.is_open() {
        return gate;
    }
    // Only an update that could start now takes part in the queue for a rollout.
    let limits = facts.limits.filter(|_| !facts.is_rollback);
    let full = limits.zip(facts.turn.as_ref()).and_then(|(limits, turn)| limits.rollouts.waiting(turn));
    full.map_or(Gate::Open, Gate::Wait)
}

/// Returns the wait that ends last, of those at that time.
fn closed(settings: &Settings, facts: &Facts<'_>, now: Timestamp) -> Gate {
    let all = GATES.iter().filter_map(|gate| gate(settings, facts, now));
    let last = all.reduce(|last, next| if next.ends_after(&last) { next } else { last });
    last.map_or(Gate::Open, Gate::Wait)
}

/// Decides whether a rollback after a failed rollout may be applied now. It waits for nothing but the pause after a
/// denial by the API server. `waiting` is what its request waits for so far.
pub fn check_rollback(waiting: Option<&Waiting>, now: Timestamp) -> Gate {
    let facts = Facts { denial: waiting, ..Facts::default() };
    denial::waiting(&Settings::default(), &facts, now).map_or(Gate::Open, Gate::Wait)
}

/// The clocks of two leaders differ by less.
const SKEW: Duration = Duration::from_mins(1);

/// Returns the pause that the request contains, while it lasts. One that ends later than a pause that begins now was
/// written by a clock that was ahead, and must not close the gate until that time.
fn pause(facts: &Facts<'_>, reason: Reason, longest: Duration, now: Timestamp) -> Option<Waiting> {
    let stored = facts.denial.filter(|waiting| waiting.reason == reason)?;
    let latest = now.checked_add(longest + SKEW).unwrap_or(Timestamp::MAX);
    stored.until.is_some_and(|until| now < until && until <= latest).then(|| stored.clone())
}

impl Gate {
    /// Returns what the update waits for, if it does.
    pub fn waiting(&self) -> Option<&Waiting> {
        match self {
            Gate::Open => None,
            Gate::Wait(waiting) => Some(waiting),
        }
    }

    /// Returns true if the update may be applied now.
    pub fn is_open(&self) -> bool {
        self.waiting().is_none()
    }
}

impl Waiting {
    /// A wait for that reason, with the reason's own sentence as its message.
    pub fn new(reason: Reason, until: Option<Timestamp>) -> Self {
        Self { reason, message: reason.sentence().to_owned(), until }
    }

    /// Returns true if both have the same reason and time. The message may differ: a change of the message is not
    /// written.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.reason, self.until) == (other.reason, other.until)
    }

    /// Returns true if the wait is recorded on the request. The wait for siblings is not: it lasts at most two seconds,
    /// and every push for several containers would cost a write.
    pub fn is_recorded(&self) -> bool {
        self.reason != Reason::AwaitingSiblings
    }

    fn ends_after(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (None, Some(_)) => true,
            (Some(one), Some(other)) => one > other,
            (_, None) => false,
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(until) = self.until {
            write!(f, "until {until}: ")?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests;
