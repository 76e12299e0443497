//! The default values: two replicas, an update that a person approves with the plugin, an upgrade from the chart before its
//! last change with an open request, and a removal that leaves nothing but the CRD.

use anyhow::{Result, ensure};
use headwind_testbed::{Bed, eventually};
use jiff::Timestamp;
use serde_json::json;

use super::World;
use crate::STEP;
use crate::app::App;
use crate::command::plugin;
use crate::objects::Objects;
use crate::published::{CURRENT, OLDER};
use crate::release::Release;

const NAMESPACE: &str = "headwind-system";
const SHOP: &str = "shop";
/// Rights of the older chart's pods until the upgrade: their binary is newer, and may need more than that chart grants.
const ALL_RIGHTS: &str = "until-the-upgrade";

pub(super) async fn upgraded(world: &World<'_>) -> Result<()> {
    let bed = world.bed;
    world.restricted(NAMESPACE).await?;
    let app = App::create(bed, &world.published, world.program, SHOP, true).await?;
    let token = approver(bed).await?;
    let before = Objects::read(bed).await?;
    let release = Release { bed, published: &world.published, namespace: NAMESPACE, name: "headwind", account: "headwind", user: None };
    let account = format!("--serviceaccount={NAMESPACE}:headwind");
    bed.kubectl_ok(&["create", "clusterrolebinding", ALL_RIGHTS, "--clusterrole=cluster-admin", &account]).await?;
    let notes = release.install(OLDER, &json!({}), &["--wait", "--timeout", "3m"]).await?;
    ensure!(notes.contains("headwind-approver"), "{notes}");
    world.webhooks.to(format!("{}:8080", release.ready(2).await?[0]).parse()?);
    eventually("Headwind tracks the workload", STEP, || async {
        let all = plugin(bed, SHOP, &token, &["workloads"]).await.map_err(|error| error.to_string())?;
        if all.contains("deployment/app") { Ok(()) } else { Err(all) }
    })
    .await?;

    app.push("1.1.0").await?;
    let first = app.request("1.1.0", "Pending").await?;
    app.runs("1.0.0").await?;
    plugin(bed, SHOP, &token, &["approve", &first, "--reason", "tested"]).await?;
    app.request("1.1.0", "Completed").await?;
    app.runs("1.1.0").await?;

    // An open request survives the upgrade.
    app.push("1.2.0").await?;
    let second = app.request("1.2.0", "Pending").await?;
    let old = release.ready(2).await?;
    release.upgrade(CURRENT, &["--reset-then-reuse-values"]).await?;
    bed.kubectl_ok(&["delete", "clusterrolebinding", ALL_RIGHTS]).await?;
    let since = Timestamp::now();
    let new = release.ready(2).await?;
    ensure!(new.iter().all(|address| !old.contains(address)), "the upgrade replaced the pods: {old:?}, {new:?}");
    world.webhooks.to(format!("{}:8080", new[0]).parse()?);
    let image = ["-n", NAMESPACE, "get", "deployment", "headwind", "-o", "jsonpath={.spec.template.spec.containers[0].image}"];
    let image = bed.kubectl_ok(&image).await?;
    ensure!(image == world.published.registry.image("headwind", CURRENT), "{image}");
    ensure!(app.request("1.2.0", "Pending").await? == second, "the upgrade kept the request");
    plugin(bed, SHOP, &token, &["approve", "deployment/app"]).await?;
    app.request("1.2.0", "Completed").await?;
    app.runs("1.2.0").await?;
    let explained = plugin(bed, SHOP, &token, &["explain", "deployment/app"]).await?;
    ensure!(explained.contains("Policy:    minor"), "{explained}");
    app.push("1.3.0").await?;
    app.request("1.3.0", "Pending").await?;
    world.rights_suffice(&release, since).await?;

    let said = release.uninstall().await?;
    ensure!(said.contains("[CustomResourceDefinition] updaterequests.headwind.sh"), "Helm does not say what it keeps: {said}");
    before.again_with_crd(bed).await?;
    app.request("1.3.0", "Pending").await?;
    app.runs("1.2.0").await
}

/// Returns the token of a person who may approve updates of the shop, and ask Headwind.
async fn approver(bed: &Bed) -> Result<String> {
    let account = format!("--serviceaccount={SHOP}:ann");
    bed.kubectl_ok(&["-n", SHOP, "create", "serviceaccount", "ann"]).await?;
    for (namespace, role) in [(SHOP, "headwind-approver"), (SHOP, "view"), (NAMESPACE, "headwind-plugin")] {
        bed.kubectl_ok(&["-n", namespace, "create", "rolebinding", role, &format!("--clusterrole={role}"), &account]).await?;
    }
    Ok(bed.kubectl_ok(&["-n", SHOP, "create", "token", "ann"]).await?.trim().to_owned())
}
