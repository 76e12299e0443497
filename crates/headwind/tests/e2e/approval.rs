//! Who approves (the fourth line of "done", and SPEC section 4).

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use headwind_testbed::{WorkloadKind, eventually};
use kube::ResourceExt as _;
use serde_json::json;

use crate::world::{SOON, World, image};

/// Twenty people approve at once: one is told yes, nineteen 409, and there is one patch.
pub(crate) async fn twenty(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "twenty").await?;
    let live = world.create(&World::asking(kind, "web", &world.source("shop/web", "1.0.0").await?)).await?;
    world.push("shop/web", "1.1.0").await?;
    let request = world.request(&world.image("shop/web", "1.1.0"), "Pending").await?;
    let answers = futures_util::future::join_all((0..20).map(|_| world.act(&request, "approve"))).await;
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer?.0).or_default() += 1;
    }
    ensure!(counts == BTreeMap::from([(200, 1), (409, 19)]), "{counts:?}");
    live.has_image("web", &world.image("shop/web", "1.1.0"), SOON).await?;
    world.request(&world.image("shop/web", "1.1.0"), "Completed").await?;
    ensure!(world.patches(&live).await? == 1);
    world.counted("headwind_updates_approved_total", 1.0).await
}

/// With plain kubectl: only who has the verb, only in their own name, only along the arrows.
pub(crate) async fn by_kubectl() -> Result<()> {
    let world = World::new("kubectl").await?;
    let live = world.create(&World::asking(WorkloadKind::Deployment, "web", &image("shop/web", "1.0.0"))).await?;
    world.push("shop/web", "1.1.0").await?;
    let request = world.request(&image("shop/web", "1.1.0"), "Pending").await?.name_any();
    let role = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "edit", "namespace": world.namespace}, "rules": [
            {"apiGroups": ["headwind.sh"], "resources": ["updaterequests", "updaterequests/status"], "verbs": ["get", "patch", "update"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "approve", "namespace": world.namespace}, "rules": [
            {"apiGroups": ["headwind.sh"], "resources": ["updaterequests"], "verbs": ["approve"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "edit", "namespace": world.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "edit"}, "subjects": [{"kind": "User", "name": "ann"}, {"kind": "User", "name": "eve"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "approve", "namespace": world.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "approve"}, "subjects": [{"kind": "User", "name": "ann"}]},
    ]});
    world.bed.apply_yaml(&role.to_string()).await?;
    let patch = async |user: &str, status: serde_json::Value| {
        let body = json!({"status": status}).to_string();
        let output = world
            .bed
            .kubectl(&["--as", user, "-n", &world.namespace, "patch", "ur", &request, "--subresource=status", "--type=merge", "-p", &body])
            .await?;
        anyhow::Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    // The policy takes effect some moments after it was made.
    eventually("one without the verb is refused", SOON, || async {
        match patch("eve", json!({"message": "hello"})).await {
            Ok((false, error)) if error.contains("approve") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    for (status, why) in [
        (json!({"phase": "Approved", "approvedBy": "bob"}), "another's name"),
        (json!({"phase": "Approved"}), "no name"),
        (json!({"phase": "Completed", "approvedBy": "ann"}), "an arrow that is Headwind's"),
        (json!({"timesApplied": 7}), "what is Headwind's"),
        (json!({"rolledBackFrom": image("shop/web", "1.1.0")}), "what was left"),
        (
            json!({"rollout": {"startedAt": "2026-01-01T00:00:00Z", "progressedAt": "2026-01-01T00:00:00Z", "failedChecks": 9, "failureReason": "OOMKilled"}}),
            "evidence",
        ),
    ] {
        let (done, error) = patch("ann", status).await?;
        ensure!(!done, "{why} was let through: {error}");
    }
    ensure!(live.image_of("web").await? == image("shop/web", "1.0.0"));
    let (done, error) = patch("ann", json!({"phase": "Approved", "approvedBy": "ann"})).await?;
    ensure!(done, "{error}");
    live.has_image("web", &image("shop/web", "1.1.0"), SOON).await?;
    let completed = world.request(&image("shop/web", "1.1.0"), "Completed").await?;
    ensure!(completed.status.unwrap_or_default().approved_by.as_deref() == Some("ann"));
    world.counted("headwind_updates_approved_total", 1.0).await?;
    world.told(&request, "ApprovedByPerson").await?;

    // The spec of a request is immutable, its namespace its own.
    let output = world
        .bed
        .kubectl(&["-n", &world.namespace, "patch", "ur", &request, "--type=merge", "-p", r#"{"spec":{"newImage":"evil:1"}}"#])
        .await?;
    ensure!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("immutable"), "{output:?}");
    // Put back by hand, then reopened with kubectl alone: it goes through once more.
    live.set_image("web", &image("shop/web", "1.0.0")).await?;
    let (done, error) = patch("ann", json!({"phase": "Pending"})).await?;
    ensure!(done, "{error}");
    eventually("the reopened request lost its old answer", SOON, || async {
        let request = world.request(&image("shop/web", "1.1.0"), "Pending").await.map_err(|error| error.to_string())?;
        let status = request.status.unwrap_or_default();
        if status.approved_by.is_none() && status.reopened_at.is_some() { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    let (done, error) = patch("ann", json!({"phase": "Approved", "approvedBy": "ann"})).await?;
    ensure!(done, "{error}");
    live.has_image("web", &image("shop/web", "1.1.0"), SOON).await?;
    reject_by_kubectl(&world).await?;
    let explained = world.bed.kubectl_ok(&["explain", "updaterequest.spec.newImage"]).await?;
    ensure!(explained.contains("image that is to stand there"), "{explained}");
    Ok(())
}

/// A rejection by kubectl gets the reason and the time that every end has.
async fn reject_by_kubectl(world: &World) -> Result<()> {
    world.push("shop/web", "1.2.0").await?;
    let request = world.request(&image("shop/web", "1.2.0"), "Pending").await?.name_any();
    let reject = async |body: &str| {
        world
            .bed
            .kubectl(&["--as", "ann", "-n", &world.namespace, "patch", "ur", &request, "--subresource=status", "--type=merge", "-p", body])
            .await
    };
    ensure!(!reject(r#"{"status":{"phase":"Rejected"}}"#).await?.status.success(), "no name");
    let output = reject(r#"{"status":{"phase":"Rejected","rejectedBy":"ann"}}"#).await?;
    ensure!(output.status.success(), "{output:?}");
    eventually("the rejection has its reason and time", SOON, || async {
        let status = world.requests_api().get(&request).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let whole = status.reason.as_deref() == Some("RejectedByPerson") && status.finished_at.is_some() && status.rejected_at.is_some();
        if whole { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    world.counted("headwind_updates_rejected_total", 1.0).await
}
