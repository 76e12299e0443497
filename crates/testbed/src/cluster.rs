//! The programs of the control plane, their order and their flags.
//!
//! Runs in the supervisor. The flags are the API server's defaults except for what a test bed on loopback needs. Client
//! limits are raised, so that the controllers never slow down a test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::select_all;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use reqwest::Url;
use serde_json::json;

use crate::control_plane::client;
use crate::pki::Authority;
use crate::port;
use crate::program::Program;
use crate::protocol::{Facts, ProcessId};
use crate::registry::{self, RegistryOptions};
use crate::tools::{Tools, repository};
use crate::wait::eventually;

/// kwok's user.
const KWOK: &str = "kwok";

/// Timeout for one step of the start on a busy machine.
const STEP: Duration = Duration::from_secs(90);
const NODES: usize = 3;

/// The programs to start, and their folders.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The programs.
    pub tools: Tools,
    /// The folder for all state.
    pub folder: PathBuf,
    /// If set, also starts a registry with these notification URLs and options.
    pub registry: Option<(Vec<Url>, RegistryOptions)>,
}

pub(crate) struct Cluster {
    plan: Plan,
    programs: Vec<Program>,
}

impl Cluster {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, programs: Vec::new() }
    }

    /// Starts everything. Returns when pods can be created and nodes accept them.
    pub(crate) async fn start(&mut self) -> Result<Facts> {
        let pki = Authority::new(&self.plan.folder.join("pki"))?;
        let etcd = self.etcd()?;
        let (server, audit) = self.api_server(&pki, &etcd)?;
        let kubeconfig = pki.kubeconfig(&server, "admin", Some("system:masters"))?;
        let admin = client(&kubeconfig).await?;
        self.until("the API server is ready", async || {
            match admin.request_text(http::Request::get("/readyz").body(Vec::new()).unwrap_or_default()).await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        self.controllers(&pki, &server)?;
        forbid_stale_writes(&admin).await?;
        self.kwok(&pki.kubeconfig(&server, KWOK, Some("system:masters"))?)?;
        let registry = self.registry()?;
        make_nodes(&admin).await?;
        self.until("the default service account is there", async || {
            match Api::<ServiceAccount>::namespaced(admin.clone(), "default").get("default").await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        self.until("the nodes take pods", async || open_nodes(&admin).await).await?;
        let mut processes = vec![ProcessId::own("headwind-testbed")?];
        processes.extend(self.programs.iter().map(|program| program.process().clone()));
        Ok(Facts { folder: self.plan.folder.clone(), kubeconfig, audit, registry, processes })
    }

    /// Waits until a program ends unexpectedly, and describes it.
    pub(crate) async fn lost(&mut self) -> String {
        if self.programs.is_empty() {
            return std::future::pending().await;
        }
        let (status, index, _) = select_all(self.programs.iter_mut().map(|program| Box::pin(program.ended()))).await;
        let program = self.programs.remove(index);
        match status {
            Ok(status) => program.epitaph(status),
            Err(error) => format!("{}: {error}", program.process().name),
        }
    }

    /// Ends all programs, the last one first.
    pub(crate) async fn end(self) {
        for program in self.programs.into_iter().rev() {
            program.end().await;
        }
    }

    fn run(&mut self, name: &str, args: Vec<String>) -> Result<()> {
        let log = self.plan.folder.join(format!("{name}.log"));
        self.programs.push(Program::start(&self.plan.tools.path(name), args, [], &log)?);
        Ok(())
    }

    /// Waits for a step, unless a program dies meanwhile.
    async fn until<F, Fut>(&mut self, what: &str, look: F) -> Result<()>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<(), String>>,
    {
        let died = async {
            let (_, index, _) = select_all(self.programs.iter_mut().map(|program| Box::pin(program.ended()))).await;
            index
        };
        let index = tokio::select! {
            seen = eventually(what, STEP, look) => return seen,
            index = died => index,
        };
        let obituary = self.programs.get_mut(index).and_then(Program::obituary);
        Err(anyhow!("{}", obituary.unwrap_or_else(|| "a part ended".to_owned())).context(format!("waiting until {what}")))
    }

    fn etcd(&mut self) -> Result<String> {
        let (client, peer) = (loopback("http")?, loopback("http")?);
        let args = flags(&[
            ("data-dir", path(&self.plan.folder.join("etcd"))),
            ("listen-client-urls", client.clone()),
            ("advertise-client-urls", client.clone()),
            ("listen-peer-urls", peer.clone()),
            ("initial-advertise-peer-urls", peer.clone()),
            ("initial-cluster", format!("default={peer}")),
            ("unsafe-no-fsync", "true".to_owned()),
            ("log-level", "warn".to_owned()),
        ]);
        self.run("etcd", args)?;
        Ok(client)
    }

    fn api_server(&mut self, pki: &Authority, etcd: &str) -> Result<(String, PathBuf)> {
        let serving = pki.issue("kube-apiserver", None, &["127.0.0.1", "localhost", "10.96.0.1"])?;
        let (private, public) = pki.signing_key()?;
        let server = loopback("https")?;
        let audit = self.plan.folder.join("audit.log");
        let args = flags(&[
            ("etcd-servers", etcd.to_owned()),
            ("bind-address", "127.0.0.1".to_owned()),
            ("advertise-address", "127.0.0.1".to_owned()),
            ("secure-port", port_of(&server)?),
            ("endpoint-reconciler-type", "none".to_owned()),
            ("tls-cert-file", path(&serving.certificate)),
            ("tls-private-key-file", path(&serving.key)),
            ("client-ca-file", path(&pki.certificate())),
            ("authorization-mode", "RBAC".to_owned()),
            ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-account-signing-key-file", path(&private)),
            ("service-account-key-file", path(&public)),
            ("allow-privileged", "true".to_owned()),
            ("audit-policy-file", path(&testbed_file("audit-policy.yaml")?)),
            ("audit-log-path", path(&audit)),
            // One file, however long: tests read it from its beginning.
            ("audit-log-maxsize", "100000".to_owned()),
            ("profiling", "false".to_owned()),
        ]);
        self.run("kube-apiserver", args)?;
        Ok((server, audit))
    }

    fn controllers(&mut self, pki: &Authority, server: &str) -> Result<()> {
        let kubeconfig = path(&pki.kubeconfig(server, "system:kube-controller-manager", None)?);
        let mut args = component(&kubeconfig)?;
        args.extend(flags(&[
            ("use-service-account-credentials", "true".to_owned()),
            ("service-account-private-key-file", path(&self.plan.folder.join("pki/tokens.key"))),
            ("root-ca-file", path(&pki.certificate())),
            ("kube-api-qps", "1000".to_owned()),
            ("kube-api-burst", "2000".to_owned()),
            ("concurrent-deployment-syncs", "10".to_owned()),
            ("concurrent-replicaset-syncs", "10".to_owned()),
        ]));
        self.run("kube-controller-manager", args)?;
        let kubeconfig = path(&pki.kubeconfig(server, "system:kube-scheduler", None)?);
        let mut args = component(&kubeconfig)?;
        args.extend(flags(&[("kube-api-qps", "1000".to_owned()), ("kube-api-burst", "2000".to_owned())]));
        self.run("kube-scheduler", args)
    }

    fn kwok(&mut self, kubeconfig: &Path) -> Result<()> {
        let args = flags(&[
            ("kubeconfig", path(kubeconfig)),
            // A real node in the same cluster has its own kubelet.
            ("manage-all-nodes", "false".to_owned()),
            ("manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake".to_owned()),
            ("node-lease-duration-seconds", "40".to_owned()),
            ("config", path(&testbed_file("kwok-base-stages.yaml")?)),
            ("config", path(&testbed_file("kwok-stages.yaml")?)),
        ]);
        self.run("kwok", args)
    }

    fn registry(&mut self) -> Result<Option<String>> {
        let Some((notify, options)) = self.plan.registry.clone() else { return Ok(None) };
        let folder = self.plan.folder.join("registry");
        let address = format!("127.0.0.1:{}", options.port.map_or_else(port::free, Ok)?);
        let config = registry::write_config(&folder, &address, &notify, &options)?;
        self.run("registry", vec!["serve".to_owned(), path(&config)])?;
        Ok(Some(address))
    }
}

/// A status is about the images of its pod. It does not exist in a deletion.
const SAME_IMAGES: &str = "request.operation == 'DELETE' || !has(object.status.containerStatuses) || object.status.containerStatuses.all(status, \
     object.spec.containers.exists(container, container.name == status.name && container.image == status.image))";

/// Refuses kwok's writes that are meant for an earlier pod of the same name.
///
/// kwok writes by name, without the uid, and its queue may lag on a loaded machine. With a StatefulSet, such a write
/// hits the new pod of the same name. A stale deletion makes the StatefulSet replace its pods in a loop. A stale status
/// leaves the new pod in a state that no stage continues.
async fn forbid_stale_writes(admin: &Client) -> Result<()> {
    const NAME: &str = "kwok-writes-no-stale-pods";
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(admin.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(admin.clone());
    let policy = serde_json::from_value(json!({
        "metadata": {"name": NAME},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["DELETE"]},
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/status"], "operations": ["UPDATE"]},
            ]},
            "matchConditions": [{"name": "kwok", "expression": format!("request.userInfo.username == '{KWOK}'")}],
            "validations": [
                {"expression": "request.operation != 'DELETE' || has(oldObject.metadata.deletionTimestamp)", "message": "the pod is not terminating"},
                {"expression": SAME_IMAGES, "message": "the status is that of an earlier pod of the same name"},
            ],
        },
    }))?;
    let binding = serde_json::from_value(json!({
        "metadata": {"name": NAME},
        "spec": {"policyName": NAME, "validationActions": ["Deny"]},
    }))?;
    policies.create(&PostParams::default(), &policy).await.context("creating the policy for kwok")?;
    bindings.create(&PostParams::default(), &binding).await.context("creating the binding of the policy for kwok")?;
    Ok(())
}

async fn make_nodes(admin: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(admin.clone());
    for index in 0..NODES {
        let name = format!("node-{index}");
        let node = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok"},
            },
            // The limit is higher than the number of pods that a node of this test bed ever gets.
            "spec": {"podCIDR": format!("10.{}.0.0/16", 100 + index)},
            "status": {
                "allocatable": {"cpu": "1k", "memory": "1Ti", "pods": "50k"},
                "capacity": {"cpu": "1k", "memory": "1Ti", "pods": "50k"},
            },
        }))?;
        nodes.create(&PostParams::default(), &node).await.with_context(|| format!("creating {name}"))?;
    }
    Ok(())
}

async fn open_nodes(admin: &Client) -> Result<(), String> {
    let nodes = Api::<Node>::all(admin.clone()).list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    let open = nodes.iter().filter(|node| {
        let ready = node
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_some_and(|taints| !taints.is_empty());
        ready && !taints
    });
    match open.count() {
        NODES => Ok(()),
        open => Err(format!("{open} of {NODES} nodes are ready and without a taint")),
    }
}

/// Returns the common arguments of controller-manager and scheduler.
fn component(kubeconfig: &str) -> Result<Vec<String>> {
    Ok(flags(&[
        ("kubeconfig", kubeconfig.to_owned()),
        ("authentication-kubeconfig", kubeconfig.to_owned()),
        ("authorization-kubeconfig", kubeconfig.to_owned()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("secure-port", port::free()?.to_string()),
        ("leader-elect", "false".to_owned()),
    ]))
}

fn flags(pairs: &[(&str, String)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn loopback(scheme: &str) -> Result<String> {
    Ok(format!("{scheme}://127.0.0.1:{}", port::free()?))
}

fn port_of(url: &str) -> Result<String> {
    Ok(url.rsplit_once(':').context("a URL without a port")?.1.to_owned())
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn testbed_file(name: &str) -> Result<PathBuf> {
    let file = repository().join("testbed").join(name);
    if !file.is_file() {
        bail!("{} is missing", file.display());
    }
    Ok(file)
}
