//! Freeze all updates, end the freeze, resume paused updates. GET asks for confirmation, POST acts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use headwind_core::gate::Freeze;
use headwind_operator::LimitsView;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::actions::{REASON, alone};
use super::fault::Fault;
use super::parts::icon::icon;
use super::parts::toast;
use super::query::pairs;
use super::visitor::Visitor;
use super::{Ui, permissions};

/// The ends of a freeze that people can choose from: value, text, hours.
const ENDS: &[(&str, &str, Option<i64>)] = &[
    ("", "When somebody ends it", None),
    ("1", "In 1 hour", Some(1)),
    ("4", "In 4 hours", Some(4)),
    ("24", "In 24 hours", Some(24)),
    ("72", "In 3 days", Some(72)),
    ("168", "In 7 days", Some(168)),
];

headwind_core::named! {
    /// What a person does about all updates. The names are the paths.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Command("path", str::eq) {
        /// Nothing but rollbacks is applied from now on.
        Freeze = "/freeze",
        /// The freeze ends.
        Unfreeze = "/unfreeze",
        /// Updates that are paused because too many failed go on.
        Resume = "/resume",
    }
}

impl Command {
    fn verb(self) -> &'static str {
        match self {
            Self::Freeze => "Freeze updates",
            Self::Unfreeze => "End the freeze",
            Self::Resume => "Resume updates",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Freeze => "Updates are frozen",
            Self::Unfreeze => "The freeze has ended",
            Self::Resume => "Updates are resumed",
        }
    }

    /// Says what the command does.
    fn effect(self) -> &'static str {
        match self {
            Self::Freeze => {
                "Headwind applies nothing except rollbacks, in all namespaces. It still proposes updates, and people may approve them."
            }
            Self::Unfreeze => "Headwind applies the approved updates, the oldest first.",
            Self::Resume => "Headwind applies the updates that the policy approves again. It counts failures from now on.",
        }
    }

    /// Returns why the command has no effect now.
    fn obstacle(self, limits: &LimitsView, now: Timestamp) -> Option<&'static str> {
        let frozen = limits.freeze(now).is_some();
        match self {
            Self::Freeze => frozen.then_some("Updates are already frozen."),
            Self::Unfreeze => (!frozen).then_some("Updates are not frozen."),
            Self::Resume => limits.paused_since.is_none().then_some("Updates are not paused."),
        }
    }
}

/// The button of a command. `in_settings` is set on the page with the card, which changes together with the dialog.
pub(super) fn button(command: Command, in_settings: bool) -> Markup {
    let address = format!("{}{}", command.as_str(), if in_settings { "?view=settings" } else { "" });
    html! {
        a class="btn btn-sm" role="button" href=(address) hx-get=(address) hx-target="#dialog" hx-select="#confirm" hx-swap="innerHTML ignoreTitle:true" {
            (command.verb()) "…"
        }
    }
}

/// What the form holds.
#[derive(Debug, Default)]
struct Form {
    /// A value of [`ENDS`].
    ends: String,
    reason: Option<String>,
    /// True if the page behind the dialog is that of the settings.
    in_settings: bool,
}

impl Form {
    fn read(text: &str) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs(text) {
            match name.as_str() {
                "ends" => form.ends = value,
                "reason" => form.reason = Some(value.trim().to_owned()).filter(|reason| !reason.is_empty()),
                "view" => form.in_settings = value == "settings",
                _ => {}
            }
        }
        form
    }

    fn freeze(self, now: Timestamp) -> Result<Freeze, Fault> {
        let (.., hours) = ENDS.iter().find(|(value, ..)| *value == self.ends).ok_or_else(|| Fault::form("There is no such end."))?;
        if self.reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON) {
            return Err(Fault::form(format!("The reason must have at most {REASON} characters.")));
        }
        let end = |hours: i64| {
            now.checked_add(SignedDuration::from_hours(hours)).ok().and_then(|end| Timestamp::from_second(end.as_second()).ok())
        };
        Ok(Freeze { until: hours.and_then(end), reason: self.reason })
    }
}

async fn checked(ui: &Ui, visitor: &Visitor, uri: &Uri) -> Result<Command, Fault> {
    let command: Command = uri.path().parse().map_err(|_| Fault::no_page())?;
    permissions::check(ui, &visitor.caller, &permissions::limits(ui)).await?;
    match command.obstacle(&ui.handle.limits(), visitor.now) {
        Some(obstacle) => Err(Fault::new(StatusCode::CONFLICT, obstacle, "Your action had no effect.")),
        None => Ok(command),
    }
}

/// `GET /freeze`, `/unfreeze` and `/resume`
pub(super) async fn confirm(State(ui): State<Arc<Ui>>, visitor: Visitor, uri: Uri) -> Response {
    match checked(&ui, &visitor, &uri).await {
        Ok(command) => alone(&visitor, command.verb(), &dialog(command, Form::read(&visitor.query).in_settings)).into_response(),
        Err(fault) => fault.answer(&visitor, Some("dialog")),
    }
}

fn dialog(command: Command, in_settings: bool) -> Markup {
    let address = command.as_str();
    html! {
        form class="modal-box" id="confirm" method="post" action=(address) hx-post=(address) hx-target="#dialog" hx-swap="innerHTML" hx-disabled-elt="find button" {
            h1 id="dialog-title" { (command.verb()) "?" }
            p class="mt-3" { (command.effect()) }
            @if in_settings { input type="hidden" name="view" value="settings"; }
            @if command == Command::Freeze {
                label class="block mt-4" {
                    span class="label-text" { "It ends" }
                    select class="select w-full" name="ends" { @for (value, text, _) in ENDS { option value=(value) { (text) } } }
                }
                label class="block mt-4" {
                    span class="label-text" { "Reason (optional)" }
                    input class="input w-full" name="reason" maxlength=(REASON) aria-describedby="reason-hint";
                }
                p class="hint" id="reason-hint" { "Headwind shows it on every page." }
            }
            div class="modal-action" {
                a class="btn" href=(back(in_settings)) data-close="" { "Cancel" }
                button class="btn btn-primary" autofocus { (command.verb()) }
            }
        }
    }
}

/// The page behind the dialog.
fn back(in_settings: bool) -> &'static str {
    if in_settings { "/settings#limits" } else { "/" }
}

/// `POST /freeze`, `/unfreeze` and `/resume`
pub(super) async fn act(State(ui): State<Arc<Ui>>, visitor: Visitor, uri: Uri, body: String) -> Response {
    let form = Form::read(&body);
    let in_settings = form.in_settings;
    let acted = async {
        let command = checked(&ui, &visitor, &uri).await?;
        let caller = visitor.caller.clone();
        let saved = match command {
            Command::Freeze => ui.handle.freeze(caller, form.freeze(visitor.now)?).await,
            Command::Unfreeze => ui.handle.unfreeze(caller).await,
            Command::Resume => ui.handle.resume(caller).await,
        };
        saved.map_err(|error| Fault::from(&error))?;
        Ok::<_, Fault>(command)
    };
    let command = match acted.await {
        Ok(command) => command,
        Err(fault) => return fault.answer(&visitor, Some("dialog")),
    };
    if !visitor.is_htmx {
        return (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_static(back(in_settings)))]).into_response();
    }
    let close = [(HeaderName::from_static("hx-trigger"), HeaderValue::from_static("dialog:close"))];
    let content = html! {
        div id="banner" hx-swap-oob="innerHTML" { @if let Some(banner) = ui.banner(&visitor).await { (banner) } }
        @if in_settings { (card(&ui, true, visitor.now, true)) }
        (toast::success(command.done()))
    };
    (close, content).into_response()
}

/// The card on the page of the settings. `may` is true if the caller may freeze and resume updates.
pub(super) fn card(ui: &Ui, may: bool, now: Timestamp, swap: bool) -> Markup {
    let limits = ui.handle.limits();
    let at_most = |limit: Option<u32>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    html! {
        section class="card" id="limits" aria-labelledby="h-limits" hx-swap-oob=[swap.then_some("true")] {
            h2 id="h-limits" { "All updates" }
            dl class="values" {
                div {
                    dt { span class="label-text" { "Freeze" } span class="hint-text" { "During a freeze, Headwind applies nothing except rollbacks" } }
                    dd {
                        @if let Some(freeze) = limits.freeze(now) {
                            span class="tone-warn text-tone" { "Frozen" @if let Some(until) = freeze.until { " until " (until.strftime("%Y-%m-%d %H:%M UTC")) } }
                            @if may { div class="mt-2" { (button(Command::Unfreeze, true)) } }
                        } @else {
                            "not frozen"
                            @if may { div class="mt-2" { (button(Command::Freeze, true)) } }
                        }
                    }
                }
                div {
                    dt {
                        span class="label-text" { "Failure budget" }
                        span class="hint-text" { "pauseAfterFailures: number of failed updates within an hour after which updates that the policy approves wait for a person" }
                    }
                    dd {
                        @match limits.configured.pause_after_failures { Some(failures) => (failures), None => span class="text-muted" { "not set" } }
                        @if let Some(since) = limits.paused_since {
                            span class="hint tone-warn text-tone" { (icon("pause")) "Paused since " (since.strftime("%Y-%m-%d %H:%M UTC")) }
                            @if may { div class="mt-2" { (button(Command::Resume, true)) } }
                        }
                    }
                }
                div {
                    dt { span class="label-text" { "Rollouts at the same time" } span class="hint-text" { "maxConcurrentRollouts, maxConcurrentRolloutsPerNamespace" } }
                    dd { (at_most(limits.configured.rollouts)) span class="hint" { "per namespace: " (at_most(limits.configured.rollouts_per_namespace)) } }
                }
            }
        }
    }
}
