//! The preferences of the person: theme, density and keys, in cookies.

use maud::{Markup, html};

use crate::ui::preferences::Theme;
use crate::ui::visitor::Visitor;

/// The form.
pub(super) fn form(visitor: &Visitor) -> Markup {
    let preferences = visitor.preferences;
    let themes = [(Theme::System, "System"), (Theme::Light, "Light"), (Theme::Dark, "Dark")];
    html! {
        form method="post" action="/preferences" class="card" id="you" aria-labelledby="h-you" {
            h2 id="h-you" { "Personal preferences" }
            p class="text-muted" { "Stored in cookies of this browser. They take effect at once." }
            div class="grid gap-4 sm:grid-cols-2 mt-3" {
                label class="field" {
                    span class="label-text" { "Theme" }
                    select class="select" name="theme" {
                        @for (theme, word) in themes { option value=(theme.as_str()) selected[theme == preferences.theme] { (word) } }
                    }
                }
                label class="field" {
                    span class="label-text" { "Rows" }
                    select class="select" name="density" {
                        option value="comfortable" selected[!preferences.compact] { "Comfortable" }
                        option value="compact" selected[preferences.compact] { "Compact" }
                    }
                }
                label class="flag" {
                    input type="checkbox" class="toggle" name="keys" value="on" checked[!preferences.no_keys];
                    span { b { "Single-key shortcuts" } span class="hint" { "j k x a r / ?" } }
                }
            }
            noscript { div class="mt-3" { button class="btn btn-sm" { "Save" } } }
        }
    }
}
