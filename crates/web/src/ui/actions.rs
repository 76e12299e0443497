//! Approve, reject and reopen one update. GET asks for confirmation, POST acts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headwind_core::gate::{Gate, Waiting};
use headwind_core::reason::Reason;
use headwind_core::request::Phase;
use headwind_core::request::action::{Action, NotNow};
use headwind_operator::{ActError, RequestName, UpdateSummary};
use maud::{Markup, html};

use super::fault::Fault;
use super::page::{Page, Place, page};
use super::parts::approvals::Approvals;
use super::parts::change::{ChangeView, bump, diff_with};
use super::parts::facts::facts;
use super::parts::icon::icon;
use super::parts::note::{Tone, note};
use super::parts::time::time;
use super::parts::toast;
use super::parts::workload::place;
use super::query::pairs;
use super::request::read;
use super::rows::{View, auto_rollback, swapped};
use super::visitor::Visitor;
use super::{Ui, permissions, rows, update};

/// Maximum length of a reason, in characters.
pub(super) const REASON: usize = 500;

/// The fields of the form of an action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Form {
    /// The `resourceVersion` of the request that the person saw.
    seen: Option<String>,
    reason: Option<String>,
    /// True if the update does not wait for the cool-down.
    skip_cool_down: bool,
    /// The view of the page behind the dialog.
    view: Option<View>,
}

impl Form {
    fn read(text: &str) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs(text) {
            match name.as_str() {
                "seen" => form.seen = Some(value).filter(|value| !value.is_empty()),
                "reason" => form.reason = Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
                "skip" => form.skip_cool_down = value == "on",
                "view" => form.view = value.parse().ok(),
                _ => {}
            }
        }
        form
    }
}

pub(super) fn action(word: &str) -> Option<Action> {
    [Action::Approve, Action::Reject, Action::Reopen].into_iter().find(|action| action.as_str() == word)
}

/// The past participle of an action.
pub(super) fn done(action: Action) -> &'static str {
    match action {
        Action::Approve => "approved",
        Action::Reject => "rejected",
        Action::Reopen => "reopened",
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Approve => "Approve",
        Action::Reject => "Reject",
        Action::Reopen => "Reopen",
    }
}

/// `GET /updates/{namespace}/{name}/{action}`
pub(super) async fn confirm(
    State(ui): State<Arc<Ui>>,
    visitor: Visitor,
    Path((namespace, name, word)): Path<(String, String, String)>,
) -> Response {
    let Some(action) = action(&word) else { return Fault::no_page().answer(&visitor, Some("dialog")) };
    let asked = async {
        let (_, summary) = read(&ui, &visitor, &namespace, &name).await?;
        permissions::check(&ui, &visitor.caller, &permissions::decides(action, &namespace, &name)).await?;
        Ok::<_, Fault>(summary)
    };
    let summary = match asked.await {
        Ok(summary) => summary,
        Err(fault) => return fault.answer(&visitor, Some("dialog")),
    };
    if !is_possible(&summary, action) {
        return (StatusCode::CONFLICT, alone(&visitor, "Already decided", &conflict(&visitor, &summary))).into_response();
    }
    let form = Form::read(&visitor.query);
    let title = format!("{} {}", verb(action), summary.workload.name);
    alone(&visitor, &title, &dialog(&ui, &visitor, &summary, action, &form, None)).into_response()
}

fn is_possible(summary: &UpdateSummary, action: Action) -> bool {
    let status = &summary.request.status;
    match action {
        Action::Approve | Action::Reject => status.phase == Phase::Pending,
        Action::Reopen => status.can_reopen(),
    }
}

/// The content of a dialog as a page of its own. htmx takes the dialog out of it.
pub(super) fn alone(visitor: &Visitor, title: &str, content: &Markup) -> Markup {
    let body = html! { div class="alone" { (content) } };
    page(visitor, Page { title, place: Some(Place::Updates), live: false, banner: None, body })
}

/// `POST /updates/{namespace}/{name}/{action}`
pub(super) async fn act(
    State(ui): State<Arc<Ui>>,
    visitor: Visitor,
    Path((namespace, name, word)): Path<(String, String, String)>,
    body: String,
) -> Response {
    let Some(action) = action(&word) else { return Fault::no_page().answer(&visitor, Some("dialog")) };
    let form = Form::read(&body);
    match decide(&ui, &visitor, RequestName { namespace, name }, action, &form).await {
        Ok(summary) => succeeded(&ui, &visitor, &summary, action, form.view).await,
        Err(response) => *response,
    }
}

async fn decide(ui: &Ui, visitor: &Visitor, name: RequestName, action: Action, form: &Form) -> Result<UpdateSummary, Box<Response>> {
    let RequestName { namespace, name: request } = &name;
    let fail = |fault: Fault| Box::new(fault.answer(visitor, Some("dialog")));
    permissions::check(ui, &visitor.caller, &permissions::decides(action, namespace, request))
        .await
        .map_err(|refused| fail(refused.into()))?;
    let (_, summary) = read(ui, visitor, namespace, request).await.map_err(fail)?;
    let invalid = match &form.reason {
        Some(reason) if reason.chars().count() > REASON => Some(format!("The reason must have at most {REASON} characters.")),
        None if action == Action::Reject => Some("A reason is required.".to_owned()),
        Some(_) | None => None,
    };
    if let Some(error) = invalid {
        let content = dialog(ui, visitor, &summary, action, form, Some(&error));
        return Err(Box::new((StatusCode::UNPROCESSABLE_ENTITY, shown(visitor, "Invalid form", &content)).into_response()));
    }
    let changed = form.seen.as_ref().is_some_and(|seen| *seen != summary.version);
    if changed || !is_possible(&summary, action) {
        return Err(Box::new((StatusCode::CONFLICT, shown(visitor, "Already decided", &conflict(visitor, &summary))).into_response()));
    }
    let written = ui.handle.act(visitor.caller.clone(), name.clone(), action, form.reason.clone(), form.skip_cool_down).await;
    match written {
        Ok(object) => {
            let version = object.metadata.resource_version.clone().unwrap_or_default();
            Ok(UpdateSummary { request: object.read(), version, by_policy: false, ..summary })
        }
        Err(ActError::NotNow(NotNow { phase: Phase::Pending, why: Some(why), .. })) => {
            Err(fail(Fault::new(StatusCode::CONFLICT, "Your approval does not count", format!("{why}."))))
        }
        Err(ActError::NotNow(_)) => {
            let now = read(ui, visitor, namespace, request).await.map_or(summary, |(_, now)| now);
            Err(Box::new((StatusCode::CONFLICT, shown(visitor, "Already decided", &conflict(visitor, &now))).into_response()))
        }
        Err(error) => Err(fail(Fault::from(&error))),
    }
}

/// The content for the dialog, or a page for browsers without script.
fn shown(visitor: &Visitor, title: &str, content: &Markup) -> Markup {
    if visitor.is_htmx {
        html! { (content) }
    } else {
        alone(visitor, title, content)
    }
}

async fn succeeded(ui: &Ui, visitor: &Visitor, summary: &UpdateSummary, action: Action, view: Option<View>) -> Response {
    let address = rows::path(summary);
    if !visitor.is_htmx {
        let place = HeaderValue::from_str(&address).unwrap_or(HeaderValue::from_static("/updates"));
        return (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response();
    }
    let change = ChangeView::of(&summary.request);
    let settings = ui.handle.settings_of(&summary.workload, summary.request.spec.container.as_deref().unwrap_or_default());
    let partly = Approvals::of(&summary.request, &settings).filter(|_| summary.request.status.phase == Phase::Pending);
    let done = partly.filter(|_| action == Action::Approve).map_or_else(|| done(action).to_owned(), |one| format!("has {}", one.count()));
    let text = format!("{} {} {done}", summary.workload.name, change.to);
    let part = match view {
        Some(view) => swapped(ui, visitor, summary, view).await,
        None => update::swapped(ui, visitor, &summary.workload.namespace, &summary.request.name).await,
    };
    let close = [(HeaderName::from_static("hx-trigger"), HeaderValue::from_static("dialog:close"))];
    (close, html! { (part) (toast::success(&text)) }).into_response()
}

/// The message about a request that can no longer be approved, rejected or reopened.
fn conflict(visitor: &Visitor, summary: &UpdateSummary) -> Markup {
    let status = &summary.request.status;
    let decided = [
        (status.rejected_by.as_ref(), status.rejected_at, "rejected it"),
        (status.approved_by.as_ref(), status.approved_at, "approved it"),
    ];
    // Of a decision by kubectl, the leader adds the time.
    let who = decided.into_iter().find_map(|(who, at, what)| Some((who?, at, what)));
    let title = match who {
        Some((who, at, what)) => html! { (who) " " (what) @if let Some(at) = at { " " (time(at, visitor.now)) } "." },
        None if status.phase == Phase::Pending => html! { "The update has changed since you opened it." },
        None => html! { "The update is " (summary.request.status.phase.as_str()) "." },
    };
    html! {
        form class="modal-box" id="confirm" method="dialog" {
            h1 id="dialog-title" class="mb-3" { @if status.phase == Phase::Pending { "The update has changed" } @else { "Already decided" } }
            (note(Tone::Go, "info", &title, Some(html! { "Your action had no effect." })))
            div class="modal-action" {
                a class="btn" href=(rows::path(summary)) { "Show the update" }
                button class="btn btn-primary" data-close="" autofocus { "Close" }
            }
        }
    }
}

fn dialog(ui: &Ui, visitor: &Visitor, summary: &UpdateSummary, action: Action, form: &Form, error: Option<&str>) -> Markup {
    let address = format!("{}/{}", rows::path(summary), action.as_str());
    let (title, class) = match action {
        Action::Approve => (format!("Approve {}?", summary.workload.name), "btn btn-primary"),
        Action::Reject => (format!("Reject {} {}?", summary.workload.name, ChangeView::of(&summary.request).to), "btn btn-error"),
        Action::Reopen => (format!("Reopen {} {}?", summary.workload.name, ChangeView::of(&summary.request).to), "btn btn-primary"),
    };
    let seen = form.seen.as_ref().unwrap_or(&summary.version);
    html! {
        form class="modal-box" id="confirm" method="post" action=(address) hx-post=(address) hx-target="#dialog" hx-swap="innerHTML"
            hx-disabled-elt="find button" {
            h1 id="dialog-title" { (title) }
            p { (place(&summary.workload, summary.request.spec.container.as_deref())) }
            @match action {
                Action::Approve => (approve(ui, visitor, summary)),
                Action::Reject => p class="mt-3" {
                    "Headwind does not propose this version for " (summary.workload.namespace) "/" (summary.workload.name)
                    " again. It still proposes newer versions. Anyone who may approve can reopen the update."
                },
                Action::Reopen => p class="mt-3" { "The update waits for approval again." },
            }
            input type="hidden" name="seen" value=(seen);
            @if let Some(view) = form.view { input type="hidden" name="view" value=(view.as_str()); }
            @if action == Action::Approve { (skip(ui, summary, form.skip_cool_down)) }
            (reason(action, form.reason.as_deref(), error))
            div class="modal-action" {
                a class="btn" href=(rows::path(summary)) data-close="" { "Cancel" }
                button class=(class) autofocus[action != Action::Reject] { (verb(action)) }
            }
        }
    }
}

fn approve(ui: &Ui, visitor: &Visitor, summary: &UpdateSummary) -> Markup {
    let (request, change) = (&summary.request, ChangeView::of(&summary.request));
    let container = request.spec.container.as_deref().unwrap_or_default();
    let failure = if auto_rollback(ui, summary, container) == Some(true) {
        html! { "Headwind rolls back to " (change.from) }
    } else {
        html! {
            span class="tone-warn text-tone inline-flex items-center gap-1" { (icon("shield-off")) "Headwind does not roll back: auto-rollback is off" }
        }
    };
    let mut rows = vec![("Image", html! { span class="break-all font-mono text-xs" { (request.spec.new_image) } })];
    rows.extend(change.to_digest.iter().map(|digest| ("Digest", html! { span class="break-all font-mono text-xs" { (digest) } })));
    let settings = ui.handle.settings_of(&summary.workload, container);
    rows.extend(Approvals::of(request, &settings).map(|approvals| ("Approvals", html! { (approvals.count()) ". " (approvals.missing()) })));
    rows.extend([("Takes effect", effect(ui, visitor, summary, container)), ("If it fails", failure)]);
    html! { div class="ask" { (diff_with(&change, "diff text-base")) (bump(&change)) } (facts(&rows)) }
}

/// When the update is applied if it is approved now: the gate decides.
fn effect(ui: &Ui, visitor: &Visitor, summary: &UpdateSummary, container: &str) -> Markup {
    let Some(view) = ui.handle.known(&summary.workload) else { return html! { "Never: Headwind no longer tracks the workload" } };
    let rolling = view.requests.iter().find(|other| other.status.phase == Phase::RollingOut && other.name != summary.request.name);
    let gate = view.containers.iter().find(|one| one.container == container).map(|one| &one.gate);
    let cool_down = ui.handle.cool_down_until(&summary.workload, &summary.request).filter(|_| gate == Some(&Gate::Open));
    if let Some(until) = cool_down {
        return html! { (time(until, visitor.now)) ": " (Reason::CoolDown.sentence()) };
    }
    match (gate, rolling) {
        (None, _) => html! { "Never: Headwind no longer tracks the container" },
        (Some(Gate::Wait(Waiting { until: Some(until), message, .. })), _) => {
            let until = time(*until, visitor.now);
            html! { (until) ": " (message) }
        }
        (Some(Gate::Wait(waiting)), _) => html! { "Later: " (waiting.message) },
        (Some(Gate::Open), Some(other)) => html! { "After the rollout of " (ChangeView::of(other).to) ", which is in progress" },
        (Some(Gate::Open), None) => html! { "At once" },
    }
}

/// The field that skips the cool-down, if the update waits for it.
fn skip(ui: &Ui, summary: &UpdateSummary, skips: bool) -> Markup {
    let Some(until) = ui.handle.cool_down_until(&summary.workload, &summary.request) else { return html! {} };
    html! {
        label class="mt-4 flex items-center gap-3" {
            input type="checkbox" class="toggle toggle-sm" name="skip" value="on" checked[skips];
            span { "Skip the cool-down, which ends " span class="whitespace-nowrap" { (until.strftime("%Y-%m-%d %H:%M UTC")) } }
        }
    }
}

/// The field for a reason. Required for a rejection.
fn reason(action: Action, value: Option<&str>, error: Option<&str>) -> Markup {
    let required = action == Action::Reject;
    let invalid = error.map(|_| "true");
    let text = value.unwrap_or_default();
    html! {
        @if required {
            label class="block mt-4" {
                span class="label-text" { "Reason" }
                textarea class="textarea w-full" name="reason" rows="3" maxlength=(REASON) required autofocus aria-describedby="reason-hint" aria-invalid=[invalid] { (text) }
            }
        } @else {
            label class="block mt-4" {
                span class="label-text" { "Note (optional)" }
                input class="input w-full" name="reason" maxlength=(REASON) value=(text) aria-describedby="reason-hint" aria-invalid=[invalid];
            }
        }
        @if let Some(error) = error {
            p class="hint tone-bad text-tone" id="reason-hint" role="alert" { (icon("triangle-alert")) (error) }
        } @else {
            p class="hint" id="reason-hint" {
                @if required {
                    "Headwind shows it to everyone who can see the update."
                } @else {
                    "The page of the update shows it until Headwind applies the update. The audit log keeps it."
                }
            }
        }
    }
}
