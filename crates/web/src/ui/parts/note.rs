//! Notes inside a page, and the states in which a list is empty.

use maud::{Markup, html};

use super::icon::icon;

/// The tone of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) enum Tone {
    /// An error.
    Bad,
    /// A warning.
    Warn,
    /// Information.
    Go,
    /// A rollback.
    Back,
}

/// A note with a title.
pub(in crate::ui) fn note(tone: Tone, sign: &'static str, title: &Markup, text: Option<Markup>) -> Markup {
    let (classes, role) = match tone {
        Tone::Bad => ("note tone-bad", "alert"),
        Tone::Warn => ("note tone-warn", "status"),
        Tone::Go => ("note tone-go", "status"),
        Tone::Back => ("note tone-back", "status"),
    };
    html! {
        div class=(classes) role=(role) {
            (icon(sign))
            div class="grow min-w-0" {
                p class="font-semibold" { (title) }
                @if let Some(text) = text { p class="break-words" { (text) } }
            }
        }
    }
}

/// A list without entries.
pub(in crate::ui) fn empty(sign: &'static str, lines: &Markup) -> Markup {
    html! { div class="none" { (icon(sign)) (lines) } }
}
