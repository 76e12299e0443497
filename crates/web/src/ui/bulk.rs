//! Approve or reject several updates. GET asks for confirmation, POST acts and reports a result for each.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headwind_core::request::Phase;
use headwind_core::request::action::Action;
use headwind_operator::{ActError, RequestName, UpdateSummary};
use maud::{Markup, html};

use super::Ui;
use super::actions::{REASON, action, alone, done};
use super::fault::Fault;
use super::parts::change::{ChangeView, bump, diff};
use super::parts::icon::icon;
use super::parts::toast;
use super::permissions::{self, Rights};
use super::query::pairs;
use super::rows::{View, name, path, swapped};
use super::visitor::Visitor;

/// Maximum number of updates in one action.
const MOST: usize = 100;

/// The bar that appears with the first checked checkbox.
pub(super) fn bar(view: View) -> Markup {
    let address = |action: &str| format!("/updates/bulk/{action}?view={}", view.as_str());
    html! {
        div class="bulk" role="group" aria-label="For the selected updates" {
            p { output id="picked" { "0 selected" } }
            div class="flex gap-2" hx-target="#dialog" hx-select="#confirm" hx-swap="innerHTML ignoreTitle:true" hx-include="closest form" {
                button class="btn btn-primary btn-sm" formaction="/updates/bulk/approve" hx-get=(address("approve")) { "Approve…" }
                button class="btn btn-sm" formaction="/updates/bulk/reject" hx-get=(address("reject")) { "Reject…" }
                button type="reset" class="btn btn-quiet btn-sm" { "Clear" }
            }
        }
    }
}

/// A selected update, with the version that the person saw.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selected {
    name: RequestName,
    seen: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Form {
    selected: Vec<Selected>,
    reason: Option<String>,
    view: Option<View>,
}

impl Form {
    fn read(text: &str) -> Result<Self, Fault> {
        let mut form = Self::default();
        for (name, value) in pairs(text) {
            match name.as_str() {
                "u" => form.selected.push(selected(&value)?),
                "reason" => form.reason = Some(value.trim().to_owned()).filter(|reason| !reason.is_empty()),
                "view" => form.view = value.parse().ok(),
                _ => {}
            }
        }
        if form.selected.len() > MOST {
            return Err(Fault::form(format!("At most {MOST} updates can be selected.")));
        }
        Ok(form)
    }
}

/// Reads `namespace/name` or `namespace/name/version`.
fn selected(value: &str) -> Result<Selected, Fault> {
    let mut parts = value.splitn(3, '/').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(namespace), Some(name), seen) => Ok(Selected { name: RequestName { namespace, name }, seen }),
        _ => Err(Fault::form("u must be the namespace and the name of an update, separated by a slash")),
    }
}

fn allowed(word: &str) -> Option<Action> {
    action(word).filter(|action| *action != Action::Reopen)
}

/// `GET /updates/bulk/{action}?u=&u=`
pub(super) async fn confirm(State(ui): State<Arc<Ui>>, visitor: Visitor, Path(word): Path<String>) -> Response {
    let Some(action) = allowed(&word) else { return Fault::no_page().answer(&visitor, Some("dialog")) };
    let form = match Form::read(&visitor.query) {
        Ok(form) => form,
        Err(fault) => return fault.answer(&visitor, Some("dialog")),
    };
    let items = possible(&ui, &visitor, &form.selected).await;
    if items.is_empty() {
        return Fault::form("None of the selected updates waits for approval.").answer(&visitor, Some("dialog"));
    }
    let title = if action == Action::Approve { "Approve updates" } else { "Reject updates" };
    alone(&visitor, title, &dialog(&items, action, &form, None)).into_response()
}

/// Those of the selected updates that wait for a decision that the caller may make.
async fn possible(ui: &Ui, visitor: &Visitor, selected: &[Selected]) -> Vec<UpdateSummary> {
    let known = selected.iter().filter(|one| visitor.visible.includes(&one.name.namespace));
    let found: Vec<UpdateSummary> = known.filter_map(|one| ui.handle.update(&one.name.namespace, &one.name.name)).collect();
    let rights = Rights::of(ui, &visitor.caller, found.iter().map(name).collect()).await;
    let may = |one: &UpdateSummary| one.request.status.phase == Phase::Pending && rights.allows(&one.workload.namespace, &one.request.name);
    found.into_iter().filter(may).collect()
}

fn dialog(items: &[UpdateSummary], action: Action, form: &Form, error: Option<&str>) -> Markup {
    let address = format!("/updates/bulk/{}", action.as_str());
    let count = match items.len() {
        1 => "1 update".to_owned(),
        count => format!("{count} updates"),
    };
    let (verb, class) = if action == Action::Approve { ("Approve", "btn btn-primary") } else { ("Reject", "btn btn-error") };
    html! {
        form class="modal-box" id="confirm" method="post" action=(address) hx-post=(address) hx-target="#dialog" hx-swap="innerHTML" hx-disabled-elt="find button" {
            h1 id="dialog-title" { (verb) " " (count) "?" }
            ul class="bulk-list" tabindex="0" aria-label="The selected updates" {
                @for one in items {
                    @let change = ChangeView::of(&one.request);
                    li {
                        input type="checkbox" class="checkbox checkbox-sm" name="u" checked
                            value={ (one.workload.namespace) "/" (one.request.name) "/" (one.version) } aria-label={ (one.workload.name) " " (change.to) };
                        span class="grow min-w-0" { b { (one.workload.name) } " " span class="text-muted" { (one.workload.namespace) } br; (diff(&change)) }
                        (bump(&change))
                    }
                }
            }
            @if let Some(view) = form.view { input type="hidden" name="view" value=(view.as_str()); }
            label class="block mt-4" {
                span class="label-text" { @if action == Action::Reject { "Reason" } @else { "Note (optional)" } }
                input class="input w-full" name="reason" maxlength=(REASON) value=(form.reason.as_deref().unwrap_or_default())
                    required[action == Action::Reject] autofocus[action == Action::Reject] aria-invalid=[error.map(|_| "true")] aria-describedby=[error.map(|_| "reason-hint")];
            }
            @if let Some(error) = error { p class="hint tone-bad text-tone" id="reason-hint" role="alert" { (icon("triangle-alert")) (error) } }
            div class="modal-action" {
                a class="btn" href="/" data-close="" { "Cancel" }
                button class=(class) autofocus[action == Action::Approve] { (verb) " the selected" }
            }
        }
    }
}

/// The result for one update.
struct Outcome {
    name: RequestName,
    result: Result<(), Fault>,
}

/// `POST /updates/bulk/{action}`
pub(super) async fn act(State(ui): State<Arc<Ui>>, visitor: Visitor, Path(word): Path<String>, body: String) -> Response {
    let Some(action) = allowed(&word) else { return Fault::no_page().answer(&visitor, Some("dialog")) };
    let form = match Form::read(&body) {
        Ok(form) => form,
        Err(fault) => return fault.answer(&visitor, Some("dialog")),
    };
    let invalid = match &form.reason {
        _ if form.selected.is_empty() => Some("Select at least one update.".to_owned()),
        Some(reason) if reason.chars().count() > REASON => Some(format!("The reason must have at most {REASON} characters.")),
        None if action == Action::Reject => Some("A reason is required.".to_owned()),
        Some(_) | None => None,
    };
    if let Some(error) = invalid {
        let items = possible(&ui, &visitor, &form.selected).await;
        let content = dialog(&items, action, &form, Some(&error));
        let content = if visitor.is_htmx { content } else { alone(&visitor, "Invalid form", &content) };
        return (StatusCode::UNPROCESSABLE_ENTITY, content).into_response();
    }
    let mut outcomes = Vec::with_capacity(form.selected.len());
    let actions: Vec<_> = form.selected.iter().map(|one| permissions::decides(action, &one.name.namespace, &one.name.name)).collect();
    // Permissions are checked for each before the first is done.
    let permitted = permissions::check_all(&ui, &visitor.caller, &actions).await;
    for (one, permitted) in form.selected.iter().zip(permitted) {
        let result = match permitted {
            Ok(()) => decide(&ui, &visitor, one, action, form.reason.clone()).await,
            Err(refused) => Err(refused.into()),
        };
        outcomes.push(Outcome { name: one.name.clone(), result });
    }
    report(&ui, &visitor, &outcomes, action, form.view).await
}

async fn decide(ui: &Ui, visitor: &Visitor, one: &Selected, action: Action, reason: Option<String>) -> Result<(), Fault> {
    let RequestName { namespace, name } = &one.name;
    let known = ui.handle.update(namespace, name);
    let changed = one.seen.as_ref().is_some_and(|seen| known.as_ref().is_some_and(|known| known.version != *seen));
    if let Some(known) = known.filter(|_| changed) {
        let phase = known.request.status.phase;
        let text = if phase == Phase::Pending { "changed".to_owned() } else { format!("already {}", phase.as_str()) };
        return Err(Fault::new(StatusCode::CONFLICT, "Already decided", text));
    }
    match ui.handle.act(visitor.caller.clone(), one.name.clone(), action, reason, false).await {
        Ok(_) => Ok(()),
        Err(ActError::NotNow(refused)) => {
            Err(Fault::new(StatusCode::CONFLICT, "Already decided", format!("already {}", refused.phase.as_str())))
        }
        Err(error) => Err(Fault::from(&error)),
    }
}

async fn report(ui: &Ui, visitor: &Visitor, outcomes: &[Outcome], action: Action, view: Option<View>) -> Response {
    let succeeded = outcomes.iter().filter(|one| one.result.is_ok()).count();
    let failed: Vec<(&RequestName, &Fault)> = outcomes.iter().filter_map(|one| Some((&one.name, one.result.as_ref().err()?))).collect();
    let summary = if failed.is_empty() {
        format!("{succeeded} {}", done(action))
    } else {
        format!("{succeeded} {}, {} not", done(action), failed.len())
    };
    if !visitor.is_htmx {
        let content = html! {
            div class="modal-box" id="confirm" {
                h1 { (summary) }
                (results(ui, visitor, outcomes, action))
                div class="modal-action" { a class="btn btn-primary" href="/" { "Back to the dashboard" } }
            }
        };
        return alone(visitor, &summary, &content).into_response();
    }
    let mut parts = Vec::new();
    for one in outcomes {
        let now = ui.handle.update(&one.name.namespace, &one.name.name).filter(|_| visitor.visible.includes(&one.name.namespace));
        if let (Some(now), Some(view)) = (now, view) {
            parts.push(swapped(ui, visitor, &now, view).await);
        }
    }
    let close = [(HeaderName::from_static("hx-trigger"), HeaderValue::from_static("dialog:close"))];
    if failed.is_empty() {
        return (close, html! { @for part in &parts { (part) } (toast::success(&summary)) }).into_response();
    }
    // Errors stay visible until the person closes them.
    let content = html! {
        form class="modal-box" id="confirm" method="dialog" {
            h1 id="dialog-title" { (summary) }
            (results(ui, visitor, outcomes, action))
            div class="modal-action" { button class="btn btn-primary" autofocus { "Close" } }
        }
        @for part in &parts { (part) }
    };
    content.into_response()
}

/// The result for each update.
fn results(ui: &Ui, visitor: &Visitor, outcomes: &[Outcome], action: Action) -> Markup {
    html! {
        ul class="bulk-list" tabindex="0" aria-label="Results" {
            @for one in outcomes {
                @let found = ui.handle.update(&one.name.namespace, &one.name.name).filter(|found| visitor.visible.includes(&found.workload.namespace));
                li {
                    @match &one.result {
                        Ok(()) => span class="phase tone-good" { (icon("circle-check")) (done(action)) },
                        Err(_) => span class="phase tone-bad" { (icon("octagon-x")) "not " (done(action)) },
                    }
                    span class="grow min-w-0" {
                        @if let Some(found) = &found { a class="name" href=(path(found)) { (found.workload.name) } } @else { b { (one.name.name) } }
                        @if let Err(fault) = &one.result { span class="text-muted break-words" { (fault.text) } }
                    }
                }
            }
        }
    }
}
