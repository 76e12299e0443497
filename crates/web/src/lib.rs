//! Headwind's HTTP servers.
//!
//! | port | router | clients |
//! |---|---|---|
//! | 8080 | [`webhook::router`] | registries |
//! | 8081 | [`api::router`] | people and programs |
//! | 8082 | [`ui::router`] | people with a browser |
//! | 9090 | [`probe::router`] | the kubelet, Prometheus |
//!
//! The servers access the operator only by its `Handle`. Every body has a size limit and a timeout. Every error of the
//! API is `application/problem+json` (RFC 9457).

pub mod api;
pub mod auth;
pub mod guard;
pub mod hosts;
pub mod probe;
mod problem;
pub mod server;
mod stream;
pub mod ui;
pub mod webhook;
