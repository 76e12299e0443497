//! GitLab's webhooks for projects and groups ("Webhook events" and "System hooks"). None of them is about an image:
//! GitLab's registry sends distribution's notifications. They are recognised so that a hook shared with other receivers
//! gets a proper response.

use super::{Call, Collector, IgnoredReason};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let system = || call.text(&["created_at"]).and_then(|_| call.text(&["event_name"]));
    let kind = (call.header)("x-gitlab-event").or_else(|| call.text(&["object_kind"])).or_else(system)?;
    out.ignore(IgnoredReason::NotAPush, kind);
    Some(())
}
