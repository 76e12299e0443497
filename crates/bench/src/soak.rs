//! `make soak`: one hostile tenant and 500 normal workloads in the same cluster, for any time.
//!
//! The operator has the default settings: all namespaces, no webhook secret (so every claim is confirmed with the
//! registry), polling enabled. Normal workloads get pushes all the time. Meanwhile the tenant does what a tenant can:
//! registries that hang, drip or never end, broken proxies for the registry that everybody uses, oversized annotations,
//! a namespace that refuses requests, and 10,000 invalid webhooks per minute.
//!
//! ```text
//!  normal   ──push, webhook──> registry, operator ──patch──> 500 workloads   every one within 5 s
//!  hostile  ──webhooks, objects, registries──> operator
//!  health   ──reads──> memory, process, Lease                                128 MB, no restart, no change
//! ```

mod health;
mod hostile;
mod normal;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Bed, FakeRegistry, Operator, OperatorOptions, eventually};

use crate::LONG;
use crate::report::{quantile, say};
use crate::soak::health::Health;
use crate::soak::hostile::Tenant;
use crate::soak::normal::Normal;

/// Maximum time from a push to the patched workload.
const SLOWEST: Duration = Duration::from_secs(5);
/// Maximum resident memory, in MiB.
const MEMORY: u64 = 128;
/// Interval of progress messages.
const PROGRESS: Duration = Duration::from_mins(1);

/// Runs the mixed load for that time.
///
/// # Errors
/// If a normal update was late or lost, the memory exceeded its limit, the process or the Lease changed, or the
/// tenant's load was too low.
pub(crate) async fn run(length: Duration) -> Result<()> {
    let bed = Bed::start().await?;
    let client = bed.client().await?;
    bed.install_flux_crds().await?;
    let own = bed.namespace("headwind").await?;
    let registry = FakeRegistry::start().await?;
    registry.etags(true);
    let options = OperatorOptions::new(&own)
        .watch(&[])
        .env("MALLOC_ARENA_MAX", "1")
        .env("RUST_LOG", "info")
        .env("HEADWIND_POLLING_ENABLED", "true")
        .env("HEADWIND_POLLING_INTERVAL", "60");
    let operator = Operator::new(bed, options.without("HEADWIND_WEBHOOK_CONFIRM")).await?;
    say("soak: creating the normal workloads and the tenant's");
    let normal = Normal::create(bed, &client, &registry).await?;
    let tenant = Tenant::create(bed, &client, &registry).await?;
    operator.start().await?;
    operator.ready().await?;
    leads(&operator).await?;
    let health = Health::begin(&client, &own, &operator).await?;
    say(&format!("soak: ready, {} MiB; {} min of load", health.memory()?, length.as_secs() / 60));

    let end = Instant::now() + length;
    let load = tenant.load(&operator, end);
    let pushes = normal.push(&operator, end);
    let progress = async {
        while Instant::now() < end {
            tokio::time::sleep(PROGRESS.min(end.saturating_duration_since(Instant::now()))).await;
            say(&format!(
                "soak: {} updates, slowest {:.2} s, {} junk calls, {} MiB",
                normal.done(),
                normal.slowest().as_secs_f64(),
                tenant.sent(),
                health.memory()?
            ));
        }
        anyhow::Ok(())
    };
    let watched = async {
        while Instant::now() < end {
            health.look().await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        anyhow::Ok(())
    };
    // The first part that fails ends the run.
    let ((), (), (), ()) = tokio::try_join!(load, pushes, progress, watched)?;

    let times = normal.times();
    say(&format!(
        "soak: {} updates of {} workloads, push to patched p50 {:.2} s, p99 {:.2} s, slowest {:.2} s; {} junk calls, answers {}; at most {} MiB",
        times.len(),
        Normal::count(),
        quantile(&times, 0.5),
        quantile(&times, 0.99),
        normal.slowest().as_secs_f64(),
        tenant.sent(),
        tenant.answers(),
        health.peak(),
    ));
    ensure!(normal.slowest() <= SLOWEST, "a normal update took {:.2} s", normal.slowest().as_secs_f64());
    ensure!(health.peak() <= MEMORY, "{} MiB resident", health.peak());
    tenant.check(length)
}

async fn leads(operator: &Operator) -> Result<()> {
    eventually("the operator leads", LONG, || async {
        match operator.metric("headwind_leader", &[]).await {
            Ok(leads) if leads > 0.5 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .context("the operator does not lead")
}
