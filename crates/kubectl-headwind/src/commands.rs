//! The commands, one file for each idea.

mod approvals;
pub(crate) mod complete;
mod decide;
mod diff;
mod freeze;
mod named;
mod request;
mod requests;
mod rollback;
mod scripts;
mod version;
mod watch;
mod workloads;

use headwind_core::request::action::Action;

use crate::cli::{Args, Command, Format, Global};
use crate::connect::Connection;
use crate::failure::Failure;

/// Runs a command.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let Args { global, command } = args;
    refuse(&global, &command)?;
    match command {
        Command::Completion { shell } => scripts::completion(shell),
        Command::Man => scripts::man(),
        Command::Version { client: true } => version::of_the_plugin(&global),
        command => with_connection(&Connection::new(&global).await?, command).await,
    }
}

/// Refuses options that the command would ignore.
fn refuse(global: &Global, command: &Command) -> Result<(), Failure> {
    let selects = matches!(
        command,
        Command::List { .. } | Command::Watch { .. } | Command::Diff { .. } | Command::Approve(_) | Command::Reject(_) | Command::Reopen(_)
    );
    if global.selector.is_some() && !selects {
        return Err(Failure::Usage("-l selects UpdateRequests from a list, and this command does not read a list".to_owned()));
    }
    let (name, is_for_the_cluster) = match command {
        Command::Diff { .. } => ("diff", false),
        Command::Freeze { .. } => ("freeze", true),
        Command::Resume { .. } => ("resume", true),
        _ => return Ok(()),
    };
    if is_for_the_cluster && (global.namespace.is_some() || global.all_namespaces) {
        return Err(Failure::Usage(format!(
            "{name} applies to the whole cluster and takes neither -n nor -A; to freeze one namespace or workload, set the annotation \
             headwind.sh/freeze on it; to resume, remove the annotation"
        )));
    }
    if matches!(global.output, Some(Format::Json | Format::Yaml | Format::Name)) {
        return Err(Failure::Usage(format!("{name} prints only text, so -o json, yaml and name are not possible")));
    }
    Ok(())
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
