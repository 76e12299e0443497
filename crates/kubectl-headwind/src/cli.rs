//! The command line. Every option of [`Global`] may be before or after the command.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use headwind_core::request::Phase;
use jiff::Timestamp;

const CODES: &str = "Exit codes: 0 success, 1 another failure, 2 invalid arguments, 3 not found, 4 not permitted, \
                     5 not possible in the current phase, 6 Kubernetes or Headwind does not answer";

/// The default namespace of Headwind.
pub(crate) const HEADWIND_NAMESPACE: &str = "headwind-system";

/// Lists, explains, approves, rejects and rolls back updates by Headwind.
#[derive(Debug, Parser)]
#[command(name = "kubectl-headwind", bin_name = "kubectl headwind", version, max_term_width = 110, after_help = CODES, args_override_self = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Namespace. Default: the namespace of the context
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<String>,
    /// All namespaces, even if --namespace is set
    #[arg(short = 'A', long, global = true)]
    pub(crate) all_namespaces: bool,
    /// Label selector for UpdateRequests, such as app=web
    #[arg(short = 'l', long, global = true)]
    pub(crate) selector: Option<String>,
    /// Output format. Default: text for people
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
    /// Colors in the output
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
    /// Context of the kubeconfig. Default: the current one
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(long, global = true)]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long, global = true)]
    pub(crate) user: Option<String>,
    /// Path of the kubeconfig. Default: $KUBECONFIG, else ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Bearer token for the API server and for Headwind
    #[arg(long, global = true)]
    pub(crate) token: Option<String>,
    /// User to impersonate. Commands that query Headwind do not support it
    #[arg(long = "as", global = true, value_name = "USER")]
    pub(crate) impersonate: Option<String>,
    /// Groups to impersonate
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub(crate) impersonate_groups: Vec<String>,
    /// Namespace of Headwind
    #[arg(long, global = true, env = "HEADWIND_NAMESPACE", default_value = HEADWIND_NAMESPACE, value_name = "NAMESPACE")]
    pub(crate) headwind_namespace: String,
    /// Service of Headwind's API, as NAME:PORT. With TLS: https:NAME:PORT
    #[arg(long, global = true, env = "HEADWIND_SERVICE", default_value = "headwind:api", value_name = "SERVICE")]
    pub(crate) headwind_service: String,
}

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table
    Table,
    /// A table with more columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// The names of the objects
    Name,
}

/// When the output has colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List UpdateRequests
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one UpdateRequest with its timeline
    Get {
        /// UpdateRequest
        name: String,
    },
    /// Approve pending updates
    Approve(DecideArgs),
    /// Reject pending updates. Headwind does not propose their versions again
    Reject(DecideArgs),
    /// Reopen finished updates, so that their versions may be applied again
    Reopen(DecideArgs),
    /// List the earlier images of a workload
    History {
        #[command(flatten)]
        workload: OneWorkload,
    },
    /// Roll a workload back to an earlier image
    Rollback {
        #[command(flatten)]
        workload: OneWorkload,
        /// Container. Required only if several containers have a history
        #[arg(short, long)]
        container: Option<String>,
        /// Number of steps back, as in the output of history
        #[arg(long, default_value_t = 1)]
        index: usize,
        /// Reason, for the record
        #[arg(long)]
        reason: Option<String>,
    },
    /// Explain why a workload runs its version, with the verdict on every candidate
    Explain {
        #[command(flatten)]
        workload: OneWorkload,
        /// Show only this container
        #[arg(short, long)]
        container: Option<String>,
    },
    /// List the workloads that Headwind tracks
    Workloads {
        /// Show only workloads of this kind
        #[arg(long)]
        kind: Option<String>,
        /// Show only workloads whose name, container or image contains this text
        #[arg(short, long)]
        query: Option<String>,
    },
    /// Show what updates would change. Default: all open updates
    Diff {
        /// UpdateRequests, or workloads as KIND/NAME
        names: Vec<String>,
    },
    /// Show changes of UpdateRequests as they happen
    Watch {
        #[command(flatten)]
        filter: Filter,
    },
    /// Stop Headwind from applying updates in the whole cluster. It still proposes updates
    Freeze {
        /// When the freeze ends (RFC 3339). Default: when you resume
        #[arg(long, value_name = "TIME", conflicts_with = "duration")]
        until: Option<Timestamp>,
        /// Duration of the freeze, such as 2h or 90m
        #[arg(long = "for", value_name = "DURATION", value_parser = headwind_core::settings::duration)]
        duration: Option<std::time::Duration>,
        /// Reason, which Headwind shows
        #[arg(long)]
        reason: Option<String>,
    },
    /// End a freeze, and a pause after failures
    Resume {
        /// End only the pause after failures, and leave a freeze as it is
        #[arg(long)]
        pause_only: bool,
    },
    /// Print the versions of the plugin and of Headwind
    Version {
        /// Print only the version of the plugin
        #[arg(long)]
        client: bool,
    },
    /// Print a script that completes commands and options in a shell
    Completion {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
}

/// The filter of lists.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Filter {
    /// Show only these phases, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) phase: Vec<Phase>,
}

/// The arguments of a decision.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct DecideArgs {
    /// UpdateRequests, or workloads as KIND/NAME for all their requests that the command can change
    #[arg(required_unless_present_any = ["all", "selector"])]
    pub(crate) names: Vec<String>,
    /// All UpdateRequests of the namespace that the command can change. With approve: those that need a person
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Reason, for the record
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Let the API server check the change without storing it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With approve: apply the update although its cool-down has not passed
    #[arg(long)]
    pub(crate) skip_cool_down: bool,
}

/// A workload, as `KIND/NAME` or `KIND NAME`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct OneWorkload {
    /// Workload, as KIND/NAME or KIND NAME
    #[arg(required = true, num_args = 1..=2)]
    pub(crate) workload: Vec<String>,
}
