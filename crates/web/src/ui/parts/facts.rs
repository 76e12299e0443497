//! Lists of facts.

use maud::{Markup, html};

/// A list of names and values.
pub(in crate::ui) fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in rows { div { dt { (name) } dd { (value) } } }
        }
    }
}
