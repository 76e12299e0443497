//! Short messages at the bottom of the page.

use maud::{Markup, html};

use super::icon::icon;

/// A message about a success. It disappears.
pub(in crate::ui) fn success(text: &str) -> Markup {
    out_of_band(&html! { div class="toast-one tone-good" { (icon("circle-check")) span { (text) } (dismiss()) } })
}

fn dismiss() -> Markup {
    html! { button type="button" class="btn btn-quiet btn-xs" data-dismiss="" aria-label="Dismiss" { (icon("x")) } }
}

fn out_of_band(toast: &Markup) -> Markup {
    html! { div id="toasts" hx-swap-oob="beforeend" { (toast) } }
}
