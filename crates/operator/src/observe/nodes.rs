//! The labels of the nodes, for `headwind.sh/platforms: cluster`.
//!
//! Nodes are read only while a workload needs them, and only their metadata. Their platforms rarely change, so they are
//! listed once a minute, not watched.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::workload::placement::NodeLabels;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, ListParams};

use crate::cluster::{Class, classify};
use crate::observe::state::State;

/// Interval for checking whether a workload needs the nodes.
const TICK: Duration = Duration::from_secs(3);
/// Interval for reading the nodes.
const PERIOD: Duration = Duration::from_mins(1);
/// The same while reading fails.
const RETRY: Duration = Duration::from_secs(10);
/// Number of nodes of a page.
const PAGE: u32 = 500;

/// Reads the nodes while a workload needs them.
pub(crate) async fn follow(client: Client, state: Arc<State>) -> Result<(), Infallible> {
    let api: Api<Node> = Api::all(client);
    state.readiness.until_synced().await;
    let mut trouble: Option<Class> = None;
    loop {
        if !state.index.read().wants_nodes() {
            if state.nodes.labels().is_some() {
                state.nodes.store(None);
            }
            tokio::time::sleep(TICK).await;
            continue;
        }
        match read(&api).await {
            Ok(labels) => {
                trouble = None;
                state.nodes.store(Some(labels));
            }
            Err(error) => {
                let class = classify(&error);
                if trouble.replace(class) != Some(class) {
                    tracing::warn!(%error, "failed to list the nodes for `headwind.sh/platforms: cluster`; retrying");
                }
            }
        }
        tokio::time::sleep(if trouble.is_some() { RETRY } else { PERIOD }).await;
    }
}

async fn read(api: &Api<Node>) -> Result<Vec<NodeLabels>, kube::Error> {
    let mut all = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list_metadata(&page).await?;
        all.extend(list.items.into_iter().map(|node| node.metadata.labels.unwrap_or_default()));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(all),
        }
    }
}
