//! `headwind check` as a process: its output and exit code if a registry fails, and its memory with hostile lists.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::Write as _;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use headwind_testbed::{Demand, FakeRegistry, Fault};
use serde_json::{Value, json};
use tokio::process::Command;

/// Memory limit for the data of `check`, in KiB.
const MEMORY: u32 = 96 * 1024;

struct Ended {
    success: bool,
    out: String,
    error: String,
}

async fn run(command: &mut Command) -> Ended {
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { success: output.status.success(), out: text(&output.stdout), error: text(&output.stderr) }
}

async fn check(arguments: &[&str]) -> Ended {
    run(Command::new(env!("CARGO_BIN_EXE_headwind")).arg("check").args(arguments)).await
}

/// Runs it with the memory of a small container.
async fn check_in_little_memory(image: &str) -> Ended {
    let limited = format!("ulimit -d {MEMORY} && exec \"$0\" check \"$1\"");
    run(Command::new("sh").args(["-c", &limited, env!("CARGO_BIN_EXE_headwind"), image])).await
}

/// Starts a server that responds to the list of tags with `page` of the page's number.
async fn serve(page: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback(move |request: Request| {
        let number = request.uri().query().and_then(|query| query.strip_prefix("page=")?.parse().ok()).unwrap_or(0);
        let is_list = request.uri().path().ends_with("/tags/list");
        let answer = if is_list { page(number) } else { StatusCode::NOT_FOUND.into_response() };
        async move { answer }
    });
    let server = tokio::spawn(async move {
        axum::serve(listener, app).await.ok();
    });
    (address, server)
}

#[tokio::test]
async fn millions_of_tags_in_a_few_kilobytes() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(b"{\"tags\":[").unwrap();
    packed.write_all("\"a\",".repeat(4_000_000).as_bytes()).unwrap();
    packed.write_all(b"\"a\"]}").unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 100_000);
    let (address, _server) =
        serve(move |_| Response::builder().header(header::CONTENT_ENCODING, "gzip").body(Body::from(packed.clone())).unwrap()).await;
    let ended = check_in_little_memory(&format!("{address}/web:1.0.0")).await;
    assert!(!ended.success && ended.error.contains("larger than 4 MiB"), "{}", ended.error);
}

#[tokio::test]
async fn hundreds_of_thousands_of_honest_tags() {
    for (size, expected) in [(100, "more than 200 pages"), (1000, "more than 50000 usable tags"), (400_000, "larger than 4 MiB")] {
        let (address, _server) = serve(move |page| {
            let tags: Vec<String> = (0..size).map(|at| format!("1.0.{}", page * size + at)).collect();
            let link = format!("</v2/web/tags/list?page={}>; rel=\"next\"", page + 1);
            ([(header::LINK, link)], axum::Json(json!({"tags": tags}))).into_response()
        })
        .await;
        let ended = check_in_little_memory(&format!("{address}/web:1.0.0")).await;
        assert!(!ended.success && ended.error.contains(expected), "{expected}: {}", ended.error);
    }
}

/// An invalid list of tags is a failure, for people and for programs.
#[tokio::test]
async fn a_failure_has_an_exit_code_and_json() {
    for body in ["null", "[]", "{}", r#"{"errors":[{"code":"DENIED"}]}"#] {
        let (address, _server) = serve(move |_| body.into_response()).await;
        let image = format!("{address}/web:1.0.0");
        let ended = check(&[&image]).await;
        assert!(!ended.success && ended.error.contains("list of tags") && ended.out.is_empty(), "{body}: {}", ended.out);
        let ended = check(&[&image, "-o", "json"]).await;
        let printed: Value = serde_json::from_str(&ended.out).unwrap();
        assert!(!ended.success && printed["image"] == image, "{printed}");
        assert!(printed["error"].as_str().unwrap().contains("list of tags"), "{printed}");
    }
    let (address, _server) = serve(|_| r#"{"name":"web","tags":null}"#.into_response()).await;
    let ended = check(&[&format!("{address}/web:1.0.0")]).await;
    assert!(ended.success && ended.out.contains("the registry has no tags"), "{}", ended.error);
    let ended = check(&["not an image", "-o", "json"]).await;
    assert!(!ended.success && serde_json::from_str::<Value>(&ended.out).unwrap()["error"].is_string(), "{}", ended.out);
}

#[tokio::test]
async fn files_of_container_engines_are_read() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1.0.0", "x");
    let image = format!("{}/web:1.0.0", registry.host());
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_string_lossy().into_owned();
    let with = |content: Value| std::fs::write(file.path(), content.to_string()).unwrap();

    // A public image needs no credential, whatever the file contains.
    with(json!({"auths": {registry.host(): {}}, "credsStore": "desktop"}));
    let ended = check(&[&image, "--docker-config", &path]).await;
    assert!(ended.success && ended.out.contains("credsStore"), "{}{}", ended.out, ended.error);
    with(json!({}));
    assert!(check(&[&image, "--docker-config", &path]).await.success);

    registry.demand(Demand::Basic("user".to_owned(), "pass".to_owned()));
    with(json!({registry.host(): {"auth": "dXNlcjpwYXNz"}}));
    let ended = check(&[&image, "--docker-config", &path]).await;
    assert!(ended.success, "{}", ended.error);
    std::fs::write(file.path(), "no JSON").unwrap();
    let ended = check(&[&image, "--docker-config", &path]).await;
    assert!(!ended.success && ended.error.contains("not a JSON object"), "{}", ended.error);
}

/// Headwind queries the services of the node without the proxy of the process. Requests to the internet use it, and so
/// does the cloud's login, because the administrator named this proxy.
#[tokio::test]
async fn the_nodes_services_are_asked_without_a_proxy() {
    const ECR: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    let (proxy, node) = (FakeRegistry::start().await.unwrap(), FakeRegistry::start().await.unwrap());
    proxy.push("web", "1.0.0", "x");
    proxy.demand(Demand::Basic("AWS".to_owned(), "pass".to_owned()));
    proxy.misbehave(|seen| {
        let login = json!({"authorizationData": [{"authorizationToken": "QVdTOnBhc3M="}]});
        seen.path.contains("api.ecr.example").then(|| Fault::Answer(200, Vec::new(), login.to_string()))
    });
    node.misbehave(|_| {
        let keys = json!({"AccessKeyId": "i", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"});
        Some(Fault::Answer(200, Vec::new(), keys.to_string()))
    });
    let ended = run(Command::new(env!("CARGO_BIN_EXE_headwind"))
        .args(["check", &format!("{ECR}/web:1.0.0"), "--plain-http"])
        .env("http_proxy", format!("http://{}", proxy.host()))
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}/keys", node.host()))
        .env("AWS_ENDPOINT_URL_ECR", "http://api.ecr.example")
        .env_remove("no_proxy")
        .env_remove("NO_PROXY"))
    .await;
    assert!(ended.success, "{}", ended.error);
    assert_eq!(node.take_lines(), ["GET /keys - 200"]);
    assert!(proxy.take_lines().iter().all(|line| !line.contains("/keys")));
}
