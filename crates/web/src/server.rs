//! A port with a router behind it: bound before anything else starts, drained at the end.
//!
//! Own accept loop rather than `axum::serve`: that one cannot end a connection whose headers never
//! come, nor bound how many there are. A new connection is always accepted: the idlest one makes room.

mod connections;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connections::{Connections, Place};
pub use self::tls::{Tls, TlsError};

/// How long the head of a request may take.
const HEADERS: Duration = Duration::from_secs(10);
/// The most that is read for one head.
const BUFFER: usize = 32 * 1024;
/// How long open connections have to end at a shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// Maximum number of connections of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of all peers together.
    pub total: usize,
    /// Of one peer's address.
    pub per_peer: usize,
}

impl Limits {
    /// For a port that registries, people and programs use: many of them may share the address of a proxy.
    pub const PUBLIC: Self = Self { total: 2_048, per_peer: 512 };
    /// For the port that the kubelet probes and Prometheus scrapes.
    pub const PROBES: Self = Self { total: 512, per_peer: 64 };
}

/// The two ends of the connection that a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// The address that the client connected to.
    pub(crate) local: IpAddr,
}

impl Ends {
    /// Returns the ends of a connection that has just been accepted, and has it send small packets at once.
    fn of(stream: &TcpStream, place: &Place) -> Option<Self> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        stream.local_addr().ok().map(|local| Self { peer: place.peer(), local: local.ip().to_canonical() })
    }
}

/// A port that could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the {name} port: {source}")]
pub struct BindError {
    name: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// A port that was taken.
#[derive(Debug)]
pub struct Port {
    name: &'static str,
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    tls: Option<Tls>,
}

impl Port {
    /// Takes the port; port 0 takes a free one. The address is logged.
    ///
    /// # Errors
    /// When the port is taken, or may not be.
    pub async fn bind(name: &'static str, address: SocketAddr, limits: Limits) -> Result<Self, BindError> {
        let failed = |source| BindError { name, address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(server = name, address = %address, "listening");
        Ok(Self { name, listener, address, limits, tls: None })
    }

    /// Serves HTTPS with this certificate, if there is one, instead of HTTP.
    #[must_use]
    pub fn with_tls(self, tls: Option<&Tls>) -> Self {
        Self { tls: tls.cloned(), ..self }
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets what is under way come to its end.
    ///
    /// # Errors
    /// Never, so far: a connection that cannot be accepted is tried again.
    pub async fn serve(self, router: Router, stop: CancellationToken) -> io::Result<()> {
        let connections = Arc::new(Connections::new(self.limits));
        let running = TaskTracker::new();
        loop {
            let (stream, peer) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&self.listener) => accepted,
            };
            let place = connections.admit(peer.ip().to_canonical());
            let ends = Ends::of(&stream, &place);
            match &self.tls {
                None => drop(running.spawn(connection(stream, ends, place, router.clone(), stop.clone()))),
                Some(tls) => {
                    let (handshake, router, stop) = (tls.acceptor().accept(stream), router.clone(), stop.clone());
                    running.spawn(async move {
                        let evicted = place.evicted();
                        let ended = tokio::select! {
                            ended = tokio::time::timeout(HEADERS, handshake) => ended,
                            () = evicted.cancelled() => return,
                        };
                        match ended {
                            Ok(Ok(stream)) => connection(stream, ends, place, router, stop).await,
                            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                            Err(_) => tracing::debug!("a TLS handshake took too long"),
                        }
                    });
                }
            }
        }
        drop(self.listener);
        running.close();
        if tokio::time::timeout(DRAIN, running.wait()).await.is_err() {
            tracing::warn!(server = self.name, connections = running.len(), "connections that did not end were left");
        }
        Ok(())
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Out of file descriptors, or a peer that is gone already: neither is the end.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection<S>(stream: S, ends: Option<Ends>, place: Place, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (evicted, router) = (place.evicted(), TowerToHyperService::new(router));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let busy = place.busy();
        if let Some(ends) = ends {
            request.extensions_mut().insert(ends);
        }
        let answer = router.call(request);
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(BUFFER);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = evicted.cancelled() => Ok(()),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
