//! A test that is killed leaves no process, and the machine as it was.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::node::Machine;
use headwind_testbed::{Bed, Helm, Node, eventually};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::command::{root, run, text};
use crate::{STEP, SWITCH, started};

/// The value of [`SWITCH`] for the child.
pub(crate) const HELD: &str = "held";

/// Kills a child while a pod runs and Helm waits: alone, and together with the script that runs the node.
pub(crate) async fn killed(before: &Machine) -> Result<()> {
    for with_script in [false, true] {
        let mut child = Command::new(std::env::current_exe()?)
            .env(SWITCH, HELD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = tokio::time::timeout(STEP, lines.next_line()).await.context("the child does not come up")??;
        let folder = line.as_deref().and_then(|line| line.strip_prefix("HELD ")).with_context(|| format!("the child ended: {line:?}"))?;
        eventually("the child's programs run", STEP, || async {
            let lines: Vec<String> = programs(folder).into_iter().map(|(_, line)| line).collect();
            let runs = |part: &str| lines.iter().any(|line| line.contains(part));
            if runs("node.sh") && runs("kubelet") && runs("etcd") && runs("helm install") { Ok(()) } else { Err(format!("{lines:#?}")) }
        })
        .await?;
        if with_script {
            // First, because the script ends by itself once the child has ended.
            for (process, line) in programs(folder) {
                if line.contains("node.sh ") && !line.contains("--inside") {
                    run(Command::new("kill").args(["-KILL", &process])).await?;
                }
            }
        }
        child.kill().await?;
        // Also undoes what a killed script left.
        let after = Machine::look()?;
        ensure!(after == *before, "the machine was left otherwise than it was found:\n{before:#?}\n{after:#?}");
        eventually("every program of the child has ended", STEP, || async {
            let left = programs(folder);
            if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
        })
        .await?;
    }
    Ok(())
}

/// Returns process ID and command line of the programs with this text in their command line.
fn programs(part: &str) -> Vec<(String, String)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let lines = processes.filter_map(|process| {
        let line = fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?.replace('\0', " ");
        line.contains(part).then_some((process, line))
    });
    lines.collect()
}

/// The child: starts a cluster with a real node and a pod, reports their folder, and waits for pods that never run.
pub(crate) async fn held() -> Result<()> {
    let bed = Bed::own().await?;
    let program = Node::program(&bed)?;
    let (images, _node) = started(&bed, &program).await?;
    let namespace = bed.namespace("held").await?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "held", "namespace": namespace},
        "spec": {
            "nodeSelector": {"headwind.test/node": "real"}, "tolerations": [{"key": "headwind.test/node", "operator": "Exists"}],
            "containers": [{"name": "held", "image": images.image("node/pause", "1")}],
        },
    });
    bed.apply_yaml(&pod.to_string()).await?;
    bed.kubectl_ok(&["-n", &namespace, "wait", "pod/held", "--for=condition=Ready", "--timeout=120s"]).await?;
    writeln!(std::io::stdout(), "HELD {}", bed.folder().context("a bed of its own")?.display())?;
    let (helm, chart) = (Helm::new().await?, root()?.join("deploy/helm/headwind"));
    let args = ["install", "headwind", text(&chart)?, "--namespace", &namespace, "--kubeconfig", text(bed.kubeconfig())?];
    helm.ok(&[&args[..], &["--set", "image.repository=127.0.0.1:1/headwind", "--wait", "--timeout", "10m"]].concat()).await.map(drop)
}
