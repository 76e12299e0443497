//! Measures the pages of the UI.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use headwind_testbed::Operator;
use reqwest::{Client, StatusCode};

use crate::{Memory, memory};

/// The number of Deployments, and of finished requests for each.
pub(crate) const DEPLOYMENTS: usize = 2_000;
pub(crate) const EACH: usize = 5;
/// The measured pages.
const PAGES: [&str; 7] =
    ["/", "/updates", "/updates?phase=Completed&sort=-changed", "/updates?q=app-12", "/workloads", "/observability", "/settings"];
/// Number of counted calls of each page.
const CALLS: usize = 30;
/// Number of open streams.
const STREAMS: usize = 100;
/// Time between opening the streams and reading the memory.
const SETTLE: Duration = Duration::from_secs(3);

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
    /// A first visit of the dashboard: requests, and bytes of their bodies as they are sent.
    pub(crate) first_visit: (usize, usize),
}

/// Requests every page, then opens streams.
pub(crate) async fn run(operator: &Operator) -> Result<Pages> {
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
    let streams = try_join_all(open).await?;
    if let Some(refused) = streams.iter().find(|stream| stream.status() != StatusCode::OK) {
        bail!("a stream was refused: {}", refused.status());
    }
    tokio::time::sleep(SETTLE).await;
    let with = memory(operator)?;
    drop(streams);
    Ok(Pages { all, streams: (before, with), first_visit: first_visit(operator, &http).await? })
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
