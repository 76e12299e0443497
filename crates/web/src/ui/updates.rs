//! `/updates`: every update.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use headwind_core::request::Phase;
use headwind_operator::{Order, SortBy};
use maud::{Markup, html};

use super::fault::{Fault, instead_of_lists};
use super::first_run::nothing_tracked;
use super::hub::{Hint, Missed};
use super::page::{Page, Place, page};
use super::parts::filters::{Orders, filters, kept};
use super::parts::icon::{icon, icon_with};
use super::parts::note::empty;
use super::parts::pager::{Position, pager};
use super::parts::segments::{Segment, segments};
use super::query::{List, ListQuery, PAGE, pairs};
use super::rows::{View, rows};
use super::visitor::Visitor;
use super::{Ui, bulk, permissions};

/// The phases behind each link. The link "Waiting" is in addition.
const GROUPS: &[(&str, &[Phase])] = &[
    ("All", &[]),
    ("Rolling out", &[Phase::Approved, Phase::RollingOut]),
    ("Completed", &[Phase::Completed]),
    ("Failed", &[Phase::Failed, Phase::RolledBack]),
    ("Closed", &[Phase::Rejected, Phase::Expired, Phase::Superseded]),
];

/// The orders to choose from. They include every order that a column header sets, so that the control can show it.
const ORDERS: Orders = &[
    ("", "Latest change first"),
    ("changed", "Oldest change first"),
    ("namespace", "Namespace"),
    ("name", "Name"),
    ("-name", "Name, descending"),
];

/// The phases as links, each with the number of updates behind it.
fn groups(ui: &Ui, query: &ListQuery, visitor: &Visitor) -> Markup {
    let (by_phase, waiting) = ui.handle.count_updates(&query.in_phases(&[]).updates(&visitor.visible, visitor.now));
    let count = |phases: &[Phase]| if phases.is_empty() { by_phase.total() } else { phases.iter().map(|phase| by_phase.of(*phase)).sum() };
    let mut groups: Vec<(&str, ListQuery, usize)> =
        GROUPS.iter().map(|(word, phases)| (*word, query.in_phases(phases), count(phases))).collect();
    groups.insert(1, ("Waiting", query.in_waiting(), waiting));
    let all: Vec<Segment> = groups
        .into_iter()
        .map(|(word, group, count)| Segment { href: group.address(), word, count, current: query.at_page(1) == group.address() })
        .collect();
    html! { div id="segments" { (segments("Phase", &all)) } }
}

/// `GET /updates`
pub(super) async fn updates(State(ui): State<Arc<Ui>>, visitor: Visitor, headers: HeaderMap) -> Response {
    let query = match ListQuery::read(List::Updates, &visitor.query) {
        Ok(query) => query,
        Err(invalid) => return Fault::from(invalid).answer(&visitor, Some("list")),
    };
    if let Some(body) = instead_of_lists(&visitor, "updates") {
        return whole(&ui, &visitor, body).await;
    }
    let found = ui.handle.updates(&query.updates(&visitor.visible, visitor.now), query.order(), query.skip(), PAGE);
    let rows = rows(&ui, &visitor, &found.items, View::Table).await;
    let body = html! {
        div class="page-head" { h1 { "Updates" } }
        (groups(&ui, &query, &visitor))
        (filters("/updates", &query, &permissions::namespaces(&ui, &visitor.visible), ORDERS))
        (self::found(&headers, found.total, "update"))
        form class="list" id="list" method="get" action="/updates/bulk/approve" hx-swap="outerHTML" {
            (kept(&query))
            (pill("table", &query, &visitor))
            @if rows.is_empty() {
                (none(&ui, &query, &visitor))
            } @else {
                (table(&query, &rows))
                (bulk::bar(View::Table))
            }
            @if found.total > 0 { (pager(Position { page: query.page, size: PAGE, total: found.total }, |page| query.at_page(page))) }
        }
    };
    whole(&ui, &visitor, body).await
}

async fn whole(ui: &Ui, visitor: &Visitor, body: Markup) -> Response {
    page(visitor, Page { title: "Updates", place: Some(Place::Updates), live: true, banner: ui.banner(visitor).await, body })
        .into_response()
}

/// The list without entries.
fn none(ui: &Ui, query: &ListQuery, visitor: &Visitor) -> Markup {
    let all = visitor.counts.by_phase.total();
    if all > 0 {
        return nothing_found(query, "/updates", all);
    }
    let is_tracked = ui.handle.overview(&visitor.visible).tracked > 0;
    let text = if is_tracked { "There are no updates yet" } else { nothing_tracked(ui, visitor) };
    empty("inbox", &html! { p { (text) "." } })
}

/// The number of entries that match. It replaces the text of a region of the page that is announced, so the list has to
/// be the part of the page that is replaced.
pub(super) fn found(headers: &HeaderMap, total: usize, thing: &str) -> Markup {
    if headers.get("hx-target").is_none_or(|target| target != "list") {
        return html! {};
    }
    html! {
        p id="found" hx-swap-oob="innerHTML" {
            @match total { 0 => { "No " (thing) "s match" }, 1 => { "1 " (thing) " matches" }, n => { (n) " " (thing) "s match" } }
        }
    }
}

fn table(query: &ListQuery, rows: &[Markup]) -> Markup {
    html! {
        table class="tbl" {
            caption class="sr-only" { "Updates" }
            // The segments and the filters contain the order too.
            thead hx-target="#list" hx-select="#list" hx-select-oob="#segments,#filters" hx-push-url="true" {
                tr {
                    th class="w-9 max-sm:hidden" { span class="sr-only" { "Select" } }
                    th scope="col" class="w-32 max-sm:w-34" { "Phase" }
                    (sorted(query, "Workload and change", SortBy::Name, ""))
                    th scope="col" class="w-20 max-md:hidden" { "Policy" }
                    th scope="col" class="w-40 max-lg:hidden" { "Decided by" }
                    (sorted(query, "Changed", SortBy::Changed, "w-26 max-sm:hidden"))
                }
            }
            tbody { @for row in rows { (row) } }
        }
    }
}

/// The header of a column that sorts.
pub(super) fn sorted(query: &ListQuery, word: &str, by: SortBy, classes: &str) -> Markup {
    let now = query.order();
    let here = now.by == by;
    let href = query.sorted(Order { by, descending: if here { !now.descending } else { by == SortBy::Changed } });
    let (aria, sign, look) = match (here, now.descending) {
        (true, true) => (Some("descending"), "arrow-down", "i"),
        (true, false) => (Some("ascending"), "arrow-up", "i"),
        (false, _) => (None, "chevrons-up-down", "i opacity-40"),
    };
    html! {
        th scope="col" class=(classes) aria-sort=[aria] { a href=(href) hx-get=(href) { (word) (icon_with(sign, look)) } }
    }
}

/// A list without entries that match, of `total` entries.
pub(super) fn nothing_found(query: &ListQuery, all: &str, total: usize) -> Markup {
    empty(
        "search",
        &html! {
            p {
                @if query.page > 1 {
                    "The list has no page " (query.page)
                } @else {
                    "No entry matches"
                    @if let Some(text) = &query.text { " “" (text) "”" } @else { " the filters" }
                    @if let Some(namespace) = &query.namespace { " in namespace " (namespace) }
                }
                "."
            }
            p { a class="btn btn-sm" href=(all) { "Show all " (total) } }
        },
    )
}

/// The place for the number of new updates. It reads itself again when a request is created.
pub(super) fn pill(list: &'static str, query: &ListQuery, visitor: &Visitor) -> Markup {
    let parameters = query.parameters();
    let separator = if parameters.is_empty() { "" } else { "&" };
    let href = format!("/updates/news?list={list}&v={}{separator}{parameters}", visitor.version);
    html! { div id="news" aria-live="polite" hx-get=(href) hx-trigger="sse:news" hx-swap="innerHTML" {} }
}

/// `GET /updates/news?list=inbox|table&v=`: how many updates that match the filters of the page are new.
pub(super) async fn news(State(ui): State<Arc<Ui>>, visitor: Visitor) -> Response {
    let (mut list, mut version, mut rest) = (List::Updates, String::new(), form_urlencoded::Serializer::new(String::new()));
    for (name, value) in pairs(&visitor.query) {
        match name.as_str() {
            "list" if value == "inbox" => list = List::Inbox,
            "list" => {}
            "v" => version = value,
            _ => drop(rest.append_pair(&name, &value)),
        }
    }
    let query = match ListQuery::read(list, &rest.finish()) {
        Ok(query) => query,
        Err(invalid) => return Fault::from(invalid).answer(&visitor, None),
    };
    let asked = query.updates(&visitor.visible, visitor.now);
    let word = match ui.hub.since(&version) {
        Missed::Unknown => "New updates".to_owned(),
        Missed::Hints(hints) => {
            let new = hints.iter().filter_map(|one| match &one.hint {
                Hint::Changed(change) if change.is_new => Some(change),
                Hint::Changed(_) | Hint::Resync => None,
            });
            match new.filter(|change| ui.handle.matches(&change.namespace, &change.name, &asked)).count() {
                0 => return html! {}.into_response(),
                1 => "1 new update".to_owned(),
                count => format!("{count} new updates"),
            }
        }
    };
    let href = query.at_page(1);
    html! {
        a class="news" href=(href) hx-get=(href) hx-target="#list" hx-select="#list" hx-swap="outerHTML" hx-select-oob="#segments" { (icon("arrow-up")) (word) }
    }
    .into_response()
}
