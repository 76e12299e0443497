//! The command line: the subcommands, and how faults in variables are reported together.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::args::Run;
use crate::command::{check, gate, image, manifests, migrate, policy, webhook};
use crate::settings;

/// Keeps Kubernetes workloads on the right container image, and Flux HelmReleases on the right chart version.
#[derive(Debug, Parser)]
#[command(name = "headwind", version, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Reads the arguments and variables of the process.
    ///
    /// # Errors
    /// The error of clap. If several variables have invalid values, one error for each of them.
    pub(crate) fn read() -> Result<Self, Vec<clap::Error>> {
        let mut command = Self::command();
        let mut faults = Vec::new();
        loop {
            match command.clone().try_get_matches() {
                Ok(matches) if faults.is_empty() => return Self::of(&command, &matches).map_err(|error| vec![error]),
                Ok(_) => return Err(faults),
                Err(error) => {
                    let bad = bad_variable(&command, &error);
                    faults.push(error);
                    // Parse again without this variable, to find the next fault.
                    let Some((subcommand, id)) = bad else { return Err(faults) };
                    command = command.mut_subcommand(subcommand, |one| one.mut_arg(id, |arg| arg.env(None::<&'static str>)));
                }
            }
        }
    }
}

impl Args {
    fn of(command: &clap::Command, matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::from_arg_matches(matches)?;
        if let Command::Run(run) = &mut args.command {
            run.settings = settings::settings(command, matches);
            run.fixed = settings::fixed(command, matches);
        }
        Ok(args)
    }
}

/// Returns the subcommand and the argument whose variable has the invalid value of the error.
fn bad_variable(command: &clap::Command, error: &clap::Error) -> Option<(String, String)> {
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    // Shown as `--api-addr <API_ADDR>`.
    let ContextValue::String(shown) = error.get(ContextKind::InvalidArg)? else { return None };
    let flag = shown.split_whitespace().next()?.strip_prefix("--")?;
    let is_it = |arg: &&clap::Arg| arg.get_long() == Some(flag) && arg.get_env().is_some_and(|name| std::env::var_os(name).is_some());
    command.get_subcommands().find_map(|one| Some((one.get_name().to_owned(), one.get_arguments().find(is_it)?.get_id().to_string())))
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the operator
    Run(Box<Run>),
    /// Print the CustomResourceDefinitions
    Crds(manifests::Crds),
    /// Print the RBAC rules that the operator needs, the roles for people, and the admission policy for approvals
    Rbac(manifests::Rbac),
    /// Show the registry, repository, tag and digest of image references
    Image(image::Args),
    /// Show which version a policy would choose, and why
    Policy(policy::Args),
    /// Show whether the time windows for updates are open at a time, and until when
    Gate(gate::Args),
    /// Show which events Headwind reads from a webhook payload
    Webhook(webhook::Args),
    /// Query the registry for an image or a chart: its versions, and what each policy would choose, and why
    Check(Box<check::Args>),
    /// Translate the manifests of another tool
    Migrate(migrate::Migrate),
}
