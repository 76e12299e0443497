//! Roll a workload back. GET asks for confirmation, POST acts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headwind_core::workload::WorkloadKey;
use headwind_operator::Past;
use maud::{Markup, html};

use super::actions::{REASON, alone};
use super::fault::Fault;
use super::parts::icon::icon;
use super::parts::reference::version;
use super::parts::workload::{path, place};
use super::query::pairs;
use super::visitor::Visitor;
use super::{Ui, permissions};
use crate::auth::Action;

/// The container to roll back, and the number of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Form {
    container: Option<String>,
    index: usize,
    reason: Option<String>,
    /// The image that the person saw.
    seen: Option<String>,
}

impl Form {
    fn read(text: &str) -> Result<Self, Fault> {
        let mut form = Self { container: None, index: 1, reason: None, seen: None };
        for (name, value) in pairs(text).filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "container" => form.container = Some(value),
                "index" => form.index = value.parse().map_err(|_| Fault::form("index must be a number"))?,
                "reason" => form.reason = Some(value.trim().to_owned()).filter(|reason| !reason.is_empty()),
                "seen" => form.seen = Some(value),
                _ => {}
            }
        }
        if form.reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON) {
            return Err(Fault::form(format!("The note must have at most {REASON} characters.")));
        }
        Ok(form)
    }
}

pub(super) fn key(namespace: String, kind: &str, name: String) -> Result<WorkloadKey, Fault> {
    let kind = kind
        .parse()
        .map_err(|error: headwind_core::named::UnknownName| Fault::new(StatusCode::NOT_FOUND, "No such workload", error.to_string()))?;
    Ok(WorkloadKey { kind, namespace, name })
}

/// The entry of the history, and the image that is in place.
fn entry(ui: &Ui, key: &WorkloadKey, form: &Form) -> Result<(Past, String), Fault> {
    let all = ui.handle.history(key).map_err(|error| Fault::from(&error))?;
    let of = |past: &&Past| form.container.as_ref().is_none_or(|container| past.entry.container == *container);
    let to = all.iter().filter(of).find(|past| past.index == form.index && past.index > 0);
    let Some(to) = to else { return Err(Fault::new(StatusCode::CONFLICT, "Rollback not possible", "The history has no such entry.")) };
    let now = all.iter().find(|past| past.entry.container == to.entry.container && past.index == 0);
    Ok((to.clone(), now.map_or_else(|| "the current version".to_owned(), |now| now.entry.image.clone())))
}

/// `GET /workloads/{namespace}/{kind}/{name}/rollback?container=&index=`
pub(super) async fn confirm(
    State(ui): State<Arc<Ui>>,
    visitor: Visitor,
    Path((namespace, kind, name)): Path<(String, String, String)>,
) -> Response {
    let asked = async {
        let key = key(namespace, &kind, name)?;
        permissions::check(&ui, &visitor.caller, &Action::RollBack { workload: key.clone() }).await?;
        let form = Form::read(&visitor.query)?;
        let (to, now) = entry(&ui, &key, &form)?;
        Ok::<_, Fault>(dialog(&key, &to, &now))
    };
    match asked.await {
        Ok(content) => alone(&visitor, "Roll back", &content).into_response(),
        Err(fault) => fault.answer(&visitor, Some("dialog")),
    }
}

fn dialog(key: &WorkloadKey, to: &Past, now: &str) -> Markup {
    let address = format!("{}/rollback", path(key));
    html! {
        form class="modal-box" id="confirm" method="post" action=(address) hx-post=(address) hx-target="#dialog" hx-swap="innerHTML" hx-disabled-elt="find button" {
            h1 id="dialog-title" { "Roll back " (key.name) " to " (version(&to.entry.image)) "?" }
            p { (place(key, Some(&to.entry.container))) }
            div class="ask break-all font-mono text-xs" { span class="text-muted" { (now) } span class="inline-flex items-center gap-2" { (icon("undo-2")) b { (to.entry.image) } } }
            p class="mt-3" { "Headwind approves the rollback in your name and applies it. After the rollback, it does not propose the current version again." }
            input type="hidden" name="container" value=(to.entry.container);
            input type="hidden" name="index" value=(to.index);
            input type="hidden" name="seen" value=(to.entry.image);
            label class="block mt-4" { span class="label-text" { "Note (optional)" } input class="input w-full" name="reason" maxlength=(REASON); }
            div class="modal-action" { a class="btn" href=(path(key)) data-close="" { "Cancel" } button class="btn btn-primary" autofocus { "Roll back" } }
        }
    }
}

/// `POST /workloads/{namespace}/{kind}/{name}/rollback`
pub(super) async fn act(
    State(ui): State<Arc<Ui>>,
    visitor: Visitor,
    Path((namespace, kind, name)): Path<(String, String, String)>,
    body: String,
) -> Response {
    let acted = async {
        let key = key(namespace, &kind, name)?;
        permissions::check(&ui, &visitor.caller, &Action::RollBack { workload: key.clone() }).await?;
        let form = Form::read(&body)?;
        let (to, _) = entry(&ui, &key, &form)?;
        if form.seen.is_some_and(|seen| seen != to.entry.image) {
            return Err(Fault::new(StatusCode::CONFLICT, "The history has changed", "Your action had no effect. Open the workload again."));
        }
        let done = ui.handle.roll_back(visitor.caller.clone(), key.clone(), Some(to.entry.container), form.index, form.reason).await;
        let request = done.map_err(|error| Fault::from(&error))?;
        Ok(format!("/updates/{}/{}", key.namespace, request.metadata.name.unwrap_or_default()))
    };
    let place = match acted.await {
        Ok(address) => HeaderValue::from_str(&address).unwrap_or(HeaderValue::from_static("/updates")),
        Err(fault) => return fault.answer(&visitor, Some("dialog")),
    };
    if visitor.is_htmx {
        ([(HeaderName::from_static("hx-redirect"), place)], "").into_response()
    } else {
        (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
    }
}
