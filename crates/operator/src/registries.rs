//! Queries registries and chart repositories, with the credentials of the workloads that use them.

pub(crate) mod asking;
pub(crate) mod listed;
pub(crate) mod lists;
pub(crate) mod quota_gauge;
pub(crate) mod secrets;
