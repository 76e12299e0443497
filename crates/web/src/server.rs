//! A port with a router: bound before anything else starts, drained at shutdown.
//!
//! Headwind has its own accept loop instead of `axum::serve`, which neither closes a connection whose headers never
//! arrive nor limits the number of connections. A new connection is always accepted: the one that has been idle longest
//! is closed for it.

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

/// Timeout for reading the head of a request.
const HEADERS: Duration = Duration::from_secs(10);
/// Maximum size of a head, in bytes.
const BUFFER: usize = 32 * 1024;
/// Timeout for open connections at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// Maximum number of connections of a port.
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

/// The two addresses of the connection of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// The address that the client connected to.
    pub(crate) local: IpAddr,
}

impl Ends {
    /// Returns the addresses of a new connection, and sets `TCP_NODELAY`.
    fn of(stream: &TcpStream, place: &Place) -> Option<Self> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        stream.local_addr().ok().map(|local| Self { peer: place.peer(), local: local.ip().to_canonical() })
    }
}

/// A port that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the {name} port: {source}")]
pub struct BindError {
    name: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// A bound port.
#[derive(Debug)]
pub struct Port {
    name: &'static str,
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    tls: Option<Tls>,
}

impl Port {
    /// Binds the port; port 0 selects a free one. Logs the address.
    ///
    /// # Errors
    /// If the port is in use, or binding it is not permitted.
    pub async fn bind(name: &'static str, address: SocketAddr, limits: Limits) -> Result<Self, BindError> {
        let failed = |source| BindError { name, address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(server = name, address = %address, "listening");
        Ok(Self { name, listener, address, limits, tls: None })
    }

    /// Serves HTTPS with this certificate instead of HTTP, if there is one.
    #[must_use]
    pub fn with_tls(self, tls: Option<&Tls>) -> Self {
        Self { tls: tls.cloned(), ..self }
    }

    /// Returns the bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then waits for the requests in progress.
    ///
    /// # Errors
    /// None at present: after a failed accept, it continues.
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
                            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                            Err(_) => tracing::debug!("TLS handshake timed out"),
                        }
                    });
                }
            }
        }
        drop(self.listener);
        running.close();
        if tokio::time::timeout(DRAIN, running.wait()).await.is_err() {
            tracing::warn!(server = self.name, connections = running.len(), "closed connections that were still open");
        }
        Ok(())
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Out of file descriptors, or the peer is already gone: continue in both cases.
                tracing::debug!(%error, "failed to accept a connection");
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
        tracing::debug!(%error, "connection closed with an error");
    }
}

#[cfg(test)]
mod tests;
