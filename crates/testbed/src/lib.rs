//! The test bed: the environment of Headwind's tests, made of plain processes.
//!
//! A real etcd, API server, controller-manager and scheduler, kwok for the pods, a real image registry, the real
//! controllers of Flux and of Argo Rollouts if a test needs them, and the real `headwind` binary. It needs no container
//! engine and no root, and uses only loopback.
//!
//! ```text
//!  test process ──stdin──> headwind-testbed control-plane ──> etcd, kube-apiserver, …, kwok
//!       │  └──────stdin──> headwind-testbed guard ──────────> registry, source-controller, …
//!       └─────────stdin──> headwind-testbed guard ──────────> headwind (the operator)
//! ```
//!
//! Nothing outlives the test process. Every program is the child of a supervisor, which ends it and removes its folder
//! as soon as the supervisor's standard input is closed. The kernel closes that pipe however the test ends.

pub mod argo_rollouts;
pub mod audit;
pub mod bed;
pub mod binaries;
pub mod chart;
pub mod chart_repository;
pub mod cluster;
pub mod collector;
pub mod control_plane;
pub mod controller;
pub mod demo;
pub mod fake_registry;
mod fake_server;
pub mod flux;
mod folder;
pub mod guard;
pub mod helm;
pub mod mailpit;
pub mod node;
pub mod operator;
pub mod payload;
pub mod pki;
mod port;
mod program;
pub mod prometheus;
pub mod protocol;
pub mod receiver;
pub mod receivers;
pub mod registry;
pub mod skip;
pub mod supervisor;
pub mod tenant_proxy;
pub mod token_gate;
pub mod tools;
mod unique;
pub mod wait;
pub mod workload;

pub use audit::{Audit, Query};
pub use bed::Bed;
pub use chart::Chart;
pub use chart_repository::ChartRepository;
pub use collector::Collector;
pub use fake_registry::{Demand, FakeRegistry, Fault, Seen};
pub use flux::Flux;
pub use helm::Helm;
pub use mailpit::Mailpit;
pub use node::Node;
pub use operator::{Operator, OperatorOptions};
pub use prometheus::Prometheus;
pub use receiver::Receiver;
pub use receivers::Receivers;
pub use registry::{Registry, RegistryOptions};
pub use tenant_proxy::TenantProxy;
pub use token_gate::TokenGate;
pub use tools::Tools;
pub use wait::eventually;
pub use workload::{Fixture, WorkloadKind};

/// Installs a TLS provider, which must happen before the first client is created. Further calls do nothing.
fn provide_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
