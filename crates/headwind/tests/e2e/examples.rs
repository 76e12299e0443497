//! The manifests in `examples/`: each is applied to the real API server, and its comment must be true.
//!
//! A comment has lines `Push IMAGE: OUTCOME.`, which a webhook claims, or `Publish IMAGE: OUTCOME.`, which a real
//! registry has.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::chart::Chart;
use headwind_testbed::registry::LOGIN;
use headwind_testbed::{Bed, OperatorOptions, Registry, RegistryOptions, eventually, payload};

use crate::world::{SOON, World, digest};

/// The host of the images in the examples.
const HOST: &str = "registry.example.com";
/// Examples without a workload, which have tests of their own here.
const WITHOUT_WORKLOAD: [&str; 3] = ["approval-for-everybody.yaml", "approvers.yaml", "notifications.yaml"];

/// The requirements of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Webhooks,
    OwnNamespace,
    Registry,
    Flux,
    ArgoRollouts,
    Nothing,
}

#[derive(Debug)]
enum Outcome {
    Waits,
    IsApplied,
    IsRefused(String),
    /// A gate with one of these reasons holds the approved update back.
    IsHeldBack(Vec<String>),
}

/// A version that the comment names, and what happens to it.
#[derive(Debug)]
struct Step {
    repository: String,
    tag: String,
    digest: Option<String>,
    is_chart: bool,
    outcome: Outcome,
}

#[derive(Debug)]
struct Example {
    name: String,
    text: String,
}

impl Example {
    fn all() -> Result<Vec<Self>> {
        // Cargo runs a test in the folder of its package.
        let mut files: Vec<PathBuf> =
            std::fs::read_dir("../../examples")?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    fn read(file: &Path) -> Result<Self> {
        let name = file.file_name().context("a name")?.to_string_lossy().into_owned();
        Ok(Self { name, text: std::fs::read_to_string(file)? })
    }

    fn named(name: &str) -> Result<Self> {
        Self::read(&Path::new("../../examples").join(name))
    }

    fn needs(&self) -> Needs {
        let has = |text: &str| self.text.contains(text);
        match () {
            () if has("\nkind: HelmRelease\n") => Needs::Flux,
            () if has("\nkind: Rollout\n") => Needs::ArgoRollouts,
            () if has("# Publish ") => Needs::Registry,
            () if has("\nkind: Namespace\n") => Needs::OwnNamespace,
            () if has("# Push ") => Needs::Webhooks,
            () => Needs::Nothing,
        }
    }

    fn steps(&self) -> Result<Vec<Step>> {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("# Push ").or_else(|| line.strip_prefix("# Publish ")));
        lines.map(|line| step(line).with_context(|| format!("{}: {line}", self.name))).collect()
    }

    /// Returns the repositories and tags of the images of the host in the manifest itself.
    fn images(&self) -> Vec<(String, String)> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        let images = lines.filter_map(|line| line.split_once(&format!("{HOST}/"))).filter_map(|(_, image)| image.split_once(':'));
        images.map(|(repository, tag)| (repository.to_owned(), tag.to_owned())).collect()
    }

    /// Applies the manifest in the namespace of the world, changed by `edit`.
    async fn apply(&self, world: &World, edit: impl FnOnce(String) -> String) -> Result<()> {
        let (file, own) = (tempfile::NamedTempFile::new()?, format!("  name: {}\n", world.namespace));
        let text = self.text.replace("  name: shop\n", &own);
        let text = text.replace("namespace: shop", &format!("namespace: {}", world.namespace));
        std::fs::write(file.path(), edit(text.replace("namespace: headwind-system", &format!("namespace: {}", world.namespace))))?;
        let path = file.path().to_string_lossy();
        let args = ["apply", "--server-side", "--force-conflicts", "-n", &world.namespace, "-f", &path];
        world.bed.kubectl_ok(&args).await.map(drop).with_context(|| self.name.clone())
    }
}

fn step(line: &str) -> Result<Step> {
    let (image, outcome) = line.split_once(": it ").context("no outcome")?;
    let (is_chart, image) = image.strip_prefix("the chart ").map_or((false, image), |image| (true, image));
    let image = image.strip_prefix(&format!("{HOST}/")).context("another host")?;
    let (image, digest) = image.split_once('@').map_or((image, None), |(image, digest)| (image, Some(digest.to_owned())));
    let (repository, tag) = image.split_once(':').context("no tag")?;
    let outcome = match outcome.trim_end_matches('.') {
        "waits for approval" => Outcome::Waits,
        "is applied" => Outcome::IsApplied,
        other => match other.trim_end_matches(')').split_once(" (") {
            Some(("is refused", reason)) => Outcome::IsRefused(reason.to_owned()),
            Some(("waits", reasons)) => Outcome::IsHeldBack(reasons.split(" or ").map(str::to_owned).collect()),
            _ => bail!("unknown outcome"),
        },
    };
    Ok(Step { repository: repository.to_owned(), tag: tag.to_owned(), digest, is_chart, outcome })
}

/// Sends the push of a step, until Headwind knows a workload that uses the repository.
async fn push(world: &World, step: &Step) -> Result<()> {
    let digest = step.digest.clone().unwrap_or_else(|| digest('a'));
    let body = payload::distribution(HOST, &step.repository, &step.tag, &digest);
    eventually(&format!("a workload uses {}", step.repository), SOON, || async {
        let (status, answer) = world.post(&body).await.map_err(|error| error.to_string())?;
        if status == 202 { Ok(()) } else { Err(format!("{status} {answer}")) }
    })
    .await
}

/// Returns the reason of the condition `Waiting`.
fn waiting(request: &UpdateRequest) -> Option<String> {
    let conditions = serde_json::to_value(request).ok()?.pointer("/status/conditions")?.as_array()?.clone();
    let waiting = conditions.into_iter().find(|one| one["type"] == "Waiting" && one["status"] == "True")?;
    Some(waiting["reason"].as_str()?.to_owned())
}

/// Returns how many versions were refused for the reason of the step. 0 for other outcomes.
async fn refused(world: &World, step: &Step) -> f64 {
    let Outcome::IsRefused(reason) = &step.outcome else { return 0.0 };
    // There is no such series before the first refusal.
    world.operator.metric("headwind_updates_refused_total", &[("reason", reason.as_str())]).await.unwrap_or_default()
}

/// Waits until the outcome of a step is there. `image` is the image that the request has, without a digest, and `before`
/// the number of refusals before the push.
async fn ends(world: &World, example: &Example, step: &Step, image: &str, before: f64) -> Result<()> {
    eventually(&format!("{}: {} {:?}", example.name, image, step.outcome), SOON, || async {
        if matches!(step.outcome, Outcome::IsRefused(_)) {
            let now = refused(world, step).await;
            return if now > before { Ok(()) } else { Err(format!("{now} refused")) };
        }
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let ours = || all.iter().filter(|one| one.spec.new_image.split('@').next() == Some(image));
        let is_reached = |one: &UpdateRequest| match &step.outcome {
            Outcome::Waits => one.phase().as_str() == "Pending" && one.spec.require_approval,
            Outcome::IsApplied => ["RollingOut", "Completed"].contains(&one.phase().as_str()) && !one.spec.require_approval,
            Outcome::IsHeldBack(reasons) => waiting(one).is_some_and(|reason| reasons.contains(&reason)),
            Outcome::IsRefused(_) => false,
        };
        if ours().any(is_reached) {
            Ok(())
        } else {
            Err(all.iter().map(|one| format!("{} {} {:?}", one.spec.new_image, one.phase(), one.status)).collect::<Vec<_>>().join("\n"))
        }
    })
    .await
}

/// Applies an example, sends its pushes one after the other, and waits for each outcome.
async fn pushed(world: &World, example: &Example) -> Result<()> {
    example.apply(world, |text| text).await?;
    follows(world, example).await
}

/// Pushes what the comment of the example names, and checks what it says.
async fn follows(world: &World, example: &Example) -> Result<()> {
    let steps = example.steps()?;
    ensure!(!steps.is_empty(), "{} says nothing", example.name);
    for step in &steps {
        let before = refused(world, step).await;
        push(world, step).await?;
        ends(world, example, step, &format!("{HOST}/{}:{}", step.repository, step.tag), before).await?;
    }
    Ok(())
}

/// Every example that needs webhooks only. Those that change a Namespace have one of their own.
pub(crate) async fn by_webhook() -> Result<()> {
    let world = World::new("examples").await?;
    for example in Example::all()? {
        match example.needs() {
            Needs::Webhooks => pushed(&world, &example).await?,
            Needs::OwnNamespace => {
                // Headwind reads the annotations of its namespace at the start, and then every 30 s.
                let own = World::prepared("examples-own", &[], |options| options).await?;
                example.apply(&own, |text| text).await?;
                own.operator.start().await?;
                own.operator.ready().await?;
                follows(&own, &example).await?;
            }
            Needs::Nothing => ensure!(WITHOUT_WORKLOAD.contains(&&*example.name), "{} has no test", example.name),
            Needs::Registry | Needs::Flux | Needs::ArgoRollouts => {}
        }
    }
    Ok(())
}

/// The examples for Argo Rollouts.
pub(crate) async fn argo_rollouts() -> Result<()> {
    let world = World::of_rollouts("examples-argo").await?;
    for example in Example::all()?.iter().filter(|one| one.needs() == Needs::ArgoRollouts) {
        pushed(&world, example).await?;
    }
    Ok(())
}

fn polling(options: OperatorOptions) -> OperatorOptions {
    let options = options.env("HEADWIND_POLLING_ENABLED", "true");
    options.env("HEADWIND_POLLING_INTERVAL", "1").env("HEADWIND_POLLING_MIN_INTERVAL", "1")
}

/// The examples whose versions come from a registry, which has a password if the example has one.
pub(crate) async fn by_polling() -> Result<()> {
    let world = World::with("examples-poll", polling).await?;
    for example in Example::all()?.iter().filter(|one| one.needs() == Needs::Registry) {
        let locked = example.text.contains("kubernetes.io/dockerconfigjson");
        let registry = Registry::start(&[], RegistryOptions { locked, ..RegistryOptions::default() }).await?;
        for (repository, tag) in example.images() {
            registry.push(&repository, &tag, "old").await?;
        }
        let login =
            |text: String| text.replace("\"USER\"", &format!("\"{}\"", LOGIN.0)).replace("\"PASSWORD\"", &format!("\"{}\"", LOGIN.1));
        let edit = |text: String| login(text).replace(HOST, registry.addr()).replace("polling-interval: 15m", "polling-interval: 1s");
        example.apply(&world, edit).await?;
        for step in &example.steps()? {
            registry.push(&step.repository, &step.tag, &step.tag).await?;
            ends(&world, example, step, &registry.image(&step.repository, &step.tag), 0.0).await?;
        }
    }
    Ok(())
}

/// The examples for Flux: Headwind looks the new releases up.
pub(crate) async fn releases() -> Result<()> {
    Bed::start().await?.flux().await?;
    let world = World::new("examples-flux").await?;
    let registry = Registry::start(&[world.operator.notifications()?], RegistryOptions::default()).await?;
    for example in Example::all()?.iter().filter(|one| one.needs() == Needs::Flux) {
        for step in &example.steps()? {
            ensure!(step.is_chart, "{} is not about a chart", example.name);
            let (path, name) = step.repository.rsplit_once('/').context("a path")?;
            registry.put_chart(path, &Chart::new(name, "1.0.0")).await?;
            let edit = |text: String| text.replace(HOST, registry.addr()).replace("\n  interval: 5m", "\n  insecure: true\n  interval: 5m");
            example.apply(&world, edit).await?;
            registry.put_chart(path, &Chart::new(name, &step.tag)).await?;
            ends(&world, example, step, &format!("{name}:{}", step.tag), 0.0).await?;
        }
    }
    Ok(())
}

/// The settings for notifications are valid and take effect; the roles give the groups the stated permissions.
pub(crate) async fn for_people() -> Result<()> {
    let world = World::new("examples-people").await?;
    Example::named("notifications.yaml")?.apply(&world, |text| text).await?;
    eventually("both channels are on", SOON, || async {
        let on = world.operator.logs().map_err(|error| error.to_string())?.matches("notifications are on").count();
        if on == 2 { Ok(()) } else { Err(format!("{on} channels are on")) }
    })
    .await?;
    world.counted("headwind_settings_invalid", 0.0).await?;

    Example::named("approvers.yaml")?.apply(&world, |text| text).await?;
    for (group, verb, expected) in [
        ("shop-leads", "approve", true),
        ("shop-developers", "approve", false),
        ("shop-developers", "list", true),
        ("others", "list", false),
    ] {
        let args = ["auth", "can-i", verb, "updaterequests.headwind.sh", "-n", &world.namespace, "--as=ann", "--as-group", group];
        eventually(&format!("{group} may {verb}: {expected}"), SOON, || async {
            let can = world.bed.kubectl(&args).await.map_err(|error| error.to_string())?.status.success();
            if can == expected { Ok(()) } else { Err(format!("{can}")) }
        })
        .await?;
    }
    Ok(())
}

/// The admission policy denies a workload without approval, in labelled namespaces only.
pub(crate) async fn admission() -> Result<()> {
    let world = World::new("examples-deny").await?;
    Example::named("approval-for-everybody.yaml")?.apply(&world, |text| text).await?;
    let direct = ["apply", "--dry-run=server", "-n", &world.namespace, "-f", "../../examples/direct.yaml"];
    ensure!(world.bed.kubectl(&direct).await?.status.success(), "denied without the label");
    world.bed.kubectl_ok(&["label", "namespace", &world.namespace, "headwind.sh/approval=required"]).await?;
    eventually("the policy is in effect", SOON, || async {
        let output = world.bed.kubectl(&direct).await.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("need an approval in this namespace") { Ok(()) } else { Err(said) }
    })
    .await?;
    world.bed.kubectl_ok(&["apply", "--dry-run=server", "-n", &world.namespace, "-f", "../../examples/approval.yaml"]).await?;
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        world.bed.kubectl_ok(&["delete", kind, "headwind-needs-approval"]).await?;
    }
    Ok(())
}
