//! Workloads as fixtures, with one interface for every kind, so that one scenario runs for each.
//!
//! ```text
//!  Fixture ─ json, sources ─> API server ─> Live          kind     the names of the kinds
//!     └─ of a release: chart, source (`release`)          live     one object of any kind
//!                                                         deployed the chart of a release in the cluster
//! ```
//!
//! The differences between the kinds are in the `match`es of this file, of `kind` and of `live`; the parts that a
//! release has instead of a pod template are in `release` and `deployed`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use kube::Client;
use kube::api::PostParams;
use serde_json::{Value, json};

mod deployed;
mod kind;
mod live;
mod release;

pub use kind::WorkloadKind;
pub use live::Live;
use release::Source;

/// A container of a fixture.
#[derive(Debug, Clone)]
struct Container {
    name: String,
    image: String,
    pull_policy: Option<String>,
}

/// A workload to create.
#[derive(Debug, Clone)]
pub struct Fixture {
    kind: WorkloadKind,
    name: String,
    replicas: u32,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    progress_deadline: Option<u32>,
    pull_secrets: Vec<String>,
    service_account: Option<String>,
    source: Source,
    spec: Value,
}

impl Fixture {
    /// Creates a fixture without containers and annotations, with one replica.
    pub fn new(kind: WorkloadKind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            replicas: 1,
            containers: Vec::new(),
            init_containers: Vec::new(),
            annotations: BTreeMap::new(),
            labels: BTreeMap::new(),
            progress_deadline: None,
            pull_secrets: Vec::new(),
            service_account: None,
            source: Source::default(),
            spec: json!({}),
        }
    }

    /// Adds a container. The suffix of its image's tag determines the behavior of the pod (`testbed/kwok-stages.yaml`):
    /// `-crash`, `-oom`, `-nopull`, `-unready`, `-flap`, `-slow`, or one of the kubelet's waiting reasons
    /// (`-CreateContainerError`). Without a suffix, the pod is ready at once.
    ///
    /// A release has one container, its chart: `HOST/shop/web:1.0.0` is version 1.0.0 of the chart `web` in the OCI
    /// repository `oci://HOST/shop`.
    #[must_use]
    pub fn container(mut self, name: &str, image: &str) -> Self {
        self.containers.push(Container { name: name.to_owned(), image: image.to_owned(), pull_policy: None });
        self
    }

    /// Adds an init container.
    #[must_use]
    pub fn init_container(mut self, name: &str, image: &str) -> Self {
        self.init_containers.push(Container { name: name.to_owned(), image: image.to_owned(), pull_policy: None });
        self
    }

    /// Sets `imagePullPolicy` of the container added last.
    #[must_use]
    pub fn pull_policy(mut self, policy: &str) -> Self {
        if let Some(last) = self.containers.last_mut() {
            last.pull_policy = Some(policy.to_owned());
        }
        self
    }

    /// Sets an annotation of the object (not of its pods).
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets one of Headwind's annotations: `headwind("policy", "minor")`.
    #[must_use]
    pub fn headwind(self, key: &str, value: &str) -> Self {
        self.annotation(&format!("headwind.sh/{key}"), value)
    }

    /// Sets a label of the object.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the number of pods (a `DaemonSet` has one on each node).
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Adds one of the pod template's `imagePullSecrets`.
    #[must_use]
    pub fn pull_secret(mut self, name: &str) -> Self {
        self.pull_secrets.push(name.to_owned());
        self
    }

    /// Sets the pod template's `serviceAccountName`.
    #[must_use]
    pub fn service_account(mut self, name: &str) -> Self {
        self.service_account = Some(name.to_owned());
        self
    }

    /// Sets `progressDeadlineSeconds` of a Deployment or Rollout.
    #[must_use]
    pub fn progress_deadline(mut self, seconds: u32) -> Self {
        self.progress_deadline = Some(seconds);
        self
    }

    /// Merges more fields into its `spec` (RFC 7396).
    #[must_use]
    pub fn spec(mut self, more: &Value) -> Self {
        json_patch::merge(&mut self.spec, more);
        self
    }

    /// Returns the object.
    pub fn json(&self) -> Value {
        let mut spec = match self.kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet | WorkloadKind::Rollout => self.pods(),
            WorkloadKind::CronJob => self.jobs(),
            WorkloadKind::HelmRelease => self.release(),
        };
        json_patch::merge(&mut spec, &self.spec);
        json!({
            "apiVersion": self.api_version(), "kind": self.kind.kind(),
            "metadata": {"name": self.name, "annotations": self.annotations, "labels": self.labels},
            "spec": spec,
        })
    }

    /// Returns the `spec` of a CronJob.
    fn jobs(&self) -> Value {
        let mut template = self.template();
        put(&mut template["spec"], "restartPolicy", json!("Never"));
        json!({"schedule": "@yearly", "suspend": true, "jobTemplate": {"spec": {"template": template}}})
    }

    fn template(&self) -> Value {
        let pod_labels = json!({"app": self.name});
        let containers = |all: &[Container]| {
            all.iter()
                .map(|Container { name, image, pull_policy }| match pull_policy {
                    Some(policy) => json!({"name": name, "image": image, "imagePullPolicy": policy}),
                    None => json!({"name": name, "image": image}),
                })
                .collect::<Vec<_>>()
        };
        let mut pod = json!({"containers": containers(&self.containers), "terminationGracePeriodSeconds": 0});
        if !self.init_containers.is_empty() {
            put(&mut pod, "initContainers", json!(containers(&self.init_containers)));
        }
        if !self.pull_secrets.is_empty() {
            put(&mut pod, "imagePullSecrets", self.pull_secrets.iter().map(|name| json!({"name": name})).collect());
        }
        if let Some(account) = &self.service_account {
            put(&mut pod, "serviceAccountName", json!(account));
        }
        json!({"metadata": {"labels": pod_labels}, "spec": pod})
    }

    /// Returns the `spec` of a kind with a rollout.
    fn pods(&self) -> Value {
        let mut spec = json!({"selector": {"matchLabels": {"app": self.name}}, "template": self.template()});
        match self.kind {
            WorkloadKind::Deployment => {
                put(&mut spec, "replicas", json!(self.replicas));
                if let Some(seconds) = self.progress_deadline {
                    put(&mut spec, "progressDeadlineSeconds", json!(seconds));
                }
            }
            WorkloadKind::Rollout => {
                put(&mut spec, "replicas", json!(self.replicas));
                put(&mut spec, "strategy", json!({"canary": {}}));
                if let Some(seconds) = self.progress_deadline {
                    put(&mut spec, "progressDeadlineSeconds", json!(seconds));
                }
            }
            WorkloadKind::StatefulSet => {
                put(&mut spec, "replicas", json!(self.replicas));
                put(&mut spec, "serviceName", json!(self.name));
            }
            WorkloadKind::DaemonSet | WorkloadKind::CronJob | WorkloadKind::HelmRelease => {}
        }
        spec
    }

    /// Returns the object as YAML, for kubectl.
    pub fn yaml(&self) -> Result<String> {
        Ok(serde_saphyr::to_string(&self.json())?)
    }

    /// Creates it, and before it the missing sources of a release.
    pub async fn create(&self, client: &Client, namespace: &str) -> Result<Live> {
        self.create_sources(client, namespace).await?;
        let api = self.kind.api_in(client, namespace, &self.version());
        let object = serde_json::from_value(self.json())?;
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("creating {} {namespace}/{}", self.kind.kind(), self.name))?;
        Ok(Live::new(self.kind, api, namespace, &self.name))
    }
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}
