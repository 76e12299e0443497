//! Where events come from, as pure functions: what a registry's notification says, whether the
//! caller has proven itself, and when to ask which registry.
//!
//! Nothing here does I/O. The operator's webhook port and `headwind webhook` call the same code.

pub mod proof;
pub mod schedule;
pub mod webhook;
