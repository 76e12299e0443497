//! The operator's queries and commands for people and programs. Works on every replica and never touches a workload.
//!
//! | module | what |
//! |---|---|
//! | [`handle`] | the handle that the HTTP servers use |
//! | [`requests`], [`counts`], [`explain`] | queries: lists, single requests, counts, explanations |
//! | [`updates`], [`workloads`], [`live`], [`pods`] | queries for the UI: sorted pages, counts, settings, pods |
//! | [`commands`], [`rollback`], [`settings`], [`limits`] | commands: approve, reject, reopen, roll back, save settings, freeze, resume |
//! | [`channels`], [`slack`] | the test of a notification channel; clicks on buttons in Slack |
//! | [`audit`] | one line for each command, with its result |
//! | [`caller`], [`permission`], [`reviews`] | the caller, and its permissions according to the API server |

pub(crate) mod audit;
pub(crate) mod auth_method;
pub(crate) mod caller;
pub(crate) mod channels;
pub(crate) mod commands;
pub(crate) mod counts;
pub(crate) mod explain;
pub(crate) mod explainer;
pub(crate) mod handle;
pub(crate) mod limits;
pub(crate) mod live;
pub(crate) mod permission;
pub(crate) mod pods;
pub(crate) mod requests;
pub(crate) mod reviews;
pub(crate) mod rollback;
pub(crate) mod settings;
pub(crate) mod slack;
pub(crate) mod updates;
pub(crate) mod workloads;
