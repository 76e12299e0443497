use rstest::rstest;

use super::*;

fn read(values: &[(&str, &str)]) -> Result<Settings, Vec<Invalid>> {
    Settings::read(|name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

fn faults(values: &[(&str, &str)]) -> Vec<String> {
    read(values).unwrap_err().into_iter().map(|fault| fault.to_string()).collect()
}

#[test]
fn a_channel_is_off_until_it_is_enabled() {
    let url = ("SLACK_WEBHOOK_URL", "https://hooks.slack.example/a");
    assert_eq!(read(&[url]).unwrap(), Settings::default());
    let settings =
        read(&[url, ("SLACK_ENABLED", "yes"), ("SLACK_CHANNEL", " #ops "), ("HEADWIND_UI_URL", "https://headwind.example/")]).unwrap();
    let slack = settings.slack.unwrap();
    let SlackVia::Webhook(url) = &slack.via else { panic!("{slack:?}") };
    assert_eq!((slack.channel.as_deref(), url.expose()), (Some("#ops"), "https://hooks.slack.example/a"));
    assert_eq!(slack.buttons, None);
    assert_eq!((settings.ui_url.as_deref(), settings.teams), (Some("https://headwind.example"), None));
    assert_eq!(slack.common, Common::default());
}

#[test]
fn every_fault_is_reported_and_no_secret_is_quoted() {
    let all = faults(&[
        ("SLACK_ENABLED", "true"),
        ("TEAMS_ENABLED", "maybe"),
        ("WEBHOOK_ENABLED", "1"),
        ("WEBHOOK_URL", "ftp://user:canary@example.com"),
        ("WEBHOOK_TIMEOUT", "0"),
        ("WEBHOOK_EVENTS", "update_failed,update_lost"),
    ]);
    let text = all.join("\n");
    for expected in [
        "SLACK_WEBHOOK_URL: required",
        "TEAMS_ENABLED: must be",
        "WEBHOOK_URL: is not",
        "WEBHOOK_EVENTS: unknown notification event \"update_lost\"",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("canary"));
}

#[test]
fn slack_takes_a_bot_and_buttons() {
    let bot = [("SLACK_ENABLED", "true"), ("SLACK_BOT_TOKEN", "xoxb-canary"), ("SLACK_CHANNEL", "C1")];
    let slack = read(&bot).unwrap().slack.unwrap();
    assert!(matches!(&slack.via, SlackVia::Bot { api_url, .. } if api_url == "https://slack.com/api"), "{slack:?}");
    assert_eq!(faults(&bot[..2]), ["SLACK_CHANNEL: required, because the channel is enabled"]);
    let with = |more: &[(&'static str, &'static str)]| [&bot[..], more].concat();
    let buttons = with(&[("SLACK_SIGNING_SECRET", "canary"), ("SLACK_USERS", "U1=zoe")]);
    let text = format!("{:?}", read(&buttons).unwrap());
    assert!(text.contains("SlackUsers(1)") && !text.contains("canary") && !text.contains("zoe"), "{text}");
    assert_eq!(faults(&buttons[..4]), ["SLACK_USERS: required, because SLACK_SIGNING_SECRET is set"]);
    assert_eq!(faults(&with(&[("SLACK_USERS", "U1=zoe")])), ["SLACK_SIGNING_SECRET: required, because SLACK_USERS is set"]);
    let bad = faults(&with(&[("SLACK_SIGNING_SECRET", "x"), ("SLACK_USERS", "canary")]));
    assert_eq!(bad, ["SLACK_USERS: entry 1 must have the form ID=USER or ID=USER GROUP,GROUP"]);
    assert_eq!(faults(&with(&[("SLACK_API_URL", "slack.com")])), ["SLACK_API_URL: is not an http or https URL"]);
}

#[test]
fn a_secret_is_not_printed() {
    let settings = read(&[("WEBHOOK_ENABLED", "true"), ("WEBHOOK_URL", "https://e.example/canary"), ("WEBHOOK_SECRET", "canary")]).unwrap();
    assert!(!format!("{settings:?}").contains("canary"));
}

#[test]
fn filters_and_digests_are_read() {
    let settings = read(&[
        ("DISCORD_ENABLED", "true"),
        ("DISCORD_WEBHOOK_URL", "https://discord.example/a"),
        ("DISCORD_EVENTS", "update_failed, rollback_failed"),
        ("DISCORD_NAMESPACES", "shop,,team-a"),
        ("DISCORD_DIGEST_INTERVAL", "10m"),
        ("DISCORD_POD_MESSAGES", "true"),
    ]);
    let common = settings.unwrap().discord.unwrap().common;
    assert_eq!(common.events, [NotificationEvent::UpdateFailed, NotificationEvent::RollbackFailed].into());
    assert_eq!(common.namespaces, ["shop".to_owned(), "team-a".to_owned()].into());
    assert_eq!((common.digest, common.pod_messages), (Some(Duration::from_mins(10)), true));
}

#[rstest]
#[case("hooks.slack.com", false)]
#[case("10.0.0.7", false)]
#[case("127.0.0.1", true)]
#[case("[::1]", true)]
#[case("receiver", true)]
#[case("receiver.tools.svc", true)]
#[case("receiver.tools.svc.cluster.local", true)]
#[case("svc.example.com", false)]
fn messages_of_pods_stay_in_the_cluster(#[case] host: &str, #[case] inside: bool) {
    assert_eq!(is_in_cluster(host), inside);
}

#[test]
fn mail_needs_server_sender_and_recipients() {
    let base = [("MAIL_ENABLED", "true"), ("MAIL_FROM", "headwind@example.com"), ("MAIL_TO", "a@example.com, b@example.com")];
    let of = |more: &[(&str, &str)]| read(&[&base[..], more].concat());
    let mail = of(&[("MAIL_SERVER", "smtp.example.com")]).unwrap().mail.unwrap();
    assert_eq!((mail.host.as_str(), mail.port, mail.tls, mail.to.len()), ("smtp.example.com", 587, MailTls::StartTls, 2));
    let mail = of(&[("MAIL_SERVER", "smtp.example.com:2525"), ("MAIL_TLS", "none")]).unwrap().mail.unwrap();
    assert_eq!((mail.port, mail.tls), (2525, MailTls::None));
    assert!(of(&[]).is_err());
    assert!(of(&[("MAIL_SERVER", "smtp.example.com"), ("MAIL_USERNAME", "u")]).is_err());
    assert!(faults(&[("MAIL_ENABLED", "true"), ("MAIL_SERVER", "s"), ("MAIL_FROM", "a b@c"), ("MAIL_TO", "a@b\r\nBcc: x@y")]).len() == 2);
}

/// The variables of a channel have its prefix, and one of them enables it.
#[test]
fn every_channel_has_variables() {
    for channel in Channel::ALL.iter().copied() {
        let names: Vec<_> = variables_of(channel).map(|variable| variable.name).collect();
        assert!(names.contains(&channel.switch().as_str()), "{channel}: {names:?}");
        let foreign: Vec<_> = names.iter().filter(|name| !name.starts_with(channel.prefix())).collect();
        assert!(foreign.is_empty(), "{channel}: {foreign:?}");
        let enabled = faults(&[(channel.switch().as_str(), "true")]);
        assert!(!enabled.is_empty() && enabled.iter().all(|fault| fault.starts_with(channel.prefix())), "{channel}: {enabled:?}");
    }
}

#[test]
fn every_variable_has_a_flag_and_is_named_once() {
    let mut flags: Vec<_> = variables().map(|variable| variable.flag).collect();
    let mut names: Vec<_> = variables().map(|variable| variable.name).collect();
    let count = flags.len();
    flags.sort_unstable();
    flags.dedup();
    names.sort_unstable();
    names.dedup();
    assert_eq!((flags.len(), names.len()), (count, count));
}
