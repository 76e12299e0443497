//! Explanations of a release's version.

use rstest::rstest;

use super::*;
use crate::workload::release::resolve;
use crate::workload::release::samples::{alone, at_version, helm, templated};
use crate::workload::source::Release;

fn explained(workload: &Workload, versions: &[&str]) -> Explained {
    let candidates: Vec<Candidate> = versions.iter().map(|version| Candidate::new(*version, None)).collect();
    explain(
        workload,
        &Annotations::new(),
        &workload.containers[0],
        &candidates,
        &[],
        &PriorRequests::none(),
        Moment { now: Timestamp::from_second(1000).unwrap(), limits: &Limits::default(), nodes: None },
    )
}

#[test]
fn every_version_has_its_verdict() {
    let mut candidates: Vec<Candidate> =
        ["1.2.3", "1.2.4", "1.3.0", "2.0.0", "1.3.0-rc.1"].map(|version| Candidate::new(version, None)).into();
    candidates.push(Candidate { deprecated: true, ..Candidate::new("1.2.9", None) });
    let workload = at_version("1.2.3", &[("policy", "minor")]);
    let all = explain(
        &workload,
        &Annotations::new(),
        &workload.containers[0],
        &candidates,
        &[],
        &PriorRequests::none(),
        Moment { now: Timestamp::from_second(1000).unwrap(), limits: &Limits::default(), nodes: None },
    );
    let verdicts: Vec<(&str, Reason)> = all.candidates.iter().map(|one| (one.tag.as_str(), one.reason)).collect();
    assert_eq!(
        verdicts,
        [
            ("1.2.3", Reason::SameTag),
            ("1.2.4", Reason::NotBest),
            ("1.3.0", Reason::HigherVersion),
            ("2.0.0", Reason::MajorDiffers),
            ("1.3.0-rc.1", Reason::PreRelease),
            ("1.2.9", Reason::Deprecated)
        ]
    );
    assert_eq!((all.container.as_str(), all.image.as_str(), all.running, all.out), ("chart", "podinfo:1.2.3", None, None));
    assert_eq!((all.newest.as_deref(), all.would_take.as_deref()), (Some("2.0.0"), Some("podinfo:1.3.0")));
}

/// The result of an event or a look-up is explained, whichever of the two the release listens to.
#[rstest]
#[case("webhook", Some("podinfo:1.3.0"), Reason::HigherVersion)]
#[case("polling", Some("podinfo:1.3.0"), Reason::HigherVersion)]
#[case("none", None, Reason::EventSource)]
fn whatever_it_listens_to(#[case] source: &str, #[case] would_take: Option<&str>, #[case] because: Reason) {
    let one = explained(&at_version("1.2.3", &[("policy", "minor"), ("event-source", source)]), &["1.3.0"]);
    assert_eq!((one.would_take.as_deref(), one.because.reason), (would_take, because));
}

/// Why it takes no part, and the running version.
#[rstest]
#[case::range(">=1.2", false, "minor", Reason::VersionRange, "is a range")]
#[case::suspended("1.2.3", true, "minor", Reason::Suspended, "the release is suspended")]
#[case::nobody_asked("1.2.3", true, "none", Reason::PolicyNone, "policy none")]
#[case::nobody_asked_for_a_range(">=1.2", false, "none", Reason::PolicyNone, "policy none")]
fn who_takes_no_part(#[case] version: &str, #[case] suspended: bool, #[case] policy: &str, #[case] reason: Reason, #[case] words: &str) {
    let release = Release { suspended, running: Some("1.2.2".to_owned()), ..templated("podinfo", version) };
    let workload = resolve(&alone(release, &[("policy", policy)]), Some(&helm("https://charts.example")), 1);
    let one = explained(&workload, &["1.3.0"]);
    let out = one.out.unwrap();
    assert!(out.reason == reason && out.message.contains(words), "{out:?}");
    assert_eq!((one.because, one.would_take, one.running.as_deref()), (out, None, Some("1.2.2")));
    assert_eq!(one.candidates.len(), 1, "what there is, is shown all the same");
}

#[test]
fn where_nothing_can_be_read() {
    let odd = resolve(&alone(templated("../podinfo", "1.2.3"), &[("policy", "minor")]), Some(&helm("https://charts.example")), 1);
    assert_eq!(explained(&odd, &["1.3.0"]).because.reason, Reason::InvalidImage);
    let missing = resolve(&alone(templated("podinfo", "1.2.3"), &[("policy", "minor")]), None, 1);
    assert_eq!(explained(&missing, &[]).because.reason, Reason::SourceMissing);
}
