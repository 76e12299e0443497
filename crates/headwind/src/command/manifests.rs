//! `headwind crds` and `headwind rbac`: print the manifests, generated from the types and the access table.

use std::io::Write as _;
use std::process::ExitCode;

use headwind_k8s::manifest::{self, Account};
use serde_json::Value;

use crate::args::namespace;

/// `headwind crds`
#[derive(Debug, clap::Args)]
pub(crate) struct Crds {
    /// Output format
    #[arg(short, long, default_value = "yaml")]
    output: Format,
}

/// `headwind rbac`
#[derive(Debug, clap::Args)]
pub(crate) struct Rbac {
    /// ServiceAccount that Headwind runs as, as NAMESPACE:NAME
    #[arg(long, default_value = "headwind-system:headwind", value_parser = account)]
    service_account: (String, String),
    /// Comma-separated list of namespaces that Headwind watches: print a Role for each instead of a ClusterRole
    #[arg(long, value_delimiter = ',', value_parser = namespace)]
    namespaces: Vec<String>,
    /// Print only the rules of the ServiceAccount, without the admission policy and the roles for people
    #[arg(long)]
    account_only: bool,
    /// Output format
    #[arg(short, long, default_value = "yaml")]
    output: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Yaml,
    Json,
}

fn account(text: &str) -> Result<(String, String), String> {
    let (space, name) = text.split_once(':').ok_or("use the form NAMESPACE:NAME")?;
    Ok((namespace(space)?, namespace(name)?))
}

/// Prints the CRDs.
pub(crate) fn crds(args: &Crds) -> anyhow::Result<ExitCode> {
    print(&[manifest::crd()], args.output)
}

/// Prints the RBAC rules, the roles for people and the admission policy.
pub(crate) fn rbac(args: &Rbac) -> anyhow::Result<ExitCode> {
    let (space, name) = args.service_account.clone();
    let account = Account { namespace: space, name, watched: args.namespaces.clone() };
    let mut all = manifest::rbac(&account);
    if !args.account_only {
        all.extend(manifest::people());
        all.extend(manifest::admission_policy(&account));
    }
    print(&all, args.output)
}

fn print(manifests: &[Value], format: Format) -> anyhow::Result<ExitCode> {
    let text = match format {
        Format::Yaml => manifest::yaml(manifests)?,
        Format::Json => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": manifests});
            format!("{}\n", serde_json::to_string_pretty(&list)?)
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
