//! A forwarder of TCP connections: what kube-proxy does for the addresses of Services, which the bed does not have.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// A listening forwarder; it ends when the value is dropped.
pub(crate) struct Forward {
    address: SocketAddr,
    target: Arc<watch::Sender<Option<SocketAddr>>>,
    task: AbortHandle,
}

impl Forward {
    /// Listens. Connections wait for a target.
    pub(crate) async fn start(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let address = listener.local_addr()?;
        let target = Arc::new(watch::Sender::new(None));
        let task = tokio::spawn(accept(listener, Arc::clone(&target))).abort_handle();
        Ok(Self { address, target, task })
    }

    /// Returns the address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections there.
    pub(crate) fn to(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: Arc<watch::Sender<Option<SocketAddr>>>) {
    while let Ok((mut from, _)) = listener.accept().await {
        let mut target = target.subscribe();
        tokio::spawn(async move {
            let Ok(target) = target.wait_for(Option::is_some).await.map(|target| *target) else { return };
            if let Some(target) = target
                && let Ok(mut to) = TcpStream::connect(target).await
            {
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}
