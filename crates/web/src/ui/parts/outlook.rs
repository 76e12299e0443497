//! When an update may be applied in the next days: a line of seven days, and the same as a list.

use headwind_core::gate::outlook::Span;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

/// The days of the line.
const DAYS: i64 = 7;
/// Width and height of the line.
const WIDTH: i64 = 700;
const HEIGHT: i64 = 12;
/// Maximum number of entries of the list.
const ENTRIES: usize = 8;

/// The line and the list.
pub(in crate::ui) fn outlook(spans: &[Span], now: Timestamp) -> Markup {
    // A single span is in the sentence above.
    if spans.len() < 2 {
        return html! {};
    }
    let end = now.checked_add(SignedDuration::from_hours(DAYS * 24)).unwrap_or(Timestamp::MAX);
    let place = |at: Timestamp| (at.as_second() - now.as_second()) * WIDTH / (DAYS * 24 * 3600);
    html! {
        svg class="tone-good w-full mt-3" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" height=(HEIGHT) aria-hidden="true" {
            rect width=(WIDTH) height=(HEIGHT) fill="currentColor" opacity="0.1" {}
            @for span in spans.iter().filter(|span| span.waiting.is_none()) {
                @let (from, until) = (place(span.from), place(span.until.unwrap_or(end)));
                rect class="text-tone" x=(from) width=((until - from).max(1)) height=(HEIGHT) fill="currentColor" {}
            }
        }
        p class="hint" { "The next 7 days. Colored: an update may be applied." }
        ul class="hist" {
            @for span in spans.iter().take(ENTRIES) {
                li {
                    span class="text-muted" { (clock(span.from)) @if let Some(until) = span.until { " to " (clock(until)) } }
                    span class="ml-auto" { @match &span.waiting { None => "may be applied", Some(waiting) => (waiting.reason.code()) } }
                }
            }
        }
    }
}

/// A time of day, which the script does not replace by a relative one.
fn clock(at: Timestamp) -> Markup {
    html! { time datetime=(super::time::stamp(at)) data-exact="" { (at.strftime("%a %d %b %H:%M UTC")) } }
}
