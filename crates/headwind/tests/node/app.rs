//! A workload on the real node that Headwind updates.

use anyhow::Result;
use headwind_testbed::{Bed, eventually};
use serde_json::{Value, json};

use crate::STEP;
use crate::published::Published;

/// The Deployment `app` in a namespace of its own.
pub(crate) struct App<'a> {
    bed: &'a Bed,
    published: &'a Published,
    program: &'a [u8],
    pub(crate) namespace: &'static str,
}

impl<'a> App<'a> {
    /// Creates the namespace and the Deployment, with version 1.0.0, and waits until it runs.
    pub(crate) async fn create(
        bed: &'a Bed,
        published: &'a Published,
        program: &'a [u8],
        namespace: &'static str,
        requires_approval: bool,
    ) -> Result<Self> {
        let app = Self { bed, published, program, namespace };
        app.push("1.0.0").await?;
        bed.kubectl_ok(&["create", "namespace", namespace]).await?;
        let pod = json!({
            "nodeSelector": {"headwind.test/node": "real"}, "tolerations": [{"key": "headwind.test/node", "operator": "Exists"}],
            "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false, "containers": [{"name": "app", "image": app.image("1.0.0")}],
        });
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "app", "namespace": namespace, "annotations": {
                "headwind.sh/policy": "minor", "headwind.sh/min-update-interval": "0", "headwind.sh/settle-time": "2",
                "headwind.sh/require-approval": requires_approval.to_string(),
            }},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "app"}},
                "template": {"metadata": {"labels": {"app": "app"}}, "spec": pod}},
        });
        bed.apply_yaml(&deployment.to_string()).await?;
        app.runs("1.0.0").await?;
        Ok(app)
    }

    fn repository(&self) -> String {
        format!("{}/app", self.namespace)
    }

    pub(crate) fn image(&self, tag: &str) -> String {
        self.published.registry.image(&self.repository(), tag)
    }

    /// Pushes a version and returns its digest. The registry sends a webhook.
    pub(crate) async fn push(&self, tag: &str) -> Result<String> {
        self.published.registry.push_program(&self.repository(), tag, self.program, "pause").await
    }

    /// Waits until the request for a version has this phase, and returns its name.
    pub(crate) async fn request(&self, tag: &str, phase: &str) -> Result<String> {
        let image = self.image(tag);
        eventually(&format!("the request for {image} is {phase}"), STEP, || async {
            let get = ["-n", self.namespace, "get", "updaterequests", "-o", "json"];
            let text = self.bed.kubectl_ok(&get).await.map_err(|error| error.to_string())?;
            let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let all = list["items"].as_array().cloned().unwrap_or_default();
            let it = all.iter().find(|one| one["spec"]["newImage"] == image.as_str() && one["status"]["phase"] == phase);
            it.and_then(|one| one["metadata"]["name"].as_str().map(str::to_owned)).ok_or_else(|| format!("{all:?}"))
        })
        .await
    }

    /// Waits until a container on the real node runs this version, and no other pod of the Deployment remains.
    pub(crate) async fn runs(&self, tag: &str) -> Result<()> {
        let image = self.image(tag);
        eventually(&format!("{image} runs"), STEP, || async {
            let get = ["-n", self.namespace, "get", "pods", "-l", "app=app", "-o", "json"];
            let text = self.bed.kubectl_ok(&get).await.map_err(|error| error.to_string())?;
            let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let running = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["running"].is_object();
            match list["items"].as_array().map(Vec::as_slice) {
                Some([pod]) if running(pod) && pod["spec"]["containers"][0]["image"] == image.as_str() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }
}
