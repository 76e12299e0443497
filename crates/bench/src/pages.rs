//! Measures the pages of the UI.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::Operator;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use reqwest::{Client, Response, StatusCode};
use serde_json::json;

use crate::{Memory, memory};

/// The number of Deployments, and of finished requests for each.
pub(crate) const DEPLOYMENTS: usize = 2_000;
pub(crate) const EACH: usize = 5;
/// The measured pages.
const PAGES: [&str; 7] =
    ["/", "/updates", "/updates?phase=Completed&sort=-changed", "/updates?q=app-12", "/workloads", "/observability", "/settings"];
/// Number of counted calls of each page.
const CALLS: usize = 100;
/// Number of open streams.
const STREAMS: usize = 100;
/// Time between opening the streams and reading the memory.
const SETTLE: Duration = Duration::from_secs(3);
/// Number of changes whose way to the open pages is measured.
const CHANGES: u32 = 50;
/// Time between two of them, so that each has an event of its own.
const APART: Duration = Duration::from_millis(100);

/// The costs of a page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) path: &'static str,
    /// Size of the HTML in bytes, uncompressed.
    pub(crate) bytes: usize,
    /// Time from the request to the last byte over loopback, in milliseconds.
    pub(crate) times: Vec<f64>,
}

/// The pages, and the memory of open streams.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) all: Vec<Page>,
    /// Memory before and with [`STREAMS`] open streams.
    pub(crate) streams: (Memory, Memory),
    /// Time from writing a change of a request to the API server until the last open stream has its event, in
    /// milliseconds. The page fetches the row then.
    pub(crate) changes: Vec<f64>,
    /// A first visit of the dashboard: requests, and bytes of their bodies as they are sent.
    pub(crate) first_visit: (usize, usize),
}

/// Requests every page, then opens streams.
pub(crate) async fn run(client: &kube::Client, namespace: &str, operator: &Operator) -> Result<Pages> {
    // The bytes on the wire are counted: no decompression.
    let http = Client::builder().no_proxy().no_gzip().no_brotli().no_deflate().no_zstd().build()?;
    let mut all = Vec::new();
    for path in PAGES {
        let mut page = Page { path, bytes: 0, times: Vec::new() };
        // The first call opens the connection and is not counted.
        for call in 0..=CALLS {
            let begun = Instant::now();
            let answer = http.get(format!("{}{path}", operator.ui_url())).send().await?;
            if answer.status() != StatusCode::OK {
                bail!("{path} answered {}", answer.status());
            }
            page.bytes = answer.bytes().await?.len();
            if call > 0 {
                page.times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
        all.push(page);
    }
    let before = memory(operator)?;
    let open = (0..STREAMS).map(|_| http.get(format!("{}/events", operator.ui_url())).header("Accept", "text/event-stream").send());
    let mut streams = try_join_all(open).await?;
    if let Some(refused) = streams.iter().find(|stream| stream.status() != StatusCode::OK) {
        bail!("a stream was refused: {}", refused.status());
    }
    tokio::time::sleep(SETTLE).await;
    let with = memory(operator)?;
    let changes = changes(client, namespace, &mut streams).await?;
    drop(streams);
    Ok(Pages { all, streams: (before, with), changes, first_visit: first_visit(operator, &http).await? })
}

/// Changes requests one after the other, as `kubectl annotate` does. Returns the time until every stream has the event.
async fn changes(client: &kube::Client, namespace: &str, streams: &mut [Response]) -> Result<Vec<f64>> {
    let requests: Api<UpdateRequest> = Api::namespaced(client.clone(), namespace);
    let listed = requests.list_metadata(&ListParams::default().limit(CHANGES)).await?;
    let mut times = Vec::new();
    for request in listed.items {
        let begun = Instant::now();
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"bench": "changed"}}}));
        requests.patch_metadata(&request.name_any(), &PatchParams::default(), &patch).await?;
        try_join_all(streams.iter_mut().map(change)).await?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(APART).await;
    }
    Ok(times)
}

/// Waits for the event of a changed request.
async fn change(stream: &mut Response) -> Result<()> {
    let mut read = String::new();
    while !read.contains("event: u-") {
        read.push_str(&String::from_utf8_lossy(&stream.chunk().await?.context("a stream ended")?));
    }
    Ok(())
}

/// Requests the dashboard and its assets as a browser does that has nothing cached.
async fn first_visit(operator: &Operator, http: &Client) -> Result<(usize, usize)> {
    let url = operator.ui_url();
    let html = http.get(&url).send().await?.text().await?;
    let mut paths: Vec<&str> = html
        .split('"')
        .filter(|text| text.starts_with("/assets/"))
        // The icons are fragments of one file, which a browser requests once.
        .map(|text| text.split_once('#').map_or(text, |(file, _)| file))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths.push("/");
    let mut bytes = 0;
    for path in &paths {
        let answer = http.get(format!("{url}{path}")).header("Accept-Encoding", "gzip, br").send().await?;
        if answer.status() != StatusCode::OK {
            bail!("{path} answered {}", answer.status());
        }
        bytes += answer.bytes().await?.len();
    }
    Ok((paths.len(), bytes))
}
