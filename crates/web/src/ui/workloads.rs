//! `/workloads`: what is tracked, what runs, and why it does or does not change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use headwind_core::settings::EventSource;
use headwind_operator::{Handle, SortBy, Visible, WorkloadRow, WorkloadState};
use maud::{Markup, html};
use parking_lot::Mutex;

use super::fault::{Fault, instead_of_lists};
use super::first_run::nothing_tracked;
use super::page::{Page, Place, page};
use super::parts::filters::{filters, kept};
use super::parts::icon::icon;
use super::parts::note::empty;
use super::parts::pager::{Position, pager};
use super::parts::reference::{reference, version};
use super::parts::segments::{Segment, segments};
use super::parts::workload::{path, place};
use super::query::{List, ListQuery, PAGE};
use super::updates::{self, nothing_found, sorted};
use super::visitor::Visitor;
use super::{Ui, permissions};

/// Time for which the rows of all workloads are cached.
const FRESH: Duration = Duration::from_secs(2);

/// The rows of all workloads. Making them takes as long as explaining every workload, so everybody shares them.
#[derive(Debug, Default)]
pub(super) struct Snapshot(Mutex<Option<(Instant, Arc<[WorkloadRow]>)>>);

impl Snapshot {
    fn rows(&self, handle: &Handle) -> Arc<[WorkloadRow]> {
        let mut kept = self.0.lock();
        if let Some((_, rows)) = kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Arc::clone(rows);
        }
        let rows: Arc<[WorkloadRow]> = handle.workload_rows(&Visible::All).into();
        *kept = Some((Instant::now(), Arc::clone(&rows)));
        rows
    }
}

/// A state: word, icon and colour.
pub(super) fn state(state: WorkloadState) -> Markup {
    let (classes, sign, word) = look(state);
    html! { span class=(classes) { (icon(sign)) (word) } }
}

fn look(state: WorkloadState) -> (&'static str, &'static str, &'static str) {
    match state {
        WorkloadState::UpdateAvailable => ("phase tone-go", "circle-dashed", "Update available"),
        WorkloadState::HeldBack => ("phase tone-warn", "pause", "Held back"),
        WorkloadState::UpToDate => ("phase tone-good", "circle-check", "Up to date"),
        WorkloadState::Skipped => ("phase tone-calm", "circle-minus", "Skipped"),
        WorkloadState::InvalidAnnotation => ("phase tone-bad", "triangle-alert", "Invalid annotation"),
        WorkloadState::NotChecked => ("phase tone-calm", "radar", "Not checked yet"),
    }
}

fn triggers(source: EventSource) -> &'static str {
    match source {
        EventSource::Webhook => "webhook",
        EventSource::Polling => "polling",
        EventSource::Both => "webhook, polling",
        EventSource::None => "no trigger",
    }
}

fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

impl ListQuery {
    /// True if the list has the row, whatever its state.
    fn takes(&self, row: &WorkloadRow) -> bool {
        let text = self.text.as_deref().unwrap_or_default();
        self.namespace.as_ref().is_none_or(|namespace| row.workload.namespace == *namespace)
            && self.kind.is_none_or(|kind| row.workload.kind == kind)
            && self.policy.is_none_or(|policy| row.policy == Some(policy))
            && [&row.workload.name, &row.container, &row.image].into_iter().any(|place| contains(place, text))
    }
}

/// `GET /workloads`
pub(super) async fn workloads(State(ui): State<Arc<Ui>>, visitor: Visitor, headers: HeaderMap) -> Response {
    let query = match ListQuery::read(List::Workloads, &visitor.query) {
        Ok(query) => query,
        Err(invalid) => return Fault::from(invalid).answer(&visitor, Some("list")),
    };
    if let Some(body) = instead_of_lists(&visitor, "workloads") {
        return whole(&ui, &visitor, body).await;
    }
    let rows = ui.snapshot.rows(&ui.handle);
    let seen = || rows.iter().filter(|row| visitor.visible.includes(&row.workload.namespace));
    let all = seen().count();
    let matching: Vec<&WorkloadRow> = seen().filter(|row| query.takes(row)).collect();
    let segments = states(&query, &matching);
    let mut found: Vec<&WorkloadRow> = matching.into_iter().filter(|row| query.state.is_none_or(|state| row.state == state)).collect();
    let order = query.order();
    if order.by == SortBy::Name {
        found.sort_by(|a, b| a.workload.name.cmp(&b.workload.name));
    }
    if order.descending {
        found.reverse();
    }
    let total = found.len();
    let page_rows: Vec<&WorkloadRow> = found.into_iter().skip(query.skip()).take(PAGE).collect();
    let body = html! {
        div class="page-head" { div { h1 { "Workloads" } p class="text-muted" { "What Headwind tracks, what runs, and why it does or does not change." } } }
        (segments)
        (filters("/workloads", &query, &permissions::namespaces(&ui, &visitor.visible), &[]))
        (updates::found(&headers, total, "workload"))
        div class="list" id="list" {
            (kept(&query))
            @if page_rows.is_empty() {
                @if all > 0 { (nothing_found(&query, "/workloads", all)) } @else { (empty("boxes", &html! { p { (nothing_tracked(&ui, &visitor)) "." } })) }
            } @else {
                (table(&query, &page_rows))
            }
            @if total > 0 { (pager(Position { page: query.page, size: PAGE, total }, |page| query.at_page(page))) }
        }
    };
    whole(&ui, &visitor, body).await
}

async fn whole(ui: &Ui, visitor: &Visitor, body: Markup) -> Response {
    page(visitor, Page { title: "Workloads", place: Some(Place::Workloads), live: true, banner: ui.banner(visitor).await, body })
        .into_response()
}

fn states(query: &ListQuery, rows: &[&WorkloadRow]) -> Markup {
    let mut all = vec![Segment { href: query.in_state(None), word: "All", count: rows.len(), current: query.state.is_none() }];
    for one in WorkloadState::ALL {
        let count = rows.iter().filter(|row| row.state == *one).count();
        if count > 0 || query.state == Some(*one) || *one != WorkloadState::NotChecked {
            all.push(Segment { href: query.in_state(Some(*one)), word: look(*one).2, count, current: query.state == Some(*one) });
        }
    }
    html! { div id="segments" { (segments("State", &all)) } }
}

fn table(query: &ListQuery, rows: &[&WorkloadRow]) -> Markup {
    html! {
        table class="tbl" {
            caption class="sr-only" { "Workloads" }
            thead hx-target="#list" hx-select="#list" hx-push-url="true" {
                tr {
                    (sorted(query, "Workload and running version", SortBy::Name, ""))
                    th scope="col" class="w-40 max-md:hidden" { "Newest known" }
                    th scope="col" class="w-[28%] max-sm:w-[46%]" { "State and reason" }
                    th scope="col" class="w-28 max-lg:hidden" { "Policy" }
                    th class="w-28 max-sm:hidden" { span class="sr-only" { "Explain" } }
                }
            }
            tbody { @for row in rows { (line(row)) } }
        }
    }
}

fn line(row: &WorkloadRow) -> Markup {
    let (running, href) = (version(&row.image), path(&row.workload));
    html! {
        tr {
            td { div class="pair" {
                div { a class="name" href=(href) { (row.workload.name) } (place(&row.workload, Some(&row.container))) }
                div class="min-w-0" { p class="ver-sm" { (row.running.as_deref().unwrap_or(running)) } (reference(&row.image)) }
            } }
            td class="max-md:hidden" {
                @match row.newest.as_deref() {
                    Some(newest) if newest == running => span class="text-muted" { "the same" },
                    Some(newest) => span class="ver-sm" { (newest) },
                    None => span class="text-muted" { "unknown" },
                }
            }
            td { (state(row.state)) p class="text-muted text-xs mt-1 why" { (row.message) } }
            td class="max-lg:hidden" {
                p { @if let Some(policy) = row.policy { (policy) } @else { "–" } }
                @if let Some(source) = row.source { p class="text-muted text-xs" { (triggers(source)) } }
            }
            td class="text-right max-sm:hidden" { a class="btn btn-quiet btn-sm" href=(href) aria-label={ "Explain " (row.workload.name) } { "Explain" (icon("chevron-right")) } }
        }
    }
}
