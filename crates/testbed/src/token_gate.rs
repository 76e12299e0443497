//! A small token server in front of a real registry. A request without a bearer token is sent to `/token`, which issues
//! one for [`LOGIN`]. A request with a token is passed through.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::registry::LOGIN;

/// The gate. It ends when the value is dropped.
pub struct TokenGate {
    address: String,
    server: JoinHandle<()>,
}

impl Drop for TokenGate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Gate {
    address: String,
    behind: String,
    http: reqwest::Client,
    issued: AtomicU64,
    tokens: Mutex<HashSet<String>>,
}

impl TokenGate {
    /// Starts a gate in front of the registry at `behind` (`127.0.0.1:PORT`).
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(behind: &str) -> Result<Self> {
        let listener = crate::port::listen().await?;
        let address = listener.local_addr()?.to_string();
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build()?;
        let gate = Gate { address: address.clone(), behind: behind.to_owned(), http, issued: AtomicU64::new(0), tokens: Mutex::default() };
        let app = axum::Router::new().fallback(serve).with_state(Arc::new(gate));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.ok();
        });
        Ok(Self { address, server })
    }

    /// Returns its `127.0.0.1:PORT`, as in image references.
    pub fn addr(&self) -> &str {
        &self.address
    }
}

async fn serve(State(gate): State<Arc<Gate>>, method: Method, uri: Uri, headers: HeaderMap, _: Bytes) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if uri.path() == "/token" {
        return gate.issue(authorization);
    }
    let known = authorization.strip_prefix("Bearer ").is_some_and(|token| gate.tokens.lock().contains(token));
    if known {
        gate.pass(&method, &uri, &headers).await.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
    } else {
        gate.challenge(&uri)
    }
}

impl Gate {
    fn issue(&self, authorization: &str) -> Response {
        let right = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1));
        if authorization != format!("Basic {right}") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let token = format!("gate-token-{}", self.issued.fetch_add(1, Ordering::Relaxed));
        self.tokens.lock().insert(token.clone());
        axum::Json(serde_json::json!({"token": token, "expires_in": 60})).into_response()
    }

    fn challenge(&self, uri: &Uri) -> Response {
        let repository = uri.path().trim_start_matches("/v2/").split("/manifests/").next().unwrap_or_default();
        let repository = repository.trim_end_matches("/tags/list");
        let challenge = format!(r#"Bearer realm="http://{}/token",service="gate",scope="repository:{repository}:pull""#, self.address);
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
    }

    async fn pass(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Response> {
        let mut request = self.http.request(method.clone(), format!("http://{}{uri}", self.behind));
        for name in [header::ACCEPT, header::IF_NONE_MATCH] {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        Ok((status, headers, answer.bytes().await?).into_response())
    }
}
