//! What the servers that we fake have in common ([`Site`]): requests are written down, and answers
//! can be given with bad behaviour.
//!
//! Called by `fake_registry` and `chart_repository`. The invariant: what is in the log is what was
//! asked and answered, bad behaviour included; bytes are counted as they leave, so that a client
//! that hangs up, or asks conditionally, is seen to have saved them.

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
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What leaves at once.
const PIECE: usize = 64 * 1024;
/// A slow answer has so many pieces a second.
const BEATS: u64 = 10;

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// `GET`, `HEAD`, `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The scheme of the `Authorization` header in lower case, or `-`.
    pub proof: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Everything that it carried: headers and body, as text.
    pub raw: String,
    /// The status that was answered.
    pub status: u16,
    sent: Arc<AtomicU64>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.method, self.path, self.proof, self.status)
    }
}

/// Bad behaviour: what is answered in place of the right answer.
pub enum Fault {
    /// A status with headers and a body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The right answer with one more header, or another value of one.
    Header(&'static str, String),
    /// The right answer without that header.
    Without(&'static str),
    /// The right headers and half of the body, as if that were all.
    Truncated,
    /// The right headers and half of the body; then the connection breaks.
    Cut,
    /// The right answer, so many bytes a second.
    Slow(u64),
    /// A body of so many bytes.
    Huge(u64),
    /// One byte in each of these times, without end.
    Drip(Duration),
    /// The right answer after that time.
    Late(Duration),
    /// No answer.
    Hang,
}

impl Fault {
    /// Another server has it.
    pub fn redirect(location: impl Into<String>) -> Self {
        Self::Answer(302, vec![("location", location.into())], String::new())
    }

    /// Too many requests; come again after so many seconds.
    pub fn throttle(seconds: u32) -> Self {
        Self::Answer(429, vec![("retry-after", seconds.to_string())], String::new())
    }
}

/// Who decides, for each request, whether the answer is a bad one.
type Manners = Arc<dyn Fn(&Seen) -> Option<Fault> + Send + Sync>;

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
            status: 0,
            sent: Arc::default(),
        }
    }

    /// How many bytes of the answer's body have left so far.
    pub fn bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Who says to ask (`User-Agent`).
    pub fn agent(&self) -> &str {
        self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The answer in place of the right one, where the fault is of that sort.
    fn instead(fault: Option<&Fault>) -> Option<Response> {
        let Some(Fault::Answer(status, headers, body)) = fault else { return None };
        let mut response = (StatusCode::from_u16(*status).unwrap_or_default(), body.clone()).into_response();
        for (name, value) in headers {
            set(&mut response, name, value);
        }
        Some(response)
    }

    /// The answer as it leaves, with its fault and with its bytes counted.
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

/// A server on a free port of loopback that writes down what it is asked, and behaves as it is told.
/// It ends with the value.
pub struct Site {
    address: SocketAddr,
    conduct: Arc<Mutex<Conduct>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Conduct {
    fake_server: Option<Manners>,
    log: Vec<Seen>,
}

/// One request, for whoever gives the right answer.
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
    /// Starts a server whose right answers are those of `answer`.
    pub(crate) async fn start<A, F>(answer: A) -> anyhow::Result<Self>
    where
        A: Fn(SocketAddr, Asked) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        // Who asks it will want a client.
        crate::provide_tls();
        let listener = TcpListener::bind(("127.0.0.1", crate::port::free()?)).await?;
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

    /// `127.0.0.1:PORT`, as it stands in an image reference or an address.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Sets the bad behaviour.
    pub fn misbehave(&self, fake_server: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) {
        self.conduct.lock().fake_server = Some(Arc::new(fake_server));
    }

    /// From now on it behaves.
    pub fn behave(&self) {
        self.conduct.lock().fake_server = None;
    }

    /// Every request so far, and forgets them.
    pub fn take_log(&self) -> Vec<Seen> {
        std::mem::take(&mut self.conduct.lock().log)
    }

    /// Every request so far as lines `METHOD path proof status`, and forgets them.
    pub fn take_lines(&self) -> Vec<String> {
        self.take_log().iter().map(ToString::to_string).collect()
    }

    /// Whether any request so far carried that text, plain or in Basic's base64.
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

/// `USER:PASSWORD` as Basic carries it; empty where there is none.
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
