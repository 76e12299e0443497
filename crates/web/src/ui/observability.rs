//! `/observability`: cards and charts from the metrics of this process.

mod chart;
pub(super) mod ring;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use self::chart::{Chart, Look, Series, number};
use self::ring::{Sample, percentile};
use super::Ui;
use super::fault::Fault;
use super::page::{Page, Place, page};
use super::parts::icon::icon;
use super::parts::note::{Tone, note};
use super::parts::time::time;
use super::query::pairs;
use super::visitor::Visitor;

/// Parameter, text, and hours of a range.
const RANGES: &[(&str, &str, i64)] = &[("1h", "1 h", 1), ("6h", "6 h", 6), ("24h", "24 h", 24), ("7d", "7 d", 168), ("30d", "30 d", 720)];
/// Maximum number of steps of a chart.
const STEPS: usize = 48;
/// This process keeps so many hours.
const KEPT: i64 = 24;

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
    let samples = ui.ring.last(SignedDuration::from_hours((*hours).min(KEPT)), visitor.now);
    let since = samples.first().map(|sample| sample.at);
    let body = html! {
        div class="page-head" {
            div {
                h1 { "Observability" }
                p class="text-muted" {
                    "From the metrics of this process"
                    @if let Some(since) = since { ", which has samples since " (time(since, visitor.now)) }
                    ". Other replicas are not included."
                }
            }
            nav class="seg ml-auto" aria-label="Range" {
                @for (one, text, ..) in RANGES { a href={ "?range=" (one) } aria-current=[(one == word).then_some("true")] { (text) } }
            }
        }
        @if *hours > KEPT {
            div class="mb-4" { (note(Tone::Go, "info", &html! { "This process keeps 24 hours" }, Some(html! { "Read longer ranges from the system that scrapes its metrics." }))) }
        }
        (cards(&samples))
        div class="charts" { @for chart in charts(&samples) { (chart) } }
    };
    page(&visitor, Page { title: "Observability", place: Some(Place::Observability), live: true, banner: ui.banner(&visitor), body })
        .into_response()
}

/// How much a counter grew. A counter never falls in one process.
fn growth(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    match (samples.first(), samples.last()) {
        (Some(first), Some(last)) => (of(last) - of(first)).max(0.0),
        _ => 0.0,
    }
}

fn cards(samples: &[Sample]) -> Markup {
    let grown = |of: fn(&Sample) -> f64| growth(samples, of);
    let (applied, failed, rollbacks) = (grown(|one| one.applied), grown(|one| one.failed), grown(|one| one.rollbacks));
    let (webhooks, ignored) = (grown(|one| one.webhooks), grown(|one| one.ignored));
    let (scans, errors) = (grown(|one| one.scans), grown(|one| one.scan_errors));
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

/// One chart for each question.
fn charts(samples: &[Sample]) -> Vec<Markup> {
    // There is one sample a minute.
    let step = samples.len().div_ceil(STEPS).max(1);
    let mut ends: Vec<&Sample> = samples.iter().rev().step_by(step).collect();
    ends.reverse();
    let pairs: Vec<(&Sample, &Sample)> = ends.iter().copied().zip(ends.iter().copied().skip(1)).collect();
    let times: Vec<Timestamp> = pairs.iter().map(|(_, after)| after.at).collect();
    let series = |word, look, of: fn(&Sample) -> f64| Series {
        word,
        look,
        values: pairs.iter().map(|(before, after)| (of(after) - of(before)).max(0.0)).collect(),
        figure: number(growth(samples, of)),
    };
    let now = samples.last();
    let p95 = now.zip(samples.first()).map_or(0.0, |(last, first)| percentile(first, last));
    let waiting = Series {
        word: "waiting",
        look: Look::Warn,
        values: pairs.iter().map(|(_, after)| after.pending).collect(),
        figure: number(now.map_or(0.0, |sample| sample.pending)),
    };
    let duration = Series {
        word: "p95",
        look: Look::Go,
        values: pairs.iter().map(|(before, after)| percentile(before, after)).collect(),
        figure: format!("{} ms", number(p95)),
    };
    let unit = match step {
        1 => "per minute".to_owned(),
        step => format!("per {step} minutes"),
    };
    let chart = |title: &'static str, unit: &str, series: Vec<Series>| Chart { title, unit, series, times: &times }.render();
    vec![
        chart("Updates", &unit, vec![series("applied", Look::Good, |one| one.applied), series("failed", Look::Bad, |one| one.failed)]),
        chart(
            "Webhook events",
            &unit,
            vec![series("events", Look::Go, |one| one.webhooks), series("ignored calls", Look::Calm, |one| one.ignored)],
        ),
        chart("Duration of a reconcile pass", "ms, 95th percentile", vec![duration]),
        chart(
            "Scans",
            &unit,
            vec![series("images and charts", Look::Good, |one| one.scans), series("errors", Look::Bad, |one| one.scan_errors)],
        ),
        chart("Pending updates", "at the time", vec![waiting]),
        chart("Rollbacks", &unit, vec![series("rollbacks", Look::Back, |one| one.rollbacks)]),
    ]
}
