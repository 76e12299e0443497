//! `headwind-testbed`: the test bed's supervisor, and its demo.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use headwind_testbed::cluster::Plan;
use headwind_testbed::supervisor::Guarded;
use headwind_testbed::{Tools, demo, supervisor};
use reqwest::Url;

#[derive(Parser)]
#[command(about = "A real control plane and registry as plain processes, for tests and demos")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a program until standard input ends; takes orders and reports, a JSON object a line
    Guard {
        /// Where the program's output goes
        #[arg(long, default_value = "/dev/null")]
        log: PathBuf,
        /// A folder that is removed at the end
        #[arg(long)]
        folder: Option<PathBuf>,
        /// Waits for the order to start it
        #[arg(long)]
        wait: bool,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        program: Vec<String>,
    },
    /// Runs a control plane until standard input ends
    ControlPlane {
        /// The folder with the programs
        #[arg(long)]
        tools: PathBuf,
        /// The folder for its state, removed at the end
        #[arg(long, required_unless_present = "state")]
        folder: Option<PathBuf>,
        /// The state folder of `up`: runs until a signal comes
        #[arg(long, conflicts_with = "folder")]
        state: Option<PathBuf>,
        #[command(flatten)]
        registry: Registry,
    },
    /// Starts a control plane and a registry in the background
    Up {
        /// Where their state is kept
        #[arg(long)]
        state: PathBuf,
        #[command(flatten)]
        registry: Registry,
    },
    /// Ends what `up` started
    Down {
        /// The same folder
        #[arg(long)]
        state: PathBuf,
    },
}

#[derive(clap::Args)]
struct Registry {
    /// Whom the registry notifies (may be given more than once)
    #[arg(long)]
    notify: Vec<Url>,
    /// The registry's port [default: a free one]
    #[arg(long)]
    registry_port: Option<u16>,
}

fn main() -> ExitCode {
    // One thread: the kernel ties the children to the thread that starts them.
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")
        .and_then(|runtime| runtime.block_on(run(Args::parse())));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "headwind-testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Guard { log, folder, wait, program } => supervisor::guard(Guarded { command: program, log, folder, wait }).await,
        Command::ControlPlane { tools, folder, state, registry } => {
            let tools = Tools::at(&tools)?;
            match (state, folder) {
                (Some(state), _) => demo::supervise(state, tools, registry.notify, registry.registry_port).await,
                (None, Some(folder)) => supervisor::control_plane(Plan { tools, folder, registry: None }, false, |_| Ok(())).await,
                (None, None) => anyhow::bail!("neither --folder nor --state"),
            }
        }
        Command::Up { state, registry } => up(&state, registry).await,
        Command::Down { state } => {
            let was = demo::down(&state).await?;
            say(if was { "the demo is down" } else { "there was no demo" })
        }
    }
}

async fn up(state: &Path, registry: Registry) -> Result<()> {
    let facts = demo::up(state, &registry.notify, registry.registry_port).await?;
    say(&format!("KUBECONFIG={}", facts.kubeconfig.display()))?;
    say(&format!("REGISTRY={}", facts.registry.as_deref().unwrap_or_default()))?;
    say(&format!("AUDIT_LOG={}", facts.audit.display()))
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
