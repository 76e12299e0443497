//! `/settings`: every setting with its value and where it comes from, and what the person prefers.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::Ui;
use super::page::{Page, Place};
use super::parts::icon::icon;
use super::preferences::Theme;
use super::visitor::Visitor;

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag,
    /// A variable of the environment.
    Variable,
    /// The default.
    Default,
}

/// A setting of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The flag, such as `--polling-interval`.
    pub flag: String,
    /// The variable, such as `HEADWIND_POLLING_INTERVAL`.
    pub variable: String,
    /// The value. `None` if it is not set. A secret has a text in its place.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
    /// What it sets.
    pub help: String,
}

/// The settings that pages show.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// All settings, in the order of the help text.
    pub all: Vec<Setting>,
    /// The namespace of Headwind's own objects.
    pub namespace: String,
    /// Whether webhooks must be authenticated.
    pub authenticates_webhooks: bool,
    /// Whether registries are polled.
    pub polls: bool,
}

/// Title, anchor, and the beginnings of the variables of a section. The first section that fits has the setting.
const SECTIONS: &[(&str, &str, &[&str])] = &[
    ("Polling", "polling", &["HEADWIND_POLLING_"]),
    ("Helm charts", "helm", &["HEADWIND_HELM_", "HEADWIND_NO_CROSS_NAMESPACE_REFS"]),
    ("Webhooks", "webhooks", &["HEADWIND_WEBHOOK_"]),
    ("Registries", "registries", &["HEADWIND_REGISTRY_", "HEADWIND_REGISTRIES"]),
    ("Access", "access", &["HEADWIND_UI_", "HEADWIND_API_", "HEADWIND_ALLOWED_HOSTS", "HEADWIND_TLS_"]),
    ("Process", "process", &[""]),
];

/// `GET /settings`
pub(super) async fn page(State(ui): State<Arc<Ui>>, visitor: Visitor) -> Response {
    let section =
        |setting: &Setting| SECTIONS.iter().position(|(_, _, starts)| starts.iter().any(|start| setting.variable.starts_with(start)));
    let of = |place: usize| -> Vec<&Setting> { ui.settings.all.iter().filter(|one| section(one) == Some(place)).collect() };
    let filled: Vec<(&str, &str, Vec<&Setting>)> = SECTIONS
        .iter()
        .enumerate()
        .map(|(place, (title, anchor, _))| (*title, *anchor, of(place)))
        .filter(|(_, _, all)| !all.is_empty())
        .collect();
    let body = html! {
        div class="page-head" {
            div {
                h1 { "Settings" }
                p class="text-muted" { "Flags and variables of the process set these values. They are read-only here." }
            }
        }
        div class="side" {
            nav aria-label="Sections" class="side-nav" {
                @for (title, anchor, _) in &filled { a href={ "#" (anchor) } { (title) } }
                a href="#you" { "Personal preferences" }
            }
            div class="space-y-4 min-w-0" {
                @for (title, anchor, all) in &filled {
                    section class="card" id=(anchor) aria-labelledby={ "h-" (anchor) } {
                        h2 id={ "h-" (anchor) } { (title) }
                        dl class="values" { @for setting in all { (line(setting)) } }
                    }
                }
                (personal(&visitor))
            }
        }
    };
    super::page::page(&visitor, Page { title: "Settings", place: Some(Place::Settings), live: true, banner: ui.banner(&visitor), body })
        .into_response()
}

fn line(setting: &Setting) -> Markup {
    let Setting { flag, variable, value, origin, help } = setting;
    html! {
        div {
            dt { span class="label-text" { (variable) } span class="hint" { (help) } }
            dd {
                @match value { Some(value) => code { (value) }, None => span class="text-muted" { "not set" } }
                span class="hint" {
                    @match origin {
                        Origin::Flag => { (icon("lock")) "set by " (flag) },
                        Origin::Variable => { (icon("lock")) "set by " (variable) },
                        Origin::Default => "default",
                    }
                }
            }
        }
    }
}

fn personal(visitor: &Visitor) -> Markup {
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
