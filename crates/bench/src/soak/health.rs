//! Checks what must not change during the load: the memory, the process, the Lease.

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::Operator;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Client;
use kube::api::{Api, ListParams};
use std::sync::atomic::{AtomicU64, Ordering};

/// The initial state of the operator.
pub(crate) struct Health<'a> {
    operator: &'a Operator,
    leases: Api<Lease>,
    holder: Option<String>,
    transitions: Option<i32>,
    process: u32,
    peak: AtomicU64,
}

impl<'a> Health<'a> {
    pub(crate) async fn begin(client: &Client, namespace: &str, operator: &'a Operator) -> Result<Self> {
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let LeaseSpec { holder_identity, lease_transitions, .. } = lease(&leases).await?;
        let process = operator.process().context("the operator runs")?.pid;
        let begun = Self { operator, leases, holder: holder_identity, transitions: lease_transitions, process, peak: AtomicU64::new(0) };
        begun.memory()?;
        Ok(begun)
    }

    /// Returns the resident memory, in MiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        let memory = crate::memory(self.operator)?.resident;
        self.peak.fetch_max(memory, Ordering::Relaxed);
        Ok(memory)
    }

    /// Returns the maximum so far, in MiB.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Compares the operator with its initial state.
    pub(crate) async fn look(&self) -> Result<()> {
        self.memory()?;
        let process = self.operator.process().context("the operator runs")?.pid;
        ensure!(self.operator.is_running() && process == self.process, "the operator ended");
        let now = lease(&self.leases).await?;
        ensure!(
            now.holder_identity == self.holder && now.lease_transitions == self.transitions,
            "the lease changed: {:?} {:?} in place of {:?} {:?}",
            now.holder_identity,
            now.lease_transitions,
            self.holder,
            self.transitions
        );
        Ok(())
    }
}

async fn lease(leases: &Api<Lease>) -> Result<LeaseSpec> {
    let all = leases.list(&ListParams::default()).await?;
    all.items.into_iter().find_map(|lease| lease.spec).context("there is no Lease")
}
