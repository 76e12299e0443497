//! Limits queries about unknown tokens, so that random tokens do not reach the API server.
//!
//! Every query takes from the bucket of its peer and from a bucket for all peers. A valid token returns what its query
//! took.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use parking_lot::Mutex;

/// Size of the bucket of one peer, and its refill per second.
const PEER: (f64, f64) = (20.0, 0.5);
/// The same for all peers together.
const ALL: (f64, f64) = (100.0, 5.0);
/// Maximum number of remembered peers.
const PEERS: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn new((burst, _): (f64, f64), now: Instant) -> Self {
        Self { left: burst, at: now }
    }

    /// Returns the bucket after the refill since its last use.
    fn filled(self, (burst, rate): (f64, f64), now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        Self { left: passed.mul_add(rate, self.left).min(burst), at: now.max(self.at) }
    }
}

#[derive(Debug, Default)]
struct Table {
    all: Option<Bucket>,
    peers: HashMap<Option<IpAddr>, Bucket>,
}

/// The limit.
#[derive(Debug, Default)]
pub(super) struct Flood(Mutex<Table>);

/// Returns the key of a peer: one site owns a whole /64 of IPv6 addresses.
fn site(peer: Option<IpAddr>) -> Option<IpAddr> {
    match peer? {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
        address @ IpAddr::V4(_) => Some(address),
    }
}

impl Flood {
    /// Returns true if a query for this peer is allowed now.
    pub(super) fn admit(&self, peer: Option<IpAddr>, now: Instant) -> bool {
        let (mut table, site) = (self.0.lock(), site(peer));
        if table.peers.len() >= PEERS && !table.peers.contains_key(&site) {
            table.peers.retain(|_, bucket| bucket.filled(PEER, now).left < PEER.0);
            if table.peers.len() >= PEERS {
                return false;
            }
        }
        let all = table.all.unwrap_or_else(|| Bucket::new(ALL, now)).filled(ALL, now);
        let own = table.peers.get(&site).copied().unwrap_or_else(|| Bucket::new(PEER, now)).filled(PEER, now);
        let admitted = all.left >= 1.0 && own.left >= 1.0;
        let taken = if admitted { 1.0 } else { 0.0 };
        table.all = Some(Bucket { left: all.left - taken, ..all });
        table.peers.insert(site, Bucket { left: own.left - taken, ..own });
        admitted
    }

    /// Returns what a query took.
    pub(super) fn give_back(&self, peer: Option<IpAddr>) {
        let mut table = self.0.lock();
        if let Some(all) = &mut table.all {
            all.left = (all.left + 1.0).min(ALL.0);
        }
        if let Some(own) = table.peers.get_mut(&site(peer)) {
            own.left = (own.left + 1.0).min(PEER.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Returns how many of `tries` queries of peers are admitted within a minute.
    fn admitted(tries: u32, peer: impl Fn(u32) -> IpAddr) -> u32 {
        let (flood, now) = (Flood::default(), Instant::now());
        let at = |n: u32| now + Duration::from_mins(1) * n / tries;
        (0..tries).filter(|n| flood.admit(Some(peer(*n)), at(*n))).count().try_into().unwrap()
    }

    #[test]
    fn ten_thousand_in_a_minute() {
        assert!(admitted(10_000, |_| [10, 0, 0, 1].into()) <= 50);
        let everybody = admitted(10_000, |n| n.to_be_bytes().into());
        assert!((300..=400).contains(&everybody), "{everybody}");
        assert!(admitted(10_000, |n| Ipv6Addr::from(u128::from(n)).into()) <= 50, "one /64");
    }

    #[test]
    fn a_valid_token_costs_nothing_and_peers_are_apart() {
        let (flood, now) = (Flood::default(), Instant::now());
        let [a, b]: [Option<IpAddr>; 2] = [Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into())];
        for _ in 0..1000 {
            assert!(flood.admit(a, now));
            flood.give_back(a);
        }
        while flood.admit(a, now) {}
        assert!(flood.admit(b, now));
        assert!(flood.admit(a, now + Duration::from_secs(2)) && !flood.admit(a, now + Duration::from_secs(2)));
    }

    #[test]
    fn it_remembers_a_bounded_number_of_peers() {
        let (flood, now) = (Flood::default(), Instant::now());
        let at = |n: u32| now + Duration::from_millis(250) * n;
        for n in 0..10_000_u32 {
            flood.admit(Some(n.to_be_bytes().into()), at(n));
        }
        assert!(flood.0.lock().peers.len() <= PEERS);
        assert!(flood.admit(Some([1, 2, 3, 4].into()), at(10_000)));
    }
}
