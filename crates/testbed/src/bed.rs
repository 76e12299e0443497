//! The shared control plane of a test run, with the actions that scenarios have in common.

mod argo_rollouts;
mod flux;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::{conditions, wait};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::audit::Audit;
use crate::control_plane::ControlPlane;
use crate::controller::Controller;
use crate::flux::Flux;
use crate::unique::unique;
use crate::wait::eventually;

/// Timeout for small actions of the controllers.
const SHORT: Duration = Duration::from_secs(30);

static SHARED: OnceCell<Bed> = OnceCell::const_new();

/// A control plane with convenience functions.
#[derive(Debug)]
pub struct Bed {
    /// The controllers come before their API server: fields are dropped in this order.
    flux: OnceCell<Flux>,
    flux_crds: OnceCell<()>,
    argo_rollouts: OnceCell<Controller>,
    plane: ControlPlane,
    crds: OnceCell<()>,
}

impl Deref for Bed {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.plane
    }
}

impl Bed {
    /// Returns the control plane that all tests of this process share, and starts it at the first call.
    pub async fn start() -> Result<&'static Self> {
        SHARED.get_or_try_init(Self::own).await
    }

    /// Starts a control plane only for the caller, for tests that would disturb others. It ends when the value is
    /// dropped.
    pub async fn own() -> Result<Self> {
        let plane = ControlPlane::start().await?;
        Ok(Self {
            flux: OnceCell::const_new(),
            flux_crds: OnceCell::const_new(),
            argo_rollouts: OnceCell::const_new(),
            plane,
            crds: OnceCell::const_new(),
        })
    }

    /// Creates a namespace for a scenario and returns its name: the hint in a valid form, with a unique suffix. Pods
    /// can be created in it at once.
    pub async fn namespace(&self, hint: &str) -> Result<String> {
        self.namespace_with(hint, &[]).await
    }

    /// Like [`Bed::namespace`], with annotations.
    pub async fn namespace_with(&self, hint: &str, annotations: &[(&str, &str)]) -> Result<String> {
        let name = unique(hint);
        let client = self.client().await?;
        let annotations: BTreeMap<String, String> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.clone()), annotations: Some(annotations), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("creating namespace {name}"))?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, &name);
        eventually("the namespace has its default service account", SHORT, || async {
            accounts.get("default").await.map(drop).map_err(|error| error.to_string())
        })
        .await?;
        Ok(name)
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl(&self, args: &[&str]) -> Result<Output> {
        self.kubectl_with(args, "").await
    }

    /// Runs kubectl and returns its output. Fails with its error output.
    pub async fn kubectl_ok(&self, args: &[&str]) -> Result<String> {
        said(args, self.kubectl(args).await?)
    }

    /// Returns the URL of its API server.
    pub async fn server(&self) -> Result<String> {
        let url = self.kubectl_ok(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]).await?;
        Ok(url.trim().to_owned())
    }

    /// Waits until these CRDs are served. `kubectl wait` fails at once for a CRD without conditions.
    pub(crate) async fn established(&self, names: &[&str]) -> Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client().await?);
        for name in names {
            let served = wait::await_condition(crds.clone(), name, conditions::is_crd_established());
            tokio::time::timeout(Duration::from_mins(1), served).await.with_context(|| format!("{name} is not served"))??;
        }
        Ok(())
    }

    /// Applies YAML by server-side apply.
    pub async fn apply_yaml(&self, yaml: &str) -> Result<String> {
        let args = ["apply", "--server-side", "--force-conflicts", "--filename=-"];
        said(&args, self.kubectl_with(&args, yaml).await?)
    }

    async fn kubectl_with(&self, args: &[&str], input: &str) -> Result<Output> {
        let mut command = Command::new(self.tools().path("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        if let Some(folder) = self.folder() {
            command.arg("--cache-dir").arg(folder.join("kubectl-cache"));
        }
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A child that does not read its input has closed it: ignore that.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        Ok(child.wait_with_output().await?)
    }

    /// Installs Headwind's CRDs, as `headwind crds` prints them, once.
    pub async fn install_crds(&self, headwind: &Path) -> Result<()> {
        self.crds
            .get_or_try_init(|| async {
                let yaml = printed(headwind, &["crds"]).await?;
                self.apply_yaml(&yaml).await?;
                self.established(&["updaterequests.headwind.sh"]).await
            })
            .await
            .copied()
    }

    /// Returns a reader of the audit log; `None` if the cluster is not the test bed's own (then call
    /// [`crate::skip::skipped`]).
    pub fn audit(&self) -> Option<Audit> {
        self.audit_log().map(Audit::open)
    }

    /// Returns the length of the audit log, for [`Bed::audit_from`].
    pub fn audit_length(&self) -> u64 {
        self.audit_log().and_then(|path| std::fs::metadata(path).ok()).map_or(0, |metadata| metadata.len())
    }

    /// Returns a reader of the audit log from that offset on, if the test bed has one.
    pub fn audit_from(&self, offset: u64) -> Option<Audit> {
        self.audit_log().and_then(|path| Audit::open_at(path, offset).ok())
    }
}

/// Returns the output of a program.
pub(crate) async fn printed(program: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("running {}", program.display()))?;
    said(args, output).with_context(|| program.display().to_string())
}

fn said(args: &[&str], output: Output) -> Result<String> {
    if !output.status.success() {
        bail!("`{}` ended with {}: {}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("its output is not UTF-8")
}
