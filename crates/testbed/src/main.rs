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
    /// Runs a program until standard input ends; reads orders and writes reports, one JSON object per line
    Guard {
        /// File for the program's output
        #[arg(long, default_value = "/dev/null")]
        log: PathBuf,
        /// Folder to remove at the end
        #[arg(long)]
        folder: Option<PathBuf>,
        /// Waits for an order before it starts the program
        #[arg(long)]
        wait: bool,
        /// Program and arguments
        #[arg(last = true, required = true)]
        program: Vec<String>,
    },
    /// Runs a control plane until standard input ends
    ControlPlane {
        /// Folder with the programs
        #[arg(long)]
        tools: PathBuf,
        /// Folder for its state, removed at the end
        #[arg(long, required_unless_present = "state")]
        folder: Option<PathBuf>,
        /// State folder of `up`: runs until a signal arrives
        #[arg(long, conflicts_with = "folder")]
        state: Option<PathBuf>,
        #[command(flatten)]
        registry: Registry,
    },
    /// Starts a control plane and a registry in the background
    Up {
        /// Folder for the state
        #[arg(long)]
        state: PathBuf,
        #[command(flatten)]
        registry: Registry,
    },
    /// Ends what `up` started
    Down {
        /// Folder given to `up`
        #[arg(long)]
        state: PathBuf,
    },
}

#[derive(clap::Args)]
struct Registry {
    /// URL that the registry notifies (may be repeated)
    #[arg(long)]
    notify: Vec<Url>,
    /// Port of the registry [default: a free one]
    #[arg(long)]
    registry_port: Option<u16>,
}

fn main() -> ExitCode {
    // Single-threaded: the kernel ties the children to the thread that starts them.
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
                (None, None) => anyhow::bail!("expected --folder or --state"),
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
