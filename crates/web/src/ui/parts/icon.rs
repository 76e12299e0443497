//! Icons of the sprite.

use maud::{Markup, html};

use crate::ui::assets::ICONS;

/// An icon that has the same meaning as the word next to it.
pub(in crate::ui) fn icon(name: &'static str) -> Markup {
    icon_with(name, "i")
}

/// The same with other classes.
pub(in crate::ui) fn icon_with(name: &'static str, classes: &'static str) -> Markup {
    html! { svg class=(classes) aria-hidden="true" { use href={ (ICONS.address) "#" (name) } {} } }
}

/// Headwind's logo.
pub(in crate::ui) fn logo() -> Markup {
    html! {
        svg class="logo" viewBox="0 0 24 24" aria-hidden="true" {
            path d="M3 8.5h11.2a2.8 2.8 0 1 0-2.6-3.9M2 12.5h16.4a2.9 2.9 0 1 1-2.7 4M5 16.5h5.4a2.3 2.3 0 1 1-2.1 3.2" {}
        }
    }
}
