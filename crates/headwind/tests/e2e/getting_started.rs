//! The page `docs/getting-started.md`: its commands are executed, with an image of the test bed's registry.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Registry, RegistryOptions, eventually};
use tokio::process::Command;

use crate::world::{SOON, World};

/// The repository on the page.
const REPOSITORY: &str = "ghcr.io/stefanprodan/podinfo";

/// Returns the blocks of commands between two headings. Blocks marked `bash` install Headwind and are not executed here:
/// `make test-node` installs the chart.
fn blocks(page: &str) -> Result<Vec<String>> {
    let (_, rest) = page.split_once("\n## 2. ").context("step 2")?;
    let (steps, _) = rest.split_once("\n## Remove it").context("the end")?;
    let blocks = steps.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    Ok(blocks.map(|(block, _)| block.to_owned()).collect())
}

/// Follows the page from the workload to the result.
pub(crate) async fn page() -> Result<()> {
    let world =
        World::with("getting-started", |options| options.env("HEADWIND_POLLING_ENABLED", "true").env("HEADWIND_POLLING_INTERVAL", "1"))
            .await?;
    let registry = Registry::start(&[], RegistryOptions::default()).await?;
    for tag in ["6.5.0", "6.5.4", "6.6.0", "7.0.0"] {
        registry.push("stefanprodan/podinfo", tag, tag).await?;
    }
    // Cargo runs a test in the folder of its package.
    let blocks = blocks(&std::fs::read_to_string("../../docs/getting-started.md")?)?;
    ensure!(blocks.len() == 5, "{} blocks", blocks.len());
    let tools = world.bed.tools().folder().to_path_buf();
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())))?;
    let cache = tempfile::tempdir()?;
    let mut printed = String::new();
    for block in &blocks {
        let block = block.replace("kubectl create namespace quickstart\n", "").replace("-n quickstart", &format!("-n {}", world.namespace));
        let block = block.replace(REPOSITORY, &format!("{}/stefanprodan/podinfo", registry.addr()));
        let said = eventually(&format!("the commands succeed:\n{block}"), SOON, || async {
            let mut command = Command::new("bash");
            command.args(["-e", "-c", &block]).env("PATH", &path).env("KUBECONFIG", world.bed.kubeconfig());
            command.env("KUBECACHEDIR", cache.path()).stdin(Stdio::null()).kill_on_drop(true);
            let output = command.output().await.map_err(|error| error.to_string())?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() { Ok(said) } else { Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))) }
        })
        .await?;
        printed.push_str(&said);
    }
    ensure!(printed.contains("higher than 6.5.0"), "the reason is shown: {printed}");
    let image = registry.image("stefanprodan/podinfo", "6.6.0");
    ensure!(printed.contains(&image), "the Deployment runs {image}: {printed}");
    let request = world.request(&image, "Completed").await?;
    ensure!(request.status.and_then(|status| status.approved_by).is_some_and(|name| !name.is_empty()), "a person approved it");
    Ok(())
}
