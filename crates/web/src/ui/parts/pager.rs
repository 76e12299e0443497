//! The links to other pages of a list.

use maud::{Markup, html};

use super::icon::icon;

/// The position in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) struct Position {
    /// The page, from 1.
    pub(in crate::ui) page: usize,
    /// The number of entries of a page.
    pub(in crate::ui) size: usize,
    /// The number of entries of all pages.
    pub(in crate::ui) total: usize,
}

impl Position {
    /// Returns the number of pages, at least 1.
    pub(in crate::ui) fn pages(self) -> usize {
        self.total.div_ceil(self.size.max(1)).max(1)
    }
}

/// The links. `href` returns the address of a page.
pub(in crate::ui) fn pager(position: Position, href: impl Fn(usize) -> String) -> Markup {
    let Position { page, size, total } = position;
    let (pages, from, to) = (position.pages(), (page - 1) * size + 1, (page * size).min(total));
    let step = |to: Option<usize>, rel: &'static str, body: Markup| {
        if let Some(href) = to.map(&href) {
            html! { a class="join-item btn btn-sm" href=(href) hx-get=(href) rel=(rel) { (body) } }
        } else {
            html! { span class="join-item btn btn-sm btn-disabled" aria-disabled="true" { (body) } }
        }
    };
    html! {
        nav class="pager" aria-label="Pages" {
            p class="text-muted" { @if from <= to { (from) "–" (to) " of " (total) } }
            @if pages > 1 {
                div class="join" hx-target="#list" hx-select="#list" hx-swap="outerHTML show:#list:top" hx-push-url="true" {
                    (step((page > 1).then(|| page - 1), "prev", html! { (icon("chevron-left")) span { "Previous" } }))
                    span class="join-item btn btn-sm pointer-events-none" aria-current="page" { (page) " of " (pages) }
                    (step((page < pages).then(|| page + 1), "next", html! { span { "Next" } (icon("chevron-right")) }))
                }
            }
        }
    }
}
