//! Charts that the server draws as SVG, each with its figures as a table.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;
/// Height of the highest value.
const TOP: f64 = 112.0;

/// A line of a chart.
pub(super) struct Series {
    /// The name of the quantity.
    pub(super) word: &'static str,
    /// The classes of its path, area and swatch.
    pub(super) look: Look,
    /// One value for each step.
    pub(super) values: Vec<f64>,
    /// The figure in the legend.
    pub(super) figure: String,
}

/// The colour of a line. Some lines are dashed as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Good,
    Go,
    Bad,
    Calm,
    Warn,
    Back,
}

impl Look {
    fn stroke(self) -> &'static str {
        match self {
            Look::Good => "stroke s-good",
            Look::Go => "stroke s-go",
            Look::Bad => "stroke s-bad",
            Look::Calm => "stroke s-calm",
            Look::Warn => "stroke s-warn",
            Look::Back => "stroke s-back",
        }
    }

    fn area(self) -> &'static str {
        match self {
            Look::Good => "area s-good",
            Look::Go => "area s-go",
            Look::Bad => "area s-bad",
            Look::Calm => "area s-calm",
            Look::Warn => "area s-warn",
            Look::Back => "area s-back",
        }
    }

    fn tone(self) -> &'static str {
        match self {
            Look::Good => "tone-good",
            Look::Go => "tone-go",
            Look::Bad => "tone-bad",
            Look::Calm => "tone-calm",
            Look::Warn => "tone-warn",
            Look::Back => "tone-back",
        }
    }
}

/// A chart.
pub(super) struct Chart<'a> {
    pub(super) title: &'static str,
    pub(super) unit: &'a str,
    pub(super) series: Vec<Series>,
    /// The time of each step.
    pub(super) times: &'a [Timestamp],
    /// True if the times have a date, because the range is a day or longer.
    pub(super) dated: bool,
}

/// Returns a round number that is at least as high as all values.
fn top(values: impl Iterator<Item = f64>) -> f64 {
    let highest = values.fold(0.0, f64::max);
    let mut step = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if factor * step >= highest {
                return factor * step;
            }
        }
        step *= 10.0;
        if !highest.is_finite() {
            return 1.0;
        }
    }
}

/// Writes a value without digits that mean nothing.
pub(super) fn number(value: f64) -> String {
    if value.fract().abs() < 0.05 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[expect(clippy::cast_precision_loss, reason = "the number of steps is small")]
fn line(values: &[f64], top: f64) -> String {
    let mut path = String::new();
    let last = values.len().saturating_sub(1).max(1) as f64;
    for (place, value) in values.iter().enumerate() {
        let command = if place == 0 { 'M' } else { 'L' };
        let (x, y) = (place as f64 / last * WIDTH, HEIGHT - value.max(0.0) / top * TOP);
        // Writing into a String does not fail.
        let _ = write!(path, "{command}{x:.1} {y:.1}");
    }
    path
}

impl Chart<'_> {
    pub(super) fn render(&self) -> Markup {
        let Self { title, unit, series, times, dated } = self;
        let top = top(series.iter().flat_map(|one| one.values.iter().copied()));
        let label = series.iter().map(|one| format!("{} {}", one.word, one.figure)).collect::<Vec<_>>().join(", ");
        let ticks = |count: usize| -> Vec<usize> {
            let last = times.len().saturating_sub(1);
            let count = count.min(times.len());
            (0..count).map(|tick| last * tick / (count - 1).max(1)).collect()
        };
        let format = if *dated { "%d %b %H:%M" } else { "%H:%M" };
        let clock = |at: &Timestamp| at.strftime(format).to_string();
        let axis = ticks(if *dated { 3 } else { 5 });
        html! {
            figure class="card chart" {
                figcaption {
                    h2 { (title) " " span class="text-muted font-normal text-xs" { (unit) } }
                    ul class="keylist" {
                        @for one in series {
                            li class=(one.look.tone()) {
                                svg class="swatch" aria-hidden="true" viewBox="0 0 16 4" { path class=(one.look.stroke()) d="M0 2h16" {} }
                                (one.word) " " b { (one.figure) }
                            }
                        }
                    }
                }
                div class="plot" {
                    span class="y-top" { (number(top)) } span class="y-bot" { "0" }
                    @if times.len() < 2 { p class="plot-none text-muted text-xs" { "The chart needs two samples" } }
                    svg viewBox="0 0 600 120" preserveAspectRatio="none" role="img" aria-label={ (title) ": " (label) } {
                        path class="grid-line" d="M0 8H600M0 64H600M0 120H600" {}
                        @for one in series {
                            @let path = line(&one.values, top);
                            @if one.values.len() > 1 {
                                path class=(one.look.area()) d={ (path) "L600 120L0 120Z" } {}
                                path class=(one.look.stroke()) d=(path) {}
                            }
                        }
                    }
                }
                div class="x-axis text-muted" {
                    @for place in axis { span { @if let Some(at) = times.get(place) { (clock(at)) } @if place + 1 == times.len() { " UTC" } } }
                }
                details class="more" {
                    summary { "View as table" }
                    table class="tbl" {
                        caption class="sr-only" { (title) }
                        thead { tr { th scope="col" { "Time (UTC)" } @for one in series { th scope="col" { (one.word) } } } }
                        tbody {
                            @for (place, at) in times.iter().enumerate() {
                                tr { td { (clock(at)) } @for one in series { td { (number(one.values.get(place).copied().unwrap_or_default())) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round() {
        for (highest, expected) in [(0.0, 1.0), (1.5, 2.0), (3.0, 5.0), (21.0, 50.0), (1000.0, 1000.0)] {
            assert!((top([highest].into_iter()) - expected).abs() < f64::EPSILON, "{highest}");
        }
        assert!((top([f64::INFINITY].into_iter()) - 1.0).abs() < f64::EPSILON);
        assert_eq!((number(3.0), number(0.25)), ("3".to_owned(), "0.2".to_owned()));
    }

    #[test]
    fn times_have_a_date_if_the_range_is_long() {
        let times: Vec<Timestamp> = (0..48).map(|step| Timestamp::from_second(1_800_000_000 + step * 1800).unwrap()).collect();
        let chart = |dated| {
            let series = vec![Series { word: "applied", look: Look::Good, values: vec![1.0; 48], figure: "48".to_owned() }];
            Chart { title: "Updates", unit: "per 30 minutes", series, times: &times, dated }.render().into_string()
        };
        let (short, long) = (chart(false), chart(true));
        assert!(short.contains("<span>07:30 UTC</span>") && !short.contains("Jan"), "{short}");
        assert!(long.contains("<span>16 Jan 07:30 UTC</span>") && long.contains("<td>15 Jan 08:00</td>"), "{long}");
        assert_eq!(long.matches("<td>1</td>").count(), 48, "every step");
    }

    #[test]
    fn a_line_stays_in_its_box() {
        assert_eq!(line(&[0.0, 5.0], 5.0), "M0.0 120.0L600.0 8.0");
        assert_eq!(line(&[], 1.0), "");
    }
}
