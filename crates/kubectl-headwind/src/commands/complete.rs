//! `__complete`: candidates for `kubectl headwind <TAB>`.
//!
//! kubectl runs the program `kubectl_complete-headwind` with the words so far. It expects a candidate per line, with a
//! description after a tab, and at the end a directive: 4 means no file names.

use clap::CommandFactory as _;
use headwind_core::request::action::{Action, act};
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::requests;
use crate::cli::{Args, Global};
use crate::connect::Connection;
use crate::failure::Failure;
use crate::output::{self, clean};

/// The word with which kubectl's program runs the plugin.
pub(crate) const NAME: &str = "__complete";

/// Prints the candidates for the last word. A failure gives no candidates.
pub(crate) async fn complete(words: &[String]) -> Result<(), Failure> {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut found = Vec::new();
    let command = Args::command();
    let chosen = before.iter().find_map(|word| command.find_subcommand(word));
    if last.starts_with('-') {
        let flags = command.get_arguments().chain(chosen.into_iter().flat_map(clap::Command::get_arguments));
        found.extend(
            flags.filter_map(|arg| Some((format!("--{}", arg.get_long()?), arg.get_help().map(ToString::to_string).unwrap_or_default()))),
        );
    } else if let Some(chosen) = chosen {
        let action = match chosen.get_name() {
            "approve" => Some(Action::Approve),
            "reject" => Some(Action::Reject),
            "reopen" => Some(Action::Reopen),
            _ => None,
        };
        if action.is_some() || ["get", "diff"].contains(&chosen.get_name()) {
            found = names(&options(before), action).await.unwrap_or_default();
        }
    } else if before.iter().all(|word| word.starts_with('-')) {
        found.extend(
            command.get_subcommands().map(|one| (one.get_name().to_owned(), one.get_about().map(ToString::to_string).unwrap_or_default())),
        );
    }
    let lines = found.into_iter().filter(|(word, _)| word.starts_with(last)).map(|(word, about)| format!("{word}\t{about}\n"));
    output::raw((lines.collect::<String>() + ":4\n").as_bytes())
}

/// Returns the options among the words that select the cluster and the namespace.
fn options(words: &[String]) -> Global {
    let value = |flags: &[&str]| words.windows(2).find(|pair| flags.contains(&pair[0].as_str())).map(|pair| pair[1].clone());
    Global {
        namespace: value(&["-n", "--namespace"]),
        context: value(&["--context"]),
        kubeconfig: value(&["--kubeconfig"]).map(Into::into),
        ..Global::default()
    }
}

/// Returns the names of the requests that the action is possible on.
async fn names(global: &Global, action: Option<Action>) -> Result<Vec<(String, String)>, Failure> {
    let all = requests::read(&Connection::new(global).await?, &[]).await?;
    let now = Timestamp::now();
    let fits = |request: &&UpdateRequest| action.is_none_or(|action| act(&request.read(), action, "", None, now).is_ok());
    let shown = |request: &UpdateRequest| {
        let spec = &request.spec;
        let version = spec.new_image.rsplit(':').next().unwrap_or_default();
        let about = format!("{}/{}: {version}", spec.target_ref.kind.0.as_str().to_lowercase(), spec.target_ref.name);
        (clean(&request.name_any()), clean(&about))
    };
    Ok(all.iter().filter(fits).map(shown).collect())
}
