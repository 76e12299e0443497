//! Prometheus, and whatever answers the same queries, such as VictoriaMetrics.

use std::fmt;

use reqwest::Url;
use serde::Deserialize;

use super::http::{Http, cut};
use crate::ui::observability::figures::{Figures, Quantity, Span};

/// The label that names the quantity in answers.
const LABEL: &str = "headwind_quantity";

/// A server with the API of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    url: Url,
    /// Matchers of labels that select this Headwind among several.
    selector: String,
}

impl fmt::Display for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prometheus at {}", place(&self.url))
    }
}

/// Returns host and port of a URL, without a login that it may have.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Parses the URL of a source.
pub(super) fn base(url: &str) -> Result<Url, String> {
    let url = Url::parse(url.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none());
    let mut url = url.ok_or("must be an http or https URL without a query, such as http://prometheus.monitoring.svc:9090")?;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

#[derive(Deserialize)]
struct Response {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    metric: std::collections::BTreeMap<String, String>,
    /// Of a range query.
    #[serde(default)]
    values: Vec<(f64, String)>,
    /// Of an instant query.
    #[serde(default)]
    value: Option<(f64, String)>,
}

impl Line {
    fn quantity(&self) -> Option<Quantity> {
        let name = self.metric.get(LABEL)?;
        Quantity::ALL.into_iter().find(|quantity| quantity.name() == name)
    }
}

impl Prometheus {
    /// A server. `selector` has further matchers of labels, such as `namespace="headwind"`; it may be empty.
    ///
    /// # Errors
    /// The problem of the URL or the selector.
    pub fn new(url: &str, selector: &str) -> Result<Self, String> {
        let selector = selector.trim();
        if selector.contains(['{', '}', '\n']) {
            return Err("must be matchers of labels without braces, such as namespace=\"headwind\"".to_owned());
        }
        Ok(Self { url: base(url)?, selector: selector.to_owned() })
    }

    /// Returns the expression of a quantity over a window in seconds.
    fn expression(&self, quantity: Quantity, window: i64) -> String {
        let selector = if self.selector.is_empty() { String::new() } else { format!("{{{}}}", self.selector) };
        match quantity {
            // Every replica counts all requests.
            Quantity::Pending => format!("max(headwind_updates_pending{selector})"),
            Quantity::Reconcile => format!(
                "1000 * histogram_quantile(0.95, sum by (le) (increase(headwind_reconcile_duration_seconds_bucket{selector}[{window}s])))"
            ),
            _ => {
                let one = |name: &&str| format!("sum(increase({name}{selector}[{window}s]))");
                let all: Vec<String> = quantity.counters().iter().map(one).collect();
                match all.as_slice() {
                    [only] => only.clone(),
                    // A counter without a series is 0.
                    several => several.iter().map(|one| format!("({one} or vector(0))")).collect::<Vec<_>>().join(" + "),
                }
            }
        }
    }

    /// Returns one query for all quantities.
    fn query(&self, window: i64) -> String {
        let named = |quantity: Quantity| {
            format!("label_replace({}, \"{LABEL}\", \"{}\", \"\", \"\")", self.expression(quantity, window), quantity.name())
        };
        Quantity::ALL.map(named).join(" or ")
    }

    /// Returns the figures of the span.
    pub(super) async fn figures(&self, http: &Http, span: &Span) -> Result<Figures, String> {
        let times = span.times();
        let (start, end) = (times.first().copied().unwrap_or(span.end), span.end);
        let range = [
            ("query", self.query(span.step.as_secs())),
            ("start", start.as_second().to_string()),
            ("end", end.as_second().to_string()),
            ("step", span.step.as_secs().to_string()),
        ];
        let whole = [("query", self.query(span.seconds())), ("time", end.as_second().to_string())];
        let (lines, totals) = tokio::try_join!(self.ask(http, "api/v1/query_range", &range), self.ask(http, "api/v1/query", &whole))?;
        let mut figures = Figures::new(times, span.step);
        for line in lines {
            let Some(quantity) = line.quantity() else { continue };
            for (at, value) in &line.values {
                if let Some(step) = span.place(*at) {
                    figures.set(quantity, step, number(value)?);
                }
            }
        }
        for line in totals {
            if let (Some(quantity), Some((_, value))) = (line.quantity(), &line.value) {
                figures.set_total(quantity, number(value)?);
            }
        }
        Ok(figures)
    }

    /// Returns true if the server has metrics of Headwind.
    pub(super) async fn knows_headwind(&self, http: &Http) -> bool {
        let query = [("query", "count(headwind_leader)".to_owned())];
        self.ask(http, "api/v1/query", &query).await.is_ok_and(|lines| !lines.is_empty())
    }

    async fn ask(&self, http: &Http, path: &str, form: &[(&str, String)]) -> Result<Vec<Line>, String> {
        let url = self.url.join(path).map_err(|error| error.to_string())?;
        let text = Http::text(http.post(url).form(form)).await?;
        let response: Response = serde_json::from_str(&text).map_err(|_| "the answer is not that of Prometheus".to_owned())?;
        match (response.status.as_str(), response.data) {
            ("success", Some(data)) => Ok(data.result),
            _ => Err(format!("it answered: {}", cut(&response.error.unwrap_or_default()))),
        }
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "the answer has a value that is not a number".to_owned())
}
