//! Headwind's doors: what comes in over HTTP.
//!
//! | port | router | who |
//! |---|---|---|
//! | 8080 | [`webhook::router`] | registries |
//! | 8081 | [`api::router`] | people and programs |
//! | 8082 | [`ui::router`] | people with a browser |
//! | 9090 | [`probe::router`] | the kubelet, Prometheus |
//!
//! The doors know the operator by its `Handle` only. Every body is capped and timed, every error
//! of the API is `application/problem+json` (RFC 9457).

pub mod api;
pub mod auth;
pub mod gate;
pub mod hosts;
pub mod probe;
mod problem;
pub mod server;
mod stream;
pub mod ui;
pub mod webhook;
