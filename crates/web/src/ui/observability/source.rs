//! The source of the figures: a system that scrapes Headwind's metrics, or this process.
//!
//! The source is set, or found by the usual names of its Service. A source that does not answer in time, sends too much
//! or something other than figures is reported on the page, and this process provides the figures instead.

mod http;
mod influxdb;
mod prometheus;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::influxdb::InfluxDb;
pub use self::prometheus::Prometheus;

use self::http::Http;
use super::figures::{Figures, Span};

/// Figures are queried again after this time.
const FRESH: Duration = Duration::from_secs(10);
/// The usual Services are looked for again after this time.
const FOUND: Duration = Duration::from_mins(5);

/// The usual addresses of Prometheus and VictoriaMetrics in a cluster.
const USUAL: &[&str] = &[
    "http://prometheus-operated.monitoring.svc:9090",
    "http://prometheus-k8s.monitoring.svc:9090",
    "http://prometheus-server.monitoring.svc:80",
    "http://kube-prometheus-stack-prometheus.monitoring.svc:9090",
    "http://prometheus.monitoring.svc:9090",
    "http://vmsingle-victoria-metrics-k8s-stack.monitoring.svc:8428",
    "http://victoria-metrics.monitoring.svc:8428",
];

/// The setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsSource {
    /// Look for Prometheus or VictoriaMetrics by the usual names of their Services.
    Find,
    /// This process.
    Process,
    /// Prometheus or VictoriaMetrics.
    Prometheus(Prometheus),
    /// InfluxDB 2.
    InfluxDb(InfluxDb),
}

/// The content of a page: the name of the source, and its figures, or the reason why there are none.
type Answer = (String, Result<Arc<Figures>, String>);

/// The source of the figures of every page.
pub(crate) struct Sources {
    setting: watch::Receiver<MetricsSource>,
    http: Result<Http, String>,
    /// True if the usual names can be looked up.
    in_cluster: bool,
    found: tokio::sync::Mutex<Option<(Instant, Option<Prometheus>)>>,
    /// The last answers, by the length of their spans, for the setting of that time.
    known: Mutex<HashMap<i64, (Instant, MetricsSource, Answer)>>,
    /// One query at a time, however many pages are opened.
    turn: tokio::sync::Mutex<()>,
}

impl Sources {
    pub(crate) fn new(setting: watch::Receiver<MetricsSource>) -> Self {
        let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let (found, known, turn) = (tokio::sync::Mutex::default(), Mutex::default(), tokio::sync::Mutex::default());
        Self { setting, http: Http::new(), in_cluster, found, known, turn }
    }

    /// Returns the figures of the last hours; `None` if this process is the source.
    pub(super) async fn figures(&self, hours: i64, now: Timestamp) -> Option<Answer> {
        let setting = self.setting.borrow().clone();
        let setting = match setting {
            MetricsSource::Process => return None,
            MetricsSource::Find => MetricsSource::Prometheus(self.found().await?),
            setting @ (MetricsSource::Prometheus(_) | MetricsSource::InfluxDb(_)) => setting,
        };
        let _turn = self.turn.lock().await;
        let span = Span::last(hours, now);
        if let Some((at, of, answer)) = self.known.lock().get(&span.seconds())
            && *of == setting
            && at.elapsed() < FRESH
        {
            return Some(answer.clone());
        }
        let answer = self.ask(&setting, &span).await;
        if let Err(error) = &answer.1 {
            tracing::warn!(source = answer.0, "the source of metrics did not answer; the page shows the figures of this process: {error}");
        }
        self.known.lock().insert(span.seconds(), (Instant::now(), setting, answer.clone()));
        Some(answer)
    }

    async fn ask(&self, setting: &MetricsSource, span: &Span) -> Answer {
        let (name, figures) = match (setting, &self.http) {
            (MetricsSource::Prometheus(source), Ok(http)) => (source.to_string(), source.figures(http, span).await),
            (MetricsSource::InfluxDb(source), Ok(http)) => (source.to_string(), source.figures(http, span).await),
            (_, Err(error)) => ("the source of metrics".to_owned(), Err(error.clone())),
            (MetricsSource::Find | MetricsSource::Process, Ok(_)) => {
                ("this process".to_owned(), Err("it is not a source of metrics".to_owned()))
            }
        };
        (name, figures.map(Arc::new))
    }

    /// Looks for a source that knows Headwind.
    async fn found(&self) -> Option<Prometheus> {
        if !self.in_cluster {
            return None;
        }
        let http = self.http.as_ref().ok()?;
        let mut found = self.found.lock().await;
        if let Some((_, known)) = found.as_ref().filter(|(at, _)| at.elapsed() < FOUND) {
            return known.clone();
        }
        let all = USUAL.iter().filter_map(|url| Prometheus::new(url, "").ok());
        let asked = all.map(|source| async { source.knows_headwind(http).await.then_some(source) });
        let first = futures_util::future::join_all(asked).await.into_iter().flatten().next();
        if let Some(source) = &first {
            tracing::info!("found a source of metrics: {source}");
        }
        *found = Some((Instant::now(), first.clone()));
        first
    }
}

#[cfg(test)]
mod tests;
