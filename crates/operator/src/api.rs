//! What people and programs can ask of the operator: queries (lists, explanations) and commands (approve, reject,
//! reopen, roll back). Works on every replica and never touches a workload.

pub(crate) mod explain;
pub(crate) mod explainer;
pub(crate) mod handle;
pub(crate) mod rollback;
