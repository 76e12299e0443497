//! Holds the Lease: executes the steps of `headwind_core::lease` against the API server.
//!
//! The client of this task does not retry and has a short timeout, so that a call never outlives its decision. Loss of
//! the lease ends the process: the next leader acts at once, and this process restarts as a follower.

use std::sync::Arc;
use std::time::Duration;

use headwind_core::lease::{Memory, Record, Step, Timing, step};
use headwind_k8s::access::{LEASE, PAUSED_SINCE};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Class, ClusterClient, Failure};
use crate::observe::state::State;
use crate::report::journal::Journal;

/// This process was the leader and lost the lease.
#[derive(Debug, thiserror::Error)]
#[error("the lease was lost; another replica leads")]
pub(crate) struct Lost;

/// A candidate for the lease.
pub(crate) struct Contender {
    /// A client without retries and with a short timeout.
    pub(crate) cluster: ClusterClient,
    pub(crate) state: Arc<State>,
    /// The namespace of the Lease.
    pub(crate) namespace: String,
    /// The identity of this process: pod name and a unique number.
    pub(crate) me: String,
    pub(crate) timing: Timing,
    pub(crate) journal: Journal,
}

impl Contender {
    /// Acquires the lease and renews it until `stop`, then releases it. Calls `won` each time leadership begins.
    pub(crate) async fn run(self, stop: CancellationToken, won: impl Fn()) -> Result<(), Lost> {
        let mut memory = Memory::default();
        let mut held: Option<Lease> = None;
        let mut failing: Option<Class> = None;
        while !stop.is_cancelled() {
            let led = self.state.leadership.leads();
            match self.once(&mut memory, &mut held).await {
                Ok(Step::Lost) => return Err(self.lost()),
                Ok(Step::Create | Step::Take | Step::Renew | Step::Wait) => {
                    if failing.take().is_some() {
                        tracing::info!(lease.namespace = self.namespace, "access to the lease restored");
                    }
                }
                Err(failure) if failure.class == Class::Conflict => {}
                Err(failure) => {
                    if failing.replace(failure.class) != Some(failure.class) {
                        tracing::warn!(lease.namespace = self.namespace, lease.name = LEASE, error = %failure, "failed to acquire the lease; retrying");
                    }
                }
            }
            if memory.led() && !memory.leads(self.timing, self.state.leadership.now()) {
                return Err(self.lost());
            }
            if !led && self.state.leadership.leads() {
                tracing::info!(lease.holder = self.me, "leading");
                won();
            }
            // The pause ends before the deadline, and a failed renewal is retried sooner.
            let pause = if failing.is_some() { self.timing.retry / 2 } else { self.timing.retry };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(())
    }

    fn lost(&self) -> Lost {
        self.state.leadership.release();
        Lost
    }

    /// Acquires or renews the lease once. `held` is the Lease as this process last wrote it: a renewal is one call, as in
    /// client-go. After a failed write the Lease is read again, at once after a conflict.
    async fn once(&self, memory: &mut Memory, held: &mut Option<Lease>) -> Result<Step, Failure> {
        if let Some(written) = held.take() {
            match self.attempt(memory, Some(written), held).await {
                Err(failure) if failure.class == Class::Conflict => {}
                done => return done,
            }
        }
        let read = self.cluster.lease(&self.namespace, LEASE).await?;
        self.attempt(memory, read, held).await
    }

    async fn attempt(&self, memory: &mut Memory, read: Option<Lease>, held: &mut Option<Lease>) -> Result<Step, Failure> {
        let annotation = |name: &str| Some(read.as_ref()?.metadata.annotations.as_ref()?.get(name)?.as_str());
        self.state
            .limits
            .inherit_pause(annotation(PAUSED_SINCE).filter(|_| !(self.state.leadership.leads() && self.state.readiness.synced())));
        let now = self.state.leadership.now();
        let decided = step(memory, read.as_ref().map(record).as_ref(), &self.me, self.timing, now);
        let wish = match decided {
            Step::Wait | Step::Lost => return Ok(decided),
            Step::Create | Step::Take | Step::Renew => self.wish(read.as_ref(), decided),
        };
        let wish = if decided == Step::Renew { wish } else { self.owned(wish).await };
        if decided == Step::Take {
            self.journal.inherit(read.as_ref().and_then(|lease| lease.metadata.annotations.as_ref()));
        }
        let started = self.state.leadership.now();
        let written = match decided {
            Step::Create => self.cluster.create_lease(&self.namespace, &wish).await?,
            Step::Take | Step::Renew | Step::Wait | Step::Lost => self.cluster.replace_lease(&self.namespace, &wish).await?,
        };
        memory.wrote(record(&written), started);
        self.state.leadership.hold(started + self.timing.renew_deadline);
        *held = Some(written);
        Ok(decided)
    }

    /// Returns the Lease with the account of this process as its owner.
    async fn owned(&self, mut lease: Lease) -> Lease {
        if let Some(account) = self.cluster.own_account(&self.namespace).await {
            lease.metadata.owner_references = Some(vec![account]);
        }
        lease
    }

    fn wish(&self, read: Option<&Lease>, decided: Step) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = read.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let renews = decided == Step::Renew;
        let transitions = before.lease_transitions.unwrap_or_default();
        let mut metadata = ObjectMeta {
            name: Some(LEASE.to_owned()),
            namespace: Some(self.namespace.clone()),
            ..read.map(|lease| lease.metadata.clone()).unwrap_or_default()
        };
        let annotations = metadata.annotations.get_or_insert_default();
        self.journal.note(annotations);
        // Before the settings are known, what the previous leader wrote stays.
        if self.state.readiness.synced() {
            match self.state.paused_since(crate::clock::now()) {
                Some(since) => drop(annotations.insert(PAUSED_SINCE.to_owned(), since.to_string())),
                None => drop(annotations.remove(PAUSED_SINCE)),
            }
        }
        Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(self.me.clone()),
                lease_duration_seconds: i32::try_from(self.timing.duration.as_secs()).ok(),
                acquire_time: if renews { before.acquire_time.clone() } else { Some(now.clone()) },
                renew_time: Some(now),
                lease_transitions: Some(if renews { transitions } else { transitions.saturating_add(1) }),
                ..before
            }),
        }
    }

    /// Releases the lease, so that the next leader need not wait until it expires.
    pub(crate) async fn release(cluster: &ClusterClient, state: &State, journal: &Journal, namespace: &str, me: &str) {
        if !state.leadership.leads() {
            return;
        }
        state.leadership.release();
        let released = async {
            let Some(mut lease) = cluster.lease(namespace, LEASE).await? else { return Ok(false) };
            if lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) != Some(me) {
                return Ok(false);
            }
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = Some(String::new());
                spec.renew_time = Some(MicroTime(Timestamp::now()));
            }
            journal.note(lease.metadata.annotations.get_or_insert_default());
            cluster.replace_lease(namespace, &lease).await.map(|_| true)
        };
        match released.await {
            Ok(true) => tracing::info!("released the lease"),
            Ok(false) => {}
            Err::<bool, Failure>(error) => tracing::warn!(%error, "failed to release the lease; it will expire"),
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(15);
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        duration: Duration::from_secs(seconds),
    }
}
