//! GitLab's webhooks for projects and groups (its documents "Webhook events" and
//! "System hooks"), none of which tells
//! of an image: its registry notifies as distribution does. They are known so that a hook which is
//! shared with other receivers is answered well.

use super::{Call, Collector, IgnoredReason};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let system = || call.text(&["created_at"]).and_then(|_| call.text(&["event_name"]));
    let kind = (call.header)("x-gitlab-event").or_else(|| call.text(&["object_kind"])).or_else(system)?;
    out.ignore(IgnoredReason::NotAPush, kind);
    Some(())
}
