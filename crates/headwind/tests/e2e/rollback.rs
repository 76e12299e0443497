//! Rollbacks by people, and explanations.

use anyhow::{Context as _, Result, ensure};
use headwind_core::reason::Reason;
use headwind_core::trigger::Trigger;
use headwind_testbed::workload::Live;
use headwind_testbed::{WorkloadKind, eventually};
use serde_json::{Value, json};

use crate::poll::name_hosts;
use crate::rollout::{VERDICT, ends, watched};
use crate::world::{SOON, World, digest, image};

async fn updated(world: &World, live: &Live, tag: &str) -> Result<()> {
    world.push("shop/web", tag).await?;
    ends(world, &world.image("shop/web", tag), &["Completed"], VERDICT).await?;
    live.has_image("web", &world.image("shop/web", tag), SOON).await
}

/// Two rollbacks go back two versions, a third one reports that there is nothing older. The versions that were rolled
/// back are not proposed again, not even after restarts and ten more pushes; a newer version is not blocked.
pub(crate) async fn twice(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "back").await?;
    let live = world.create(&watched(kind, "web", &world.source("shop/web", "1.0.0").await?).headwind("settle-time", "0")).await?;
    live.rolled_out(SOON).await?;
    let path = format!("/api/v1/rollback/{}/{}/web", world.namespace, kind.kind());
    let (code, nothing) = world.api("POST", &path, None).await?;
    ensure!(code == 409 && nothing["detail"].as_str().is_some_and(|detail| detail.contains("nothing older")), "{code} {nothing}");
    updated(&world, &live, "1.1.0").await?;
    updated(&world, &live, "1.2.0").await?;
    // The minimum interval does not apply: a rollback by a person is urgent.
    live.annotate("headwind.sh/min-update-interval", Some("1h")).await?;
    let history = async || {
        let (code, body) = world.api("GET", &path, None).await?;
        ensure!(code == 200, "{code} {body}");
        let entries = body["entries"].as_array().context("entries")?.clone();
        let tag = |entry: &Value| entry["image"].as_str().unwrap_or_default().rsplit(':').next().unwrap_or_default().to_owned();
        anyhow::Ok(entries.iter().map(|entry| (entry["index"].as_u64().unwrap_or(99), tag(entry))).collect::<Vec<_>>())
    };
    let tags = |all: &[(u64, &str)]| all.iter().map(|(index, tag)| (*index, (*tag).to_owned())).collect::<Vec<_>>();
    ensure!(history().await? == tags(&[(0, "1.2.0"), (1, "1.1.0"), (2, "1.0.0")]));
    for (tag, left) in [("1.1.0", 1), ("1.0.0", 0)] {
        let (code, body) = world.api("POST", &path, Some(&json!({"reason": "it is slow"}))).await?;
        ensure!(code == 200 && body["spec"]["trigger"] == "manual" && body["status"]["phase"] == "Approved", "{code} {body}");
        ensure!(
            body["status"]["approvedBy"] == "web-ui-user" && body["status"]["message"].as_str().is_some_and(|said| said.contains("slow"))
        );
        live.has_image("web", &world.image("shop/web", tag), SOON).await?;
        let name = body["metadata"]["name"].as_str().context("a name")?.to_owned();
        eventually("the rollback is done", VERDICT, || async {
            let request = world.requests_api().get(&name).await.map_err(|error| error.to_string())?;
            let reason = request.status.as_ref().and_then(|status| status.reason.clone()).unwrap_or_default();
            if request.phase().as_str() == "Completed" && reason == "RollbackComplete" {
                Ok(())
            } else {
                Err(format!("{:?}", request.status))
            }
        })
        .await?;
        ensure!(history().await?.len() == left + 1, "what was gone over is forgotten");
    }
    let (code, nothing) = world.api("POST", &path, None).await?;
    ensure!(code == 409 && nothing["detail"].as_str().is_some_and(|detail| detail.contains("nothing older")), "{code} {nothing}");
    world.counted("headwind_rollbacks_manual_total", 2.0).await?;
    world.counted("headwind_rollbacks_total", 2.0).await?;

    live.annotate("headwind.sh/min-update-interval", Some("0")).await?;
    eventually("what was left is rolled back", SOON, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let found = all.iter().filter(|request| request.spec.trigger.0 == Trigger::Webhook);
        let phases: Vec<&str> = found.map(|request| request.phase().as_str()).collect();
        if phases == ["RolledBack", "RolledBack"] { Ok(()) } else { Err(format!("{phases:?}")) }
    })
    .await?;
    let before = world.requests().await?.len();
    for round in 0..10 {
        if round == 5 {
            world.operator.restart().await?;
        }
        for tag in ["1.1.0", "1.2.0"] {
            world.push_refused("shop/web", tag, &digest('a'), Reason::RolledBack).await?;
        }
    }
    world.quiet().await?;
    ensure!(world.requests().await?.len() == before && live.image_of("web").await? == world.image("shop/web", "1.0.0"));
    updated(&world, &live, "1.3.0").await
}

/// Invalid requests, the alias for Deployments, and a rollback by plain kubectl.
pub(crate) async fn asked() -> Result<()> {
    let world = World::new("asked").await?;
    let fixture = watched(WorkloadKind::Deployment, "web", &image("shop/web", "1.0.0")).headwind("settle-time", "0");
    let live = world.create(&fixture).await?;
    updated(&world, &live, "1.1.0").await?;
    updated(&world, &live, "1.2.0").await?;
    let here = |rest: &str| format!("/api/v1/rollback/{}/{rest}", world.namespace);
    for (path, body, code) in [
        (here("Deployment/nobody"), json!({}), 404),
        (here("Gadget/web"), json!({}), 422),
        (here("Deployment/web"), json!({"container": "other"}), 422),
        (here("Deployment/web"), json!({"index": 3}), 409),
        (here("Deployment/web"), json!({"index": 0}), 409),
        (here("Deployment/web"), json!({"steps": 1}), 422),
        ("/api/v1/rollback/kube-system/Deployment/web".to_owned(), json!({}), 404),
    ] {
        let (answered, said) = world.api("POST", &path, Some(&body)).await?;
        ensure!(answered == code, "{path} {body}: {answered} {said}");
    }
    let (code, body) = world.api("POST", &here("web"), Some(&json!({"index": 2}))).await?;
    ensure!(code == 200 && body["spec"]["newImage"] == image("shop/web", "1.0.0"), "{code} {body}");
    live.has_image("web", &image("shop/web", "1.0.0"), SOON).await?;
    updated(&world, &live, "1.3.0").await?;
    ensure!(world.operator.log_contains("headwind::audit")? && world.operator.log_contains("rollback")?);

    // By kubectl: a request as the API creates it, and an approval.
    let uid = live.uid().await?;
    let request = |name: &str, from: &str, to: &str| {
        json!({
            "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest", "metadata": {"name": name, "namespace": world.namespace},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid}, "updateType": "image", "containerName": "web",
                "currentImage": from, "newImage": to, "policy": "glob", "requireApproval": true, "trigger": "manual",
            },
        })
        .to_string()
    };
    world.bed.apply_yaml(&request("back-by-hand", &image("shop/web", "1.3.0"), &image("shop/web", "1.0.0"))).await?;
    let approved = json!({"status": {"phase": "Approved", "approvedBy": "admin"}}).to_string();
    let patch = ["-n", &world.namespace, "patch", "ur", "back-by-hand", "--subresource=status", "--type=merge", "-p", &approved];
    world.bed.kubectl_ok(&patch).await?;
    live.has_image("web", &image("shop/web", "1.0.0"), SOON).await?;
    ends(&world, &image("shop/web", "1.3.0"), &["RolledBack"], SOON).await?;
    world.push("shop/web", "1.3.0").await?;
    world.quiet().await?;
    ensure!(live.image_of("web").await? == image("shop/web", "1.0.0"));
    // A request for an image that never ran is refused.
    world.bed.apply_yaml(&request("foreign", &image("shop/web", "1.0.0"), &image("evil/miner", "6.6.6"))).await?;
    ends(&world, &image("evil/miner", "6.6.6"), &["Superseded"], SOON).await?;
    Ok(())
}

/// Tracked workloads and explanations, from the registry's own list of tags.
pub(crate) async fn explained() -> Result<()> {
    let hosts = tempfile::NamedTempFile::new()?;
    let path = hosts.path().to_string_lossy().into_owned();
    let world = World::prepared("explain", &[], |options| options.env("HEADWIND_REGISTRY_CONFIG", &path)).await?;
    let registry = world.registry().await?;
    name_hosts(&[registry.addr()], &hosts)?;
    world.operator.start().await?;
    world.operator.ready().await?;
    for tag in ["1.0.0", "1.1.0", "2.0.0", "latest"] {
        registry.push("shop/web", tag, tag).await?;
    }
    let name = registry.image("shop/web", "1.0.0");
    let asks = World::asking(WorkloadKind::StatefulSet, "asks", &name).headwind("min-update-interval", "1h");
    let live = world.create(&asks).await?;
    world.create(&headwind_testbed::Fixture::new(WorkloadKind::Deployment, "untracked").container("web", &name)).await?;
    world.create(&World::asking(WorkloadKind::Deployment, "unreachable", &image("no/where", "1.0.0"))).await?;
    let path = |name: &str, kind: &str| format!("/api/v1/workloads/{}/{kind}/{name}/explain", world.namespace);
    let (code, body) = world.api("GET", &path("asks", "statefulset"), None).await?;
    let container = &body["containers"][0];
    ensure!(code == 200 && container["newest"] == "2.0.0" && container["wouldTake"] == registry.image("shop/web", "1.1.0"), "{body}");
    ensure!(container["waiting"].is_null() && container["policy"] == "minor", "{body}");
    let mut verdicts: Vec<(String, String, String)> = Vec::new();
    for candidate in container["candidates"].as_array().context("candidates")? {
        let text = |field: &str| candidate[field].as_str().unwrap_or_default().to_owned();
        verdicts.push((text("tag"), text("verdict"), text("reason")));
    }
    verdicts.sort();
    let expected = [
        ("1.0.0", "refused", "SameTag"),
        ("1.1.0", "chosen", "HigherVersion"),
        ("2.0.0", "refused", "MajorDiffers"),
        ("latest", "refused", "NotAVersion"),
    ];
    ensure!(verdicts == expected.map(|(tag, verdict, reason)| (tag.to_owned(), verdict.to_owned(), reason.to_owned())), "{verdicts:?}");

    // A rejected request blocks the version. After an update, the gate shows until when it is closed.
    registry.push("shop/web", "1.2.0", "1.2.0").await?;
    let request = world.request(&registry.image("shop/web", "1.2.0"), "Pending").await?;
    world.does(&request, "approve").await?;
    live.has_image("web", &registry.image("shop/web", "1.2.0"), SOON).await?;
    registry.push("shop/web", "1.4.0", "1.4.0").await?;
    let request = world.request(&registry.image("shop/web", "1.4.0"), "Pending").await?;
    world.does(&request, "reject").await?;
    let (_, body) = world.api("GET", &format!("/api/v1/workloads?namespace={}&kind=StatefulSet", world.namespace), None).await?;
    let container = &body["items"][0]["containers"][0];
    ensure!(body["items"].as_array().is_some_and(|items| items.len() == 1), "{body}");
    ensure!(container["newest"] == "1.4.0" && container["wouldTake"].is_null() && container["reason"] == "Rejected", "{body}");
    ensure!(
        container["waiting"]["reason"] == "MinUpdateInterval"
            && container["waiting"]["until"].is_string()
            && container["candidates"].is_null()
    );
    ensure!(body["items"][0]["requests"].as_array().is_some_and(|requests| requests.len() == 2), "{body}");

    let (code, body) = world.api("GET", &path("unreachable", "Deployment"), None).await?;
    ensure!(code == 200 && body["registryErrors"].as_object().is_some_and(|errors| errors.len() == 1), "{body}");
    ensure!(body["containers"][0]["reason"] == "RegistryError", "{body}");
    ensure!(world.api("GET", &path("nobody", "Deployment"), None).await?.0 == 404);
    ensure!(world.api("GET", &path("web", "Gadget"), None).await?.0 == 422);
    let (_, first) = world.api("GET", "/api/v1/workloads?limit=1", None).await?;
    let next = first["metadata"]["continue"].as_str().context("more")?;
    let (_, second) = world.api("GET", &format!("/api/v1/workloads?limit=1&continue={next}"), None).await?;
    let names = [&first, &second].map(|page| page["items"][0]["name"].as_str().unwrap_or_default().to_owned());
    ensure!(
        names == ["unreachable", "asks"] && second["metadata"]["continue"] == "",
        "what is not tracked is not listed: {names:?} {second}"
    );
    Ok(())
}
