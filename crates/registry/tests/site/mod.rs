//! A web server on loopback with test-defined responses and a request log.

#![allow(dead_code, reason = "each test uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwind_core::artifact::chart::ChartRepository;
use parking_lot::Mutex;

/// A request: its path with the query, and its headers.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-")
    }

    /// Returns the decoded Basic authorization.
    pub(crate) fn proof(&self) -> String {
        basic(self.header(header::AUTHORIZATION))
    }
}

/// Returns the content of a Basic credential.
pub(crate) fn basic(value: &str) -> String {
    let decoded = value.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
    decoded.map_or_else(|| value.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

type Answer = Arc<dyn Fn(&Asked) -> Response + Send + Sync>;

struct Inner {
    answer: Answer,
    lines: Mutex<Vec<String>>,
}

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner { answer: Arc::new(answer), lines: Mutex::default() });
        let app = axum::Router::new().fallback(serve).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.ok();
        });
        Self { address, inner, server }
    }

    /// Starts a server that always responds with this index.
    pub(crate) async fn of(index: &'static str) -> Self {
        Self::start(move |_| Response::new(index.into())).await
    }

    pub(crate) fn repository(&self) -> ChartRepository {
        ChartRepository::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// Returns and clears the requests so far, as `PATH PROOF CONDITION STATUS`.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lines.lock())
    }
}

async fn serve(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    let asked = Asked { path: request.uri().to_string(), headers: request.headers().clone() };
    let response = (inner.answer)(&asked);
    let condition = [asked.header(header::IF_NONE_MATCH), asked.header(header::IF_MODIFIED_SINCE)].into_iter().find(|value| *value != "-");
    let line = format!("{} {} {} {}", asked.path, asked.proof(), condition.unwrap_or("-"), response.status().as_u16());
    inner.lines.lock().push(line);
    response
}

/// Returns a response with a status, headers and a body.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// Returns an index of about that many bytes, generated while it is sent.
pub(crate) fn large(size: usize) -> Response {
    let entry = |chart: usize, version: usize| {
        format!(
            "  - annotations:\n      changes: |\n        - kind: fixed\n          description: {}\n    apiVersion: v2\n    \
             appVersion: 1.{version}.0\n    created: \"2026-05-01T10:11:12.123456789Z\"\n    description: Ein Häuschen für chart-{chart}\n    \
             digest: {version:064x}\n    keywords: [one, two, three]\n    name: chart-{chart}\n    urls:\n    \
             - https://charts.example/chart-{chart}-1.{version}.0.tgz\n    version: 1.{version}.0\n",
            "x".repeat(400)
        )
    };
    let chart = move |n: usize| format!("  chart-{n}:\n{}", (0..100).map(|version| entry(n, version)).collect::<String>());
    let pieces = (0..size / chart(1000).len()).map(chart);
    let pieces = std::iter::once("apiVersion: v1\nentries:\n".to_owned()).chain(pieces);
    Response::new(Body::from_stream(futures_util::stream::iter(pieces.map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))))))
}
