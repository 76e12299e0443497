//! The components that pages are made of. Each one is a function that returns HTML.

pub(in crate::ui) mod approvals;
pub(super) mod change;
pub(super) mod copy;
pub(super) mod facts;
pub(super) mod filters;
pub(super) mod icon;
pub(super) mod note;
pub(super) mod outlook;
pub(super) mod pager;
pub(super) mod phase;
pub(super) mod reference;
pub(super) mod segments;
pub(super) mod text;
pub(super) mod time;
pub(super) mod toast;
pub(super) mod workload;
