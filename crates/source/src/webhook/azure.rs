//! Azure Container Registry's webhooks (its document "Azure Container Registry webhook reference"):
//! one event of distribution's shape, without the envelope.
//!
//! `chart_push` is the retired store of charts beside the images; a chart in a repository is pushed
//! like an image.

use serde::Deserialize as _;

use super::distribution::{self, Push};
use super::{Call, Collector, IgnoredReason};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let action = call.text(&["action"])?;
    // Every one of its calls has these two beside the action.
    call.text(&["id"])?;
    call.text(&["timestamp"])?;
    if action == "push" {
        match Push::deserialize(call.body) {
            Ok(push) => distribution::take(&push, call.registry, out),
            Err(error) => out.ignore(IgnoredReason::BadEvent, &error.to_string()),
        }
    } else {
        out.ignore(IgnoredReason::NotAPush, action);
    }
    Some(())
}
