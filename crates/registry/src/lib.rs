//! Queries to OCI registries and classic Helm chart repositories.
//!
//! The operator's poller, the verification of webhooks and `headwind check` call this crate. It knows nothing about
//! Kubernetes. It sends a credential only to its own registry host, and Headwind's own identity only over what the
//! administrator configured (`route`). It connects to no address that is not allowed (`rules`). It trusts a registry
//! only as far as the distribution specification goes: responses are limited in bytes (`budget`), entries and time,
//! pages are followed on the same host only, and waits have a maximum.
//!
//! ```text
//! Client::{digest, tags} ─> ask ─┬─ hosts     scheme, authorities, mirrors; permits and waits of each lane
//!                                ├─ challenge what a 401 demands
//!                                ├─ token     one request in flight for many, kept until it expires
//!                                └─ send      redirects, rules, budget ─> throttle, status
//! Client::index ──────────> helm_index ─> hosts, send as above; parsed while it arrives
//! ```

pub mod address;
mod ask;
mod budget;
mod challenge;
pub mod client;
pub mod credential;
pub mod error;
mod fingerprint;
pub mod helm_index;
mod host;
pub mod hosts;
mod issuers;
mod lane;
mod manifest;
mod page;
mod question;
mod quota;
mod route;
pub mod rules;
mod send;
pub mod settings;
mod status;
pub mod tags;
mod throttle;
mod timeouts;
mod token;
pub mod transport;
mod turns;

pub use client::Client;
pub use credential::{Credential, Keyring};
pub use error::{Class, Error};
pub use fingerprint::Fingerprint;
pub use helm_index::{ChartVersion, Index};
pub use hosts::Hosts;
pub use lane::Lane;
pub use rules::Rules;
pub use settings::HostSettings;
pub use tags::{Keep, Listing};
pub use timeouts::Timeouts;
pub use transport::{SecretError, Transport};
