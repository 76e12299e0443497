//! Counts the API calls of an idle tool in the API server's audit log.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use headwind_testbed::audit::Entry;
use jiff::Timestamp;

use crate::peers::{Site, Tool};
use crate::report::say;

/// API calls per hour, scaled from the quiet time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calls {
    pub(crate) all: f64,
    /// Of them, the calls for the Lease.
    pub(crate) lease: f64,
}

impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { all, lease } = self;
        write!(f, "{all:.0} ({lease:.0})")
    }
}

/// Waits the quiet time. Returns the calls that the tool sent in it; a watch counts once, when it starts.
pub(crate) async fn count<T: Tool>(site: &Site, tool: &T) -> Result<Calls> {
    let (offset, since) = (site.bed.audit_length(), Timestamp::now());
    tokio::time::sleep(site.quiet).await;
    let until = Timestamp::now();
    let mut audit = site.bed.audit_from(offset).context("the test bed's own control plane")?;
    audit.catch_up(&site.client).await?;
    let mut entries = audit.entries(&tool.requests().since(since))?;
    entries.retain(|entry| entry.received < until);
    say(&format!("{}: {} calls in {} s: {}", T::NAME, entries.len(), site.quiet.as_secs(), kinds(&entries)));
    Ok(per_hour(&entries, site.quiet.as_secs_f64()))
}

fn per_hour(entries: &[Entry], seconds: f64) -> Calls {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let scaled = |count: usize| count as f64 * 3600.0 / seconds;
    let leases = entries.iter().filter(|entry| entry.resource == "leases").count();
    Calls { all: scaled(entries.len()), lease: scaled(leases) }
}

/// Returns the number of calls for each verb and resource, the most frequent first.
fn kinds(entries: &[Entry]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        *counts.entry(format!("{} {}", entry.verb, entry.resource)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(verb: &str, resource: &str) -> Entry {
        Entry {
            user: String::new(),
            verb: verb.to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            uri: String::new(),
            code: 200,
            received: Timestamp::UNIX_EPOCH,
            at: Timestamp::UNIX_EPOCH,
            user_agent: String::new(),
            body: None,
        }
    }

    #[test]
    fn scales_to_an_hour_and_counts_leases() {
        let entries = [entry("watch", "deployments"), entry("update", "leases"), entry("update", "leases")];
        assert_eq!(per_hour(&entries, 120.0), Calls { all: 90.0, lease: 60.0 });
        assert_eq!(kinds(&entries), "2 update leases, 1 watch deployments");
        assert_eq!(per_hour(&entries, 120.0).to_string(), "90 (60)");
    }
}
