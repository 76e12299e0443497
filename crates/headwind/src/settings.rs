//! The settings of the process as the web UI shows them: value, and where it comes from.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use headwind_web::ui::settings::{Origin, Setting};

/// Returns the settings of `headwind run`, in the order of its help text.
pub(crate) fn settings(command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    let (Some(run), Some(matches)) = (command.find_subcommand("run"), matches.subcommand_matches("run")) else { return Vec::new() };
    run.get_arguments().filter_map(|arg| setting(arg, matches)).collect()
}

fn setting(arg: &Arg, matches: &ArgMatches) -> Option<Setting> {
    let (flag, variable) = (arg.get_long()?, arg.get_env()?.to_str()?);
    let id = arg.get_id().as_str();
    let origin = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => Origin::Variable,
        _ => Origin::Default,
    };
    let written: Vec<String> = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy().into_owned()).collect();
    let value = Some(written.join(",")).filter(|value| !value.is_empty());
    let value = if arg.is_hide_env_values_set() { value.map(|_| "stored, not shown".to_owned()) } else { value };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    Some(Setting { flag: format!("--{flag}"), variable: variable.to_owned(), value, origin, help })
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
        assert_eq!(of("HEADWIND_WEBHOOK_SECRET"), Some((Some("stored, not shown"), Origin::Flag)));
        assert!(all.iter().all(|one| one.value.as_deref() != Some("not-for-anybody")));
    }
}
