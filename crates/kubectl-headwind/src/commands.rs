//! The commands, one file for each idea.

mod approvals;
pub(crate) mod complete;
mod decide;
mod diff;
mod freeze;
mod request;
mod requests;
mod rollback;
mod scripts;
mod version;
mod watch;
mod workloads;

use headwind_core::request::action::Action;

use crate::cli::{Args, Command};
use crate::connect::Connection;
use crate::failure::Failure;

/// Runs a command.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let Args { global, command } = args;
    let selects = matches!(
        command,
        Command::List { .. } | Command::Watch { .. } | Command::Diff { .. } | Command::Approve(_) | Command::Reject(_) | Command::Reopen(_)
    );
    if global.selector.is_some() && !selects {
        return Err(Failure::Usage("-l selects UpdateRequests from a list, and this command does not read a list".to_owned()));
    }
    match command {
        Command::Completion { shell } => scripts::completion(shell),
        Command::Man => scripts::man(),
        Command::Version { client: true } => version::of_the_plugin(&global),
        command => with_connection(&Connection::new(&global).await?, command).await,
    }
}

async fn with_connection(connection: &Connection, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { filter } => requests::list(connection, &filter).await,
        Command::Get { name } => request::get(connection, &name).await,
        Command::Approve(decision) => decide::decide(connection, Action::Approve, &decision).await,
        Command::Reject(decision) => decide::decide(connection, Action::Reject, &decision).await,
        Command::Reopen(decision) => decide::decide(connection, Action::Reopen, &decision).await,
        Command::History { workload } => rollback::history(connection, &workload.workload).await,
        Command::Rollback { workload, container, index, reason } => {
            rollback::roll_back(connection, &workload.workload, container, index, reason).await
        }
        Command::Explain { workload, container } => workloads::explain(connection, &workload.workload, container.as_deref()).await,
        Command::Workloads { kind, query } => workloads::list(connection, kind.as_deref(), query.as_deref()).await,
        Command::Diff { names } => diff::diff(connection, &names).await,
        Command::Watch { filter } => watch::watch(connection, &filter).await,
        Command::Freeze { until, duration, reason } => freeze::freeze(connection, until, duration, reason.as_deref()).await,
        Command::Resume { pause_only } => freeze::resume(connection, pause_only).await,
        Command::Version { .. } => version::of_both(connection).await,
        // They need no connection.
        Command::Completion { .. } | Command::Man => Ok(()),
    }
}
