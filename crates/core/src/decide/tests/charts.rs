//! Decisions about a release's chart.

use super::*;
use crate::reason::Reasoned;
use crate::settings::key;
use crate::workload::release::samples::{alone, at_version, helm, oci, referring, templated};
use crate::workload::release::{CHART, resolve};
use crate::workload::source::{OciRef, Release, Source};

fn candidates(versions: &str) -> Vec<Candidate> {
    versions
        .split_whitespace()
        .map(|version| Candidate { deprecated: version.ends_with('!'), ..Candidate::new(version.trim_end_matches('!'), None) })
        .collect()
}

fn look(workload: &Workload, candidates: &[Candidate], occasion: Occasion, trigger: Trigger) -> Result<Proposal, Reasoned> {
    let evaluation = Evaluation {
        workload,
        defaults: &Annotations::new(),
        container: &workload.containers[0],
        candidates,
        occasion,
        trigger,
        nodes: None,
    };
    match decide(&evaluation, &trusted(), &PriorRequests::none()) {
        Decision::Propose(proposal) => Ok(*proposal),
        Decision::Refuse(refusal) => Err(refusal),
        Decision::Ask(question) => panic!("a chart has no digest: {question:?}"),
    }
}

fn scan(workload: &Workload, versions: &str) -> Result<String, Reason> {
    look(workload, &candidates(versions), Occasion::Scan, Trigger::Polling)
        .map(|proposal| proposal.new_image)
        .map_err(|refusal| refusal.reason)
}

fn event(workload: &Workload, version: &str, digest: Option<Digest>) -> Result<Proposal, Reasoned> {
    look(workload, &[Candidate::new(version, digest)], Occasion::Event, Trigger::Webhook)
}

/// A version with a trailing `!` is deprecated.
#[rstest]
#[case::patch("patch", "", "1.2.3", "1.2.4 1.3.0 2.0.0", Ok("podinfo:1.2.4"))]
#[case::minor("minor", "", "1.2.3", "1.2.4 1.3.0 2.0.0", Ok("podinfo:1.3.0"))]
#[case::major("major", "", "1.2.3", "1.2.4 2.0.0 1.3.0", Ok("podinfo:2.0.0"))]
#[case::major_takes_no_pre_release("major", "", "1.2.3", "1.3.0 2.0.0-rc.1", Ok("podinfo:1.3.0"))]
#[case::all("all", "", "1.2.3", "1.3.0 2.0.0-rc.1", Ok("podinfo:2.0.0-rc.1"))]
#[case::on_to_the_next_pre_release("minor", "", "1.3.0-rc.1", "1.3.0-rc.2", Ok("podinfo:1.3.0-rc.2"))]
#[case::from_a_pre_release_to_its_release("patch", "", "1.3.0-rc.1", "1.3.0-rc.2 1.3.0", Ok("podinfo:1.3.0"))]
#[case::not_to_anothers_pre_release("minor", "", "1.3.0-rc.1", "1.4.0-rc.1", Err(Reason::PreRelease))]
#[case::named_by_the_pattern("minor", "*-rc.*", "1.2.3", "1.3.0-rc.1 1.3.0", Ok("podinfo:1.3.0-rc.1"))]
#[case::filtered_by_the_pattern("minor", "1.3.*", "1.2.3", "1.3.1 1.4.0", Ok("podinfo:1.3.1"))]
#[case::any_suffix_is_a_pre_release("minor", "", "1.2.3", "1.2.4-alpine", Err(Reason::PreRelease))]
#[case::glob("glob", "1.[23].*", "1.2.3", "1.2.9 1.3.1 1.10.0", Ok("podinfo:1.3.1"))]
#[case::glob_never_down("glob", "1.*", "1.2.3", "1.2.2", Err(Reason::UpToDate))]
#[case::prefix_is_tolerated("minor", "", "v1.2.3", "1.3.0", Ok("podinfo:1.3.0"))]
#[case::written_differently("all", "", "1.2.3", "v1.2.3", Err(Reason::UpToDate))]
#[case::metadata_has_no_order("all", "", "1.2.3", "1.2.3+build.7", Err(Reason::UpToDate))]
#[case::metadata_is_kept("minor", "", "1.2.3+build.7", "1.3.0+build.1", Ok("podinfo:1.3.0+build.1"))]
#[case::same("all", "", "1.2.3", "1.2.3", Err(Reason::UpToDate))]
#[case::lower("all", "", "1.2.3", "1.2.2", Err(Reason::UpToDate))]
#[case::too_far("patch", "", "1.2.3", "1.3.0", Err(Reason::MinorDiffers))]
#[case::much_too_far("minor", "", "1.2.3", "2.0.0", Err(Reason::MajorDiffers))]
#[case::no_version("minor", "", "1.2.3", "latest", Err(Reason::UpToDate))]
#[case::no_version_whatever_the_pattern("glob", "l*", "1.2.3", "latest", Err(Reason::UpToDate))]
#[case::deprecated("minor", "", "1.2.3", "1.3.0!", Err(Reason::Deprecated))]
#[case::ended("minor", "", "1.2.3", "1.2.2! 1.2.3!", Err(Reason::Deprecated))]
#[case::too_few_numbers("minor", "", "1.0.0", "1.0.0 1.2", Err(Reason::PartialVersion))]
#[case::too_few_numbers_beside_good("minor", "", "1.0.0", "1.0.0 1.2 1.1.0", Ok("podinfo:1.1.0"))]
#[case::what_helm_refuses(
    "all",
    "",
    "0.9.0-alpha.1",
    "0.9.0-alpha.2 0.9.0-alpha.2.095.3e95dc3 1.0.0-03173138 18446744073709551616.0.0",
    Ok("podinfo:0.9.0-alpha.2")
)]
#[case::highest_metadata("minor", "", "1.2.3", "1.3.0+9 1.3.0+10 1.3.0", Ok("podinfo:1.3.0+10"))]
#[case::highest_metadata_in_any_order("minor", "", "1.2.3+9", "1.3.0 1.3.0+10 1.3.0+9", Ok("podinfo:1.3.0+10"))]
#[case::deprecated_beside_good("minor", "", "1.2.3", "1.4.0! 1.3.0", Ok("podinfo:1.3.0"))]
#[case::deprecated_current("minor", "", "1.2.3", "1.2.3! 1.3.0", Ok("podinfo:1.3.0"))]
#[case::force_follows_no_scan("force", "", "1.2.3", "1.3.0", Err(Reason::NotFollowed))]
#[case::nothing("minor", "", "1.2.3", "", Err(Reason::UpToDate))]
fn policies(
    #[case] policy: &str,
    #[case] pattern: &str,
    #[case] current: &str,
    #[case] versions: &str,
    #[case] expected: Result<&str, Reason>,
) {
    let mut annotations = vec![("policy", policy), ("event-source", "both")];
    annotations.extend((!pattern.is_empty()).then_some(("pattern", pattern)));
    assert_eq!(scan(&at_version(current, &annotations), versions), expected.map(str::to_owned));
}

#[test]
fn force_takes_what_an_event_names_and_no_version_twice() {
    let workload = at_version("1.2.3", &[("policy", "force")]);
    let taken =
        |version: &str, digest| event(&workload, version, digest).map(|proposal| proposal.new_image).map_err(|refusal| refusal.reason);
    assert_eq!(taken("1.0.0", None), Ok("podinfo:1.0.0".to_owned()), "down as well");
    assert_eq!(taken("1.2.3", None), Err(Reason::SameTag));
    assert_eq!(taken("latest", None), Err(Reason::NotAVersion), "Flux would take it for a range, or refuse it");
    assert_eq!(taken("1.2.3", Some(digest('b'))), Err(Reason::SameTag), "a chart's version is published once");
}

#[test]
fn what_is_proposed() {
    let proposal = event(&at_version("1.2.3", &[("policy", "minor")]), "1.3.0", Some(digest('b'))).unwrap();
    assert_eq!((proposal.container.as_str(), proposal.policy, proposal.reason), (CHART, Policy::Minor, Reason::HigherVersion));
    assert_eq!((proposal.current_image.as_str(), proposal.new_image.as_str()), ("podinfo:1.2.3", "podinfo:1.3.0"));
    assert!(proposal.require_approval && proposal.current_digest.is_none());
}

/// The same version is the same request, whatever its source and details.
#[rstest]
#[case("minor")]
#[case("force")]
fn one_version_has_one_identity(#[case] policy: &str) {
    let mut workload = at_version("1.2.3", &[("policy", policy), ("event-source", "both")]);
    let pushed = event(&workload, "1.3.0", Some(digest('b'))).unwrap();
    assert_eq!(pushed.identity, event(&workload, "1.3.0", Some(digest('c'))).unwrap().identity);
    assert_eq!(pushed.identity, event(&workload, "1.3.0", None).unwrap().identity);
    if policy == "minor" {
        let polled = look(&workload, &candidates("1.3.0 1.2.9"), Occasion::Scan, Trigger::Polling).unwrap();
        assert_eq!((pushed.identity.clone(), polled.trigger), (polled.identity, Trigger::Polling));
    }
    workload.generation += 1;
    assert_eq!(pushed.identity, event(&workload, "1.3.0", None).unwrap().identity, "whatever else has changed");
    assert_ne!(pushed.identity, event(&workload, "1.4.0", None).unwrap().identity);
}

/// A look-up of a changed release is treated like a webhook; images have no look-ups.
#[rstest]
#[case("webhook", [true, true], [true, false])]
#[case("polling", [false, true], [false, true])]
#[case("both", [true, true], [true, true])]
#[case("none", [false, false], [false, false])]
fn who_listens_to_what(#[case] source: &str, #[case] chart: [bool; 2], #[case] image: [bool; 2]) {
    let annotations = [("policy", "minor"), ("event-source", source)];
    for (workload, new, expected) in
        [(at_version("1.2.3", &annotations), "1.3.0", chart), (workload("nginx:1.2.3", &annotations), "1.3.0", image)]
    {
        let heard = [Trigger::Webhook, Trigger::Polling].map(|trigger| {
            let got = look(&workload, &[Candidate::new(new, None)], Occasion::Event, trigger);
            assert!(got.as_ref().err().is_none_or(|refusal| refusal.reason == Reason::EventSource), "{got:?}");
            got.is_ok()
        });
        assert_eq!(heard, expected, "{}", workload.key);
        assert!(look(&workload, &[Candidate::new(new, None)], Occasion::Event, Trigger::Manual).is_ok(), "a person may always");
    }
}

#[rstest]
#[case::for_the_chart(&[("policy", "none"), ("policy.chart", "minor")], Ok("podinfo:1.3.0"))]
#[case::for_another(&[("policy", "none"), ("policy.web", "minor")], Err(Reason::PolicyNone))]
#[case::off_for_the_chart(&[("policy", "minor"), ("policy.chart", "none")], Err(Reason::PolicyNone))]
#[case::tracked_by_the_charts_name(&[("policy", "minor"), ("images", "podinfo")], Ok("podinfo:1.3.0"))]
#[case::tracked_as_the_chart(&[("policy", "minor"), ("images", "chart")], Ok("podinfo:1.3.0"))]
#[case::another_chart(&[("policy", "minor"), ("images", "redis")], Err(Reason::NotTracked))]
#[case::no_image_of_that_name(&[("policy", "minor"), ("images", "docker.io/library/podinfo")], Err(Reason::NotTracked))]
#[case::bad(&[("policy", "minor"), ("settle-time", "soon")], Err(Reason::InvalidAnnotation))]
#[case::unset(&[], Err(Reason::PolicyNone))]
fn settings_of_the_chart(#[case] annotations: &[(&str, &str)], #[case] expected: Result<&str, Reason>) {
    let got = event(&at_version("1.2.3", annotations), "1.3.0", None);
    assert_eq!(got.map(|proposal| proposal.new_image).map_err(|refusal| refusal.reason), expected.map(str::to_owned));
}

/// A release that is not updated has a reason; a release without a policy has no report.
#[rstest]
#[case::range(Release { ..templated("podinfo", ">=1.2") }, Reason::VersionRange, "\">=1.2\" is a range")]
#[case::suspended(Release { suspended: true, ..templated("podinfo", "1.2.3") }, Reason::Suspended, "the release is suspended")]
#[case::denied(Release { denied: Some("no".to_owned()), ..templated("podinfo", "1.2.3") }, Reason::AccessDenied, "no")]
fn skip_reason(#[case] release: Release, #[case] reason: Reason, #[case] words: &str) {
    let of = |policy: &str| resolve(&alone(release.clone(), &[("policy", policy)]), Some(&helm("https://charts.example")), 1);
    let refusal = event(&of("minor"), "1.3.0", None).unwrap_err();
    assert!(refusal.reason == reason && refusal.message.contains(words), "{refusal:?}");
    assert_eq!(event(&of("none"), "1.3.0", None).unwrap_err().reason, Reason::PolicyNone);
}

#[test]
fn a_shared_tag_is_moved_where_that_is_allowed() {
    let of = |consent: &str| {
        let annotations = [(key::SHARED_SOURCE.to_owned(), consent.to_owned())].into();
        let source = Source { annotations, ..oci(OciRef::Tag("1.2.3".to_owned())) };
        resolve(&alone(referring(), &[("policy", "minor"), ("shared-source", "true")]), Some(&source), 2)
    };
    let refusal = event(&of("false"), "1.3.0", None).unwrap_err();
    assert!(refusal.reason == Reason::SourceShared && refusal.message.contains(key::SHARED_SOURCE), "{refusal:?}");
    let proposal = event(&of("true"), "1.3.0", None).unwrap();
    assert_eq!((proposal.current_image.as_str(), proposal.new_image.as_str()), ("podinfo:1.2.3", "podinfo:1.3.0"));
}

#[test]
fn what_cannot_be_read() {
    let odd = resolve(&alone(templated("../podinfo", "1.2.3"), &[("policy", "minor")]), Some(&helm("https://charts.example")), 1);
    assert_eq!(event(&odd, "1.3.0", None).unwrap_err().reason, Reason::InvalidImage);
    let latest = resolve(&alone(referring(), &[("policy", "minor")]), Some(&oci(OciRef::Tag("latest".to_owned()))), 1);
    assert_eq!(event(&latest, "1.3.0", None).unwrap_err().reason, Reason::CurrentNotAVersion);
}
