//! InfluxDB 2, filled by Telegraf's input `prometheus`.
//!
//! Both layouts of Telegraf are read: with `metric_version = 2` the field has the name of the metric, with 1 the
//! measurement has it.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use jiff::Timestamp;
use reqwest::Url;

use super::http::Http;
use super::prometheus::{base, place};
use crate::ui::observability::figures::{Figures, Quantity, Span};

/// A bucket of InfluxDB.
#[derive(Clone, PartialEq, Eq)]
pub struct InfluxDb {
    url: Url,
    org: String,
    bucket: String,
    token: Option<String>,
}

impl fmt::Debug for InfluxDb {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InfluxDb").field("place", &place(&self.url)).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl fmt::Display for InfluxDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfluxDB at {}, bucket {}", place(&self.url), self.bucket)
    }
}

/// Returns a string literal of Flux.
fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => literal.extend(['\\', letter]),
            // Else it would begin an expression.
            '$' => literal.push_str("\\x24"),
            letter if letter.is_control() => {}
            letter => literal.push(letter),
        }
    }
    literal.push('"');
    literal
}

impl InfluxDb {
    /// A bucket of an organization.
    ///
    /// # Errors
    /// The problem of the URL.
    pub fn new(url: &str, org: &str, bucket: &str, token: Option<&str>) -> Result<Self, String> {
        Ok(Self { url: base(url)?, org: org.to_owned(), bucket: bucket.to_owned(), token: token.map(str::to_owned) })
    }

    /// Returns one query with a table for each quantity.
    fn query(&self, span: &Span) -> String {
        let (step, begin) = (span.step.as_secs(), span.end.as_second() - span.seconds());
        let offset = span.end.as_second().rem_euclid(step);
        let named = |name: &str| format!("r._measurement == {0} or r._field == {0}", quoted(name));
        let mut query = format!("data = from(bucket: {}) |> range(start: {begin}, stop: {})\n", quoted(&self.bucket), span.end.as_second());
        let windowed = |function: &str| format!("aggregateWindow(every: {step}s, offset: {offset}s, fn: {function}, createEmpty: false)");
        for quantity in Quantity::ALL {
            let yielded = format!("yield(name: {})", quoted(quantity.name()));
            let line = match quantity {
                Quantity::Pending => format!(
                    "data |> filter(fn: (r) => {}) |> group() |> {} |> {yielded}",
                    named("headwind_updates_pending"),
                    windowed("max")
                ),
                // The bucket's bound is in a tag or, with version 1, the name of the field.
                Quantity::Reconcile => format!(
                    "data |> filter(fn: (r) => (r._field == \"headwind_reconcile_duration_seconds_bucket\" and exists r.le) or (r._measurement == \"headwind_reconcile_duration_seconds\" and r._field != \"count\" and r._field != \"sum\")) \
                     |> difference(nonNegative: true) |> map(fn: (r) => ({{r with le: if exists r.le then r.le else r._field}})) |> group(columns: [\"le\"]) |> {} |> {yielded}",
                    windowed("sum")
                ),
                _ => format!(
                    "data |> filter(fn: (r) => {}) |> difference(nonNegative: true) |> group() |> {} |> {yielded}",
                    quantity.counters().iter().map(|name| named(name)).collect::<Vec<_>>().join(" or "),
                    windowed("sum")
                ),
            };
            // Writing to a string does not fail.
            let _ = writeln!(query, "{line}");
        }
        query
    }

    /// Returns the figures of the span.
    pub(super) async fn figures(&self, http: &Http, span: &Span) -> Result<Figures, String> {
        let mut url = self.url.join("api/v2/query").map_err(|error| error.to_string())?;
        url.query_pairs_mut().append_pair("org", &self.org);
        let mut request = http.post(url).header("content-type", "application/vnd.flux").header("accept", "application/csv");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Token {token}"));
        }
        read(&Http::text(request.body(self.query(span))).await?, span)
    }
}

/// Reads the tables of an answer, in annotated CSV.
fn read(text: &str, span: &Span) -> Result<Figures, String> {
    let mut figures = Figures::new(span.times(), span.step);
    let mut header: Vec<&str> = Vec::new();
    // The growth of each bucket of the histogram, by step and bound in milliseconds.
    let mut buckets: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let cells: Vec<&str> = line.split(',').collect();
        if cells.contains(&"_value") {
            header = cells;
            continue;
        }
        let cell = |name: &str| header.iter().position(|column| *column == name).and_then(|place| cells.get(place)).copied();
        let (Some(name), Some(time), Some(value)) = (cell("result"), cell("_time"), cell("_value")) else {
            return Err("the answer is not that of InfluxDB".to_owned());
        };
        let Some(quantity) = Quantity::ALL.into_iter().find(|quantity| quantity.name() == name) else { continue };
        let at: Timestamp = time.parse().map_err(|_| "the answer has a time that cannot be read".to_owned())?;
        let value: f64 = value.parse().map_err(|_| "the answer has a value that is not a number".to_owned())?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
        let Some(step) = span.place(at.as_second() as f64) else { continue };
        if quantity == Quantity::Reconcile {
            let bound = cell("le").map(|le| if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap_or(f64::NAN) * 1000.0 });
            buckets.entry(step).or_default().extend(bound.filter(|bound| !bound.is_nan()).map(|bound| (bound, value)));
        } else {
            figures.set(quantity, step, value);
        }
    }
    for quantity in Quantity::ALL {
        let values = figures.values(quantity);
        let total = if quantity == Quantity::Pending { values.last().copied().unwrap_or_default() } else { values.iter().sum() };
        figures.set_total(quantity, total);
    }
    let mut whole: BTreeMap<u64, f64> = BTreeMap::new();
    for (step, mut all) in buckets {
        for (bound, count) in &all {
            *whole.entry(bound.to_bits()).or_default() += count;
        }
        figures.set(Quantity::Reconcile, step, percentile(&mut all));
    }
    let mut whole: Vec<(f64, f64)> = whole.into_iter().map(|(bound, count)| (f64::from_bits(bound), count)).collect();
    figures.set_total(Quantity::Reconcile, percentile(&mut whole));
    Ok(figures)
}

/// Returns the bound of the bucket with the 95th percentile. Counts are cumulative over the bounds.
fn percentile(buckets: &mut [(f64, f64)]) -> f64 {
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let total = buckets.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    let finite = || buckets.iter().filter(|(bound, _)| bound.is_finite());
    let found = finite().find(|(_, count)| total > 0.0 && *count >= total * 0.95);
    found.or_else(|| finite().next_back().filter(|_| total > 0.0)).map_or(0.0, |(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let span = Span::last(1, Timestamp::from_second(1_800_000_000).unwrap());
        let at = |back: i64| Timestamp::from_second(1_800_000_000 - back).unwrap().to_string();
        let text = format!(
            ",result,table,_start,_stop,_time,_value\r\n,applied,0,s,e,{0},3\r\n,applied,0,s,e,{1},2\r\n\r\n,result,table,_time,_value\r\n,pending,1,{0},7\r\n\r\n\
             ,result,table,le,_time,_value\r\n,reconcile,2,0.01,{0},90\r\n,reconcile,3,0.02,{0},99\r\n,reconcile,4,+Inf,{0},100\r\n",
            at(0),
            at(300)
        );
        let figures = read(&text, &span).unwrap();
        assert_eq!(figures.values(Quantity::Applied)[10..].to_vec(), vec![2.0, 3.0]);
        let totals = [Quantity::Applied, Quantity::Pending, Quantity::Reconcile].map(|one| figures.total(one).to_string());
        assert_eq!(totals, ["5", "7", "20"]);
        for bad in [
            "<html></html>",
            ",result,table,_time,_value\n,applied,0,yesterday,1",
            ",result,table,_time,_value\n,applied,0,2027-01-15T08:00:00Z,much",
        ] {
            assert!(read(bad, &span).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bucket_cannot_change_the_query() {
        assert_eq!(quoted("a\"b\\c${d}\n"), "\"a\\\"b\\\\c\\x24{d}\"");
    }
}
