//! From a push to the new image.

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::WorkloadKind;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use tokio_util::sync::CancellationToken;

use crate::world::{SOON, World};

/// Returns the container of a request for the kind.
fn container(kind: WorkloadKind) -> &'static str {
    if kind == WorkloadKind::HelmRelease { "chart" } else { "web" }
}

/// A push to a real registry leads to the new image at once; everything else is unchanged.
pub(crate) async fn direct(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "direct").await?;
    let registry = world.registry().await?;
    registry.publish(kind, "shop/web", "1.25.0", "old").await?;
    let image = |tag: &str| kind.image(registry.addr(), "shop/web", tag);
    let (old, new) = (image("1.25.0"), image("1.26.0"));
    let fixture = World::direct(kind, "web", &registry.image("shop/web", "1.25.0"));
    let live = world.create(&fixture.annotation("team.example/owner", "shop")).await?;
    let before = Timestamp::now();
    let digest = registry.publish(kind, "shop/web", "1.26.0", "new").await?;
    live.has_image("web", &new, SOON).await?;
    // A concurrent edit outside Headwind survives, and is not undone later.
    live.edit(&json!({"metadata": {"labels": {"edited": "yes"}}})).await?;

    let request = world.request(&new, "Completed").await?;
    ensure!(request.spec.current_image == old && request.container() == Some(container(kind)), "{:?}", request.spec);
    ensure!(request.spec.new_digest.as_deref() == Some(digest.as_str()), "the digest that was pushed");
    ensure!(!request.spec.require_approval && request.spec.target_ref.uid == live.uid().await?);
    ensure!(request.owner_references().iter().any(|owner| owner.kind == kind.kind()), "owned by its target");
    let annotations = live.annotations().await?;
    ensure!(annotations.get("team.example/owner").map(String::as_str) == Some("shop"), "foreign annotations stay");
    ensure!(annotations.get("headwind.sh/last-request") == Some(&request.name_any()), "{annotations:?}");
    let updated: Timestamp = annotations["headwind.sh/last-update"].parse()?;
    ensure!(updated >= before.checked_sub(jiff::SignedDuration::from_secs(1))? && updated <= Timestamp::now(), "{updated}");
    let history: Value = serde_json::from_str(&annotations["headwind.sh/update-history"])?;
    ensure!(
        history[0]["image"] == new.as_str() && history[1]["image"] == old.as_str() && history[1]["updateRequestName"].is_null(),
        "{history}"
    );
    ensure!(live.get().await?.labels().get("edited").map(String::as_str) == Some("yes"));
    live.rolled_out(SOON).await?;
    if kind == WorkloadKind::CronJob {
        let message = request.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
        ensure!(message == format!("{new} is in place, the next Job uses it"), "{message}");
    }

    world.has_event("web", "Proposed").await?;
    world.has_event("web", "Applied").await?;
    world.has_event(&request.name_any(), "RolloutComplete").await?;
    world.counted("headwind_updates_applied_total", 1.0).await?;
    world.counted("headwind_updates_approved_total", 1.0).await?;
    world.counted("headwind_updates_pending", 0.0).await?;
    world.quiet().await?;
    ensure!(world.operator.metric("headwind_webhook_events_total", &[]).await? >= 1.0);
    ensure!(world.operator.metric("headwind_reconcile_duration_seconds_count", &[]).await? >= 1.0);
    world.counted(kind.watched_metric(), 1.0).await?;
    let charts = if kind == WorkloadKind::HelmRelease { 1.0 } else { 0.0 };
    for metric in ["found", "approved", "applied"] {
        world.counted(&format!("headwind_helm_updates_{metric}_total"), charts).await?;
    }
    ensure!(world.patches(&live).await? == 1, "one patch");

    // A lower tag, and the same one again, change nothing.
    registry.publish(kind, "shop/web", "1.24.0", "lower").await?;
    registry.publish(kind, "shop/web", "1.26.0", "rebuilt").await?;
    world.quiet().await?;
    ensure!(world.requests().await?.len() == 1 && live.image_of("web").await? == new);
    Ok(())
}

/// If the workload requires it, a person approves.
pub(crate) async fn by_approval(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "approval").await?;
    let registry = world.registry().await?;
    registry.publish(kind, "shop/web", "1.25.0", "old").await?;
    let live = world.create(&World::asking(kind, "web", &registry.image("shop/web", "1.25.0"))).await?;
    registry.publish(kind, "shop/web", "1.26.0", "new").await?;
    let image = |tag: &str| kind.image(registry.addr(), "shop/web", tag);
    let (old, new) = (image("1.25.0"), image("1.26.0"));
    let request = world.request(&new, "Pending").await?;
    world.counted("headwind_updates_pending", 1.0).await?;
    ensure!(live.image_of("web").await? == old, "no update without approval");
    let phase =
        world.bed.kubectl_ok(&["get", "ur", "-n", &world.namespace, "--field-selector", "status.phase=Pending", "-o", "name"]).await?;
    ensure!(phase.contains(&request.name_any()), "the phase is there from birth and can be selected by");

    let approved = world
        .api(
            "POST",
            &format!("/api/v1/updates/{}/{}/approve", world.namespace, request.name_any()),
            Some(&json!({"approver": "mallory", "reason": "tested"})),
        )
        .await?;
    ensure!(approved.0 == 200 && approved.1["status"]["approvedBy"] == "web-ui-user", "{approved:?}");
    live.has_image("web", &new, SOON).await?;
    let done = world.request(&new, "Completed").await?;
    let status = done.status.clone().unwrap_or_default();
    ensure!(status.approved_by.as_deref() == Some("web-ui-user") && status.approved_at.is_some(), "{status:?}");
    world.has_event(&request.name_any(), "ApprovedByPerson").await?;
    world.counted("headwind_updates_approved_total", 1.0).await?;
    world.counted("headwind_updates_pending", 0.0).await?;
    let audit = world.operator.log_lines()?.into_iter().find(|line| line["target"] == "headwind::audit").unwrap_or_default();
    ensure!(audit["username"] == "web-ui-user" && audit["action"] == "approve" && audit["result"] == "success", "{audit}");
    // An answered request cannot be answered again.
    let (status, body) = world.act(&done, "approve").await?;
    ensure!(status == 409 && body["phase"] == "Completed", "{status} {body}");
    Ok(())
}

/// While somebody edits the workload without pause, updates go through and no edit is lost.
pub(crate) async fn concurrent_edits(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "edits").await?;
    // The guard is used only by chance, so the test repeats until the audit log shows that the workload had to be read
    // again.
    for round in 0..40 {
        let name = format!("app-{round}");
        let live = world.create(&World::direct(kind, &name, &world.source(&format!("e/{name}"), "1.0.0").await?).replicas(0)).await?;
        let stop = CancellationToken::new();
        let edits = async {
            let mut count = 0;
            while !stop.is_cancelled() {
                count += 1;
                live.edit(&json!({"metadata": {"labels": {"edited": count.to_string()}}})).await?;
            }
            anyhow::Ok(count)
        };
        let update = async {
            world.push(&format!("e/{name}"), "1.1.0").await?;
            let seen = live.has_image("web", &world.image(&format!("e/{name}"), "1.1.0"), SOON).await;
            stop.cancel();
            seen
        };
        let (count, updated) = tokio::join!(edits, update);
        updated?;
        ensure!(live.get().await?.labels().get("edited") == Some(&count?.to_string()), "the last edit is kept");
        ensure!(world.patches(&live).await? == 1);
        let mut audit = world.audit().context("this test needs the audit log")?;
        audit.catch_up(&world.client).await?;
        if audit.count(&world.operator.requests().verb("get").resource(kind.plural()))? > 0 {
            return Ok(());
        }
    }
    anyhow::bail!("forty rounds without a conflict: the edits do not meet the updates")
}
