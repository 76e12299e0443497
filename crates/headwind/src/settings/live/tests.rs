use std::time::Duration;

use clap::CommandFactory as _;

use super::*;
use crate::cli;

const INTERVAL: &str = "HEADWIND_POLLING_INTERVAL";
const ENABLED: &str = "HEADWIND_POLLING_ENABLED";

fn live(flags: &[&str]) -> (Arc<Live>, Followed) {
    let command = cli::Args::command().mut_subcommand("run", |run| run.mut_args(|arg| arg.env(None::<&'static str>)));
    // Origins need the names of the variables.
    let named = cli::Args::command();
    let matches = command.get_matches_from(["headwind", "run"].iter().chain(flags));
    let mut args = cli::Args::from_arg_matches(&matches).unwrap();
    let cli::Command::Run(run) = &mut args.command else { panic!("run") };
    run.settings = crate::settings::settings(&named, &matches);
    run.fixed = crate::settings::fixed(&named, &matches);
    Live::new(run).unwrap()
}

fn stored(config_map: &[(&str, &str)], secret: &[(&str, &str)]) -> Stored {
    let values = |all: &[(&str, &str)]| all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Stored { config_map: values(config_map), secret: values(secret) }
}

fn shown(followed: &Followed, name: &str) -> Setting {
    followed.shown.borrow().iter().find(|one| one.variable == name).cloned().unwrap()
}

#[test]
fn the_config_map_comes_before_the_default_and_after_a_flag() {
    let (live, followed) = live(&["--polling-enabled=true"]);
    assert!(live.adopt(&stored(&[(INTERVAL, "7"), (ENABLED, "false")], &[])).is_empty());
    assert_eq!(followed.polling.borrow().interval, Some(Duration::from_secs(7)), "the flag turns polling on");
    let interval = shown(&followed, INTERVAL);
    assert_eq!((interval.value.as_deref(), interval.origin), (Some("7"), Origin::Stored(Store::ConfigMap)));
    assert_eq!(shown(&followed, ENABLED).origin, Origin::Flag);
    assert!(live.adopt(&Stored::default()).is_empty());
    assert_eq!(followed.polling.borrow().interval, Some(Duration::from_mins(5)));
    assert_eq!(shown(&followed, INTERVAL).origin, Origin::Default);
}

#[test]
fn a_bad_value_keeps_the_last_valid_one_and_says_so() {
    let (live, followed) = live(&["--polling-enabled=true"]);
    live.adopt(&stored(&[(INTERVAL, "7")], &[]));
    for bad in ["0", "soon", "-1", "99999999999"] {
        let problems = live.adopt(&stored(&[(INTERVAL, bad), ("HEADWIND_POLLING_MIN_INTERVAL", "3")], &[]));
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        let text = problem.to_string();
        assert!(text.contains(INTERVAL) && text.contains("last valid value") && !text.contains("--"), "{text}");
        let polling = *followed.polling.borrow();
        assert_eq!((polling.interval, polling.min_interval), (Some(Duration::from_secs(7)), Duration::from_secs(3)));
        assert_eq!(shown(&followed, INTERVAL).problem, Some(text));
    }
}

#[test]
fn a_channel_needs_its_secret() {
    let (live, followed) = live(&[]);
    let problems = live.adopt(&stored(&[("TEAMS_ENABLED", "true")], &[]));
    assert!(problems.len() == 1 && problems[0].name == "TEAMS_WEBHOOK_URL" && problems[0].store == Store::Secret, "{problems:?}");
    assert!(followed.notifications.borrow().teams.is_none());
    let url = ("TEAMS_WEBHOOK_URL", "https://teams.example/hook");
    assert!(live.adopt(&stored(&[("TEAMS_ENABLED", "true")], &[url])).is_empty());
    assert!(followed.notifications.borrow().teams.is_some());
    let shown = shown(&followed, "TEAMS_WEBHOOK_URL");
    assert_eq!((shown.value.as_deref(), shown.origin), (Some(STORED), Origin::Stored(Store::Secret)));
    // In the ConfigMap it would be readable.
    let problems = live.adopt(&stored(&[("TEAMS_ENABLED", "true"), url], &[]));
    assert!(problems.iter().any(|problem| problem.why.contains("belongs in the Secret")), "{problems:?}");
}

#[test]
fn a_bad_url_of_one_channel_leaves_the_others_on() {
    let (live, followed) = live(&[]);
    let on = [("TEAMS_ENABLED", "true"), ("SLACK_ENABLED", "true")];
    let urls = |slack: &'static str| [("TEAMS_WEBHOOK_URL", "https://teams.example/a"), ("SLACK_WEBHOOK_URL", slack)];
    let problems = live.adopt(&stored(&on, &urls("nowhere-secret")));
    assert!(problems.iter().all(|problem| problem.name == "SLACK_WEBHOOK_URL"), "{problems:?}");
    assert!(!format!("{problems:?}").contains("nowhere-secret"), "{problems:?}");
    assert!(followed.notifications.borrow().teams.is_some() && followed.notifications.borrow().slack.is_none());
    assert!(live.adopt(&stored(&on, &urls("https://slack.example/b"))).is_empty());
    assert!(live.adopt(&stored(&on, &urls("nowhere"))).len() == 1);
    assert!(followed.notifications.borrow().slack.is_some(), "the last valid URL");
}

#[test]
fn a_check_changes_nothing() {
    let (live, followed) = live(&["--polling-enabled=true"]);
    assert_eq!(live.problems(&stored(&[(INTERVAL, "x")], &[])).len(), 1);
    assert!(live.problems(&stored(&[(INTERVAL, "9")], &[])).is_empty());
    assert_eq!(followed.polling.borrow().interval, Some(Duration::from_mins(5)));
}

#[test]
fn the_source_of_metrics_follows_the_config_map() {
    let (live, followed) = live(&["--metrics-source=auto"]);
    assert_eq!(*followed.metrics.borrow(), MetricsSource::Find);
    let problems = live.adopt(&stored(&[("HEADWIND_PROMETHEUS_URL", "prometheus:9090")], &[]));
    assert!(problems.len() == 1 && problems[0].why.contains("must be an http or https URL"), "{problems:?}");
    assert!(live.adopt(&stored(&[("HEADWIND_PROMETHEUS_URL", "http://prometheus:9090")], &[])).is_empty());
    assert!(matches!(&*followed.metrics.borrow(), MetricsSource::Prometheus(_)));
}
