//! Azure Container Registry's webhooks ("Azure Container Registry webhook reference"): one event of distribution's
//! shape, without the envelope.
//!
//! `chart_push` belongs to the retired chart store beside the images. A chart in a repository is pushed like an image.

use super::{Call, Collector, IgnoredReason, distribution};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let action = call.text(&["action"])?;
    // Every call has these two fields beside the action. A ping may have only the action.
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
