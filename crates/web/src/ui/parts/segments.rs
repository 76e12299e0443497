//! A row of links that filter a list.

use maud::{Markup, html};

/// A link of the row.
pub(in crate::ui) struct Segment {
    /// The address.
    pub(in crate::ui) href: String,
    /// The word.
    pub(in crate::ui) word: &'static str,
    /// The number of entries behind the link.
    pub(in crate::ui) count: usize,
    /// True if the list is filtered by it.
    pub(in crate::ui) current: bool,
}

/// The row.
pub(in crate::ui) fn segments(label: &str, all: &[Segment]) -> Markup {
    html! {
        nav class="seg" aria-label=(label) {
            @for Segment { href, word, count, current } in all {
                a href=(href) aria-current=[current.then_some("true")] { (word) span { (count) } }
            }
        }
    }
}
