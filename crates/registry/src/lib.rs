//! Asking OCI registries what they have.
//!
//! The operator's poll loop, the confirmation of webhooks and `headwind check` call this crate;
//! it knows nothing of Kubernetes. A credential leaves it for its own registry host only.

pub mod credential;
