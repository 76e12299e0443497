//! The chart, installed by the real Helm as a user installs it: image and chart from a registry, pods on the real node with
//! a `ServiceAccount` of their own and the shipped rights.

mod namespaced;
mod tls;
mod upgraded;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::node::GATEWAY;
use headwind_testbed::{Bed, Helm, Node, Query, Registry, RegistryOptions};
use jiff::Timestamp;
use kube::config::Kubeconfig;
use serde_json::json;

use crate::forward::Forward;
use crate::published::Published;
use crate::release::Release;

/// The address of the Service `kubernetes`, by which pods reach the API server.
const API: &str = "10.96.0.1:443";

/// What the sets of values have in common.
struct World<'a> {
    bed: &'a Bed,
    published: Published,
    program: &'a [u8],
    /// The registry sends its webhooks here.
    webhooks: Forward,
}

/// Installs, updates, upgrades and removes, with three sets of values.
pub(crate) async fn installed(bed: &Bed, node: &Node, program: &[u8]) -> Result<()> {
    let Some(helm) = Helm::for_test("make test-node: the installation of the chart").await? else { return Ok(()) };
    // The bed has no kube-proxy.
    let api = Forward::start(API).await?;
    api.to(api_server(bed.kubeconfig())?);
    let webhooks = Forward::start("127.0.0.1:0").await?;
    let url = format!("http://{}/webhook/registry", webhooks.address()).parse()?;
    let options = RegistryOptions { ignore_pulls: true, host: Some(GATEWAY), ..RegistryOptions::default() };
    let registry = Registry::start(&[url], options).await?;
    node.allow_plain_http(registry.addr())?;
    let world = World { bed, published: Published::new(helm, registry).await?, program, webhooks };
    let begun = Instant::now();
    upgraded::upgraded(&world).await.context("the default values")?;
    seen("default values, approval by the plugin, upgrade, removal", begun);
    let begun = Instant::now();
    namespaced::namespaced(&world).await.context("rights in some namespaces only")?;
    seen("installation by a user with rights in two namespaces", begun);
    let begun = Instant::now();
    tls::tls(&world).await.context("HTTPS")?;
    seen("installation with HTTPS, a secret for webhooks and another name", begun);
    Ok(())
}

fn seen(what: &str, begun: Instant) {
    eprintln!("{what}: {} s", begun.elapsed().as_secs());
}

impl World<'_> {
    /// Creates a namespace that admits only pods of the Pod Security Standard `restricted`.
    async fn restricted(&self, namespace: &str) -> Result<()> {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
        self.bed.apply_yaml(&object.to_string()).await.map(drop)
    }

    /// Fails if the API server has denied something to the pods of a release since then.
    async fn rights_suffice(&self, release: &Release<'_>, since: Timestamp) -> Result<()> {
        let mut audit = self.bed.audit().context("the bed has an audit log")?;
        audit.catch_up(&self.bed.client().await?).await?;
        let own = Query::new().account(release.namespace, release.account).since(since);
        ensure!(audit.count(&own)? > 0, "no request of {} in the audit log", release.account);
        let refused = audit.forbidden(&own)?;
        ensure!(refused.is_empty(), "the shipped rights are not enough: {refused:#?}");
        Ok(())
    }
}

/// Returns the address of the API server of a kubeconfig.
fn api_server(kubeconfig: &Path) -> Result<SocketAddr> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let server = config.clusters.first().and_then(|one| one.cluster.as_ref()?.server.clone()).context("no server")?;
    Ok(server.trim_start_matches("https://").trim_end_matches('/').parse()?)
}
