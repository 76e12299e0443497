//! The memory that a large index needs. Alone in its process, because the peak is that of the process.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod site;

use std::collections::BTreeSet;
use std::time::Instant;

use headwind_core::artifact::chart::ChartRepository;
use headwind_registry::{Client, Hosts, Keyring, Rules, Timeouts};
use site::{Site, large};

/// Returns the peak memory of this process, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_index_leaves_only_what_was_asked_for() {
    const SIZE: usize = 50_000_000;
    let site = Site::start(|asked| large(if asked.path.starts_with("/small") { 500_000 } else { SIZE })).await;
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = Client::new(Hosts::new(Vec::new(), Rules::default(), &Timeouts::default()).unwrap(), Vec::new());
    let charts = |names: [&str; 2]| names.map(ToOwned::to_owned).into_iter().collect::<BTreeSet<_>>();
    let small = ChartRepository::parse(&format!("{}/small", site.repository())).unwrap();
    let none = Keyring::default();
    client.index(&small, &charts(["chart-0", "chart-1"]), &none, None).await.unwrap();
    let (before, began) = (peak(), Instant::now());
    let index = client.index(&site.repository(), &charts(["chart-3", "chart-400"]), &none, None).await.unwrap();
    let grown = peak() - before;
    println!("{SIZE} bytes: {} kB more at the peak, {:?}", grown, began.elapsed());
    assert_eq!((index.versions("chart-3").count(), index.versions("chart-400").count(), index.skipped), (100, 100, 0));
    assert!(grown < 16 * 1024, "{grown} kB for an index of {SIZE} bytes");
}
