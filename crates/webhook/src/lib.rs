//! Webhooks of registries and Slack, as pure functions: decoding a call, and authenticating its sender.
//!
//! Nothing here does I/O. The operator's webhook port and `headwind webhook` call the same code.

pub mod proof;
pub mod senders;
pub mod slack;
