//! The channels that notifications are sent to.

pub(crate) use headwind_core::settings::Channel;
