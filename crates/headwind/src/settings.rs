//! The settings of the process as the web UI shows them: value, where it comes from, and whether it can change.

pub(crate) mod live;

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use headwind_core::config::{Store, Values};
use headwind_operator::notify;
use headwind_web::ui::settings::{Input, Origin, STORED, Setting};

/// Returns the settings of `headwind run`, in the order of its help text.
pub(crate) fn settings(command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    let (Some(run), Some(matches)) = (command.find_subcommand("run"), matches.subcommand_matches("run")) else { return Vec::new() };
    let live = live::command();
    let changes = |arg: &Arg| live.get_arguments().any(|one| one.get_id() == arg.get_id());
    run.get_arguments().filter_map(|arg| setting(arg, matches, changes(arg))).collect()
}

/// Returns the values that flags and variables fix, by variable. Secrets are among them.
pub(crate) fn fixed(command: &Command, matches: &ArgMatches) -> Values {
    let (Some(run), Some(matches)) = (command.find_subcommand("run"), matches.subcommand_matches("run")) else { return Values::new() };
    let one =
        |arg: &Arg| Some((arg.get_env()?.to_str()?.to_owned(), written(arg, matches)?)).filter(|_| origin(arg, matches) != Origin::Default);
    run.get_arguments().filter_map(one).collect()
}

fn origin(arg: &Arg, matches: &ArgMatches) -> Origin {
    match matches.value_source(arg.get_id().as_str()) {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => Origin::Variable,
        _ => Origin::Default,
    }
}

/// Returns the value of a flag as it was written.
fn written(arg: &Arg, matches: &ArgMatches) -> Option<String> {
    let all = matches.get_raw(arg.get_id().as_str()).into_iter().flatten().map(|value| value.to_string_lossy().into_owned());
    Some(all.collect::<Vec<_>>().join(",")).filter(|value| !value.is_empty())
}

/// Returns the setting of a flag. `changes` is true if it can change while Headwind runs.
fn setting(arg: &Arg, matches: &ArgMatches, changes: bool) -> Option<Setting> {
    let (flag, variable) = (arg.get_long()?, arg.get_env()?.to_str()?);
    let value = written(arg, matches);
    let is_secret = arg.is_hide_env_values_set();
    let value = if is_secret { value.map(|_| STORED.to_owned()) } else { value };
    let changes = changes || notify::variables().any(|one| one.name == variable);
    Some(Setting {
        flag: format!("--{flag}"),
        variable: variable.to_owned(),
        value,
        default: arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned()),
        origin: origin(arg, matches),
        help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        store: changes.then_some(if is_secret { Store::Secret } else { Store::ConfigMap }),
        input: input(arg),
        problem: None,
    })
}

fn input(arg: &Arg) -> Input {
    let is_switch = arg.get_value_names().is_some_and(|names| names.first().is_some_and(|name| name == "BOOL"));
    if is_switch {
        Input::Switch
    } else if arg.get_value_parser().type_id() == ValueParser::from(clap::value_parser!(u32)).type_id() {
        Input::Number
    } else {
        Input::Text
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Args;

    #[test]
    fn a_setting_says_where_it_comes_from_and_a_secret_is_not_shown() {
        let command = Args::command();
        let line = ["headwind", "run", "--polling-interval", "60", "--webhook-secret", "not-for-anybody"];
        let all = settings(&command, &command.clone().get_matches_from(line));
        let of = |variable: &str| all.iter().find(|one| one.variable == variable).map(|one| (one.value.as_deref(), one.origin));
        assert_eq!(of("HEADWIND_POLLING_INTERVAL"), Some((Some("60"), Origin::Flag)));
        assert_eq!(of("HEADWIND_UI_ADDR"), Some((Some("0.0.0.0:8082"), Origin::Default)));
        assert_eq!(of("HEADWIND_IDENTITY"), Some((None, Origin::Default)));
        assert_eq!(of("HEADWIND_WEBHOOK_SECRET"), Some((Some(STORED), Origin::Flag)));
        let kinds = |variable: &str| all.iter().find(|one| one.variable == variable).map(|one| (one.store, one.input));
        assert_eq!(kinds("HEADWIND_POLLING_INTERVAL"), Some((Some(Store::ConfigMap), Input::Number)));
        assert_eq!(kinds("HEADWIND_POLLING_ENABLED"), Some((Some(Store::ConfigMap), Input::Switch)));
        assert_eq!(kinds("SLACK_WEBHOOK_URL"), Some((Some(Store::Secret), Input::Text)));
        assert_eq!(kinds("HEADWIND_WEBHOOK_SECRET"), Some((None, Input::Text)), "it is read at the start alone");
        assert!(all.iter().all(|one| one.value.as_deref() != Some("not-for-anybody")));
    }
}
