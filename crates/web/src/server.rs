//! A port with a router behind it: bound before anything else starts, drained at the end.
//!
//! Own accept loop rather than `axum::serve`: that one cannot end a connection whose headers never
//! come, nor bound how many there are.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections of one port at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 2_048;
/// How long the head of a request may take.
const HEADERS: Duration = Duration::from_secs(10);
/// The most that is read for one head.
const BUFFER: usize = 32 * 1024;
/// How long open connections have to end at a shutdown.
const DRAIN: Duration = Duration::from_secs(5);

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
}

impl Port {
    /// Takes the port; port 0 takes a free one. The address is logged.
    ///
    /// # Errors
    /// When the port is taken, or may not be.
    pub async fn bind(name: &'static str, address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { name, address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(server = name, address = %address, "listening");
        Ok(Self { name, listener, address })
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
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let (stream, place) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&self.listener, &places) => accepted,
            };
            connections.spawn(connection(stream, place, router.clone(), stop.clone()));
        }
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
            tracing::warn!(server = self.name, connections = connections.len(), "connections that did not end were left");
        }
        Ok(())
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                // Out of file descriptors, or a peer that is gone already: neither is the end.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, place: Option<OwnedSemaphorePermit>, router: Router, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(BUFFER);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
}
