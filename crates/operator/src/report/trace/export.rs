//! Sends spans to the collector, in batches.

use std::convert::Infallible;
use std::time::Duration;

use headwind_core::backoff::Backoff;
use reqwest::{Client, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Settings, Span, otlp};

/// The pauses between attempts.
const PAUSE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
/// Number of attempts for one batch.
const ATTEMPTS: u32 = 4;

/// The task that sends spans.
pub(crate) struct Exporter(Option<Export>);

struct Export {
    settings: Settings,
    resource: Vec<(String, String)>,
    spans: mpsc::Receiver<Span>,
    is_failing: bool,
}

impl Exporter {
    /// A task that does nothing.
    pub(super) fn off() -> Self {
        Self(None)
    }

    pub(super) fn new(settings: Settings, instance: &str, spans: mpsc::Receiver<Span>) -> Self {
        let own = [("service.name", "headwind"), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", instance)];
        let mut resource = settings.resource.clone();
        for (name, value) in own {
            if !resource.iter().any(|(known, _)| known == name) {
                resource.push((name.to_owned(), value.to_owned()));
            }
        }
        Self(Some(Export { settings, resource, spans, is_failing: false }))
    }

    /// Runs until `stop`, then sends what is queued.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        match self.0 {
            Some(export) => export.run(stop).await,
            None => stop.cancelled().await,
        }
        Ok(())
    }
}

impl Export {
    async fn run(mut self, stop: CancellationToken) {
        let client = match Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(self.settings.timeout).build() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "failed to set up HTTPS for traces; they are not sent");
                return stop.cancelled().await;
            }
        };
        tracing::info!(host = self.settings.url.host_str(), "tracing is on");
        loop {
            let batch = self.next(&stop).await;
            if batch.is_empty() {
                return;
            }
            self.send(&client, &batch, &stop).await;
        }
    }

    /// Waits for the next batch: until it is full, the delay is over, or `stop`. It is empty at the end.
    async fn next(&mut self, stop: &CancellationToken) -> Vec<Span> {
        let mut batch = Vec::new();
        let first = tokio::select! {
            span = self.spans.recv() => span,
            () = stop.cancelled() => self.spans.try_recv().ok(),
        };
        batch.extend(first);
        let due = Instant::now() + self.settings.delay;
        while !batch.is_empty() && batch.len() < self.settings.batch {
            let next = tokio::select! {
                biased;
                next = timeout_at(due, self.spans.recv()) => next.ok().flatten(),
                () = stop.cancelled() => self.spans.try_recv().ok(),
            };
            match next {
                Some(span) => batch.push(span),
                None => break,
            }
        }
        batch
    }

    async fn send(&mut self, client: &Client, batch: &[Span], stop: &CancellationToken) {
        let body = otlp::body(&self.resource, batch).to_string();
        for attempt in 0..ATTEMPTS {
            match self.attempt(client, body.clone()).await {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("the collector accepts traces again");
                    }
                    return;
                }
                Err((problem, may_pass)) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(problem, "the collector does not accept traces; some are lost until it does");
                    }
                    if !may_pass || stop.is_cancelled() {
                        return;
                    }
                }
            }
            sleep(PAUSE.pause(attempt)).await;
        }
    }

    /// Sends a batch once. Returns what is wrong, and whether it may pass.
    async fn attempt(&self, client: &Client, body: String) -> Result<(), (String, bool)> {
        let call = client.post(self.settings.url.clone()).headers(self.settings.headers.clone()).header("content-type", "application/json");
        let status = call.body(body).send().await.map_err(|error| (error.without_url().to_string(), true))?.status();
        let may_pass = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        if status.is_success() { Ok(()) } else { Err((format!("it answered {status}"), may_pass)) }
    }
}
