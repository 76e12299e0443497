//! Headwind's Kubernetes shapes: what its objects look like, and nothing that sends.
//!
//! The border between the API's JSON and the rules' plain values: an object is read here once
//! into a value of `headwind_core`, a decision is turned here into a patch. Adding a kind of
//! workload is one file in [`kinds`] and one line in each of its two lists.

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
