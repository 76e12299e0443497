//! Sends spans to the collector, in batches.

use std::convert::Infallible;
use std::time::Duration;

use headwind_core::backoff::Backoff;
use reqwest::{Certificate, Client, StatusCode};
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

/// Creates the client of the collector.
async fn client(settings: &Settings) -> Result<Client, String> {
    let mut builder = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(settings.timeout);
    if let Some((name, file)) = &settings.certificate {
        let pem = tokio::fs::read(file).await.map_err(|error| format!("{name}: failed to read {}: {error}", file.display()))?;
        let roots = Certificate::from_pem_bundle(&pem).ok().filter(|roots| !roots.is_empty());
        builder = builder.tls_certs_merge(roots.ok_or_else(|| format!("{name}: {} must be a PEM file with certificates", file.display()))?);
    }
    builder.build().map_err(|error| error.to_string())
}

impl Export {
    async fn run(mut self, stop: CancellationToken) {
        for warning in &self.settings.warnings {
            tracing::warn!("{warning}");
        }
        let client = match client(&self.settings).await {
            Ok(client) => client,
            Err(problem) => {
                tracing::error!(problem, "failed to set up HTTPS for traces; they are not sent");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_certificate_that_cannot_be_used_is_named() {
        let settings = |file: &str| {
            let value = |name: &str| match name {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://collector:4318".to_owned()),
                "OTEL_EXPORTER_OTLP_CERTIFICATE" => Some(file.to_owned()),
                _ => None,
            };
            Settings::read(value).unwrap().unwrap()
        };
        let no_certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (file, problem) in [("/does/not/exist", "failed to read /does/not/exist"), (no_certificate, "must be a PEM file")] {
            let error = client(&settings(file)).await.unwrap_err();
            assert!(error.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE: ") && error.contains(problem), "{error}");
        }
    }
}
