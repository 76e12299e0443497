//! Reads bodies within a common memory budget.
//!
//! Half of the budget is reserved for senders that the head of their call authenticates. No other sender can use that
//! half, and no single peer can use the whole other half.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;

use crate::problem::Problem;

/// Maximum size of one body, in bytes.
const BODY: usize = 1024 * 1024;
/// Maximum memory of all concurrent calls, in bytes.
const ALL: usize = 32 * BODY;
/// Maximum memory of the unauthenticated calls of one peer. A proxy may be the peer of many senders.
const PEER: usize = 8 * BODY;
/// Limits for draining a rejected body: bytes and time.
const DRAIN: usize = 8 * BODY;
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// Timeout for reading a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sender of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A sender that the head of the call authenticates.
    Proven,
    /// An unauthenticated sender at this address, if known.
    Peer(Option<IpAddr>),
}

/// The memory used by the bodies that are being read.
#[derive(Debug)]
pub(super) struct Budget {
    held: Mutex<Held>,
    /// Maximum memory for bodies of unauthenticated senders.
    open: usize,
}

#[derive(Debug, Default)]
struct Held {
    proven: usize,
    open: usize,
    peers: HashMap<IpAddr, usize>,
}

/// The memory of one body; released when the value is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    sender: Sender,
    bytes: usize,
}

impl Budget {
    /// Creates the budget of a port. If no head can authenticate a sender, nothing is reserved.
    pub(super) fn new(heads_prove: bool) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), open: if heads_prove { ALL / 2 } else { ALL } })
    }

    /// Reserves that many more bytes for the sender. Returns false if the budget does not have enough free memory.
    fn take(&self, sender: Sender, bytes: usize) -> bool {
        let mut held = self.held.lock();
        if held.proven + held.open + bytes > ALL {
            return false;
        }
        match sender {
            Sender::Proven => held.proven += bytes,
            Sender::Peer(peer) => {
                let of_peer = peer.and_then(|peer| held.peers.get(&peer).copied()).unwrap_or_default();
                if held.open + bytes > self.open || (peer.is_some() && of_peer + bytes > PEER) {
                    return false;
                }
                held.open += bytes;
                if let Some(peer) = peer {
                    *held.peers.entry(peer).or_default() += bytes;
                }
            }
        }
        true
    }

    fn give_back(&self, sender: Sender, bytes: usize) {
        let mut held = self.held.lock();
        match sender {
            Sender::Proven => held.proven -= bytes,
            Sender::Peer(peer) => {
                held.open -= bytes;
                let Some(peer) = peer else { return };
                if let Some(of_peer) = held.peers.get_mut(&peer) {
                    *of_peer -= bytes;
                    if *of_peer == 0 {
                        held.peers.remove(&peer);
                    }
                }
            }
        }
    }

    /// Reads the body as it arrives. Its memory counts until the share is dropped.
    pub(super) async fn read(self: &Arc<Self>, sender: Sender, headers: &HeaderMap, mut body: Body) -> Result<(Vec<u8>, Share), Problem> {
        let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the request body is larger than 1 MiB");
        let length: Option<u64> =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        if length.is_some_and(|length| length > BODY as u64) {
            drain(body).await;
            return Err(too_large());
        }
        let (mut bytes, mut share) = (Vec::new(), Share { budget: Arc::clone(self), sender, bytes: 0 });
        let reading = async {
            while let Some(frame) = body.frame().await {
                let frame =
                    frame.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("failed to read the request body: {error}")))?;
                let Ok(chunk) = frame.into_data() else { continue };
                if bytes.len() + chunk.len() > BODY {
                    return Ok(true);
                }
                if !share.grow(chunk.len()) {
                    return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many concurrent calls; try again"));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(false)
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        if read.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timed out reading the request body"))?? {
            drain(body).await;
            return Err(too_large());
        }
        Ok((bytes, share))
    }
}

impl Share {
    fn grow(&mut self, bytes: usize) -> bool {
        let fits = self.budget.take(self.sender, bytes);
        self.bytes += if fits { bytes } else { 0 };
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.sender, self.bytes);
    }
}

/// Reads a part of a rejected body, so that the sender receives the response instead of a connection reset.
pub(super) async fn drain(mut body: Body) {
    let reading = async {
        let mut left = DRAIN;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // The result does not matter.
    tokio::time::timeout(DRAIN_TIME, reading).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Sender {
        Sender::Peer(Some(IpAddr::from([192, 0, 2, last])))
    }

    /// Starts bodies of 1 MiB that never end, until one is rejected.
    fn fill(budget: &Arc<Budget>, sender: Sender) -> Vec<Share> {
        let open = || {
            let mut share = Share { budget: Arc::clone(budget), sender, bytes: 0 };
            share.grow(BODY).then_some(share)
        };
        std::iter::from_fn(open).collect()
    }

    #[test]
    fn half_is_for_those_who_are_authenticated() {
        let budget = Budget::new(true);
        let hanging: Vec<Vec<Share>> = (0..9).map(|last| fill(&budget, peer(last))).collect();
        assert_eq!(hanging.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 0, 0, 0, 0, 0, 0, 0]);
        let proven = fill(&budget, Sender::Proven);
        assert_eq!(proven.len(), 16);
        drop(hanging);
        let held = budget.held.lock();
        assert!(held.open == 0 && held.peers.is_empty() && held.proven == 16 * BODY);
    }

    #[test]
    fn where_no_head_proves_anything_nothing_is_kept() {
        let budget = Budget::new(false);
        let hanging: Vec<Share> = (0..9).flat_map(|last| fill(&budget, peer(last))).collect();
        assert_eq!(hanging.len(), 32);
        drop(hanging);
        assert_eq!(fill(&budget, Sender::Peer(None)).len(), 32);
    }

    #[tokio::test]
    async fn a_body_is_given_back() {
        let budget = Budget::new(true);
        let (bytes, share) = budget.read(peer(1), &HeaderMap::new(), Body::from("{}")).await.unwrap();
        assert_eq!((bytes.as_slice(), budget.held.lock().open), (b"{}".as_slice(), 2));
        drop(share);
        assert_eq!(budget.held.lock().open, 0);
        assert!(budget.read(peer(1), &HeaderMap::new(), Body::from(vec![b' '; BODY + 1])).await.is_err());
        assert_eq!(budget.held.lock().open, 0);
    }
}
