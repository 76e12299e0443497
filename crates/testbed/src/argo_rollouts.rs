//! Argo Rollouts in the test bed: its real controller, as a plain process.
//!
//! `Bed::argo_rollouts` starts it once per test bed, when a test first needs it.

use anyhow::Result;

use crate::control_plane::ControlPlane;
use crate::controller::{self, Controller, Launch};
use crate::port;
use crate::tools::Tools;

const CONTROLLER: &str = "argo-rollouts";
pub(crate) const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: argo-rollouts\n";

/// The names of the CRDs that the controller needs.
pub(crate) const CRDS: [&str; 5] = [
    "analysisruns.argoproj.io",
    "analysistemplates.argoproj.io",
    "clusteranalysistemplates.argoproj.io",
    "experiments.argoproj.io",
    "rollouts.argoproj.io",
];

/// The CRDs of Argo Rollouts as YAML.
pub(crate) fn manifests(tools: &Tools) -> Result<String> {
    Ok(tools.crds(CONTROLLER)?.iter().flat_map(|crd| ["---\n".to_owned(), crd.to_string(), "\n".to_owned()]).collect())
}

/// Returns true if this test cannot run because Argo Rollouts is missing. Reports why, and counts the test as skipped.
pub async fn lacks(test: &str) -> Result<bool> {
    controller::lacks(test, "Argo Rollouts", &[CONTROLLER]).await
}

/// Starts the controller.
pub(crate) async fn start(plane: &ControlPlane) -> Result<Controller> {
    let controller = Controller::prepare(plane, CONTROLLER, |_| {
        let [metrics, health] = [port::free()?, port::free()?];
        let args = [
            "--namespace=argo-rollouts".to_owned(),
            "--leader-elect=false".to_owned(),
            "--logformat=json".to_owned(),
            format!("--metricsPort={metrics}"),
            format!("--healthzPort={health}"),
        ];
        Ok(Launch { args: args.into(), health: format!("http://127.0.0.1:{health}/healthz"), namespace: "argo-rollouts" })
    })?;
    controller.start().await?;
    Ok(controller)
}
