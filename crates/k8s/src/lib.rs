//! The Kubernetes objects that Headwind uses, as types and values. This crate sends nothing.
//!
//! It converts between the API's JSON and the plain values of the rules. An object is parsed here once into a value of
//! `headwind_core`, and a decision is converted here into a patch. To add a kind of workload, add one file in [`kinds`]
//! and one line in each of its two lists.

pub mod access;
pub mod api_version;
pub mod condition;
pub mod decision;
pub mod helm;
pub mod kinds;
pub mod manifest;
pub mod name;
pub mod optional_api;
pub mod patch;
pub mod pod;
mod right;
mod slim_condition;
#[allow(
    unreachable_pub,
    clippy::duplicated_attributes,
    reason = "the derive for the CRD: it copies the type into a block, and columns share a type"
)]
pub mod update_request;
