//! Free ports on loopback.
//!
//! Below the range that the kernel uses for outgoing connections: while a program restarts on its port, no client gets
//! that port.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Error, Result, anyhow};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// The next port to try. Two concurrent processes start at different places.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let random = RandomState::new().hash_one(std::process::id()) % u64::from(COUNT);
    AtomicU16::new(u16::try_from(random).unwrap_or_default())
});

/// Returns a port that nothing listens on, and that this process does not get again soon. It is for another program: a
/// process that another thread starts meanwhile may keep the port in use for a moment, until it executes its program.
pub(crate) fn free() -> Result<u16> {
    ports().find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).ok_or_else(none)
}

/// Listens on a free port.
pub(crate) async fn listen() -> Result<tokio::net::TcpListener> {
    for port in ports() {
        if let Ok(listener) = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok(listener);
        }
    }
    Err(none())
}

fn ports() -> impl Iterator<Item = u16> {
    (0..COUNT).map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
}

fn none() -> Error {
    anyhow!("no free port on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT - 1)
}
