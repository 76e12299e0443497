//! The open connections of a port, and the choice of the one to close when there are too many.
//!
//! A peer at its limit loses one of its own connections. At the limit of the port, any peer may lose one. Headwind
//! closes a connection without a request in progress, if there is one, and among these the one that has been idle
//! longest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// The connections of a port.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Entry>,
    by_peer: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    peer: IpAddr,
    /// Number of requests in progress: at most one, for HTTP/1.
    busy: usize,
    /// When the connection was opened, or its latest request started or ended.
    since: Instant,
    evicted: CancellationToken,
}

/// The slot of a connection; released when the value is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    peer: IpAddr,
    evicted: CancellationToken,
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct Busy {
    connections: Arc<Connections>,
    id: u64,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, table: Mutex::default() }
    }

    /// Adds a new connection. If there are too many, closes another one.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Place {
        let evicted = CancellationToken::new();
        let mut table = self.table.lock();
        if table.by_peer.get(&peer).is_some_and(|count| *count >= self.limits.per_peer) {
            table.evict(Some(peer));
        } else if table.open.len() >= self.limits.total {
            table.evict(None);
        }
        let id = table.next;
        table.next += 1;
        table.open.insert(id, Entry { peer, busy: 0, since: Instant::now(), evicted: evicted.clone() });
        *table.by_peer.entry(peer).or_default() += 1;
        Place { connections: Arc::clone(self), id, peer, evicted }
    }

    fn note(&self, id: u64, note: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.table.lock().open.get_mut(&id) {
            note(entry);
            entry.since = Instant::now();
        }
    }
}

impl Table {
    /// Closes the connection that has been idle longest, of that peer or of all.
    fn evict(&mut self, peer: Option<IpAddr>) {
        let candidates = self.open.iter().filter(|(_, entry)| peer.is_none_or(|peer| entry.peer == peer));
        let idlest = candidates.min_by_key(|(_, entry)| (entry.busy, entry.since)).map(|(id, _)| *id);
        if let Some(entry) = idlest.and_then(|id| self.remove(id)) {
            entry.evicted.cancel();
        }
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        if let Some(count) = self.by_peer.get_mut(&entry.peer) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&entry.peer);
            }
        }
        Some(entry)
    }
}

impl Place {
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Returns a token that is cancelled when the connection must close.
    pub(super) fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }

    /// Marks the connection as busy until the value is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.connections.note(self.id, |entry| entry.busy += 1);
        Busy { connections: Arc::clone(&self.connections), id: self.id }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table.lock().remove(self.id);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.connections.note(self.id, |entry| entry.busy = entry.busy.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn ended(places: &[Place]) -> Vec<usize> {
        places.iter().enumerate().filter(|(_, place)| place.evicted.is_cancelled()).map(|(at, _)| at).collect()
    }

    #[test]
    fn a_peer_at_its_limit_loses_its_own_idlest() {
        let connections = Arc::new(Connections::new(Limits { total: 100, per_peer: 3 }));
        let mut places: Vec<Place> = [1, 2, 1, 1].map(|last| connections.admit(peer(last))).into();
        let _busy = places[0].busy();
        drop(places[2].busy());
        places.push(connections.admit(peer(1)));
        assert_eq!(ended(&places), [3], "not the busy one, nor the one with a newer request, nor another's");
        places.push(connections.admit(peer(2)));
        assert_eq!(ended(&places), [3]);
    }

    #[test]
    fn a_full_port_makes_room() {
        let connections = Arc::new(Connections::new(Limits { total: 2, per_peer: 2 }));
        let mut places: Vec<Place> = [1, 2].map(|last| connections.admit(peer(last))).into();
        places.push(connections.admit(peer(3)));
        assert_eq!(ended(&places), [0]);
        let busy = [places[1].busy(), places[2].busy()];
        places.push(connections.admit(peer(4)));
        assert_eq!(ended(&places), [0, 1], "where all are busy, the oldest request");
        drop((busy, places));
        assert!(connections.table.lock().open.is_empty() && connections.table.lock().by_peer.is_empty());
    }
}
