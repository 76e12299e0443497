//! The chart of a release in the cluster: its version, and whether Flux has it running.
//!
//! Used by `live`. The rules follow Flux's real controllers: a condition is not enough, the history and the observed
//! generation must agree with it.

use anyhow::{Context as _, Result, bail};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::release::{VERSION, name_in, sources};

/// A release's chart: in its own `spec`, or in the `OCIRepository` that it references.
pub(super) struct Chart {
    name: String,
    version: String,
    reference: Option<DynamicObject>,
}

impl Chart {
    pub(super) async fn of(release: &DynamicObject, client: &Client) -> Result<Self> {
        let text = |path: &str| release.data.pointer(path).and_then(Value::as_str).map(str::to_owned);
        if let Some(name) = text("/spec/chart/spec/chart") {
            return Ok(Self { name, version: text("/spec/chart/spec/version").unwrap_or_default(), reference: None });
        }
        let Some("OCIRepository") = text("/spec/chartRef/kind").as_deref() else { bail!("a release with an unsupported chart reference") };
        let namespace = text("/spec/chartRef/namespace").or_else(|| release.metadata.namespace.clone()).unwrap_or_default();
        let api = sources(client, &namespace, VERSION, "OCIRepository");
        let repository = api.get(&text("/spec/chartRef/name").unwrap_or_default()).await.context("reading the release's OCIRepository")?;
        let field = |path: &str| repository.data.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (name, version) = (name_in(field("/spec/url")).to_owned(), field("/spec/ref/tag").replace('_', "+"));
        Ok(Self { name, version, reference: Some(repository) })
    }

    /// Returns its version in Headwind's format: `web:1.0.0`.
    pub(super) fn image(&self) -> String {
        format!("{}:{}", self.name, self.version)
    }

    /// Sets another version, if it is in an `OCIRepository`. Returns false if the version is in the release's own
    /// `spec`, which the caller must change.
    pub(super) async fn set_reference(&self, version: &str, client: &Client) -> Result<bool> {
        let Some(repository) = &self.reference else { return Ok(false) };
        let api = sources(client, &repository.namespace().unwrap_or_default(), VERSION, "OCIRepository");
        let patch = json!({"spec": {"ref": {"tag": version.replace('+', "_")}}});
        api.patch(&repository.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(true)
    }

    /// Returns true if Flux has observed the current version, and it runs.
    pub(super) fn runs(&self, release: &DynamicObject) -> bool {
        let latest = |field: &str| release.data.pointer(&format!("/status/history/0/{field}")).and_then(Value::as_str).unwrap_or_default();
        let fetched = self.reference.as_ref().is_none_or(|repository| {
            let revision = repository.data.pointer("/status/artifact/revision").and_then(Value::as_str).unwrap_or_default();
            observed(repository) && revision.split_once('@').is_some_and(|(_, digest)| digest == latest("ociDigest"))
        });
        // A chart by reference has a part of its digest as build metadata.
        let running = latest("chartVersion").strip_prefix(self.version.as_str());
        fetched
            && observed(release)
            && condition(release, "Ready", "True")
            && !condition(release, "Reconciling", "True")
            && latest("status") == "deployed"
            && running.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
    }
}

/// Returns true if the controller has observed the newest spec.
fn observed(object: &DynamicObject) -> bool {
    let seen = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    seen.is_some() && seen == object.metadata.generation
}

fn condition(object: &DynamicObject, kind: &str, status: &str) -> bool {
    let all = object.data.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter().flatten().any(|one| one["type"] == kind && one["status"] == status)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn object(kind: &str, spec: &Value, status: &Value) -> DynamicObject {
        let metadata = json!({"name": "shop", "generation": 2});
        serde_json::from_value(json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    fn status() -> Value {
        json!({
            "observedGeneration": 2,
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Released", "status": "True"}],
            "history": [{"chartVersion": "1.1.0", "status": "deployed", "ociDigest": "sha256:aa"}, {"chartVersion": "1.0.0"}],
        })
    }

    #[rstest]
    #[case::as_it_is(json!({}), true)]
    #[case::with_a_digest(json!({"history": [{"chartVersion": "1.1.0+92a4fa0b73a2", "status": "deployed"}]}), true)]
    #[case::spec_not_seen(json!({"observedGeneration": 1}), false)]
    #[case::new(json!({"observedGeneration": -1, "conditions": null, "history": null}), false)]
    #[case::failed(json!({"conditions": [{"type": "Ready", "status": "False"}]}), false)]
    #[case::at_work(json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "Reconciling", "status": "True"}]}), false)]
    #[case::old_version(json!({"history": [{"chartVersion": "1.0.0", "status": "deployed"}]}), false)]
    #[case::another_version(json!({"history": [{"chartVersion": "1.1.0-rc.1", "status": "deployed"}]}), false)]
    #[case::failed_version(json!({"history": [{"chartVersion": "1.1.0", "status": "failed"}]}), false)]
    fn a_release_runs_when_flux_has_seen_and_deployed_it(#[case] change: Value, #[case] runs: bool) {
        let mut status = status();
        json_patch::merge(&mut status, &change);
        let chart = Chart { name: "web".to_owned(), version: "1.1.0".to_owned(), reference: None };
        assert_eq!(chart.runs(&object("HelmRelease", &json!({}), &status)), runs);
    }

    #[rstest]
    #[case::fetched(2, "1.1.0@sha256:aa", true)]
    #[case::tag_not_seen(1, "1.1.0@sha256:aa", false)]
    #[case::not_installed_yet(2, "1.1.0@sha256:bb", false)]
    fn a_reference_runs_when_its_artifact_does(#[case] observed: i64, #[case] revision: &str, #[case] runs: bool) {
        let repository = object("OCIRepository", &json!({}), &json!({"observedGeneration": observed, "artifact": {"revision": revision}}));
        let chart = Chart { name: "web".to_owned(), version: "1.1.0".to_owned(), reference: Some(repository) };
        assert_eq!(chart.runs(&object("HelmRelease", &json!({}), &status())), runs);
    }
}
