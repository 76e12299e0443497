//! The commands, one file for each.

pub(crate) mod check;
pub(crate) mod gate;
pub(crate) mod image;
pub(crate) mod lines;
pub(crate) mod manifests;
pub(crate) mod migrate;
pub(crate) mod policy;
pub(crate) mod run;
pub(crate) mod webhook;
