//! Errors as pages, as dialogs, and as parts of a list.

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headwind_operator::{ActError, Permission, RollbackError, SaveError};
use maud::{Markup, html};

use super::page::{Page, bare, page};
use super::parts::copy::copyable;
use super::parts::icon::icon;
use super::parts::note::{Tone, note};
use super::query::Invalid;
use super::visitor::Visitor;
use crate::auth::Refused;

/// The problem if Kubernetes does not respond.
pub(super) const NOT_RESPONDING: &str = "Kubernetes is not responding";

/// A problem, as a message for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// The problem in short.
    pub(super) title: String,
    /// The details.
    pub(super) text: String,
    /// A command that helps.
    pub(super) command: Option<String>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { status, title: title.into(), text: text.into(), command: None }
    }

    /// A page that does not exist.
    pub(super) fn no_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Page not found", "There is no page at this address.")
    }

    /// A form that lacks something or has too much of it.
    pub(super) fn form(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid form", text)
    }

    fn signs(&self) -> (&'static str, Tone) {
        match self.status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => ("lock", Tone::Warn),
            StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => ("search", Tone::Warn),
            StatusCode::CONFLICT => ("info", Tone::Go),
            StatusCode::SERVICE_UNAVAILABLE => ("unplug", Tone::Bad),
            _ => ("octagon-x", Tone::Bad),
        }
    }

    fn content(&self, sign: &'static str) -> Markup {
        html! {
            div class="first" {
                div class="first-art tone-warn" { (icon(sign)) }
                h1 { (self.title) }
                p class="text-muted text-base break-words" { (self.text) }
                @if let Some(command) = &self.command { (copyable(command, "Command")) }
                p class="mt-4" { a class="btn btn-sm" href="/" { "Back to the dashboard" } }
            }
        }
    }

    /// The error as a whole page.
    pub(super) fn page(&self, visitor: &Visitor) -> Response {
        let body = self.content(self.signs().0);
        (self.status, page(visitor, Page { title: &self.title, place: None, live: false, banner: None, body })).into_response()
    }

    /// The error as the content of the dialog.
    pub(super) fn dialog(&self) -> Markup {
        let (sign, tone) = self.signs();
        html! {
            form class="modal-box" id="confirm" method="dialog" {
                h1 id="dialog-title" class="mb-3" { (self.title) }
                (note(tone, sign, &html! { (self.text) }, None))
                @if let Some(command) = &self.command { div class="mt-3" { (copyable(command, "Command")) } }
                div class="modal-action" { button class="btn btn-primary" autofocus { "Close" } }
            }
        }
    }

    /// The error for the part of the page that htmx asked for, or as a page.
    pub(super) fn answer(&self, visitor: &Visitor, target: Option<&str>) -> Response {
        if visitor.is_htmx { self.part(target) } else { self.page(visitor) }
    }

    /// The error for a part of a page.
    fn part(&self, target: Option<&str>) -> Response {
        let (sign, tone) = self.signs();
        let text = html! { (self.text) };
        match target {
            Some("dialog") => (self.status, self.dialog()).into_response(),
            Some(id @ ("list" | "candidates")) => {
                let list = html! { div id=(id) class="list p-4" { (note(tone, sign, &html! { (self.title) }, Some(text))) } };
                (self.status, list).into_response()
            }
            // A row that cannot be read stays as it is.
            _ => (self.status, [("hx-reswap", HeaderValue::from_static("none"))]).into_response(),
        }
    }

    /// The error for a visitor who is not authenticated.
    pub(super) fn bare(&self, headers: &HeaderMap) -> Response {
        if headers.contains_key("hx-request") {
            return self.part(headers.get("hx-target").and_then(|value| value.to_str().ok()));
        }
        (self.status, bare(&self.title, &self.content(self.signs().0))).into_response()
    }
}

/// Returns the content of a page with lists for a visitor who cannot see any: `things` are what the lists contain.
pub(super) fn instead_of_lists(visitor: &Visitor, things: &str) -> Option<Markup> {
    if visitor.unavailable.is_some() {
        return Some(unchecked(things));
    }
    visitor.visible.is_empty().then(|| nothing_allowed(visitor))
}

/// The content for a visitor whose permissions are not known. The page is read again as soon as they are known.
fn unchecked(things: &str) -> Markup {
    html! {
        div class="first" id="list" hx-get="" hx-select="#main" hx-target="#main" hx-swap="outerHTML" hx-trigger="sse:resync" {
            div class="first-art tone-bad" { (icon("unplug")) }
            h1 { "Headwind cannot check which " (things) " you may see, because Kubernetes does not respond." }
        }
    }
}

/// The content for a visitor who may list nothing.
fn nothing_allowed(visitor: &Visitor) -> Markup {
    html! {
        div class="first" id="list" {
            div class="first-art tone-warn" { (icon("lock")) }
            h1 { "You cannot list updates" }
            p class="text-muted text-base" {
                (visitor.caller.name) " needs the verb " code { "list" } " on " code { "updaterequests.headwind.sh" }
                " in at least one namespace to see its updates and workloads."
            }
            (copyable("kubectl auth can-i list updaterequests.headwind.sh --namespace=NAMESPACE", "Command to check the permission"))
        }
    }
}

impl From<Invalid> for Fault {
    fn from(invalid: Invalid) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid filter", invalid.to_string())
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let command = refused.permission().map(Permission::can_i);
        let title = match refused {
            Refused::Unavailable(_) => NOT_RESPONDING,
            Refused::TooMany(_) => "Too many checks",
            Refused::Unknown(_) | Refused::Forbidden(_) | Refused::Missing { .. } => "Not allowed",
        };
        Self { command, ..Self::new(refused.status(), title, refused.to_string()) }
    }
}

impl From<&ActError> for Fault {
    fn from(error: &ActError) -> Self {
        let text = error.to_string();
        match error {
            ActError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "No such update", text),
            ActError::NotNow(_) | ActError::NameTaken(_) => Self::new(StatusCode::CONFLICT, "Already decided", text),
            ActError::Unauthenticated(_) => Self::new(StatusCode::UNAUTHORIZED, "Not signed in", text),
            ActError::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "Not allowed", text),
            ActError::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, NOT_RESPONDING, format!("Action failed: {text}")),
        }
    }
}

impl From<&SaveError> for Fault {
    fn from(error: &SaveError) -> Self {
        let text = error.to_string();
        match error {
            SaveError::Conflict(_) => Self::new(StatusCode::CONFLICT, "Not saved", text),
            SaveError::Unauthenticated(_) => Self::new(StatusCode::UNAUTHORIZED, "Not signed in", text),
            SaveError::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "Not allowed", text),
            SaveError::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, NOT_RESPONDING, text),
        }
    }
}

impl From<&RollbackError> for Fault {
    fn from(error: &RollbackError) -> Self {
        let text = error.to_string();
        match error {
            RollbackError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "No such workload", text),
            RollbackError::Unclear(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Rollback not possible", text),
            RollbackError::NothingOlder { .. } => Self::new(StatusCode::CONFLICT, "Rollback not possible", text),
            RollbackError::Act(error) => error.into(),
        }
    }
}
