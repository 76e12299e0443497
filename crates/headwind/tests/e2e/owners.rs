//! Workloads that another controller owns: refused, proposed or patched, as `headwind.sh/gitops` says.

use anyhow::{Context as _, Result, ensure};
use headwind_core::reason::Reason;
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::workload::Live;
use headwind_testbed::{Fixture, WorkloadKind, eventually};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{SOON, World, digest, image};

const KUSTOMIZATION: (&str, &str) = ("kustomize.toolkit.fluxcd.io/name", "apps");
const DEPLOYMENT: WorkloadKind = WorkloadKind::Deployment;

impl World {
    async fn explanation_of(&self, kind: &str, name: &str) -> Result<Value> {
        let (code, body) = self.api("GET", &format!("/api/v1/workloads/{}/{kind}/{name}/explain", self.namespace), None).await?;
        ensure!(code == 200, "{code} {body}");
        Ok(body)
    }

    /// Waits until the request for the image waits for that reason.
    async fn waits(&self, new_image: &str, phase: &str, reason: &str) -> Result<UpdateRequest> {
        eventually(&format!("the request for {new_image} waits with {reason}"), SOON, || async {
            let request = self.request(new_image, phase).await.map_err(|error| error.to_string())?;
            let status = request.status.clone().unwrap_or_default();
            let waiting = status.conditions.iter().find(|one| one.type_ == "Waiting" && one.status == "True");
            if waiting.is_some_and(|one| one.reason == reason) { Ok(request) } else { Err(format!("{:?}", status.conditions)) }
        })
        .await
    }
}

fn labelled(kind: WorkloadKind, name: &str, image: &str) -> Fixture {
    World::direct(kind, name, image).label(KUSTOMIZATION.0, KUSTOMIZATION.1).label("kustomize.toolkit.fluxcd.io/namespace", "flux-system")
}

/// Every owner with the default setting, for Deployments: only what Helm installed is updated.
pub(crate) async fn by_default() -> Result<()> {
    let world = World::new("owners").await?;
    let old = image("shop/web", "1.0.0");
    let plain = |name: &str| World::direct(DEPLOYMENT, name, &old);
    let argo = plain("argo").annotation("argocd.argoproj.io/tracking-id", &format!("store:apps/Deployment:{}/argo", world.namespace));
    let flux = world.create(&labelled(DEPLOYMENT, "flux", &old)).await?;
    let argo = world.create(&argo).await?;
    let argo_label = world.create(&plain("argo-label").label("argocd.argoproj.io/instance", "store")).await?;
    let helm = world.create(&plain("helm").annotation("meta.helm.sh/release-name", "shop")).await?;
    let nobody = world.create(&plain("nobody").label("app.kubernetes.io/instance", "store")).await?;
    let controlled = world.create(&plain("controlled")).await?;
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody", "uid": nobody.uid().await?, "controller": true});
    controlled.edit(&json!({"metadata": {"ownerReferences": [owner]}})).await?;
    for (live, reason) in
        [(&flux, "OwnedByFlux"), (&argo, "OwnedByArgoCD"), (&argo_label, "OwnedByArgoCD"), (&controlled, "OwnedByController")]
    {
        world.has_event(live.name(), reason).await?;
    }
    world.push("shop/web", "1.1.0").await?;
    for live in [&helm, &nobody] {
        live.has_image("web", &image("shop/web", "1.1.0"), SOON).await?;
    }
    world.quiet().await?;
    for (live, reason) in
        [(&flux, "OwnedByFlux"), (&argo, "OwnedByArgoCD"), (&argo_label, "OwnedByArgoCD"), (&controlled, "OwnedByController")]
    {
        ensure!(live.image_of("web").await? == old && world.patches(live).await? == 0, "{}", live.name());
        let explained = world.explanation_of("Deployment", live.name()).await?;
        ensure!(explained["containers"][0]["reason"] == reason, "{explained}");
        ensure!(
            explained["containers"][0]["message"].as_str().is_some_and(|message| message.contains("headwind.sh/gitops")),
            "{explained}"
        );
    }
    ensure!(world.requests().await?.len() == 2);
    ensure!(world.operator.metric("headwind_updates_refused_total", &[("reason", "OwnedByFlux")]).await? >= 1.0);
    let explained = world.explanation_of("Deployment", "flux").await?;
    ensure!(explained["owner"] == json!({"manager": "Flux", "name": "Kustomization flux-system/apps"}), "{explained}");
    let explained = world.explanation_of("Deployment", "helm").await?;
    ensure!(explained["owner"]["manager"] == "Helm" && explained["containers"][0]["reason"] != "OwnedByHelm", "{explained}");
    // A changed setting takes effect at once.
    helm.annotate("headwind.sh/gitops", Some("refuse")).await?;
    flux.annotate("headwind.sh/gitops", Some("patch")).await?;
    world.has_event("helm", "OwnedByHelm").await?;
    world.push("shop/web", "1.2.0").await?;
    flux.has_image("web", &image("shop/web", "1.2.0"), SOON).await?;
    ensure!(helm.image_of("web").await? == image("shop/web", "1.1.0"));
    Ok(())
}

/// For every kind: a proposed update is recorded and approved, nothing is patched, and the request completes when the
/// owner has rolled the version out.
pub(crate) async fn proposed(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "proposed").await?;
    let source = world.source("shop/web", "1.0.0").await?;
    let owned = |fixture: Fixture| fixture.label(KUSTOMIZATION.0, KUSTOMIZATION.1).headwind("gitops", "propose");
    let direct = world.create(&owned(World::direct(kind, "direct", &source))).await?;
    let asking = world.create(&owned(World::asking(kind, "asking", &source))).await?;
    world.push("shop/web", "1.1.0").await?;
    let new = world.image("shop/web", "1.1.0");
    let of = async |live: &Live, phase: &str| {
        eventually(&format!("the request of {} is {phase}", live.name()), SOON, || async {
            let all = world.requests().await.map_err(|error| error.to_string())?;
            let ours = all.iter().find(|one| one.spec.target_ref.name == live.name() && one.spec.new_image == new);
            ours.filter(|one| one.phase().as_str() == phase).cloned().ok_or_else(|| format!("{:?}", ours.map(|one| &one.status)))
        })
        .await
    };
    let request = of(&asking, "Pending").await?;
    ensure!(request.spec.reason.contains("at its source"), "{}", request.spec.reason);
    world.does(&request, "approve").await?;
    for (live, phase) in [(&direct, "Pending"), (&asking, "Approved")] {
        eventually("it waits for its owner", SOON, || async {
            let status = of(live, phase).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            let waiting = status.conditions.iter().find(|one| one.type_ == "Waiting" && one.status == "True");
            if waiting.is_some_and(|one| one.reason == "OwnedByFlux") { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await?;
    }
    // The owner rolls it out.
    for live in [&direct, &asking] {
        ensure!(live.image_of(container(kind)).await? == world.image("shop/web", "1.0.0"), "{}", live.name());
        live.set_image(container(kind), &new).await?;
    }
    for live in [&direct, &asking] {
        of(live, "Completed").await?;
        ensure!(world.patches(live).await? == 0, "{} was patched", live.name());
    }
    ensure!(of(&asking, "Completed").await?.status.unwrap_or_default().approved_by.as_deref() == Some("web-ui-user"));
    world.counted("headwind_updates_applied_total", 0.0).await
}

fn container(kind: WorkloadKind) -> &'static str {
    if kind == WorkloadKind::HelmRelease { "chart" } else { "web" }
}

/// The real helm-controller: the Deployment of a HelmRelease is refused, and the release itself is updated. A release
/// that a Kustomization applies is refused as well.
pub(crate) async fn flux() -> Result<()> {
    let world = World::of(WorkloadKind::HelmRelease, "fluxed").await?;
    let source = world.source("shop/web", "1.0.0").await?;
    let release = world.create(&World::direct(WorkloadKind::HelmRelease, "free", &source)).await?;
    let kept = world.create(&labelled(WorkloadKind::HelmRelease, "kept", &source)).await?;
    release.rolled_out(SOON).await?;
    let deployed = DEPLOYMENT.find(&world.client, &world.namespace, "free");
    for (key, value) in [("policy", "minor"), ("require-approval", "false"), ("settle-time", "0")] {
        deployed.annotate(&format!("headwind.sh/{key}"), Some(value)).await?;
    }
    world.has_event("free", "OwnedByFlux").await?;
    world.has_event("kept", "OwnedByFlux").await?;
    let explained = world.explanation_of("Deployment", "free").await?;
    ensure!(explained["owner"]["name"] == format!("HelmRelease {}/free", world.namespace), "{explained}");
    let image = deployed.image_of("web").await?;
    let (host, tagged) = image.split_once('/').context(image.clone())?;
    let (repository, _) = tagged.rsplit_once(':').context(image.clone())?;
    let (status, body) = world.post(&headwind_testbed::payload::distribution(host, repository, "1.9.0", &digest('a'))).await?;
    ensure!(status == 202, "{body}");
    world.push("shop/web", "1.1.0").await?;
    world.request(&world.image("shop/web", "1.1.0"), "Completed").await?;
    world.quiet().await?;
    ensure!(kept.image_of("chart").await? == world.image("shop/web", "1.0.0") && world.patches(&kept).await? == 0);
    ensure!(world.patches(&deployed).await? == 0 && world.requests().await?.len() == 1);
    Ok(())
}

/// An owner that puts its version back all the time: Headwind does not fight with it. No patch of Headwind's is
/// reverted, because there is none.
pub(crate) async fn nothing_fights() -> Result<()> {
    let world = World::new("fights").await?;
    let old = image("shop/web", "1.0.0");
    let fixture = labelled(DEPLOYMENT, "web", &old);
    let live = world.create(&fixture).await?;
    let mut manifest = fixture.json();
    let api = DEPLOYMENT.api(&world.client, &world.namespace);
    let apply = PatchParams::apply("kustomize-controller").force();
    for round in 1..=5 {
        world.push_refused("shop/web", &format!("1.{round}.0"), &digest('a'), Reason::OwnedByFlux).await?;
        api.patch("web", &apply, &Patch::Apply(&manifest)).await?;
    }
    ensure!(live.image_of("web").await? == old && world.patches(&live).await? == 0 && world.requests().await?.is_empty());
    // With `propose`, the owner's next version completes the request.
    manifest["metadata"]["annotations"]["headwind.sh/gitops"] = json!("propose");
    api.patch("web", &apply, &Patch::Apply(&manifest)).await?;
    eventually("the request is there", SOON, || async {
        world.push("shop/web", "1.6.0").await.map_err(|error| error.to_string())?;
        world.quiet().await.map_err(|error| error.to_string())?;
        let all = world.requests().await.map_err(|error| error.to_string())?;
        if all.len() == 1 { Ok(()) } else { Err(format!("{} requests", all.len())) }
    })
    .await?;
    world.waits(&image("shop/web", "1.6.0"), "Pending", "OwnedByFlux").await?;
    api.patch("web", &apply, &Patch::Apply(&manifest)).await?;
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image("shop/web", "1.6.0"));
    api.patch("web", &apply, &Patch::Apply(&manifest)).await?;
    world.request(&image("shop/web", "1.6.0"), "Completed").await?;
    ensure!(world.patches(&live).await? == 0);
    Ok(())
}
