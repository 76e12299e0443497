//! Headwind with a real kubelet and real containers, which kwok only simulates.
//!
//! An additional test for root (`make test-node`): with `HEADWIND_TEST_NODE` unset it does nothing. The machine is
//! unchanged afterwards, which the test itself checks, also after a test that was killed.

#![expect(clippy::print_stderr, reason = "a test runner talks to the person who runs it")]

mod app;
mod command;
mod forward;
mod installed;
mod killed;
mod objects;
mod published;
mod release;
mod rollouts;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::node::{Machine, Node};
use headwind_testbed::{Bed, Operator, OperatorOptions, Registry, RegistryOptions, Tools};

/// Timeout for a step of an installation: an image is pulled, and pods start.
const STEP: Duration = Duration::from_mins(3);
/// `1` runs the tests. [`killed::HELD`] runs the child that a test kills.
const SWITCH: &str = "HEADWIND_TEST_NODE";

fn main() -> ExitCode {
    let Some(switch) = std::env::var_os(SWITCH) else {
        eprintln!("SKIPPED the tests on a real node: they run by `make test-node`, as root");
        return ExitCode::SUCCESS;
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = if switch == killed::HELD { runtime.block_on(killed::held()) } else { runtime.block_on(all()) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED on the real node: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn all() -> Result<()> {
    let before = Machine::look()?;
    if Tools::ready().await?.has("helm") {
        let begun = Instant::now();
        let outcome = killed::killed(&before).await.context("a test that is killed");
        // Undoes what the killed child left if the test failed before.
        Machine::look()?;
        outcome?;
        eprintln!("nothing is left of a test that was killed: {} s", begun.elapsed().as_secs());
    }
    let bed = Bed::own().await?;
    let program = Node::program(&bed)?;
    let (_images, node) = started(&bed, &program).await?;
    eprintln!("a real node is ready");
    let outcome = on_the_node(&bed, &node, &program).await.with_context(|| node.log());
    if outcome.is_err() {
        eprintln!("{}", bed.kubectl_ok(&["get", "pods,events", "-A", "-o", "wide"]).await?);
    }
    // Pods first, so that no container remains.
    let deleted = bed.kubectl_ok(&["delete", "deployments,pods", "--all", "--all-namespaces", "--wait=true", "--timeout=60s"]).await;
    node.end().await?;
    outcome?;
    deleted?;
    let after = Machine::look()?;
    ensure!(after == before, "the machine was left otherwise than it was found:\n{before:#?}\n{after:#?}");
    eprintln!("the machine is as it was");
    Ok(())
}

/// Starts a node, and the registry with its pause image.
async fn started(bed: &Bed, program: &[u8]) -> Result<(Registry, Node)> {
    let images = Registry::start(&[], RegistryOptions::default()).await?;
    images.push_program("node/pause", "1", program, "pause").await?;
    let node = Node::start(bed, &images.image("node/pause", "1")).await?;
    Ok((images, node))
}

async fn on_the_node(bed: &Bed, node: &Node, program: &[u8]) -> Result<()> {
    installed::installed(bed, node, program).await?;
    let namespace = bed.namespace("real").await?;
    let operator = Operator::run(bed, OperatorOptions::new(&namespace)).await?;
    let registry = Registry::start(&[operator.notifications()?], RegistryOptions::default()).await?;
    rollouts::rollouts(bed, &namespace, &operator, &registry, program).await
}
