//! Workloads as fixtures, one interface for every kind, so that one scenario runs for each.
//!
//! ```text
//!  Fixture ─ json, sources ─> API server ─> Live          kind     what the kinds are called
//!     └─ of a release: chart, source (`release`)          live     a hold on one object, whatever its kind
//!                                                         deployed what a release in the cluster has
//! ```
//!
//! What differs between the kinds stands in the `match`es of this file, of `kind` and of `live`;
//! what a release has in a pod template's place, in `release` and `deployed`.

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

/// A workload to be made.
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
    /// One with no container yet, one replica, no annotations.
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

    /// A container. The ending of its image's tag decides what becomes of the pod
    /// (`testbed/kwok-stages.yaml`): `-crash`, `-oom`, `-nopull`, `-unready`, `-flap`, `-slow`, one of the
    /// kubelet's waiting reasons (`-CreateContainerError`), else ready at once.
    ///
    /// A release has one, its chart: `HOST/shop/web:1.0.0` is version 1.0.0 of the chart `web` in the
    /// OCI repository `oci://HOST/shop`.
    #[must_use]
    pub fn container(mut self, name: &str, image: &str) -> Self {
        self.containers.push(Container { name: name.to_owned(), image: image.to_owned(), pull_policy: None });
        self
    }

    /// An init container.
    #[must_use]
    pub fn init_container(mut self, name: &str, image: &str) -> Self {
        self.init_containers.push(Container { name: name.to_owned(), image: image.to_owned(), pull_policy: None });
        self
    }

    /// `imagePullPolicy` of the container named last.
    #[must_use]
    pub fn pull_policy(mut self, policy: &str) -> Self {
        if let Some(last) = self.containers.last_mut() {
            last.pull_policy = Some(policy.to_owned());
        }
        self
    }

    /// An annotation of the object (not of its pods).
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// One of Headwind's annotations: `headwind("policy", "minor")`.
    #[must_use]
    pub fn headwind(self, key: &str, value: &str) -> Self {
        self.annotation(&format!("headwind.sh/{key}"), value)
    }

    /// A label of the object.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// How many pods (a `DaemonSet` has one on each node).
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// One more of the pod template's `imagePullSecrets`.
    #[must_use]
    pub fn pull_secret(mut self, name: &str) -> Self {
        self.pull_secrets.push(name.to_owned());
        self
    }

    /// The pod template's `serviceAccountName`.
    #[must_use]
    pub fn service_account(mut self, name: &str) -> Self {
        self.service_account = Some(name.to_owned());
        self
    }

    /// `progressDeadlineSeconds` of a Deployment or Rollout.
    #[must_use]
    pub fn progress_deadline(mut self, seconds: u32) -> Self {
        self.progress_deadline = Some(seconds);
        self
    }

    /// More of its `spec`, merged over what is there (RFC 7396).
    #[must_use]
    pub fn spec(mut self, more: &Value) -> Self {
        json_patch::merge(&mut self.spec, more);
        self
    }

    /// The object.
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

    /// The `spec` of a CronJob.
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

    /// The `spec` of a kind that rolls pods out.
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

    /// The object as YAML, for kubectl.
    pub fn yaml(&self) -> Result<String> {
        Ok(serde_saphyr::to_string(&self.json())?)
    }

    /// Makes it, and before it the sources of a release that are not there yet.
    pub async fn create(&self, client: &Client, namespace: &str) -> Result<Live> {
        self.create_sources(client, namespace).await?;
        let api = self.kind.api_in(client, namespace, &self.version());
        let object = serde_json::from_value(self.json())?;
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("making {} {namespace}/{}", self.kind.kind(), self.name))?;
        Ok(Live::new(self.kind, api, namespace, &self.name))
    }
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}
