//! Webhooks of registries, as pure functions: what a notification says, and whether its sender has proven itself.
//!
//! Nothing here does I/O. The operator's webhook port and `headwind webhook` call the same code.

pub mod proof;
pub mod senders;
