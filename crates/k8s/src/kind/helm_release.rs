//! Flux HelmRelease: its status, read for the judgement of rollouts.

pub mod status;
