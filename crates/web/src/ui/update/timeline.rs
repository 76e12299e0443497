//! The timeline of an update: what happened, who did it, and when.

use headwind_core::request::timeline::{Moment, timeline};
use headwind_core::request::{Phase, Request};
use jiff::Timestamp;
use maud::{Markup, html};

use crate::ui::parts::icon::icon;
use crate::ui::parts::time::time;

/// The section of the page, the newest moment first. `reason` says why the update was proposed.
pub(super) fn section(request: &Request, reason: &str, now: Timestamp) -> Markup {
    let mut moments = timeline(request);
    moments.reverse();
    html! {
        section class="card" aria-labelledby="h-time" {
            h2 id="h-time" { "Timeline" }
            ol class="line" {
                @for Moment { at, what, who, message } in &moments {
                    @let (classes, sign, word) = moment(what, request);
                    @let message = without_author(message, what, who.as_deref());
                    li class=(classes) {
                        span class="dot" { (icon(sign)) }
                        div class="min-w-0" {
                            p { b { (word) } @if let Some(who) = who { span class="text-muted" { "by " (who) } } span class="text-muted ml-auto pl-2" { (time(*at, now)) } }
                            @if *what == "created" && !reason.is_empty() {
                                p class="text-muted break-words" { (reason) }
                            } @else if !message.is_empty() && *what != "approved" {
                                p class="text-muted break-words" { (message) }
                            } @else if *what == "approved" {
                                @if let Some(note) = note(request) { p class="text-muted break-words" { (note) } }
                            }
                        }
                    }
                }
                @if !request.spec.require_approval && request.status.approved_by.is_none() && moments.is_empty() { li { "Approved by policy" } }
            }
        }
    }
}

/// What the person who approved wrote.
fn note(request: &Request) -> Option<&str> {
    let status = &request.status;
    (status.phase == Phase::Approved).then_some(status.message.as_deref()).flatten()
}

/// Returns the message without "rejected by NAME", which the timeline says before it.
fn without_author<'a>(message: &'a str, what: &str, who: Option<&str>) -> &'a str {
    let rest = who.and_then(|who| message.strip_prefix(&format!("{what} by {who}")));
    rest.filter(|rest| rest.is_empty() || rest.starts_with([':', ';'])).map_or(message, |rest| rest.trim_start_matches([':', ';', ' ']))
}

/// How a moment of the timeline looks.
fn moment(what: &str, request: &Request) -> (&'static str, &'static str, &'static str) {
    match what {
        "created" => ("tone-calm", "search", "Proposed"),
        "reopened" => ("tone-calm", "refresh-cw", "Reopened"),
        "approved" => ("tone-good", "thumbs-up", "Approved"),
        "rejected" => ("tone-calm", "ban", "Rejected"),
        "applied" => ("tone-go", "download", "Applied"),
        "returned" => ("tone-back", "undo-2", "Rolled back to the previous version"),
        "progressed" => ("tone-go", "refresh-cw", "Made progress"),
        "available" => ("tone-good", "circle-check", "Available"),
        _ => match request.status.phase {
            Phase::Completed => ("tone-good", "circle-check", "Completed"),
            Phase::RolledBack => ("tone-back", "undo-2", "Rolled back"),
            Phase::Failed => ("tone-bad", "octagon-x", "Failed"),
            _ => ("tone-calm", "circle-minus", "Ended"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("rejected by ann", "")]
    #[case("rejected by ann: not yet", "not yet")]
    #[case("rejected by anna: not yet", "rejected by anna: not yet")]
    #[case("the pod crashed", "the pod crashed")]
    fn the_author_is_said_once(#[case] message: &str, #[case] expected: &str) {
        assert_eq!(without_author(message, "rejected", Some("ann")), expected);
        assert_eq!(without_author(message, "rejected", None), message);
    }
}
