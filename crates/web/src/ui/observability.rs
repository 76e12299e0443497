//! `/observability`: cards and charts from the system that scrapes Headwind's metrics, or from this process.

mod chart;
mod figures;
pub(super) mod ring;
pub mod source;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use headwind_operator::Permission;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use self::chart::{Chart, Look, Series, number};
use self::figures::{Figures, Quantity};
use super::Ui;
use super::fault::Fault;
use super::page::{Page, Place, page};
use super::parts::copy::copyable;
use super::parts::icon::icon;
use super::parts::note::{Tone, empty, note};
use super::parts::time::time;
use super::permissions;
use super::query::pairs;
use super::visitor::Visitor;

/// Parameter, text, and hours of a range.
const RANGES: &[(&str, &str, i64)] = &[("1h", "1 h", 1), ("6h", "6 h", 6), ("24h", "24 h", 24), ("7d", "7 d", 168), ("30d", "30 d", 720)];
/// This process keeps so many hours.
const KEPT: i64 = 24;
/// From so many hours on, charts show dates.
const DATED: i64 = 24;

/// `GET /observability?range=`
pub(super) async fn observability(State(ui): State<Arc<Ui>>, visitor: Visitor) -> Response {
    let mut range = "24h".to_owned();
    for (name, value) in pairs(&visitor.query) {
        match name.as_str() {
            "range" => range = value,
            _ => return Fault::form("this page has the parameter range").answer(&visitor, None),
        }
    }
    let Some((word, _, hours)) = RANGES.iter().find(|(word, ..)| *word == range) else {
        return Fault::form("range must be 1h, 6h, 24h, 7d or 30d").answer(&visitor, None);
    };
    let answer = ui.sources.figures(*hours, visitor.now).await;
    let own = || {
        let samples = ui.ring.last(SignedDuration::from_hours((*hours).min(KEPT)), visitor.now);
        (Arc::new(ring::figures(&samples)), samples.first().map(|sample| sample.at))
    };
    let ((figures, since), name, failed) = match answer {
        Some((name, Ok(figures))) => ((figures, None), Some(name), None),
        Some((name, Err(error))) => (own(), None, Some((name, error))),
        None => (own(), None, None),
    };
    let body = html! {
        div class="page-head" {
            div {
                h1 { "Observability" }
                p class="text-muted" { (origin(name.as_deref(), since, visitor.now)) }
            }
            nav class="seg sm:ml-auto" aria-label="Range" {
                @for (one, text, ..) in RANGES { a href={ "?range=" (one) } aria-current=[(one == word).then_some("true")] { (text) } }
            }
        }
        @if let Some((name, error)) = &failed {
            div class="mb-4" { (note(Tone::Warn, "unplug", &html! { (name) " did not answer" }, Some(html! { (error) ". The figures below are those of this process." }))) }
        }
        @if name.is_none() && *hours > KEPT {
            div class="mb-4" { (note(Tone::Go, "info", &html! { "This process keeps 24 hours" }, Some(html! { "Read longer ranges from the system that scrapes its metrics." }))) }
        }
        @if permissions::sees_everything(&ui, &visitor.visible) {
            (cards(&figures))
            div class="charts" { @for chart in charts(&figures, *hours >= DATED) { (chart) } }
        } @else {
            (empty("lock", &html! {
                p { "These figures are totals of all namespaces, and you may list updates in some of them only." }
                (copyable(&Permission::on_requests("list", None, None).can_i(), "Command"))
            }))
        }
    };
    page(&visitor, Page { title: "Observability", place: Some(Place::Observability), live: true, banner: ui.banner(&visitor).await, body })
        .into_response()
}

/// Says where the figures come from, and when they were queried.
fn origin(name: Option<&str>, since: Option<Timestamp>, now: Timestamp) -> Markup {
    html! {
        @match name {
            Some(name) => { "From " (name) ", queried " (time(now, now)) ". All replicas are included." },
            None => {
                "From the metrics of this process"
                @if let Some(since) = since { ", which has samples since " (time(since, now)) }
                ". Other replicas are not included."
            },
        }
    }
}

fn cards(figures: &Figures) -> Markup {
    // Rates are estimated between two samples of the source, so growth is rarely a whole number.
    let grown = |of| figures.total(of).round();
    let (applied, failed, rollbacks) = (grown(Quantity::Applied), grown(Quantity::Failed), grown(Quantity::Rollbacks));
    let (webhooks, ignored) = (grown(Quantity::Webhooks), grown(Quantity::Ignored));
    let (scans, errors) = (grown(Quantity::Scans), grown(Quantity::ScanErrors));
    let cards = [
        ("tile tone-good", "circle-check", number(applied), "updates applied", format!("{} failed", number(failed))),
        ("tile tone-back", "undo-2", number(rollbacks), "rollbacks", "automatic and manual".to_owned()),
        ("tile tone-go", "webhook", number(webhooks), "webhook events", format!("{} calls ignored", number(ignored))),
        ("tile tone-warn", "radar", number(scans), "scans", format!("{} errors", number(errors))),
    ];
    html! {
        div class="tiles" id="cards" {
            @for (classes, sign, figure, label, more) in cards {
                div class=(classes) { (icon(sign)) span class="tile-n" { (figure) } span { (label) span class="block text-muted text-xs" { (more) } } }
            }
        }
    }
}

/// One chart for each question. `dated` is true if the times have a date.
fn charts(figures: &Figures, dated: bool) -> Vec<Markup> {
    let series = |word, look, of, figure: String| Series { word, look, values: figures.values(of), figure };
    let grown = |word, look, of| series(word, look, of, number(figures.total(of).round()));
    let unit = match figures.step.as_secs() {
        60 => "per minute".to_owned(),
        step if step % 3600 == 0 => format!("per {} h", step / 3600),
        step if step % 60 == 0 => format!("per {} minutes", step / 60),
        step => format!("per {step} s"),
    };
    let chart = |title: &'static str, unit: &str, series: Vec<Series>| Chart { title, unit, series, times: &figures.times, dated }.render();
    vec![
        chart("Updates", &unit, vec![grown("applied", Look::Good, Quantity::Applied), grown("failed", Look::Bad, Quantity::Failed)]),
        chart(
            "Webhook events",
            &unit,
            vec![grown("events", Look::Go, Quantity::Webhooks), grown("ignored calls", Look::Calm, Quantity::Ignored)],
        ),
        chart(
            "Duration of a reconcile pass",
            "ms, 95th percentile",
            vec![series("p95", Look::Go, Quantity::Reconcile, format!("{} ms", number(figures.total(Quantity::Reconcile))))],
        ),
        chart(
            "Scans",
            &unit,
            vec![grown("images and charts", Look::Good, Quantity::Scans), grown("errors", Look::Bad, Quantity::ScanErrors)],
        ),
        chart(
            "Pending updates",
            "at the time",
            vec![series("waiting", Look::Warn, Quantity::Pending, number(figures.total(Quantity::Pending)))],
        ),
        chart("Rollbacks", &unit, vec![grown("rollbacks", Look::Back, Quantity::Rollbacks)]),
    ]
}
