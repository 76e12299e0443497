//! The remaining quota of each registry: the number of requests that it still allows, as its latest response states it.
//!
//! A number is dropped when the limit resets, because the registry then allows an unknown number of requests.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Maximum number of hosts without reserved room. Workloads name hosts, so their number has no other limit.
const MOST: usize = 64;

/// The quotas by host, under the names in image references.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    /// The hosts that always have room.
    reserved: HashSet<String>,
    known: Mutex<HashMap<String, Quota>>,
}

#[derive(Debug)]
struct Quota {
    remaining: u64,
    until: Instant,
}

impl Quotas {
    pub(crate) fn new(reserved: HashSet<String>) -> Self {
        Self { reserved, known: Mutex::default() }
    }

    /// Stores the number of a host for as long as it is valid. Ignores a further host if there is no room.
    pub(crate) fn note(&self, host: &str, remaining: u64, valid: Duration, now: Instant) {
        let mut known = self.known.lock();
        if !known.contains_key(host) && !self.reserved.contains(host) {
            known.retain(|_, quota| quota.until > now);
            if known.keys().filter(|host| !self.reserved.contains(*host)).count() >= MOST {
                return;
            }
        }
        known.insert(host.to_owned(), Quota { remaining, until: now + valid });
    }

    /// Returns the hosts whose number is known, and the numbers.
    pub(crate) fn all(&self, now: Instant) -> Vec<(String, u64)> {
        let known = self.known.lock();
        known.iter().filter(|(_, quota)| quota.until > now).map(|(host, quota)| (host.clone(), quota.remaining)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_latest_number_counts_until_the_limit_resets() {
        let (quotas, now) = (Quotas::default(), Instant::now());
        quotas.note("r.example", 9, HOUR, now);
        quotas.note("r.example", 8, HOUR, now);
        assert_eq!(quotas.all(now), [("r.example".to_owned(), 8)]);
        assert_eq!(quotas.all(now + HOUR), []);
    }

    #[test]
    fn the_number_of_hosts_is_bounded_and_reserved_hosts_have_room() {
        let (quotas, now) = (Quotas::new(HashSet::from(["r.example".to_owned()])), Instant::now());
        for n in 0..=MOST {
            quotas.note(&format!("{n}.example"), 1, HOUR, now);
        }
        quotas.note("r.example", 7, HOUR, now);
        let all = quotas.all(now);
        assert_eq!((all.len(), all.contains(&("r.example".to_owned(), 7))), (MOST + 1, true));
        // A host whose number is not valid any more makes room.
        quotas.note("late.example", 1, HOUR, now + HOUR);
        assert_eq!(quotas.all(now + HOUR), [("late.example".to_owned(), 1)]);
    }
}
