//! Asking OCI registries and Helm's chart repositories what they have.
//!
//! The operator's poll loop, the confirmation of webhooks and `headwind check` call this crate;
//! it knows nothing of Kubernetes. A credential leaves it for its own registry host only, and
//! nothing that a registry says is believed further than the distribution specification goes:
//! bodies are capped, pages are followed on the same host only, waits have an upper end.
//!
//! ```text
//! Client::{digest, tags} ─> ask ─┬─ host      scheme, authorities, mirrors, permits, not before
//!                                ├─ challenge what a 401 demands
//!                                ├─ token     one request in flight for many, kept until it expires
//!                                └─ throttle  how long a refusal asks to be left alone
//! Client::index ──────────> helm_index ─> host, throttle as above; parsed while it arrives
//! ```

mod ask;
mod challenge;
pub mod client;
pub mod credential;
pub mod error;
pub mod helm_index;
pub mod host;
mod manifest;
mod page;
mod throttle;
mod token;
pub mod transport;

pub use client::{Client, Limits, Listing};
pub use credential::{Credential, Keyring};
pub use error::{Class, Error};
pub use helm_index::{ChartVersion, Index};
pub use host::{HostSettings, Hosts};
pub use transport::{SecretError, Transport};
