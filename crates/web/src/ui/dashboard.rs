//! `/`: what waits for a person, what rolls out, and what failed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use headwind_core::request::Phase;
use headwind_operator::{Counts, Order, SortBy, UpdateQuery};
use jiff::SignedDuration;
use maud::{Markup, html};

use super::fault::{Fault, instead_of_lists};
use super::page::{Page, Place, page};
use super::parts::filters::{Orders, filters, kept};
use super::parts::icon::icon;
use super::parts::note::empty;
use super::parts::pager::{Position, pager};
use super::query::{List, ListQuery, PAGE};
use super::rows::{View, rows};
use super::visitor::Visitor;
use super::{Ui, bulk, first_run, permissions, updates};

/// Number of updates in each of the two short lists.
const SHORT: usize = 10;
/// An update that expires within this time is urgent.
const URGENT: SignedDuration = SignedDuration::from_hours(3);
const ORDERS: Orders = &[("", "Expires first"), ("-created", "Newest first"), ("namespace", "Namespace"), ("name", "Name")];
const NEWEST: Order = Order { by: SortBy::Changed, descending: true };

/// The four counts. Each is a link to the filtered list. They are also sent with the event `tiles`.
pub(super) fn tiles(counts: &Counts) -> Markup {
    let moving = counts.by_phase.of(Phase::Approved) + counts.by_phase.of(Phase::RollingOut);
    let tiles = [
        ("tile tone-warn", "/updates?state=waiting", "hand", counts.awaiting_approval, "waiting"),
        ("tile tone-go", "/updates?phase=Approved&phase=RollingOut", "refresh-cw", moving, "rolling out"),
        ("tile tone-bad", "/updates?phase=Failed&phase=RolledBack&since=7d", "octagon-x", counts.failed_last_week, "failed in 7 days"),
        ("tile tone-good", "/updates?phase=Completed&since=24h", "circle-check", counts.completed_last_day, "completed in 24 h"),
    ];
    html! {
        @for (classes, href, sign, count, label) in tiles {
            a class=(classes) href=(href) { (icon(sign)) span class="tile-n" { (count) } span { (label) } }
        }
    }
}

/// The heading, which says how many updates wait. It is also sent with the event `tiles`.
pub(super) fn heading(waiting: usize, out_of_band: bool) -> Markup {
    html! {
        h1 id="waiting" hx-swap-oob=[out_of_band.then_some("true")] {
            @match waiting { 0 => "No updates waiting for you", 1 => "1 update waiting for you", n => { (n) " updates waiting for you" } }
        }
    }
}

/// `GET /`
pub(super) async fn dashboard(State(ui): State<Arc<Ui>>, visitor: Visitor, headers: HeaderMap) -> Response {
    let query = match ListQuery::read(List::Inbox, &visitor.query) {
        Ok(query) => query,
        Err(invalid) => return Fault::from(invalid).answer(&visitor, Some("list")),
    };
    if let Some(body) = instead_of_lists(&visitor, "updates") {
        return whole(&ui, &visitor, body).await;
    }
    let overview = ui.handle.overview(&visitor.visible);
    if overview.tracked == 0 && visitor.counts.by_phase.total() == 0 && !query.is_filtered() {
        return first_run::page(&ui, &visitor, overview).await.into_response();
    }
    let asked = query.updates(&visitor.visible, visitor.now);
    let found = ui.handle.updates(&asked, query.order(), query.skip(), PAGE);
    let inbox = rows(&ui, &visitor, &found.items, View::Inbox).await;
    let short = |phases: &[Phase]| {
        let asked = UpdateQuery { visible: visitor.visible.clone(), phases: phases.to_vec(), ..UpdateQuery::default() };
        ui.handle.updates(&asked, NEWEST, 0, SHORT).items
    };
    let moving = rows(&ui, &visitor, &short(&[Phase::Approved, Phase::RollingOut]), View::Moving).await;
    let trouble = rows(&ui, &visitor, &short(&[Phase::Failed, Phase::RolledBack]), View::Trouble).await;
    let before = visitor.now.checked_add(URGENT).ok();
    let urgent = UpdateQuery { visible: visitor.visible.clone(), waiting: true, expires_before: before, ..UpdateQuery::default() };
    let urgent = ui.handle.updates(&urgent, NEWEST, 0, 0).total;
    let waiting = visitor.counts.awaiting_approval;
    let list = Inbox { query: &query, rows: &inbox, total: found.total, waiting, completed: visitor.counts.completed_last_day };
    let body = html! {
        div class="page-head" {
            div {
                (heading(waiting, false))
                p class="text-muted" {
                    @match urgent { 0 => {}, 1 => "1 expires within 3 hours. ", n => { (n) " expire within 3 hours. " } }
                    "Headwind tracks " a class="link" href="/workloads" { (overview.tracked) " workloads" } "."
                }
            }
        }
        nav class="tiles" aria-label="Counts" id="tiles" sse-swap="tiles" { (tiles(&visitor.counts)) }
        (filters("/", &query, &permissions::namespaces(&ui, &visitor.visible), ORDERS))
        (updates::found(&headers, found.total, "update"))
        section aria-labelledby="h-wait" { h2 class="sr-only" id="h-wait" { "Waiting for approval" } (list.render(&visitor)) }
        div class="grid gap-6 mt-7 xl:grid-cols-2" {
            (short_list("move", "Rolling out", &moving, "Nothing is rolling out."))
            (short_list("bad", "Failed or rolled back", &trouble, "No update failed."))
        }
    };
    whole(&ui, &visitor, body).await
}

async fn whole(ui: &Ui, visitor: &Visitor, body: Markup) -> Response {
    page(visitor, Page { title: "Dashboard", place: Some(Place::Dashboard), live: true, banner: ui.banner(visitor).await, body })
        .into_response()
}

fn short_list(id: &str, title: &str, rows: &[Markup], none: &str) -> Markup {
    let (heading, this) = (format!("h-{id}"), format!("#{id}"));
    html! {
        section id=(id) aria-labelledby=(heading) {
            h2 id=(heading) { (title) }
            @if rows.is_empty() {
                // It is read again when the counts change, because it may not be true any more.
                p class="text-muted" hx-get="/" hx-select=(this) hx-target=(this) hx-swap="outerHTML ignoreTitle:true" hx-trigger="sse:tiles" { (none) }
            } @else {
                ul class="card-list" hx-swap="outerHTML" { @for row in rows { (row) } }
            }
        }
    }
}

/// The list of waiting updates.
struct Inbox<'a> {
    query: &'a ListQuery,
    rows: &'a [Markup],
    total: usize,
    waiting: usize,
    completed: usize,
}

impl Inbox<'_> {
    fn render(&self, visitor: &Visitor) -> Markup {
        let Self { query, rows, total, waiting, completed } = *self;
        html! {
            form class="list" id="list" method="get" action="/updates/bulk/approve" hx-swap="outerHTML" {
                div class="list-head" aria-hidden="true" { span {} span { "Workload" } span { "Change" } span { "Why" } span { "Expires" } span {} }
                (kept(query))
                (updates::pill("inbox", query, visitor))
                @if !rows.is_empty() {
                    ul class="rows" { @for row in rows { (row) } }
                    (bulk::bar(View::Inbox))
                } @else if (query.is_filtered() || query.page > 1) && waiting > 0 {
                    (updates::nothing_found(query, "/", waiting))
                } @else {
                    (empty("circle-check", &html! {
                        p { "Nothing waits for you. " @match completed { 1 => "1 update", n => { (n) " updates" } } " completed in the last 24 hours." }
                    }))
                }
                @if total > PAGE { (pager(Position { page: query.page, size: PAGE, total }, |page| query.at_page(page))) }
            }
        }
    }
}
