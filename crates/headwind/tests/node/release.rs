//! A release of the chart, by the real Helm.

use anyhow::Result;
use headwind_testbed::{Bed, eventually, node};
use serde_json::Value;

use crate::STEP;
use crate::command::text;
use crate::published::Published;

/// A release in a namespace.
pub(crate) struct Release<'a> {
    pub(crate) bed: &'a Bed,
    pub(crate) published: &'a Published,
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    /// The ServiceAccount of its pods.
    pub(crate) account: &'static str,
    /// The user who runs Helm; `None` for the administrator.
    pub(crate) user: Option<&'static str>,
}

impl Release<'_> {
    /// Installs it with the values that are needed here, and these. Returns the output of Helm.
    pub(crate) async fn install(&self, version: &str, values: &Value, more: &[&str]) -> Result<String> {
        let mut files = Vec::new();
        for (number, values) in [&self.published.values(), values].into_iter().enumerate() {
            let file = self.published.helm.folder().join(format!("{}-{number}.json", self.namespace));
            std::fs::write(&file, values.to_string())?;
            files.push(file);
        }
        let mut args = vec!["--values", text(&files[0])?, "--values", text(&files[1])?];
        args.extend(more);
        self.helm("install", version, &args).await
    }

    /// Upgrades it and waits until the new pods are ready.
    pub(crate) async fn upgrade(&self, version: &str, more: &[&str]) -> Result<String> {
        self.helm("upgrade", version, &[&["--wait", "--timeout", "3m"], more].concat()).await
    }

    /// Removes it, and waits until its objects are gone.
    pub(crate) async fn uninstall(&self) -> Result<String> {
        self.run(&["uninstall", self.name, "--wait", "--timeout", "3m"]).await
    }

    async fn helm(&self, command: &str, version: &str, more: &[&str]) -> Result<String> {
        let chart = self.published.chart();
        self.run(&[&[command, self.name, &chart, "--version", version, "--plain-http"], more].concat()).await
    }

    async fn run(&self, args: &[&str]) -> Result<String> {
        let mut args = args.to_vec();
        args.extend(["--namespace", self.namespace, "--kubeconfig", text(self.bed.kubeconfig())?]);
        args.extend(self.user.into_iter().flat_map(|user| ["--kube-as-user", user]));
        self.published.helm.ok(&args).await
    }

    /// Waits until this number of pods are ready, on the real node and with their ServiceAccount, and no other pod of the
    /// release remains. Returns their addresses.
    pub(crate) async fn ready(&self, count: usize) -> Result<Vec<String>> {
        eventually(&format!("{count} pods of {} are ready", self.name), STEP, || async {
            let found = self.pods().await.map_err(|error| error.to_string())?;
            let ready: Vec<String> = found.iter().filter(|pod| self.is_ready(pod)).filter_map(address).collect();
            if ready.len() == count && found.len() == count { Ok(ready) } else { Err(format!("{ready:?} of {}", found.len())) }
        })
        .await
    }

    async fn pods(&self) -> Result<Vec<Value>> {
        let label = format!("app.kubernetes.io/instance={}", self.name);
        let text = self.bed.kubectl_ok(&["-n", self.namespace, "get", "pods", "-l", &label, "-o", "json"]).await?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    fn is_ready(&self, pod: &Value) -> bool {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        pod["metadata"]["deletionTimestamp"].is_null()
            && pod["spec"]["nodeName"] == node::NAME
            && pod["spec"]["serviceAccountName"] == self.account
            && conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    }
}

fn address(pod: &Value) -> Option<String> {
    pod["status"]["podIP"].as_str().map(str::to_owned)
}
