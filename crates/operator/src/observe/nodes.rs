//! The labels and taints of the nodes, for `headwind.sh/platforms: cluster`.
//!
//! Nodes are read only while a workload needs them. Their platforms rarely change, so they are listed once a minute, not
//! watched.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::workload::placement::{Node, Taint};
use k8s_openapi::api::core::v1;
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
/// Number of nodes of a page. A node with its list of images takes some 20 kB.
const PAGE: u32 = 100;

/// Reads the nodes while a workload needs them.
pub(crate) async fn follow(client: Client, state: Arc<State>) -> Result<(), Infallible> {
    let api: Api<v1::Node> = Api::all(client);
    state.readiness.until_synced().await;
    let mut trouble: Option<Class> = None;
    loop {
        if !state.index.read().wants_nodes() {
            if state.nodes.all().is_some() {
                state.nodes.store(None);
            }
            tokio::time::sleep(TICK).await;
            continue;
        }
        match read(&api).await {
            Ok(nodes) => {
                trouble = None;
                state.nodes.store(Some(nodes));
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

async fn read(api: &Api<v1::Node>) -> Result<Vec<Node>, kube::Error> {
    let mut all = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list(&page).await?;
        all.extend(list.items.into_iter().map(view));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// Returns the part of a node that decides which pods may be scheduled on it.
fn view(node: v1::Node) -> Node {
    let taint = |taint: v1::Taint| Taint { key: taint.key, value: taint.value.unwrap_or_default(), effect: taint.effect };
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default().into_iter().map(taint).collect();
    Node { labels: node.metadata.labels.unwrap_or_default(), taints }
}
