//! The permission to approve, and the record of approvals.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use headwind_testbed::{WorkloadKind, eventually};
use kube::ResourceExt as _;
use serde_json::json;

use crate::world::{SOON, World, image};

/// Twenty people approve at once: one succeeds, nineteen get a 409, and there is one patch.
pub(crate) async fn twenty(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "twenty").await?;
    let live = world.create(&World::asking(kind, "web", &world.source("shop/web", "1.0.0").await?)).await?;
    world.push("shop/web", "1.1.0").await?;
    let request = world.request(&world.image("shop/web", "1.1.0"), "Pending").await?;
    let answers = futures_util::future::join_all((0..20).map(|_| world.act(&request, "approve"))).await;
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for answer in answers {
        let (status, body) = answer?;
        ensure!(body["metadata"]["managedFields"].is_null(), "{body}");
        *counts.entry(status).or_default() += 1;
    }
    ensure!(counts == BTreeMap::from([(200, 1), (409, 19)]), "{counts:?}");
    live.has_image("web", &world.image("shop/web", "1.1.0"), SOON).await?;
    world.request(&world.image("shop/web", "1.1.0"), "Completed").await?;
    ensure!(world.patches(&live).await? == 1);
    world.counted("headwind_updates_approved_total", 1.0).await
}

/// Creates users of plain `kubectl`: `ann` and `bob` with the shipped role for approvers, `mia` with the one for
/// managers, `eve` with every permission on the objects but no verb of Headwind's.
pub(crate) async fn people(world: &World) -> Result<()> {
    let binding = |role: &str, kind: &str, users: &[&str]| {
        let subjects: Vec<_> = users.iter().map(|user| json!({"kind": "User", "name": user})).collect();
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role, "namespace": world.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, "subjects": subjects})
    };
    let all = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "edit", "namespace": world.namespace}, "rules": [
            {"apiGroups": ["headwind.sh"], "resources": ["updaterequests", "updaterequests/status"],
             "verbs": ["get", "list", "create", "patch", "update", "delete"]}]},
        binding("edit", "Role", &["eve"]),
        binding("headwind-approver", "ClusterRole", &["ann", "bob"]),
        binding("headwind-manager", "ClusterRole", &["mia"]),
    ]});
    world.bed.apply_yaml(&all.to_string()).await.map(drop)
}

/// Runs `kubectl` as a user. Returns true if it was allowed, and the error message.
async fn kubectl(world: &World, user: &str, args: &[&str]) -> Result<(bool, String)> {
    let all: Vec<&str> = ["--as", user, "-n", &world.namespace].into_iter().chain(args.iter().copied()).collect();
    let output = world.bed.kubectl(&all).await?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

async fn refused(world: &World, user: &str, args: &[&str], words: &str) -> Result<()> {
    let (done, error) = kubectl(world, user, args).await?;
    ensure!(!done && error.contains(words), "{user} {args:?}: expected {words:?}, got {done} {error}");
    Ok(())
}

async fn allowed(world: &World, user: &str, args: &[&str]) -> Result<()> {
    let (done, error) = kubectl(world, user, args).await?;
    ensure!(done, "{user} {args:?}: {error}");
    Ok(())
}

/// With plain kubectl: only users with the verb, only in their own name, only valid transitions.
pub(crate) async fn by_kubectl() -> Result<()> {
    let world = World::new("kubectl").await?;
    let live = world.create(&World::asking(WorkloadKind::Deployment, "web", &image("shop/web", "1.0.0"))).await?;
    world.push("shop/web", "1.1.0").await?;
    let request = world.request(&image("shop/web", "1.1.0"), "Pending").await?.name_any();
    people(&world).await?;
    let patch = async |user: &str, status: serde_json::Value| {
        let body = json!({"status": status}).to_string();
        kubectl(&world, user, &["patch", "ur", &request, "--subresource=status", "--type=merge", "-p", &body]).await
    };
    // The policy takes effect some moments after its creation.
    eventually("one without the verb is refused", SOON, || async {
        match patch("eve", json!({"message": "hello"})).await {
            Ok((false, error)) if error.contains("only Headwind") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let (done, error) = patch("eve", json!({"phase": "Approved", "approvedBy": "eve"})).await?;
    ensure!(!done && error.contains("needs the verb approve"), "{error}");
    for (status, why) in [
        (json!({"phase": "Approved", "approvedBy": "bob"}), "another's name"),
        (json!({"phase": "Approved"}), "no name"),
        (json!({"phase": "Rejected", "rejectedBy": "bob"}), "another's name"),
        (json!({"phase": "Completed", "approvedBy": "ann"}), "an arrow that is Headwind's"),
        (json!({"phase": "Approved", "approvedBy": "ann", "reopenedAt": "2099-01-01T00:00:00Z"}), "another expiry"),
        (json!({"phase": "Approved", "approvedBy": "ann", "approvedAt": "2020-01-01T00:00:00Z"}), "a time of one's own"),
        (json!({"phase": "Approved", "approvedBy": "ann", "timesApplied": 7}), "what is Headwind's"),
        (json!({"rolledBackFrom": image("shop/web", "1.1.0")}), "what was left"),
        (json!({"message": "approved by the CISO"}), "a story"),
        (
            json!({"rollout": {"startedAt": "2026-01-01T00:00:00Z", "progressedAt": "2026-01-01T00:00:00Z", "failedChecks": 9, "failureReason": "OOMKilled"}}),
            "evidence",
        ),
    ] {
        let (done, error) = patch("ann", status).await?;
        ensure!(!done, "{why} was let through: {error}");
    }
    ensure!(live.image_of("web").await? == image("shop/web", "1.0.0"));
    let (done, error) = patch("ann", json!({"phase": "Approved", "approvedBy": "ann", "message": "tested on staging"})).await?;
    ensure!(done, "{error}");
    live.has_image("web", &image("shop/web", "1.1.0"), SOON).await?;
    let completed = world.request(&image("shop/web", "1.1.0"), "Completed").await?;
    ensure!(completed.status.unwrap_or_default().approved_by.as_deref() == Some("ann"));
    world.counted("headwind_updates_approved_total", 1.0).await?;
    world.has_event(&request, "ApprovedByPerson").await?;
    for status in [json!({"approvedBy": "bob"}), json!({"approvedBy": null}), json!({"approvedAt": "2020-01-01T00:00:00Z"})] {
        let (done, error) = patch("bob", status.clone()).await?;
        ensure!(!done && error.contains("only Headwind"), "the record is rewritten with {status}: {error}");
    }
    the_record_itself(&world, &request).await?;

    // The spec of a request is immutable, and its namespace must be its workload's.
    let output = world
        .bed
        .kubectl(&["-n", &world.namespace, "patch", "ur", &request, "--type=merge", "-p", r#"{"spec":{"newImage":"evil:1"}}"#])
        .await?;
    ensure!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("immutable"), "{output:?}");
    // Reverted outside Headwind, then reopened with kubectl alone: it is applied again.
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
    reopen_what_was_taken_over(&world).await?;
    reject_by_kubectl(&world).await?;
    ensure!(!world.operator.log_contains("is not in effect")?, "the policy is there");
    the_owner_takes_its_requests_along(&world).await?;
    let explained = world.bed.kubectl_ok(&["explain", "updaterequest.spec.newImage"]).await?;
    ensure!(explained.contains("image that Headwind writes"), "{explained}");
    Ok(())
}

/// Creating, deleting, and metadata: what only Headwind may do, what needs the verb `manage`, and what everybody may.
async fn the_record_itself(world: &World, request: &str) -> Result<()> {
    let patch = |body: serde_json::Value| body.to_string();
    let owner = patch(json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}]}}));
    refused(world, "eve", &["patch", "ur", request, "--type=merge", "-p", &owner], "verb manage").await?;
    let note = patch(json!({"metadata": {"annotations": {"headwind.sh/note": "x"}}}));
    refused(world, "mia", &["patch", "ur", request, "--type=merge", "-p", &note], "only Headwind").await?;
    allowed(world, "eve", &["label", "ur", request, "team=shop"]).await?;
    allowed(world, "eve", &["annotate", "ur", request, "example.com/ticket=1"]).await?;
    refused(world, "eve", &["delete", "ur", request], "verb manage").await?;
    allowed(world, "mia", &["delete", "ur", request, "--dry-run=server"]).await?;
    allowed(world, "ann", &["get", "ur", request]).await?;

    let folder = tempfile::tempdir()?;
    for (changes, refusal) in
        [(json!({}), None), (json!({"trigger": "webhook"}), Some("verb manage")), (json!({"requireApproval": false}), Some("verb manage"))]
    {
        let mut spec = json!({
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u"}, "updateType": "image",
            "containerName": "web", "currentImage": "a:1", "newImage": "a:2", "policy": "none", "reason": "by hand",
            "requireApproval": true, "trigger": "manual",
        });
        for (field, value) in changes.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let manual = json!({"apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest", "metadata": {"name": "by-hand"}, "spec": spec});
        let file = folder.path().join("request.json");
        std::fs::write(&file, manual.to_string())?;
        let file = file.to_string_lossy();
        let create = ["create", "--dry-run=server", "-f", &file];
        match refusal {
            Some(words) => refused(world, "eve", &create, words).await?,
            None => allowed(world, "eve", &create).await?,
        }
        allowed(world, "mia", &create).await?;
    }
    Ok(())
}

/// The policy does not restrict the garbage collector: with a workload it deletes all its requests, finished ones too.
async fn the_owner_takes_its_requests_along(world: &World) -> Result<()> {
    world.bed.kubectl_ok(&["-n", &world.namespace, "delete", "deployment", "--all"]).await?;
    eventually("the requests go with their workload", SOON, || async {
        let left = world.requests().await.map_err(|error| error.to_string())?;
        if left.is_empty() { Ok(()) } else { Err(format!("{} left", left.len())) }
    })
    .await
}

/// An update whose image somebody replaced during its rollout is superseded, and blocks its version. A person can reopen
/// the request.
async fn reopen_what_was_taken_over(world: &World) -> Result<()> {
    let fixture = World::direct(WorkloadKind::Deployment, "taken", &image("shop/taken", "1.0.0")).replicas(1);
    let live = world.create(&fixture.headwind("settle-time", "1h")).await?;
    world.push("shop/taken", "1.1.0").await?;
    let request = world.request(&image("shop/taken", "1.1.0"), "RollingOut").await?.name_any();
    live.set_image("web", &image("shop/taken", "1.0.0")).await?;
    world.request(&image("shop/taken", "1.1.0"), "Superseded").await?;
    let again = json!({"status": {"phase": "Pending"}}).to_string();
    let reopen = ["patch", "ur", &request, "--subresource=status", "--type=merge", "-p", &again];
    refused(world, "eve", &reopen, "needs the verb approve").await?;
    allowed(world, "ann", &reopen).await?;
    world.request(&image("shop/taken", "1.1.0"), "RollingOut").await?;
    Ok(())
}

/// A rejection by kubectl gets the reason and the time that every finished request has.
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
    let output = reject(r#"{"status":{"phase":"Rejected","rejectedBy":"ann","message":"breaks the login"}}"#).await?;
    ensure!(output.status.success(), "{output:?}");
    eventually("the rejection has its reason and time", SOON, || async {
        let status = world.requests_api().get(&request).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let whole = status.reason.as_deref() == Some("RejectedByPerson") && status.finished_at.is_some() && status.rejected_at.is_some();
        let whole = whole && status.message.as_deref() == Some("rejected by ann: breaks the login");
        if whole { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    world.counted("headwind_updates_rejected_total", 1.0).await
}
