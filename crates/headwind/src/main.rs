//! `headwind`: the operator, its manifests, and offline commands that evaluate its rules.

mod args;
mod cli;
mod command;
mod notifications;
mod registries;
mod settings;
mod telemetry;

use std::process::ExitCode;

use crate::cli::{Args, Command};

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(faults) => return telemetry::explain(&faults),
    };
    let ended = match args.command {
        Command::Run(args) => command::run::run(*args),
        Command::Crds(args) => command::manifests::crds(&args),
        Command::Rbac(args) => command::manifests::rbac(&args),
        Command::Image(args) => command::image::run(&args, &mut std::io::stdout().lock()),
        Command::Policy(args) => command::policy::run(&args, &mut std::io::stdout().lock()),
        Command::Gate(args) => command::gate::run(&args, &mut std::io::stdout().lock()),
        Command::Check(args) => command::check::run(&args, &mut std::io::stdout().lock()),
        Command::Webhook(args) => command::webhook::run(&args, std::io::stdin().lock(), &mut std::io::stdout().lock()),
        Command::Migrate(args) => {
            command::migrate::run(&args, std::io::stdin().lock(), &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
        }
    };
    ended.unwrap_or_else(|error| {
        telemetry::complain(&error);
        ExitCode::FAILURE
    })
}
