//! `kubectl headwind`: lists, explains, approves, rejects and rolls back updates.
//!
//! The plugin reads and writes UpdateRequests in Kubernetes as the user of the kubeconfig, so the admission policy
//! decides about approvals. Data that only the operator has comes from its API, through the proxy of the API server.

mod age;
mod cli;
mod commands;
mod connect;
mod failure;
mod operator;
mod output;
mod table;
mod target;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Args;
use crate::failure::Failure;

fn main() -> ExitCode {
    // Not a command for people.
    let mut words = std::env::args().skip(1);
    let done = match words.next() {
        Some(word) if word == commands::complete::NAME => run(commands::complete::complete(&words.collect::<Vec<_>>())),
        _ => run(commands::run(Args::parse())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has closed the output.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            failure.code()
        }
    }
}

fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Output)?;
    runtime.block_on(command)
}
