use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

async fn port(limits: Limits) -> (SocketAddr, CancellationToken) {
    let port = Port::bind("test", "127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let (address, stop) = (port.address(), CancellationToken::new());
    let router = Router::new().route("/health", get(async || "ok"));
    tokio::spawn(port.serve(router, stop.clone()));
    (address, stop)
}

/// Sends one request on a connection that stays open.
async fn ask(stream: &mut TcpStream) -> io::Result<String> {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

/// Too many connections, each with an occasional request, do not block the kubelet's probes.
#[tokio::test]
async fn connections_that_stay_open_do_not_fail_a_probe() {
    let (address, stop) = port(Limits::PROBES).await;
    let mut open = Vec::new();
    for _ in 0..2_060 {
        let mut stream = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await.unwrap().unwrap();
        assert!(tokio::time::timeout(PATIENCE, ask(&mut stream)).await.unwrap().unwrap().contains("200 OK"));
        open.push(stream);
    }
    let mut probe = TcpStream::connect(address).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(1), ask(&mut probe)).await.expect("the kubelet's time-out").unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    let first = tokio::time::timeout(PATIENCE, open[0].read_u8()).await.expect("closed");
    assert!(first.is_err(), "the idlest one was closed");
    let last = open.last_mut().unwrap();
    assert!(tokio::time::timeout(PATIENCE, ask(last)).await.unwrap().unwrap().contains("200 OK"), "a young one is still served");
    stop.cancel();
}
