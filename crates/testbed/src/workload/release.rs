//! The part of a HelmRelease fixture that replaces a pod template: a chart, from a Flux source.
//!
//! The source is created next to the release, with a name derived from its location: releases of one repository share
//! it. There are three sorts: a `HelmRepository` of type `oci` (the chart is the fixture's container), one over HTTP,
//! and an `OCIRepository` that the release references by `chartRef`.
//!
//! The intervals are long, because Flux acts on a changed spec at once. Only an HTTP repository is read often, because
//! Flux does not know a new version before.

use anyhow::{Context as _, Result};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::kind::objects;
use super::{Fixture, WorkloadKind, put};

const GROUP: &str = "source.toolkit.fluxcd.io";
pub(super) const VERSION: &str = "v1";
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// The source of a release's chart, with the test's settings.
#[derive(Debug, Clone)]
pub(super) struct Source {
    place: Place,
    spec: Value,
    versions: (String, String),
}

#[derive(Debug, Clone)]
enum Place {
    /// The OCI repository above the container's image.
    Oci,
    /// A chart repository over HTTP.
    Http { url: String, chart: String, version: String },
    /// An `OCIRepository` with that name, at the container's image.
    Reference(String),
}

impl Default for Source {
    fn default() -> Self {
        Self { place: Place::Oci, spec: json!({}), versions: ("v2".to_owned(), VERSION.to_owned()) }
    }
}

impl Fixture {
    /// Sets the release's chart to that version of that chart, in a repository over HTTP.
    #[must_use]
    pub fn chart_repository(mut self, url: &str, chart: &str, version: &str) -> Self {
        self.source.place = Place::Http { url: url.to_owned(), chart: chart.to_owned(), version: version.to_owned() };
        self
    }

    /// References an `OCIRepository` by `chartRef`, with the container's image as its URL and tag. Releases with the
    /// same name for it share it.
    #[must_use]
    pub fn chart_ref(mut self, name: &str) -> Self {
        self.source.place = Place::Reference(name.to_owned());
        self
    }

    /// Sets the `secretRef` of the release's source. The same as [`Fixture::pull_secret`].
    #[must_use]
    pub fn source_secret(self, name: &str) -> Self {
        self.pull_secret(name)
    }

    /// Merges more fields into its source's `spec` (RFC 7396). A source that differs from others at the same location
    /// gets another name.
    #[must_use]
    pub fn source_spec(mut self, more: &Value) -> Self {
        json_patch::merge(&mut self.source.spec, more);
        self
    }

    /// Sets other versions of Flux's API than `v2` and `v1`, for the release and for its source.
    #[must_use]
    pub fn flux_versions(mut self, release: &str, source: &str) -> Self {
        self.source.versions = (release.to_owned(), source.to_owned());
        self
    }

    /// Returns the source of a release.
    pub fn source(&self) -> Option<Value> {
        if self.kind != WorkloadKind::HelmRelease {
            return None;
        }
        let (repository, tag) = self.chart_image();
        let (base, _) = repository.rsplit_once('/').unwrap_or_default();
        let mut spec = match &self.source.place {
            Place::Oci => json!({"type": "oci", "url": format!("oci://{base}"), "insecure": true, "interval": "1h"}),
            Place::Http { url, .. } => json!({"url": url, "interval": "2s"}),
            Place::Reference(_) => json!({
                "url": format!("oci://{repository}"), "insecure": true, "interval": "1h", "ref": {"tag": tag},
                "layerSelector": {"mediaType": CONTENT, "operation": "copy"},
            }),
        };
        if let Some(secret) = self.pull_secrets.first() {
            put(&mut spec, "secretRef", json!({"name": secret}));
        }
        if let (Place::Reference(_), Some(account)) = (&self.source.place, &self.service_account) {
            put(&mut spec, "serviceAccountName", json!(account));
        }
        json_patch::merge(&mut spec, &self.source.spec);
        let (kind, name) = match &self.source.place {
            Place::Reference(name) => ("OCIRepository", name.clone()),
            Place::Oci | Place::Http { .. } => ("HelmRepository", self.name_of(&spec)),
        };
        Some(json!({
            "apiVersion": format!("{GROUP}/{}", self.source.versions.1), "kind": kind, "metadata": {"name": name}, "spec": spec,
        }))
    }

    /// Returns the name of a `HelmRepository`, derived from its URL and its other settings.
    fn name_of(&self, spec: &Value) -> String {
        let url = spec["url"].as_str().unwrap_or_default();
        let legal: String = url.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(200).collect();
        let legal = legal.trim_end_matches('-').replace("---", "-");
        if self.pull_secrets.is_empty() && self.source.spec == json!({}) {
            return legal;
        }
        let hash = hex::encode(Sha256::digest(spec.to_string()));
        format!("{legal}-{}", hash.get(..8).unwrap_or_default())
    }

    pub(super) fn version(&self) -> String {
        match self.kind {
            WorkloadKind::HelmRelease => self.source.versions.0.clone(),
            _ => self.kind.version().to_owned(),
        }
    }

    pub(super) fn api_version(&self) -> String {
        format!("{}/{}", self.kind.group(), self.version())
    }

    /// Returns the `spec` of a release.
    pub(super) fn release(&self) -> Value {
        let mut spec = json!({
            "interval": "1h", "timeout": "1m", "values": {"replicas": self.replicas},
            // Flux checks every five seconds, Helm every two.
            "waitStrategy": {"name": "legacy"},
        });
        let source = self.source().unwrap_or_default();
        let reference = json!({"kind": source["kind"], "name": source["metadata"]["name"]});
        let (repository, tag) = self.chart_image();
        let (chart, version) = match &self.source.place {
            Place::Oci => (name_in(repository), tag.replace('_', "+")),
            Place::Http { chart, version, .. } => (chart.as_str(), version.clone()),
            Place::Reference(_) => {
                put(&mut spec, "chartRef", reference);
                return spec;
            }
        };
        put(&mut spec, "chart", json!({"spec": {"chart": chart, "version": version, "sourceRef": reference}}));
        spec
    }

    /// Returns repository and tag of the first container.
    fn chart_image(&self) -> (&str, &str) {
        let image = self.containers.first().map(|container| container.image.as_str()).unwrap_or_default();
        image.rsplit_once(':').unwrap_or((image, ""))
    }

    /// Creates the source, unless it exists.
    pub(super) async fn create_sources(&self, client: &Client, namespace: &str) -> Result<()> {
        let Some(source) = self.source() else { return Ok(()) };
        let kind = source["kind"].as_str().unwrap_or_default().to_owned();
        let api = sources(client, namespace, &self.source.versions.1, &kind);
        let object: DynamicObject = serde_json::from_value(source)?;
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            made => made.map(drop).with_context(|| format!("creating {kind} for {namespace}/{}", self.name)),
        }
    }
}

pub(super) fn name_in(repository: &str) -> &str {
    repository.rsplit('/').next().unwrap_or(repository)
}

pub(super) fn sources(client: &Client, namespace: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let plural = if kind == "OCIRepository" { "ocirepositories" } else { "helmrepositories" };
    objects(client, namespace, GROUP, version, kind, plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> Fixture {
        Fixture::new(WorkloadKind::HelmRelease, "shop").container("web", "127.0.0.1:5000/shop/web:1.0.0")
    }

    #[test]
    fn a_container_is_a_chart_of_an_oci_repository() {
        let object = fixture().replicas(3).headwind("policy", "minor").spec(&json!({"timeout": "5s"})).json();
        assert_eq!(object["apiVersion"], "helm.toolkit.fluxcd.io/v2");
        assert_eq!(object["metadata"]["annotations"]["headwind.sh/policy"], "minor");
        assert_eq!(
            object["spec"],
            json!({
                "interval": "1h", "timeout": "5s", "values": {"replicas": 3}, "waitStrategy": {"name": "legacy"},
                "chart": {"spec": {"chart": "web", "version": "1.0.0", "sourceRef": {"kind": "HelmRepository", "name": "oci-127-0-0-1-5000-shop"}}},
            })
        );
        let source = fixture().source().unwrap();
        assert_eq!(source["spec"], json!({"type": "oci", "url": "oci://127.0.0.1:5000/shop", "insecure": true, "interval": "1h"}));
    }

    #[test]
    fn sources_that_differ_have_other_names() {
        let name = |fixture: Fixture| fixture.source().unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        let plain = name(fixture());
        assert_eq!(plain, name(fixture().annotation("a", "b")));
        let others = [
            name(fixture().source_secret("one")),
            name(fixture().source_secret("two")),
            name(fixture().source_spec(&json!({"suspend": true}))),
            name(fixture().chart_repository("http://127.0.0.1:5000/shop", "web", "1.0.0")),
        ];
        for (at, other) in others.iter().enumerate() {
            assert!(*other != plain && !others[..at].contains(other), "{other}");
        }
    }

    #[test]
    fn a_reference_is_an_oci_repository() {
        let fixture = fixture().chart_ref("web").source_secret("key");
        assert_eq!(fixture.json()["spec"]["chartRef"], json!({"kind": "OCIRepository", "name": "web"}));
        assert!(fixture.json()["spec"]["chart"].is_null());
        let source = fixture.source().unwrap();
        assert_eq!(source["spec"]["url"], "oci://127.0.0.1:5000/shop/web");
        assert_eq!((&source["spec"]["ref"], &source["spec"]["secretRef"]), (&json!({"tag": "1.0.0"}), &json!({"name": "key"})));
        assert!(Fixture::new(WorkloadKind::Deployment, "web").source().is_none());
    }
}
