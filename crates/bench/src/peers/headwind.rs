//! Headwind, as in the other benchmarks: the permissions that ship, one namespace, leader election on.

use anyhow::{Context as _, Result};
use headwind_testbed::{Bed, Operator, OperatorOptions, Query, payload};

use crate::direct::digest;
use crate::load::HOST;
use crate::peers::{INTERVAL, Tool};

/// Headwind.
pub(crate) struct Headwind {
    operator: Operator,
    http: reqwest::Client,
}

impl Headwind {
    /// Prepares an operator that watches this namespace.
    pub(crate) async fn new(bed: &Bed, namespace: &str) -> Result<Self> {
        let options = OperatorOptions::new(namespace)
            .env("MALLOC_ARENA_MAX", "1")
            .env("RUST_LOG", "info")
            .env("HEADWIND_POLLING_INTERVAL", &INTERVAL.as_secs().to_string());
        Ok(Self { operator: Operator::new(bed, options).await?, http: reqwest::Client::builder().no_proxy().build()? })
    }
}

impl Tool for Headwind {
    const NAME: &'static str = "Headwind";

    async fn start(&self, deployments: usize, polling: bool) -> Result<()> {
        self.operator.set_env("HEADWIND_POLLING_ENABLED", Some(&polling.to_string()));
        crate::start(&self.operator, deployments).await.map(drop)
    }

    async fn stop(&self) -> Result<()> {
        self.operator.terminate().await.map(drop)
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.operator.process().context("the operator runs")?.pid)
    }

    async fn push(&self, repository: &str, tag: &str) -> Result<()> {
        let body = payload::distribution(HOST, repository, tag, &digest());
        self.http.post(self.operator.notifications()?).json(&body).send().await?.error_for_status()?.bytes().await?;
        Ok(())
    }

    fn requests(&self) -> Query {
        self.operator.requests()
    }

    async fn scans(&self) -> Result<f64> {
        self.operator.metric("headwind_polling_cycles_total", &[]).await
    }
}
