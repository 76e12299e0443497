//! Azure Container Registry's webhooks (its document "Azure Container Registry webhook reference"):
//! one event of distribution's shape, without the envelope.
//!
//! `chart_push` is the retired store of charts beside the images; a chart in a repository is pushed
//! like an image.

use super::{Call, Collector, IgnoredReason, distribution};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let action = call.text(&["action"])?;
    // Every one of its calls has these two beside the action; a ping may have the action alone.
    let whole = call.text(&["id"]).is_some() && call.text(&["timestamp"]).is_some();
    let bare = action == "ping" && call.body.as_object().is_some_and(|fields| fields.len() == 1);
    if !whole && !bare {
        return None;
    }
    if action == "push" {
        distribution::take(call.body, call.registry, out);
    } else {
        out.ignore(IgnoredReason::NotAPush, action);
    }
    Some(())
}
