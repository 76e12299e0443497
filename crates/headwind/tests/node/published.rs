//! The image and the chart in a registry that the pods of the real node reach, as a user gets them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use headwind_testbed::skip::skipped;
use headwind_testbed::{Helm, Registry, binaries};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::command::{root, run, text};

/// The version of the chart before its last change, and of the chart in the checkout. Both have the binary just built.
pub(crate) const OLDER: &str = "0.0.1";
pub(crate) const CURRENT: &str = "0.0.2";
const CHART: &str = "deploy/helm/headwind";

/// A registry with both versions.
pub(crate) struct Published {
    pub(crate) registry: Registry,
    pub(crate) helm: Helm,
}

impl Published {
    pub(crate) async fn new(helm: Helm, registry: Registry) -> Result<Self> {
        let older = helm.folder().join("older");
        std::fs::create_dir(&older)?;
        let older = match before_last_change(&older).await {
            Ok(chart) => chart,
            Err(error) => {
                skipped("make test-node: the upgrade from the chart before its last change", &format!("{error:#}"));
                root()?.join(CHART)
            }
        };
        let published = Self { registry, helm };
        let image = published.build().await?;
        for (version, chart) in [(OLDER, older), (CURRENT, root()?.join(CHART))] {
            published.push(&image, &chart, version).await?;
        }
        Ok(published)
    }

    /// Builds the image as `make image` does, of the debug build without its symbols.
    async fn build(&self) -> Result<PathBuf> {
        let (layout, binary) = (self.helm.folder().join("image"), self.helm.folder().join("headwind"));
        run(Command::new("strip").arg("-o").arg(&binary).arg(binaries::headwind()?)).await?;
        let mut build = Command::new("python3");
        build.arg(root()?.join("deploy/image/build.py")).arg("--binary").arg(&binary).arg("--output").arg(&layout);
        run(build.args(["--version", CURRENT, "--compression", "1"]).current_dir(root()?)).await?;
        Ok(layout)
    }

    async fn push(&self, image: &Path, chart: &Path, version: &str) -> Result<()> {
        let mut push = Command::new("python3");
        push.arg(root()?.join("deploy/image/push.py")).arg(image).arg(self.registry.image("headwind", version)).arg("--plain-http");
        run(&mut push).await?;
        self.helm.ok(&["package", text(chart)?, "--version", version, "--app-version", version]).await?;
        let (archive, place) = (format!("headwind-{version}.tgz"), format!("oci://{}/charts", self.registry.addr()));
        self.helm.ok(&["push", &archive, &place, "--plain-http"]).await.map(drop)
    }

    /// Returns the reference of the chart.
    pub(crate) fn chart(&self) -> String {
        format!("oci://{}/charts/headwind", self.registry.addr())
    }

    /// Returns the values that every installation needs here: the image, the node, and plain HTTP to the registry.
    pub(crate) fn values(&self) -> Value {
        json!({
            "image": {"repository": format!("{}/headwind", self.registry.addr())},
            "nodeSelector": {"headwind.test/node": "real"},
            "tolerations": [{"key": "headwind.test/node", "operator": "Exists"}],
            "registries": {"config": {"registries": [{"host": self.registry.addr(), "plainHttp": true}]}},
        })
    }
}

/// Writes the chart as it was before its last change into a folder.
///
/// # Errors
/// If Git does not have it, for example in a shallow clone.
async fn before_last_change(folder: &Path) -> Result<PathBuf> {
    // The checkout may belong to another user than root.
    let git = async |args: &[&str]| run(Command::new("git").current_dir(root()?).args(["-c", "safe.directory=*"]).args(args)).await;
    let last = git(&["log", "-1", "--format=%H", "--", CHART]).await?;
    let committed = git(&["diff", "--quiet", "HEAD", "--", CHART]).await.is_ok();
    let commit = if committed { format!("{}~", last.trim()) } else { "HEAD".to_owned() };
    let archive = folder.join("chart.tar");
    git(&["archive", "--output", text(&archive)?, &commit, "--", CHART]).await?;
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder)).await?;
    Ok(folder.join(CHART))
}
