//! A real node: kubelet and containerd next to the fake nodes. Needs root.
//!
//! `testbed/node.sh` starts them and undoes all changes when its standard input ends, which the kernel ensures however
//! the test ends. If that script is killed too, the next one undoes them. [`Machine`] is the state that must be unchanged
//! afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::api::Api;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};

use crate::bed::Bed;
use crate::tools::repository;
use crate::wait::eventually;

/// The node's name.
pub const NAME: &str = "real-node";
/// The address of the machine that pods reach.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 244, 1);
/// The fixed places that a kubelet, containerd and CNI plugins write to.
const PLACES: [&str; 7] = [
    "/run/containerd",
    "/run/netns",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
];
const START: Duration = Duration::from_mins(2);
const END: Duration = Duration::from_mins(1);

/// A running node.
#[derive(Debug)]
pub struct Node {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    folder: PathBuf,
}

impl Node {
    /// Starts it, and returns when it is ready for pods. `sandbox` is the pause image.
    pub async fn start(bed: &Bed, sandbox: &str) -> Result<Self> {
        let cache = bed.tools().folder().parent().context("the tools are in a cache folder")?.to_owned();
        let mut command = Command::new("bash");
        command.arg(repository().join("testbed/node.sh")).arg(cache).arg(bed.kubeconfig()).arg(sandbox).arg(NAME);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // A signal to the test's process group must not end it before it has undone its changes.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = tokio::process::Command::from(command).spawn().context("starting node.sh")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let first = tokio::time::timeout(START, lines.next_line()).await.context("node.sh said nothing")??;
        let Some(folder) = first.as_deref().and_then(|line| line.strip_prefix("ready ")) else {
            bail!("node.sh did not start: {first:?}; see the output above");
        };
        let node = Self { child, folder: PathBuf::from(folder), lines };
        let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(bed.client().await?);
        eventually("the real node is ready", START, || async {
            let real = nodes.get(NAME).await.map_err(|error| error.to_string())?;
            let conditions = real.status.and_then(|status| status.conditions).unwrap_or_default();
            let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
            match ready {
                Some(ready) if ready.status == "True" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .with_context(|| crate::folder::tail(&node.folder.join("kubelet.log"), crate::program::TAIL))?;
        Ok(node)
    }

    /// Returns the `spec` of a workload's pods that places them on this node.
    pub fn placement() -> Value {
        // On the host's own network: no bridge, no address to release.
        json!({"template": {"spec": {
            "nodeSelector": {"headwind.test/node": "real"},
            "tolerations": [{"key": "headwind.test/node", "operator": "Exists"}],
            "hostNetwork": true,
            "automountServiceAccountToken": false,
        }}})
    }

    /// Returns a program that runs until it is terminated, or, with the argument `crash`, fails after a second.
    pub fn program(bed: &Bed) -> Result<Vec<u8>> {
        let path = bed.tools().folder().parent().context("the tools are in a cache folder")?.join("node/app");
        fs::read(&path).with_context(|| format!("reading {}; testbed/tools.sh --node builds it", path.display()))
    }

    /// Lets the node pull images from this registry, `HOST:PORT`, by plain HTTP.
    pub fn allow_plain_http(&self, registry: &str) -> Result<()> {
        let folder = self.folder.join("registries").join(registry);
        fs::create_dir_all(&folder)?;
        let hosts = format!("server = \"http://{registry}\"\n[host.\"http://{registry}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
        Ok(fs::write(folder.join("hosts.toml"), hosts)?)
    }

    /// Returns the last lines of the logs of the kubelet and of the containers with the name `headwind`.
    pub fn log(&self) -> String {
        let list = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let pods = list(self.folder.join("host/var/log/pods"));
        let logs = pods.flat_map(|pod| list(pod.join("headwind")));
        let tails = std::iter::once(self.folder.join("kubelet.log")).chain(logs).map(|log| crate::folder::tail(&log, crate::program::TAIL));
        tails.collect::<Vec<_>>().join("\n")
    }

    /// Ends it and waits until all changes are undone.
    pub async fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let last = tokio::time::timeout(END, async {
            let mut last = None;
            while let Some(line) = self.lines.next_line().await? {
                last = Some(line);
            }
            self.child.wait().await?;
            anyhow::Ok(last)
        });
        let last = last.await.context("node.sh does not end")??;
        ensure!(last.as_deref() == Some("undone"), "node.sh ended with {last:?}");
        Ok(())
    }
}

/// The state of a machine that kubelet and containerd change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    mounts: BTreeSet<String>,
    settings: Vec<(String, String)>,
    links: BTreeSet<String>,
    /// The cgroups of pods.
    cgroups: BTreeSet<PathBuf>,
    /// The running programs of a real node.
    programs: BTreeSet<String>,
    /// The files in these places.
    files: BTreeSet<PathBuf>,
}

impl Machine {
    /// Waits until no node runs on this machine, and reads its state.
    ///
    /// Blocks for up to 10 minutes.
    pub fn look() -> Result<Self> {
        let script = repository().join("testbed/node.sh");
        let done = Command::new("bash").arg(&script).arg("--undo").stdin(Stdio::null()).status().context("running node.sh")?;
        ensure!(done.success(), "{} --undo ended with {done}", script.display());
        let names = |folder: &str| -> Result<BTreeSet<String>> {
            Ok(fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect())
        };
        let setting =
            |name: &str| -> Result<(String, String)> { Ok((name.to_owned(), fs::read_to_string(Path::new("/proc/sys").join(name))?)) };
        let cgroups = names("/sys/fs/cgroup")?.into_iter().map(|name| Path::new("/sys/fs/cgroup").join(name).join("kubepods"));
        let programs = names("/proc")?.into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter_map(|process| {
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?.replace('\0', " ");
            line.contains("/tmp/hw-node.").then_some(line)
        });
        let inside =
            |place: &&str| names(place).unwrap_or_default().into_iter().map(|name| Path::new(place).join(name)).collect::<Vec<_>>();
        let existing = PLACES.iter().map(PathBuf::from).filter(|place| place.exists());
        let files = existing.chain(PLACES.iter().flat_map(inside)).collect();
        Ok(Self {
            mounts: fs::read_to_string("/proc/mounts")?.lines().filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())).collect(),
            settings: ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"].into_iter().map(setting).collect::<Result<_>>()?,
            links: names("/sys/class/net")?,
            cgroups: cgroups.filter(|path| path.exists()).collect(),
            programs: programs.collect(),
            files,
        })
    }
}
