//! The settings of notifications: a flag and a variable for each entry of the operator's list.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Args, Command};
use headwind_operator::notify::variables;

/// The values that flags and variables set, by variable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifications(BTreeMap<&'static str, String>);

impl Notifications {
    /// Returns the value of a variable, if it is set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl clap::FromArgMatches for Notifications {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |name: &'static str| Some((name, matches.get_one::<String>(name)?.clone()));
        Ok(Self(variables().filter_map(|variable| value(variable.name)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Notifications {
    fn augment_args(command: Command) -> Command {
        command.args(variables().map(|variable| {
            let arg = Arg::new(variable.name)
                .long(variable.flag)
                .env(variable.name)
                .value_name(variable.value_name)
                .hide_env_values(variable.is_secret)
                .help(variable.help);
            match variable.default {
                Some(default) => arg.default_value(default),
                None => arg,
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use headwind_operator::notify::Settings;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        notifications: Notifications,
    }

    #[test]
    fn a_flag_sets_the_variable_of_the_list() {
        let line =
            Line::try_parse_from(["headwind", "--notify-teams-enabled=true", "--notify-teams-webhook-url=https://teams.example"]).unwrap();
        let settings = Settings::read(|name| line.notifications.get(name).map(str::to_owned)).unwrap();
        assert!(settings.teams.is_some() && settings.slack.is_none());
    }

    #[test]
    fn the_help_shows_no_secret() {
        let help = Line::try_parse_from(["headwind", "--help"]).unwrap_err().to_string();
        assert!(help.contains("--notify-webhook-secret") && help.contains("[env: WEBHOOK_SECRET]"), "{help}");
    }
}
