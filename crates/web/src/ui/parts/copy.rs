//! Commands to copy.

use maud::{Markup, html};

use super::icon::icon;

/// A line of text with a button that copies it.
pub(in crate::ui) fn copyable(text: &str, label: &str) -> Markup {
    html! {
        div class="snippet" {
            pre role="group" aria-label=(label) { code { (text) } }
            button type="button" class="btn btn-quiet btn-sm" data-copy=(text) { (icon("copy")) "Copy" }
        }
    }
}
