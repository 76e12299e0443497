//! Reports what happened: Kubernetes Events, metrics and log lines, with reasons from one vocabulary.

pub(crate) mod events;
pub(crate) mod metrics;
