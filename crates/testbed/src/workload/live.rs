//! A workload in the cluster, of any kind.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::WorkloadKind;
use super::deployed::Chart;
use crate::wait::eventually;

/// A handle for one object.
#[derive(Debug, Clone)]
pub struct Live {
    kind: WorkloadKind,
    api: Api<DynamicObject>,
    namespace: String,
    name: String,
}

impl Live {
    pub(super) fn new(kind: WorkloadKind, api: Api<DynamicObject>, namespace: &str, name: &str) -> Self {
        Self { kind, api, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Returns its kind.
    pub fn kind(&self) -> WorkloadKind {
        self.kind
    }

    /// Returns its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the object.
    pub async fn get(&self) -> Result<DynamicObject> {
        self.api.get(&self.name).await.with_context(|| format!("reading {} {}/{}", self.kind.kind(), self.namespace, self.name))
    }

    /// Reads its UID.
    pub async fn uid(&self) -> Result<String> {
        self.get().await?.metadata.uid.context("an object without a uid")
    }

    /// Reads its generation, which increases with every change of the spec.
    pub async fn generation(&self) -> Result<i64> {
        self.get().await?.metadata.generation.context("an object without a generation")
    }

    /// Reads the image of a container, init containers included. For a release: its chart, `web:1.0.0`, whatever the
    /// container is.
    pub async fn image_of(&self, container: &str) -> Result<String> {
        if self.kind == WorkloadKind::HelmRelease {
            return Ok(self.chart(&self.get().await?).await?.image());
        }
        self.image_in(&self.get().await?.data, container)
            .with_context(|| format!("{} {}/{} has no container {container}", self.kind.kind(), self.namespace, self.name))
    }

    /// Reads its annotations.
    pub async fn annotations(&self) -> Result<BTreeMap<String, String>> {
        Ok(self.get().await?.metadata.annotations.unwrap_or_default())
    }

    /// Reads its pod template's annotations.
    pub async fn template_annotations(&self) -> Result<BTreeMap<String, String>> {
        let object = self.get().await?;
        let annotations = self.kind.pod_template().and_then(|template| object.data.pointer(&format!("{template}/metadata/annotations")));
        Ok(annotations.map_or_else(|| Ok(BTreeMap::new()), |value| serde_json::from_value(value.clone()))?)
    }

    /// Changes it with a JSON merge patch, outside Headwind.
    pub async fn edit(&self, patch: &Value) -> Result<()> {
        self.patch(&Patch::Merge(patch)).await
    }

    /// Sets an image outside Headwind. For a release: the version of its chart, in its own spec or in its
    /// `OCIRepository`.
    pub async fn set_image(&self, container: &str, image: &str) -> Result<()> {
        if self.kind == WorkloadKind::HelmRelease {
            let version = image.rsplit(':').next().unwrap_or(image);
            let chart = self.chart(&self.get().await?).await?;
            if chart.set_reference(version, &self.api.clone().into_client()).await? {
                return Ok(());
            }
            return self.edit(&json!({"spec": {"chart": {"spec": {"version": version}}}})).await;
        }
        let field = if self.is_init(container).await? { "initContainers" } else { "containers" };
        let template = json!({"spec": {field: [{"name": container, "image": image}]}});
        let path = self.kind.pod_template().unwrap_or_default().rsplit('/').filter(|part| !part.is_empty());
        if self.kind == WorkloadKind::Rollout {
            anyhow::bail!("a custom resource has no strategic merge patch: edit the whole list of containers");
        }
        self.patch(&Patch::Strategic(path.fold(template, |inner, part| json!({part: inner})))).await
    }

    /// Sets an annotation, or removes it.
    pub async fn annotate(&self, key: &str, value: Option<&str>) -> Result<()> {
        self.edit(&json!({"metadata": {"annotations": {key: value}}})).await
    }

    /// Deletes it.
    pub async fn delete(&self) -> Result<()> {
        self.api.delete(&self.name, &DeleteParams::background()).await?;
        Ok(())
    }

    /// Waits until the container has the image.
    pub async fn has_image(&self, container: &str, image: &str, deadline: Duration) -> Result<()> {
        eventually(&format!("{} {}/{}: {container} has {image}", self.kind.kind(), self.namespace, self.name), deadline, || async {
            match self.image_of(container).await {
                Ok(now) if now == image => Ok(()),
                Ok(now) => Err(now),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await
    }

    /// Waits until its controller has observed the newest spec and every pod of it is available. For a release: until
    /// Flux has observed the newest spec and its chart runs.
    pub async fn rolled_out(&self, deadline: Duration) -> Result<()> {
        eventually(&format!("{} {}/{} is rolled out", self.kind.kind(), self.namespace, self.name), deadline, || async {
            let object = self.get().await.map_err(|error| format!("{error:#}"))?;
            let complete = match self.kind {
                WorkloadKind::Deployment | WorkloadKind::StatefulSet => complete(&object, "/spec/replicas", &COUNTED),
                WorkloadKind::DaemonSet => complete(&object, "/status/desiredNumberScheduled", &SCHEDULED),
                WorkloadKind::Rollout => healthy(&object),
                // There is no rollout.
                WorkloadKind::CronJob => true,
                WorkloadKind::HelmRelease => self.chart(&object).await.map_err(|error| format!("{error:#}"))?.runs(&object),
            };
            if complete { Ok(()) } else { Err(object.data.get("status").unwrap_or(&Value::Null).to_string()) }
        })
        .await
    }

    async fn chart(&self, release: &DynamicObject) -> Result<Chart> {
        Chart::of(release, &self.api.clone().into_client()).await
    }

    async fn is_init(&self, container: &str) -> Result<bool> {
        let object = self.get().await?;
        Ok(self.containers(&object.data, "initContainers").any(|one| one.get("name").and_then(Value::as_str) == Some(container)))
    }

    fn containers<'a>(&self, object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let template = self.kind.pod_template().unwrap_or_default();
        object.pointer(&format!("{template}/spec/{field}")).and_then(Value::as_array).into_iter().flatten()
    }

    fn image_in(&self, object: &Value, container: &str) -> Option<String> {
        let containers = self.containers(object, "containers").chain(self.containers(object, "initContainers"));
        let image = |one: &Value| one.get("image").and_then(Value::as_str).map(str::to_owned);
        let volumes = self.containers(object, "volumes");
        let mounted = |one: &Value| one.pointer("/image/reference").and_then(Value::as_str).map(str::to_owned);
        let named = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(container);
        containers.into_iter().find(named).map_or_else(|| volumes.into_iter().find(named).and_then(mounted), image)
    }

    async fn patch<P: serde::Serialize + std::fmt::Debug>(&self, patch: &Patch<P>) -> Result<()> {
        self.api
            .patch(&self.name, &PatchParams::default(), patch)
            .await
            .with_context(|| format!("changing {} {}/{}", self.kind.kind(), self.namespace, self.name))?;
        Ok(())
    }
}

/// Returns true if Argo Rollouts has observed the newest spec of a Rollout, and its version is the stable one.
fn healthy(object: &DynamicObject) -> bool {
    let text = |field: &str| object.data["status"][field].as_str().unwrap_or_default();
    let seen: i64 = text("observedGeneration").parse().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or(i64::MAX);
    seen >= generation && text("phase") == "Healthy" && text("stableRS") == text("currentPodHash")
}

const COUNTED: [&str; 3] = ["/status/replicas", "/status/updatedReplicas", "/status/availableReplicas"];
const SCHEDULED: [&str; 2] = ["/status/updatedNumberScheduled", "/status/numberAvailable"];

fn complete(object: &DynamicObject, wanted: &str, reached: &[&str]) -> bool {
    let number = |path: &str| object.data.pointer(path).and_then(Value::as_i64).unwrap_or_default();
    let (seen, generation) = (number("/status/observedGeneration"), object.metadata.generation.unwrap_or(i64::MAX));
    // A DaemonSet wants no pods until its controller has counted the nodes.
    let counted = !wanted.starts_with("/status") || number(wanted) > 0;
    seen >= generation && counted && reached.iter().all(|path| number(path) == number(wanted))
}
