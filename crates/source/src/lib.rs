//! Where events come from, as pure functions: what a registry's notification says, and whether
//! the caller has proven itself.
//!
//! Nothing here does I/O. The operator's webhook port and `headwind webhook` call the same code.

pub mod proof;
pub mod webhook;
