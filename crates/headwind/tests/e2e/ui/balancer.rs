//! One address for several servers, as a Service has it: each connection goes to the next one that accepts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};

/// The balancer. It ends with the value.
pub(super) struct Balancer {
    port: u16,
    /// The number of connections that each server accepted.
    accepted: Arc<Vec<AtomicUsize>>,
    task: tokio::task::JoinHandle<()>,
}

impl Balancer {
    /// Starts it before these servers on loopback.
    pub(super) async fn start(servers: Vec<String>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let accepted: Arc<Vec<AtomicUsize>> = Arc::new(servers.iter().map(|_| AtomicUsize::new(0)).collect());
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let mut turn = 0;
            while let Ok((mut client, _)) = listener.accept().await {
                turn += 1;
                for next in (turn..).take(servers.len()).map(|turn| turn % servers.len()) {
                    let (Some(server), Some(count)) = (servers.get(next), count.get(next)) else { continue };
                    let Ok(mut server) = TcpStream::connect(server).await else { continue };
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
                    break;
                }
            }
        });
        Ok(Self { port, accepted, task })
    }

    /// The address of all of them.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The number of connections that each server accepted.
    pub(super) fn served(&self) -> Vec<usize> {
        self.accepted.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
