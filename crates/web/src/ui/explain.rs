//! `/workloads/{namespace}/{kind}/{name}`: why a workload runs its version.
//!
//! The page shows what is known. Only the button "Query the registry" queries one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use headwind_core::explain::Explained;
use headwind_core::gate::{Gate, Waiting};
use headwind_core::policy::{CandidateVerdict, Outcome};
use headwind_core::reason::Reason;
use headwind_core::settings::key as annotation;
use headwind_core::workload::WorkloadKey;
use headwind_core::workload::owner::Handling;
use headwind_operator::{SettingOrigin, SettingValue, UpdateSummary, WorkloadState, WorkloadView};
use maud::{Markup, html};

use super::fault::Fault;
use super::page::{Page, Place, page};
use super::parts::facts::facts;
use super::parts::icon::icon;
use super::parts::note::{Tone, note};
use super::parts::outlook::outlook;
use super::parts::phase::phase;
use super::parts::reference::{reference, version};
use super::parts::segments::{Segment, segments};
use super::parts::time::time;
use super::parts::workload::{path, place};
use super::query::pairs;
use super::rollback::key;
use super::visitor::Visitor;
use super::workloads::state;
use super::{Ui, permissions};
use crate::auth::Action;

/// Number of verdicts that are shown at first.
const FIRST: usize = 50;

/// The parameters of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Asked {
    /// Query the registry.
    registry: bool,
    /// Show every verdict.
    all: bool,
    verdict: Option<Outcome>,
}

const VERDICTS: &[(&str, &str, Outcome)] =
    &[("chosen", "Chosen", Outcome::Chosen), ("eligible", "Eligible", Outcome::Eligible), ("refused", "Refused", Outcome::Refused)];

impl Asked {
    fn read(query: &str) -> Result<Self, Fault> {
        let mut asked = Self::default();
        for (name, value) in pairs(query).filter(|(_, value)| !value.is_empty()) {
            match (name.as_str(), value.as_str()) {
                ("query", "1") => asked.registry = true,
                ("all", "1") => asked.all = true,
                ("verdict", word) => {
                    let found = VERDICTS.iter().find(|(one, _, _)| *one == word).map(|(_, _, outcome)| *outcome);
                    asked.verdict = Some(found.ok_or_else(|| Fault::form("verdict must be chosen, eligible or refused"))?);
                }
                _ => return Err(Fault::form("this page has the parameters query=1, all=1 and verdict")),
            }
        }
        Ok(asked)
    }

    fn address(self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if self.registry {
            query.append_pair("query", "1");
        }
        if self.all {
            query.append_pair("all", "1");
        }
        if let Some((word, _, _)) = VERDICTS.iter().find(|(_, _, outcome)| Some(*outcome) == self.verdict) {
            query.append_pair("verdict", word);
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// `GET /workloads/{namespace}/{kind}/{name}?query=&verdict=&all=`
pub(super) async fn explain(
    State(ui): State<Arc<Ui>>,
    visitor: Visitor,
    Path((namespace, kind, name)): Path<(String, String, String)>,
) -> Response {
    match view(&ui, &visitor, namespace, &kind, name).await {
        Ok((asked, view, denied)) => whole(&ui, &visitor, asked, &view, denied.as_deref()).await.into_response(),
        Err(fault) => fault.answer(&visitor, Some("candidates")),
    }
}

/// Returns what the page shows, and why the caller may not query the registry; `None` if the caller may.
async fn view(
    ui: &Ui,
    visitor: &Visitor,
    namespace: String,
    kind: &str,
    name: String,
) -> Result<(Asked, WorkloadView, Option<String>), Fault> {
    let key = key(namespace, kind, name)?;
    let asked = Asked::read(&visitor.query)?;
    permissions::check(ui, &visitor.caller, &permissions::looks_at(&key)).await?;
    let query = Action::Query { workload: key.clone() };
    let unknown = || Fault::new(StatusCode::NOT_FOUND, "No such workload", format!("Headwind does not know {key}."));
    if !ui.handle.serves(&key.namespace) {
        return Err(unknown());
    }
    if !asked.registry {
        let known = ui.handle.known(&key).ok_or_else(unknown)?;
        let denied = ui.guard.auth().denial(&visitor.caller, &query).await;
        return Ok((asked, known, denied.map(|refused| refused.to_string())));
    }
    permissions::check(ui, &visitor.caller, &query).await?;
    let wait = std::time::Duration::from_secs(5);
    let Ok(Ok(_place)) = tokio::time::timeout(wait, ui.explains.acquire()).await else {
        return Err(Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many queries",
            "Other queries are in progress. Try again in a moment.",
        ));
    };
    Ok((asked, Box::pin(ui.handle.explain(&key)).await.ok_or_else(unknown)?, None))
}

async fn whole(ui: &Ui, visitor: &Visitor, asked: Asked, view: &WorkloadView, denied: Option<&str>) -> Markup {
    let key = &view.key;
    let first = view.containers.first();
    let registry = Asked { registry: true, ..Asked::default() }.address(&path(key));
    let gates: Vec<String> = (0..view.containers.len()).map(|place| format!(",#gate-{place}")).collect();
    let title = first.map_or_else(|| key.name.clone(), |one| format!("Why {} runs {}", key.name, version(&one.image)));
    let body = html! {
        nav class="breadcrumbs text-sm p-0" aria-label="Breadcrumb" {
            ol {
                li { a href="/workloads" { "Workloads" } }
                li { a href={ "/workloads?namespace=" (key.namespace) } { (key.namespace) } }
                li aria-current="page" { (key.name) }
            }
        }
        div class="page-head" {
            div {
                h1 class="flex flex-wrap items-center gap-3" { (key.name) span id="state" { @if let Some(one) = first { (state(WorkloadState::of(one))) } } }
                p { (place(key, first.map(|one| one.container.as_str()))) }
                p class="text-muted" id="queried" role="status" { @if asked.registry { (queried(view, visitor)) } }
            }
            div class="acts" {
                @if let Some(why) = denied {
                    p class="text-muted text-xs inline-flex items-center gap-1 min-w-0" { (icon("lock")) span class="min-w-0 break-words" { "You cannot query registries for this workload: " (why) } }
                } @else {
                    // The line with the number keeps its element, so that screen readers announce it.
                    a class="btn btn-sm" id="query" role="button" href=(registry) hx-get=(registry) hx-target="#candidates" hx-select="#candidates" hx-swap="outerHTML"
                        hx-select-oob={ "#state,#queried:innerHTML" (gates.concat()) } hx-push-url="true" hx-indicator="#asking" {
                        (icon("refresh-cw")) "Query the registry" span id="asking" class="htmx-indicator" { (icon("loader-circle")) }
                    }
                }
            }
        }
        @if view.containers.is_empty() { (note(Tone::Go, "info", &html! { "Headwind does not track any container of this workload." }, None)) }
        div class="two" {
            div class="space-y-4" id="candidates" {
                @if !asked.registry && !ui.handle.leads() {
                    (note(Tone::Go, "info", &html! { "This replica does not poll, so it has no results of scans. Query the registry, or open the page again." }, None))
                }
                (owner(view))
                @for (origin, error) in &view.registry_errors { (note(Tone::Bad, "unplug", &html! { (origin) " could not be queried" }, Some(html! { (error) }))) }
                @for one in &view.containers { (sentence(view, one)) (candidates(key, asked, one)) }
            }
            div class="space-y-4" {
                @for (place, one) in view.containers.iter().enumerate() {
                    (gate(one, place, visitor))
                    @if let Some(error) = ui.handle.notify_fault_of(key, &one.container) {
                        (note(Tone::Warn, "triangle-alert", &html! { "Invalid annotation" }, Some(html! { (error) })))
                    }
                    (settings(&key.namespace, &one.container, &ui.handle.settings_of(key, &one.container), view.containers.len() > 1))
                }
                (requests(ui, view, visitor))
            }
        }
    };
    page(visitor, Page { title: &title, place: Some(Place::Workloads), live: true, banner: ui.banner(visitor).await, body })
}

/// The number of versions that the registries returned. If one of them did not answer, the page says so elsewhere.
fn queried(view: &WorkloadView, visitor: &Visitor) -> Markup {
    if !view.registry_errors.is_empty() {
        return html! {};
    }
    let count = |one: &Explained| one.counts.chosen + one.counts.eligible + one.counts.refused;
    let total: usize = view.containers.iter().map(count).sum();
    html! {
        @match total { 1 => "1 version", n => { (n) " versions" } }
        ", queried " (time(visitor.now, visitor.now))
    }
}

/// The owner of the workload, and its effect on updates.
fn owner(view: &WorkloadView) -> Markup {
    let Some(owner) = &view.owner else { return html! {} };
    let handling = |one: &Explained| one.settings.as_ref().ok().map(|settings| settings.gitops.handling(owner.manager));
    let (tone, what) = match view.containers.first().and_then(handling) {
        Some(Handling::Refuse) => (
            Tone::Warn,
            html! {
                "Headwind proposes no updates, because the owner may revert a change. Set the annotation " code { (annotation::GITOPS) }
                " to " code { "propose" } " to get requests and change the version at its source, or to " code { "patch" } " to let Headwind change it."
            },
        ),
        Some(Handling::Propose) => (
            Tone::Go,
            html! { "Headwind creates requests and patches nothing. After approval, change the version at its source. The request completes when the owner has rolled the version out." },
        ),
        Some(Handling::Patch) | None => (
            Tone::Go,
            html! { "Headwind updates it. The annotation " code { (annotation::GITOPS) } " sets how Headwind treats a workload that has an owner." },
        ),
    };
    html! { div class="mb-4" { (note(tone, "info", &html! { (owner) " owns this workload" }, Some(what))) } }
}

/// The running version, and the update that Headwind would propose.
fn sentence(view: &WorkloadView, one: &Explained) -> Markup {
    let open =
        view.requests.iter().find(|request| request.status.phase.is_open() && request.spec.container.as_ref() == Some(&one.container));
    let failure = view.unrecorded.get(&one.container);
    html! {
        section class="card" {
            h2 { "Container " (one.container) }
            p class="mt-2 text-base break-words" {
                "Runs " b class="ver-sm" { (one.running.as_deref().unwrap_or_else(|| version(&one.image))) } ". "
                @if let Some(would) = &one.would_take { "Would update to " b class="ver-sm" { (version(would)) } ": " }
                (one.because.message) "."
            }
            @if let Some(error) = one.settings.as_ref().err() { div class="mt-3" { (note(Tone::Bad, "triangle-alert", &html! { "Invalid annotation" }, Some(html! { (error) }))) } }
            p class="mt-2" { (reference(&one.image)) }
            @if let Some(failure) = failure {
                div class="mt-3" { (note(Tone::Bad, "octagon-x", &html! { "The update to " (failure.new_image) " could not be recorded" }, Some(html! { (failure.message) }))) }
            }
            @if let Some(open) = open { p class="mt-3" { a class="btn btn-primary btn-sm" href={ "/updates/" (view.key.namespace) "/" (open.name) } { "Open the update" } } }
        }
    }
}

fn candidates(key: &WorkloadKey, asked: Asked, one: &Explained) -> Markup {
    let counts = one.counts;
    let total = counts.chosen + counts.eligible + counts.refused;
    let address = |verdict| Asked { verdict, all: false, ..asked }.address(&path(key));
    let mut links = vec![Segment { href: address(None), word: "All", count: total, current: asked.verdict.is_none() }];
    for (_, word, outcome) in VERDICTS {
        let count = match outcome {
            Outcome::Chosen => counts.chosen,
            Outcome::Eligible => counts.eligible,
            Outcome::Refused => counts.refused,
        };
        links.push(Segment { href: address(Some(*outcome)), word, count, current: asked.verdict == Some(*outcome) });
    }
    let matching: Vec<&CandidateVerdict> =
        one.candidates.iter().filter(|one| asked.verdict.is_none_or(|verdict| one.outcome == verdict)).collect();
    let shown = if asked.all { matching.len() } else { FIRST.min(matching.len()) };
    html! {
        section class="card p-0!" {
            div class="p-4 pb-2" {
                h2 { "Every known version, and the rule that accepts or refuses it" }
                @if !asked.registry { p class="text-muted" { "From the requests and the last scan. Query the registry to see all of its versions." } }
            }
            @if total == 0 {
                p class="p-4 pt-0 text-muted" { "No other version is known." }
            } @else {
                div class="px-4 pb-3" { (segments("Verdict", &links)) }
                table class="tbl" {
                    caption class="sr-only" { "Versions of container " (one.container) }
                    thead { tr { th scope="col" class="w-[26%]" { "Version" } th scope="col" class="w-28" { "Verdict" } th scope="col" { "Why" } } }
                    tbody { @for verdict in matching.iter().take(shown) { (row(verdict)) } }
                }
                @if matching.len() > shown {
                    p class="p-3 text-center" { a class="btn btn-quiet btn-sm" href=(Asked { all: true, ..asked }.address(&path(key))) { "Show all " (matching.len()) } }
                }
            }
        }
    }
}

fn row(verdict: &CandidateVerdict) -> Markup {
    let (classes, sign, word) = match (verdict.outcome, verdict.reason) {
        (Outcome::Chosen, _) => ("phase tone-good", "circle-check-big", "Chosen"),
        (Outcome::Eligible, _) => ("phase tone-go", "check", "Eligible"),
        (Outcome::Refused, Reason::AlreadyRequested) => ("phase tone-go", "circle-check", "Requested"),
        (Outcome::Refused, _) => ("phase tone-calm", "x", "Refused"),
    };
    html! {
        tr class=[(verdict.outcome == Outcome::Chosen).then_some("chosen")] {
            td { span class="ver-sm" { (verdict.tag) } }
            td { span class=(classes) { (icon(sign)) (word) } }
            td { p { (verdict.message) } p class="text-muted text-xs font-mono" { (verdict.reason.code()) } }
        }
    }
}

fn gate(one: &Explained, place: usize, visitor: &Visitor) -> Markup {
    let needs_approval = one.settings.as_ref().is_ok_and(|settings| settings.require_approval);
    html! {
        section class="card" id={ "gate-" (place) } {
            h2 { "When an update is applied" }
            @match &one.gate {
                Gate::Open => p class="mt-2 inline-flex items-center gap-2 tone-good" {
                    span class="text-tone" { (icon("circle-check")) }
                    @if needs_approval { "As soon as a person approves it" } @else { "Now: nothing prevents it" }
                },
                Gate::Wait(Waiting { until, message, .. }) => p class="mt-2 tone-warn" {
                    span class="text-tone" { (icon("clock")) } " "
                    @if let Some(until) = until { (time(*until, visitor.now)) ": " }
                    (message)
                },
            }
            (outlook(&one.outlook, visitor.now))
        }
    }
}

fn settings(namespace: &str, container: &str, all: &[SettingValue], named: bool) -> Markup {
    html! {
        section class="card" {
            h2 { "Settings" @if named { " of " (container) } }
            (facts(&all.iter().map(|setting| {
                let origin = match setting.origin {
                    SettingOrigin::Workload => html! { "workload" },
                    SettingOrigin::Namespace => html! { "namespace " (namespace) },
                    SettingOrigin::Default => html! { "default" },
                };
                (setting.name, html! { span { (setting.value) " " span class="text-muted text-xs" { (origin) } } })
            }).collect::<Vec<_>>()))
        }
    }
}

fn requests(ui: &Ui, view: &WorkloadView, visitor: &Visitor) -> Markup {
    let known: Vec<UpdateSummary> =
        view.requests.iter().filter_map(|request| ui.handle.update(&view.key.namespace, &request.name)).collect();
    html! {
        section class="card" {
            h2 { "Updates" }
            @if known.is_empty() { p class="text-muted mt-2" { "There are no updates of this workload." } }
            ul class="hist" {
                @for summary in &known {
                    @let request = &summary.request;
                    li {
                        (phase(summary))
                        a class="link ver-sm min-w-0" href={ "/updates/" (view.key.namespace) "/" (request.name) } { (version(&request.spec.new_image)) }
                        span class="text-muted ml-auto" { (time(request.status.finished_at.unwrap_or(request.created), visitor.now)) }
                    }
                }
            }
        }
    }
}
