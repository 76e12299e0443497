//! `/settings`: every setting with its value and where it comes from, forms for those that can change while Headwind
//! runs, and what the person prefers.

mod form;
mod personal;
mod save;
mod section;
mod test;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use headwind_core::config::{Problem, Store, Stored};
use headwind_operator::StoredSettings;
use maud::{Markup, html};
use tokio::sync::watch;

use self::form::{Access, Outcome, Typed};
pub(super) use self::save::save;
use self::section::{Section, sections};
pub(super) use self::test::test;
use super::observability::source::MetricsSource;
use super::page::{Page, Place};
use super::visitor::Visitor;
use super::{Ui, limits};

/// The text that is shown in place of a secret.
pub const STORED: &str = "stored, not shown";

/// The origin of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag,
    /// A variable of the environment.
    Variable,
    /// The ConfigMap or the Secret `headwind`.
    Stored(Store),
    /// The default.
    Default,
}

/// The kind of input for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// On or off.
    Switch,
    /// A whole number.
    Number,
    /// Text.
    Text,
}

/// A setting of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The flag, such as `--polling-interval`.
    pub flag: String,
    /// The variable, such as `HEADWIND_POLLING_INTERVAL`. The same name is its key in the ConfigMap or the Secret.
    pub variable: String,
    /// The value. `None` if it is not set. A secret has a text in its place.
    pub value: Option<String>,
    /// The default, if there is one.
    pub default: Option<String>,
    /// The origin of the value.
    pub origin: Origin,
    /// The help text.
    pub help: String,
    /// The object that may hold it. `None` if it cannot change while Headwind runs.
    pub store: Option<Store>,
    /// The kind of input for it.
    pub input: Input,
    /// Why the stored entry has no effect.
    pub problem: Option<String>,
}

impl Setting {
    /// Returns true if a flag or a variable fixes the value.
    pub fn is_fixed(&self) -> bool {
        matches!(self.origin, Origin::Flag | Origin::Variable)
    }
}

/// Returns the entries of ConfigMap and Secret that would have no effect.
pub type Check = Arc<dyn Fn(&Stored) -> Vec<Problem> + Send + Sync>;

/// The settings that pages show.
#[derive(Clone)]
pub struct Settings {
    /// All settings, in the order of the help text.
    pub all: watch::Receiver<Arc<[Setting]>>,
    /// Checks a change before it is saved.
    pub check: Check,
    /// The source of the figures on the page Observability.
    pub metrics: watch::Receiver<MetricsSource>,
    /// The namespace of Headwind's own objects.
    pub namespace: String,
    /// True if webhooks must be authenticated.
    pub authenticates_webhooks: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("all", &self.all).field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Settings {
    /// Returns true if registries are polled.
    pub(super) fn polls(&self) -> bool {
        self.all.borrow().iter().any(|one| one.variable == "HEADWIND_POLLING_ENABLED" && one.value.as_deref() == Some("true"))
    }
}

/// `GET /settings`
pub(super) async fn page(State(ui): State<Arc<Ui>>, visitor: Visitor) -> Response {
    (StatusCode::OK, content(&ui, &visitor, None).await).into_response()
}

/// The page. `sent` is the form that the person sent, with what became of it.
async fn content(ui: &Ui, visitor: &Visitor, sent: Option<(&Typed, &Outcome)>) -> Markup {
    let stored = ui.handle.settings();
    let access = Access::of(ui, visitor, &stored).await;
    let all = Arc::clone(&ui.settings.all.borrow());
    let (sections, channels) = (sections(&all), ui.handle.enabled_channels());
    let tested = |section: &Section| section.channel.filter(|channel| channels.contains(channel));
    let body = html! {
        div class="page-head" {
            div {
                h1 { "Settings" }
                p class="text-muted" {
                    "Flags and variables come first, then the ConfigMap and the Secret " code { "headwind" } " in namespace "
                    code { (ui.settings.namespace) } ", then the default."
                }
            }
        }
        (access.note())
        (ignored(&all, &stored))
        div class="side" {
            nav aria-label="Sections" class="side-nav" {
                a href="#limits" { "All updates" }
                @for (section, _) in &sections { a href={ "#" (section.anchor) } { (section.title) } }
                a href="#you" { "Personal preferences" }
            }
            div class="space-y-4 min-w-0" {
                (limits::card(ui, access.allows(Store::ConfigMap), visitor.now, false))
                @for (section, settings) in &sections {
                    (form::card(*section, settings, &stored, &access, tested(section), sent.filter(|(typed, _)| typed.section == section.anchor)))
                }
                (personal::form(visitor))
            }
        }
    };
    super::page::page(visitor, Page { title: "Settings", place: Some(Place::Settings), live: true, banner: ui.banner(visitor).await, body })
}

/// The entries that belong to no setting on the page.
fn ignored(all: &[Setting], stored: &StoredSettings) -> Markup {
    let shown = |problem: &&Problem| all.iter().any(|one| one.problem.as_deref() == Some(problem.to_string().as_str()));
    let others: Vec<String> = stored.problems.iter().filter(|problem| !shown(problem)).map(ToString::to_string).collect();
    html! {
        @if !others.is_empty() {
            div class="mb-4" {
                (super::parts::note::note(super::parts::note::Tone::Warn, "triangle-alert", &html! { "Entries without effect" }, Some(html! { (others.join(". ")) })))
            }
        }
    }
}
