//! GitLab's webhooks for projects and groups (its document "Webhook events"), none of which tells
//! of an image: its registry notifies as distribution does. They are known so that a hook which is
//! shared with other receivers is answered well.

use super::{Call, Collector, IgnoredReason};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let kind = (call.header)("x-gitlab-event").or_else(|| call.text(&["object_kind"]))?;
    out.ignore(IgnoredReason::NotAPush, kind);
    Some(())
}
