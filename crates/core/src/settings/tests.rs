use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::reason::Reason;
use crate::testing::{self, annotations};
use crate::workload::{has_unknown, unknown};

fn resolve(namespace: &[(&str, &str)], workload: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
    Settings::resolve(&annotations(namespace), &annotations(workload), "web")
}

#[test]
fn nothing_said_means_the_defaults_of_the_spec() {
    let settings = resolve(&[], &[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!((settings.policy, settings.require_approval, settings.min_update_interval.as_secs()), (Policy::None, true, 300));
    assert_eq!((settings.rollback_timeout.as_secs(), settings.health_check_retries, settings.settle_time.as_secs()), (300, 3, 30));
}

#[rstest]
#[case(&[("policy", "all")], &[], Policy::All)]
#[case(&[("policy", "all")], &[("policy", "minor")], Policy::Minor)]
#[case(&[("policy.web", "patch"), ("policy", "all")], &[], Policy::Patch)]
#[case(&[("policy.web", "patch")], &[("policy", "minor")], Policy::Minor)]
#[case(&[], &[("policy", "minor"), ("policy.web", " major ")], Policy::Major)]
#[case(&[], &[("policy", "minor"), ("policy.other", "major")], Policy::Minor)]
fn precedence(#[case] namespace: &[(&str, &str)], #[case] workload: &[(&str, &str)], #[case] policy: Policy) {
    assert_eq!(resolve(namespace, workload).unwrap().policy, policy);
}

#[test]
fn every_fault_is_reported_at_once() {
    let faults = resolve(
        &[("settle-time", "soon")],
        &[("policy", "mnior"), ("require-approval", "yes"), ("health-check-retries", "0"), ("pattern", "[")],
    )
    .unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.trim_start_matches(PREFIX)).collect();
    assert_eq!(keys, ["policy", "pattern", "require-approval", "health-check-retries", "settle-time"]);
    assert_eq!(faults[4].place, Place::Namespace);
    assert!(faults[0].to_string().contains("mnior"));
    let glob = resolve(&[], &[("policy", "glob")]).unwrap_err();
    assert!(glob[0].problem.contains("pattern"), "{glob:?}");
    // An overridden invalid value is not reported.
    assert!(resolve(&[("policy", "bad")], &[("policy", "minor")]).is_ok());
}

#[rstest]
#[case("300", Some(300))]
#[case("0", Some(0))]
#[case("5m", Some(300))]
#[case("1h30m", Some(5400))]
#[case("90s", Some(90))]
#[case("1d", Some(86_400))]
#[case("1d1h1m1s", Some(90_061))]
#[case("", None)]
#[case("-5", None)]
#[case("5 m", None)]
#[case("m", None)]
#[case("5m5m", None)]
#[case("5s5m", None)]
#[case("1.5h", None)]
#[case("5w", None)]
#[case("99999999999999999999", None)]
#[case("11y", None)]
#[case("4000d", None)]
#[case("NaN", None)]
fn durations(#[case] text: &str, #[case] seconds: Option<u64>) {
    assert_eq!(duration(text).ok().map(|span| span.as_secs()), seconds);
}

#[test]
fn which_containers_are_tracked() {
    let nginx = Artifact::parse(crate::artifact::ArtifactKind::Image, "nginx:1").unwrap();
    let tracks = |images: Option<&str>, container: &str, init: bool| {
        let workload = images.map_or_else(Vec::new, |images| vec![("images", images)]);
        resolve(&[], &workload).unwrap().tracks(container, &nginx, init)
    };
    assert!(tracks(None, "web", false) && !tracks(None, "setup", true));
    assert!(tracks(Some("web, setup"), "setup", true) && !tracks(Some("setup"), "web", false));
    assert!(tracks(Some("docker.io/library/nginx"), "web", false) && tracks(Some("nginx"), "web", false));
    assert!(resolve(&[], &[("images", " , ")]).is_err());
}

/// A release's chart is tracked by its name, or by its kind.
#[test]
fn which_charts_are_tracked() {
    let chart = Artifact::parse(crate::artifact::ArtifactKind::Chart, "team/podinfo:1.2.0").unwrap();
    let tracks = |images: &str| {
        Settings::resolve(&Annotations::new(), &annotations(&[("images", images)]), "chart").unwrap().tracks("chart", &chart, false)
    };
    assert!(Settings::default().tracks("chart", &chart, false));
    assert!(tracks("team/podinfo") && tracks("chart") && tracks("redis, chart"));
    assert!(!tracks("podinfo") && !tracks("docker.io/team/podinfo"), "a chart's name is no repository");
}

#[test]
fn consent_to_share_a_tag() {
    for (value, expected) in [("true", true), (" True ", true), ("false", false), ("yes", false), ("", false)] {
        assert_eq!(Settings::consents_to_share(&annotations(&[("shared-source", value)])), expected, "{value:?}");
    }
    assert!(!Settings::consents_to_share(&annotations(&[])));
}

/// The only container of a release is its chart.
#[test]
fn what_has_no_effect_on_a_release_is_reported() {
    let release = crate::workload::release::samples::at_version(
        "1.2.0",
        &[("policy.chart", "minor"), ("policy.web", "minor"), ("images", "podinfo,nginx")],
    );
    let reported: Vec<String> = unknown(&release.annotations, &release).into_iter().map(|one| one.keys).collect();
    assert_eq!(reported, ["headwind.sh/policy.web, headwind.sh/images nginx"]);
}

#[test]
fn sources_of_events() {
    let allows = |source: &str, trigger| resolve(&[], &[("event-source", source)]).unwrap().event_source.allows(trigger);
    assert!(allows("both", Trigger::Polling) && allows("webhook", Trigger::Webhook) && !allows("polling", Trigger::Webhook));
    assert!(!allows("none", Trigger::Webhook) && allows("none", Trigger::Manual), "a person may always");
}

/// A typo must not silence the other channels.
#[test]
fn the_nearest_channels_count_and_unknown_ones_are_ignored() {
    let chosen = |namespace: &[(&str, &str)], workload: &[(&str, &str)], container| {
        Settings::channels(&annotations(namespace), &annotations(workload), container)
    };
    let both = [("notify", " teams , mail"), ("notify.web", "webhook")];
    assert_eq!(chosen(&[], &[], None), None);
    assert_eq!(chosen(&[("notify", "slack")], &[], None), Some([Channel::Slack].into()));
    assert_eq!(chosen(&[("notify.web", "slack")], &both[..1], Some("web")), Some([Channel::Teams, Channel::Mail].into()));
    assert_eq!(chosen(&[("notify", "slack")], &both, Some("web")), Some([Channel::Webhook].into()));
    assert_eq!(chosen(&[("notify", "slack")], &both, Some("db")), Some([Channel::Teams, Channel::Mail].into()));
    assert_eq!(chosen(&[], &[("notify", "none")], None), Some(BTreeSet::new()));
    assert_eq!(chosen(&[], &[("notify", "slakc")], None), None);
    assert_eq!(chosen(&[], &[("notify", "slakc,mail")], None), Some([Channel::Mail].into()));
}

#[rstest]
#[case(&[], &[], None)]
#[case(&[], &[("notify", "none")], None)]
#[case(&[], &[("notify", "slack, mail,")], None)]
#[case(&[], &[("notify", "slakc,mail")], Some("annotation headwind.sh/notify has the value \"slakc,mail\": unknown notification channel \"slakc\"; use slack, teams, webhook, discord, mattermost or mail"))]
#[case(&[], &[("notify", "")], Some("annotation headwind.sh/notify has the value \"\": must be none, or a comma-separated list of these channels: slack, teams, webhook, discord, mattermost, mail"))]
#[case(&[], &[("notify.web", "none,mail")], Some("annotation headwind.sh/notify.web has the value \"none,mail\": none must be the only word"))]
#[case(&[("notify", "all")], &[("notify", "mail")], None)]
#[case(&[("notify", "all")], &[], Some("the namespace's annotation headwind.sh/notify has the value \"all\": unknown notification channel \"all\"; use slack, teams, webhook, discord, mattermost or mail"))]
fn an_invalid_channel_is_reported_and_stops_no_update(
    #[case] namespace: &[(&str, &str)],
    #[case] workload: &[(&str, &str)],
    #[case] expected: Option<&str>,
) {
    let fault = Settings::notify_fault(&annotations(namespace), &annotations(workload), "web");
    assert_eq!(fault.map(|fault| fault.to_string()).as_deref(), expected);
    assert!(resolve(namespace, workload).is_ok());
}

#[test]
fn what_has_no_effect_is_reported() {
    let workload = testing::deployment(
        "nginx:1",
        &[
            ("polcy", "all"),
            ("policy.nobody", "all"),
            ("policy.web", "all"),
            ("last-update", "x"),
            ("images", "web,nginx,ghost"),
            ("quite-unlike-anything", "1"),
        ],
    );
    let all = unknown(&workload.annotations, &workload);
    let reported: Vec<(String, Reason)> = all.iter().map(|one| (one.keys.replace(PREFIX, ""), one.reason)).collect();
    assert_eq!(
        reported,
        [
            ("polcy, quite-unlike-anything".to_owned(), Reason::InvalidAnnotation),
            ("policy.nobody, images ghost".to_owned(), Reason::UnknownContainer),
        ]
    );
    assert!(all[0].message.contains("headwind.sh/policy meant"), "{}", all[0].message);
    assert!(has_unknown(&workload.annotations, &workload));
    assert!(!has_unknown(&annotations(&[("policy.web", "all"), ("images", "web"), ("last-update", "x")]), &workload));

    // Any number of them makes one report.
    let many: Annotations = (0..13_000).map(|number| (format!("{PREFIX}policies{number}"), String::new())).collect();
    let all = unknown(&own(&many), &workload);
    assert_eq!(all.len(), 1);
    assert!(all[0].message.len() < 1024 && all[0].message.ends_with("there are more"), "{}", all[0].message);
}

#[test]
fn a_list_has_an_end() {
    let images = |count: usize| resolve(&[], &[("images", &vec!["web"; count].join(","))]);
    assert!(images(64).is_ok());
    assert!(images(65).unwrap_err()[0].problem.contains("64 entries"));
}

proptest! {
    #[test]
    fn nothing_breaks_it(key in prop::sample::select(key::SET_BY_USERS), value in "\\PC{0,40}") {
        let _ = Settings::resolve(&Annotations::new(), &Annotations::from([(key.to_owned(), value)]), "web");
    }

    #[test]
    fn spans_are_read_as_they_are_written(days in 0_u64..100, hours in 0_u64..24, minutes in 0_u64..60, seconds in 0_u64..60) {
        let text = format!("{days}d{hours}h{minutes}m{seconds}s");
        prop_assert_eq!(duration(&text).unwrap().as_secs(), ((days * 24 + hours) * 60 + minutes) * 60 + seconds);
    }
}
