//! The common part of the fake servers ([`Site`]): logs requests, and can misbehave.
//!
//! Used by `fake_registry` and `chart_repository`. The log contains what was requested and sent, misbehavior included.
//! Bytes are counted as they are sent, so that savings by an early close or a conditional request are visible.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// Size of the pieces of a response, in bytes.
const PIECE: usize = 64 * 1024;
/// Number of pieces per second of a slow response.
const BEATS: u64 = 10;

/// A received request.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it arrived.
    pub at: Instant,
    /// `GET`, `HEAD`, `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The scheme of the `Authorization` header in lower case, or `-`.
    pub proof: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole content: headers and body, as text.
    pub raw: String,
    /// Its body, as text.
    pub body: String,
    /// The status of the response.
    pub status: u16,
    sent: Arc<AtomicU64>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.method, self.path, self.proof, self.status)
    }
}

/// A misbehavior: the response in place of the right one.
pub enum Fault {
    /// A status with headers and a body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The right response with one more header, or another value of a header.
    Header(&'static str, String),
    /// The right response without that header.
    Without(&'static str),
    /// The right headers and half of the body, with a regular end.
    Truncated,
    /// The right headers and half of the body, then a closed connection.
    Cut,
    /// The right response at that many bytes per second.
    Slow(u64),
    /// A body of that many bytes.
    Huge(u64),
    /// An endless body, one byte in each interval.
    Drip(Duration),
    /// The right response after a delay.
    Late(Duration),
    /// No response.
    Hang,
}

impl Fault {
    /// Returns a redirect to another server.
    pub fn redirect(location: impl Into<String>) -> Self {
        Self::Answer(302, vec![("location", location.into())], String::new())
    }

    /// Returns a 429 with `Retry-After` in seconds.
    pub fn throttle(seconds: u32) -> Self {
        Self::Answer(429, vec![("retry-after", seconds.to_string())], String::new())
    }
}

/// Decides for each request whether to misbehave.
type Misbehavior = Arc<dyn Fn(&Seen) -> Option<Fault> + Send + Sync>;

impl Seen {
    fn new(Asked { method, uri, headers, body }: &Asked) -> Self {
        let authorization = authorization(headers);
        let decoded = basic(headers);
        Self {
            at: Instant::now(),
            method: method.to_string(),
            path: uri.to_string(),
            proof: authorization.split(' ').next().filter(|scheme| !scheme.is_empty()).unwrap_or("-").to_ascii_lowercase(),
            headers: headers.clone(),
            raw: format!("{uri} {headers:?} {authorization} {decoded} {}", String::from_utf8_lossy(body)),
            body: String::from_utf8_lossy(body).into_owned(),
            status: 0,
            sent: Arc::default(),
        }
    }

    /// Returns how many bytes of the response's body were sent so far.
    pub fn bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns the client (`User-Agent`).
    pub fn agent(&self) -> &str {
        self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the response in place of the right one, if the fault replaces it.
    fn instead(fault: Option<&Fault>) -> Option<Response> {
        let Some(Fault::Answer(status, headers, body)) = fault else { return None };
        let mut response = (StatusCode::from_u16(*status).unwrap_or_default(), body.clone()).into_response();
        for (name, value) in headers {
            set(&mut response, name, value);
        }
        Some(response)
    }

    /// Returns the response with its fault, and counts its bytes while they are sent.
    async fn send(self, response: Response, fault: Option<Fault>) -> Response {
        let response = match fault {
            Some(fault) => fault.spoil(response).await,
            None => response,
        };
        self.count(response)
    }

    fn count(self, mut response: Response) -> Response {
        let size = response.body().size_hint().exact();
        if size == Some(0) {
            return response;
        }
        if let Some(size) = size {
            response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
        }
        let (parts, body) = response.into_parts();
        let pieces = body.into_data_stream().flat_map(|data| {
            let pieces: Vec<_> = match data {
                Ok(bytes) => pieces(&bytes, PIECE).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            stream::iter(pieces)
        });
        let counted = pieces.inspect(move |piece| {
            let length = piece.as_ref().map_or(0, Bytes::len);
            self.sent.fetch_add(length as u64, Ordering::Relaxed);
        });
        Response::from_parts(parts, Body::from_stream(counted))
    }
}

impl Fault {
    async fn spoil(self, mut response: Response) -> Response {
        match self {
            Self::Answer(..) => {}
            Self::Header(name, value) => set(&mut response, name, &value),
            Self::Without(name) => {
                response.headers_mut().remove(name);
            }
            Self::Truncated => {
                let (parts, bytes) = whole(response).await;
                response = Response::from_parts(parts, Body::from(bytes.slice(..bytes.len() / 2)));
                response.headers_mut().remove(header::CONTENT_LENGTH);
            }
            Self::Cut => {
                let (parts, bytes) = whole(response).await;
                let half = pieces(&bytes.slice(..bytes.len() / 2), PIECE).into_iter().map(Ok);
                let broken = half.chain([Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe))]);
                response = Response::from_parts(parts, Body::from_stream(stream::iter(broken)));
                response.headers_mut().insert(header::CONTENT_LENGTH, bytes.len().into());
            }
            Self::Slow(rate) => {
                let (parts, bytes) = whole(response).await;
                let piece = usize::try_from(rate / BEATS).unwrap_or(usize::MAX).max(1);
                let slow = stream::iter(pieces(&bytes, piece)).then(|piece| async move {
                    tokio::time::sleep(Duration::from_secs(1) / u32::try_from(BEATS).unwrap_or(1)).await;
                    Ok::<_, std::io::Error>(piece)
                });
                response = Response::from_parts(parts, Body::from_stream(slow));
                response.headers_mut().insert(header::CONTENT_LENGTH, bytes.len().into());
            }
            Self::Huge(size) => {
                let chunk = Bytes::from(vec![b' '; PIECE]);
                let chunks = size / PIECE as u64;
                *response.body_mut() = Body::from_stream(stream::iter((0..chunks).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))));
            }
            Self::Drip(pause) => {
                let drops = stream::unfold((), move |()| async move {
                    tokio::time::sleep(pause).await;
                    Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
                });
                *response.body_mut() = Body::from_stream(drops);
            }
            Self::Late(time) => tokio::time::sleep(time).await,
            Self::Hang => std::future::pending().await,
        }
        response
    }
}

/// A server on a free port of loopback that logs its requests and can misbehave. It ends when the value is dropped.
pub struct Site {
    address: SocketAddr,
    conduct: Arc<Mutex<Conduct>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Conduct {
    fake_server: Option<Misbehavior>,
    log: Vec<Seen>,
}

/// A request, for the function that returns the right response.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site {
    /// Starts a server whose right responses come from `answer`.
    pub(crate) async fn start<A, F>(answer: A) -> anyhow::Result<Self>
    where
        A: Fn(SocketAddr, Asked) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        // Clients of the server will need a TLS provider.
        crate::provide_tls();
        let listener = crate::port::listen().await?;
        let address = listener.local_addr()?;
        let conduct = Arc::new(Mutex::new(Conduct::default()));
        let serve = {
            let conduct = Arc::clone(&conduct);
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                serve(Arc::clone(&conduct), answer.clone(), address, Asked { method, uri, headers, body })
            }
        };
        let app = axum::Router::new().fallback(serve);
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.ok();
        });
        Ok(Self { address, conduct, server })
    }

    /// Returns `127.0.0.1:PORT`, as in an image reference or an address.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Sets the misbehavior.
    pub fn misbehave(&self, fake_server: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) {
        self.conduct.lock().fake_server = Some(Arc::new(fake_server));
    }

    /// Ends the misbehavior.
    pub fn behave(&self) {
        self.conduct.lock().fake_server = None;
    }

    /// Returns the requests so far.
    pub fn log(&self) -> Vec<Seen> {
        self.conduct.lock().log.clone()
    }

    /// Returns and clears the requests so far.
    pub fn take_log(&self) -> Vec<Seen> {
        std::mem::take(&mut self.conduct.lock().log)
    }

    /// Returns and clears the requests so far, as lines `METHOD path proof status`.
    pub fn take_lines(&self) -> Vec<String> {
        self.take_log().iter().map(ToString::to_string).collect()
    }

    /// Returns true if any request so far contained that text, plain or in the base64 of a Basic credential.
    pub fn saw(&self, text: &str) -> bool {
        self.conduct.lock().log.iter().any(|seen| seen.raw.contains(text))
    }
}

async fn serve<A, F>(conduct: Arc<Mutex<Conduct>>, answer: A, address: SocketAddr, asked: Asked) -> Response
where
    A: Fn(SocketAddr, Asked) -> F,
    F: Future<Output = Response>,
{
    let mut seen = Seen::new(&asked);
    let fake_server = conduct.lock().fake_server.clone();
    let fault = fake_server.and_then(|fake_server| fake_server(&seen));
    let response = match Seen::instead(fault.as_ref()) {
        Some(response) => response,
        None => answer(address, asked).await,
    };
    seen.status = response.status().as_u16();
    conduct.lock().log.push(seen.clone());
    seen.send(response, fault).await
}

pub(crate) fn authorization(headers: &HeaderMap) -> &str {
    headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns the `USER:PASSWORD` of a Basic credential; empty if there is none.
pub(crate) fn basic(headers: &HeaderMap) -> String {
    use base64::Engine as _;
    let text = authorization(headers).strip_prefix("Basic ").unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

async fn whole(response: Response) -> (axum::http::response::Parts, Bytes) {
    let (parts, body) = response.into_parts();
    (parts, axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default())
}

fn pieces(bytes: &Bytes, size: usize) -> Vec<Bytes> {
    (0..bytes.len()).step_by(size).map(|at| bytes.slice(at..bytes.len().min(at + size))).collect()
}
