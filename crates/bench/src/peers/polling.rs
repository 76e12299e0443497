//! Counts the registry requests of a tool that polls repositories in which nothing is new.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use headwind_testbed::{FakeRegistry, eventually};
use kube::Client;

use crate::peers::calls::{self, Calls};
use crate::peers::{INTERVAL, Site, Tool, keel};
use crate::report::say;
use crate::{LONG, load};

/// The tags of each repository. The last one is in use.
const TAGS: [&str; 3] = ["0.8.0", "0.9.0", "1.0.0"];
/// Timeout for the first polls.
const FIRST: Duration = Duration::from_mins(10);

/// Returns the time in which polls are counted: the quiet time, but at least two intervals.
pub(crate) fn span(quiet: Duration) -> Duration {
    quiet.max(INTERVAL * 2)
}

/// The results of one tool.
#[derive(Debug)]
pub(crate) struct Polled {
    pub(crate) tool: &'static str,
    /// Registry requests in the quiet time.
    pub(crate) requests: usize,
    /// Polls of a repository in the quiet time.
    pub(crate) scans: f64,
    pub(crate) calls: Calls,
}

/// Creates the repositories, and for each a Deployment that both tools poll.
pub(crate) async fn create(client: &Client, namespace: &str, registry: &FakeRegistry, count: usize) -> Result<()> {
    registry.etags(true);
    for n in 0..count {
        for tag in TAGS {
            registry.push(&repository(n), tag, &format!("{n} {tag}"));
        }
    }
    let fixtures = (0..count).map(|n| {
        let image = format!("{}/{}:{}", registry.host(), repository(n), TAGS[TAGS.len() - 1]);
        keel::polled(load::fixture(n, &image)).headwind("event-source", "polling")
    });
    load::create(client, namespace, fixtures).await
}

fn repository(n: usize) -> String {
    format!("polled/{}", load::name(n))
}

/// Measures one tool after it polled every repository once.
pub(crate) async fn run<T: Tool>(site: &Site, tool: &T, registry: &FakeRegistry, count: usize) -> Result<Polled> {
    say(&format!("{}: polling {count} repositories", T::NAME));
    tool.start(count, true).await?;
    let expected = f64::from(u32::try_from(count)?);
    eventually("every repository was polled", LONG.max(FIRST), || async {
        let scans = tool.scans().await.map_err(|error| error.to_string())?;
        if scans >= expected { Ok(()) } else { Err(format!("{scans} polls")) }
    })
    .await?;
    let (_, before) = (registry.take_log(), tool.scans().await?);
    let calls = calls::count(site, tool).await?;
    let (log, after) = (registry.take_log(), tool.scans().await?);
    tool.stop().await?;
    let kinds = kinds(log.iter().map(|seen| (seen.method.as_str(), seen.path.as_str(), seen.status)));
    say(&format!("{}: {} registry requests in {} s: {kinds}", T::NAME, log.len(), site.quiet.as_secs()));
    Ok(Polled { tool: T::NAME, requests: log.len(), scans: after - before, calls })
}

/// Returns the number of requests for each method, kind of path and status.
fn kinds<'a>(log: impl Iterator<Item = (&'a str, &'a str, u16)>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (method, path, status) in log {
        let kind = ["tags/list", "manifests"].into_iter().find(|kind| path.contains(kind)).unwrap_or(path);
        *counts.entry(format!("{method} {kind} {status}")).or_default() += 1;
    }
    counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

impl Polled {
    /// Returns the registry requests for one poll of that many repositories.
    pub(crate) fn per_cycle(&self, repositories: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let (requests, repositories) = (self.requests as f64, repositories as f64);
        requests / self.scans * repositories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_requests() {
        let log = [("GET", "/v2/a/tags/list?n=1000", 200), ("GET", "/v2/b/tags/list", 200), ("HEAD", "/v2/a/manifests/1.0.0", 200)];
        assert_eq!(kinds(log.into_iter()), "2 GET tags/list 200, 1 HEAD manifests 200");
        let polled = Polled { tool: "Keel", requests: 30, scans: 20.0, calls: Calls { all: 0.0, lease: 0.0 } };
        assert!((polled.per_cycle(10) - 15.0).abs() < 1e-9);
    }
}
