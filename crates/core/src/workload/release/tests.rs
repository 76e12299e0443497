use rstest::rstest;

use super::samples::*;
use super::*;
use crate::artifact::Artifact;
use crate::reason::Reasoned;
use crate::settings::key::{LAST_REQUEST, LAST_UPDATE, SHARED_SOURCE, UPDATE_HISTORY};
use crate::workload::source::SourceKind;

fn site(workload: &Workload) -> &ResolvedChart {
    workload.container(CHART).unwrap().chart.as_ref().unwrap()
}

fn image(workload: &Workload) -> &str {
    &workload.container(CHART).unwrap().image
}

/// Returns the reason why the release is not updated.
fn left(workload: &Workload) -> Option<Reason> {
    site(workload).skip_reason.as_ref().map(|skipped| skipped.reason)
}

fn view(workload: &Workload) -> &crate::rollout::HelmReleaseView {
    match &workload.rollout {
        View::HelmRelease(view) => view,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_release_stays_as_it_is() {
    let other = Workload { release: None, ..alone(templated("podinfo", "1.0.0"), &[]) };
    assert_eq!(resolve(&other, Some(&helm("https://charts.example")), 3), other);
}

#[rstest]
#[case::http("https://charts.example/stable/", "podinfo", "https://charts.example/stable", "charts.example")]
#[case::http_with_a_port("HTTP://Charts.Example:8080", "podinfo", "http://charts.example:8080", "charts.example:8080")]
#[case::http_nested("https://charts.example", "team/podinfo", "https://charts.example", "charts.example")]
#[case::oci("oci://registry.example/charts", "podinfo", "registry.example/charts/podinfo", "registry.example")]
#[case::oci_with_a_slash("oci://registry.example:5000/charts/", "podinfo", "registry.example:5000/charts/podinfo", "registry.example:5000")]
#[case::oci_nested("oci://registry.example/charts", "team/podinfo", "registry.example/charts/team/podinfo", "registry.example")]
#[case::oci_host_alone("oci://registry.example", "podinfo", "registry.example/podinfo", "registry.example")]
#[case::oci_host_without_a_dot("oci://registry/charts", "podinfo", "registry/charts/podinfo", "registry")]
#[case::oci_docker_hub("oci://registry-1.docker.io/bitnamicharts", "redis", "docker.io/bitnamicharts/redis", "docker.io")]
fn where_versions_are_published(#[case] url: &str, #[case] chart: &str, #[case] origin: &str, #[case] host: &str) {
    let workload = resolve(&alone(templated(chart, "1.2.0"), &[]), Some(&helm(url)), 1);
    assert_eq!(site(&workload).origin.as_ref().map(ToString::to_string).as_deref(), Some(origin));
    assert_eq!((left(&workload), image(&workload)), (None, format!("{chart}:1.2.0").as_str()));
    let awaited = if origin.contains("://") { Duration::from_mins(1) } else { Duration::ZERO };
    assert_eq!(view(&workload).source_interval, awaited, "what a registry has Flux sees at once");
    assert_eq!((workload.destination.is_none(), workload.generation), (true, GENERATIONS.0), "the version is in the release itself");
    let access = ChartAccess { host: host.to_owned(), ..helm(url).access };
    assert_eq!(workload.pull, PullSource::Chart(Box::new(access)));
}

#[rstest]
#[case::no_scheme("charts.example")]
#[case::another_scheme("ftp://charts.example")]
#[case::empty("")]
#[case::with_a_user("https://user:pass@charts.example")]
#[case::no_host("oci://")]
#[case::no_legal_path("oci://registry.example/Charts")]
fn bad_addresses(#[case] url: &str) {
    let workload = resolve(&alone(templated("podinfo", "1.2.0"), &[]), Some(&helm(url)), 1);
    let Reasoned { reason, message } = site(&workload).skip_reason.clone().unwrap();
    assert_eq!((reason, site(&workload).origin.clone(), image(&workload)), (Reason::SourceUnsupported, None, "podinfo:1.2.0"));
    assert!(message.contains("HelmRepository n/charts"), "{message}");
    let source = Source { url: url.to_owned(), ..oci(OciRef::Tag("1.2.0".to_owned())) };
    assert_eq!(left(&resolve(&alone(referring(), &[]), Some(&source), 1)), Some(Reason::SourceUnsupported));
}

#[test]
fn an_illegal_name_is_shown_and_can_be_read_by_nobody() {
    let workload = resolve(&alone(templated("../podinfo", "1.2.0"), &[]), Some(&helm("https://charts.example")), 1);
    assert_eq!(image(&workload), "../podinfo:1.2.0");
    assert!(workload.containers[0].artifact().is_err());
}

/// The references of an `OCIRepository`: the shown version, the version expected in its status, and the reason not to
/// update.
#[rstest]
#[case::tag(OciRef::Tag("1.2.0".to_owned()), "podinfo:1.2.0", "1.2.0", None)]
#[case::metadata(OciRef::Tag("1.2.0_build.7".to_owned()), "podinfo:1.2.0+build.7", "1.2.0_build.7", None)]
#[case::latest(OciRef::Tag("latest".to_owned()), "podinfo:latest", "latest", None)]
#[case::nothing_named(OciRef::Latest, "podinfo:latest", "", Some(Reason::SourceUnsupported))]
#[case::semver(OciRef::Semver(">=1.0.0".to_owned()), "podinfo:>=1.0.0", "", Some(Reason::VersionRange))]
#[case::digest(OciRef::Digest("sha256:abc".to_owned()), "podinfo:sha256:abc", "", Some(Reason::SourcePinned))]
fn oci_repositories(#[case] pull: OciRef, #[case] shown: &str, #[case] wanted: &str, #[case] reason: Option<Reason>) {
    let source = oci(pull);
    let workload = resolve(&alone(referring(), &[]), Some(&source), 1);
    assert_eq!((image(&workload), left(&workload)), (shown, reason));
    assert_eq!(site(&workload).origin.as_ref().map(ToString::to_string).as_deref(), Some("registry.example/team/podinfo"));
    assert_eq!((view(&workload).wanted.as_str(), view(&workload).source.as_ref()), (wanted, reason.is_none().then_some(&source.seen)));
    assert!(matches!(workload.containers[0].artifact(), Ok(Artifact::Chart(chart)) if chart.name() == "podinfo"));
}

#[rstest]
#[case::git(ChartSourceRef::Other("GitRepository".to_owned()), Reason::SourceUnsupported, "GitRepository")]
#[case::bucket(ChartSourceRef::Other("Bucket".to_owned()), Reason::SourceUnsupported, "Bucket")]
#[case::nothing(ChartSourceRef::Nothing, Reason::SourceMissing, "neither a chart nor a source")]
#[case::not_there(ChartSourceRef::Source(key(SourceKind::HelmRepository)), Reason::SourceMissing, "HelmRepository n/charts does not exist")]
fn no_versions_to_choose_from(#[case] source: ChartSourceRef, #[case] reason: Reason, #[case] words: &str) {
    for release in [templated("podinfo", "1.2.0"), Release { running: Some("1.1.0".to_owned()), ..referring() }] {
        let templated = release.chart.is_some();
        let workload = resolve(&alone(Release { source: source.clone(), ..release }, &[]), None, 1);
        let Reasoned { reason: code, message } = site(&workload).skip_reason.clone().unwrap();
        assert!(code == reason && message.contains(words), "{code}: {message}");
        assert_eq!((site(&workload).origin.clone(), &workload.pull, workload.destination.is_none()), (None, &PullSource::default(), true));
        // If the chart is the source's own, only the running version can be shown.
        let name = if matches!(source, ChartSourceRef::Source(_)) { "charts" } else { CHART };
        assert_eq!(image(&workload), if templated { "podinfo:1.2.0".to_owned() } else { format!("{name}:1.1.0") });
    }
}

#[rstest]
#[case(">=1.2", true)]
#[case("1.x", true)]
#[case("1.2.*", true)]
#[case("*", true)]
#[case("", true)]
#[case("1.2", true)]
#[case("1", true)]
#[case("v1", true)]
#[case("^1.2.0", true)]
#[case("~1.2.0", true)]
#[case("1.2.0 - 1.4.0", true)]
#[case("1.2.0 || 1.4.0", true)]
#[case("1.2.0", false)]
#[case("v1.2.0", false)]
#[case("1.2.0-rc.1", false)]
#[case("1.2.0-x", false)]
#[case("1.2.0+build.7", false)]
fn ranges_belong_to_flux(#[case] version: &str, #[case] range: bool) {
    let workload = at_version(version, &[]);
    assert_eq!(left(&workload), range.then_some(Reason::VersionRange));
    assert_eq!(image(&workload), format!("podinfo:{version}"));
    assert!(site(&workload).origin.is_some(), "its versions can be shown all the same");
}

/// Of several reasons, the one that lasts longest is reported.
#[rstest]
#[case::release(true, false, None, "1.2.0", Reason::Suspended, "the release is suspended")]
#[case::source(false, true, None, "1.2.0", Reason::Suspended, "HelmRepository n/charts is suspended")]
#[case::both(true, true, None, "1.2.0", Reason::Suspended, "the release is suspended")]
#[case::denied(false, false, Some("not yours"), "1.2.0", Reason::AccessDenied, "not yours")]
#[case::denied_and_a_range(true, false, Some("not yours"), "1.x", Reason::AccessDenied, "not yours")]
#[case::a_range_and_suspended(true, false, None, "1.x", Reason::VersionRange, "\"1.x\" is a range")]
fn skip_reason(
    #[case] release_suspended: bool,
    #[case] source_suspended: bool,
    #[case] denied: Option<&str>,
    #[case] version: &str,
    #[case] reason: Reason,
    #[case] words: &str,
) {
    let release = Release { suspended: release_suspended, denied: denied.map(str::to_owned), ..templated("podinfo", version) };
    let source = Source { suspended: source_suspended, ..helm("https://charts.example") };
    let workload = resolve(&alone(release, &[]), Some(&source), 1);
    let Reasoned { reason: code, message } = site(&workload).skip_reason.clone().unwrap();
    assert!(code == reason && message.contains(words), "{code}: {message}");
    assert_eq!(view(&workload).suspended, release_suspended || source_suspended, "its rollout is not waited for meanwhile");
    let fatal = |reason: Reason| matches!(reason, Reason::AccessDenied | Reason::VersionRange);
    assert_eq!(passes(code), !fatal(code));
}

/// The consent to share is read from the object that is changed, never from the release.
#[rstest]
#[case::own(1, &[], &[], None)]
#[case::shared(2, &[], &[], Some(Reason::SourceShared))]
#[case::consent(2, &[("shared-source", "true")], &[], None)]
#[case::refusal(2, &[("shared-source", "false")], &[], Some(Reason::SourceShared))]
#[case::a_release_cannot_consent(2, &[], &[("shared-source", "true")], Some(Reason::SourceShared))]
fn a_tag_that_several_follow(
    #[case] followers: usize,
    #[case] of_source: &[(&str, &str)],
    #[case] of_release: &[(&str, &str)],
    #[case] expected: Option<Reason>,
) {
    let reason = |workload: &Workload| site(workload).skip_reason().map(|skipped| skipped.reason);
    let annotations = of_source.iter().map(|(name, value)| (format!("{}{name}", key::PREFIX), (*value).to_owned())).collect();
    let tag = Source { annotations, ..oci(OciRef::Tag("1.2.0".to_owned())) };
    let shared = resolve(&alone(referring(), of_release), Some(&tag), followers);
    assert_eq!((reason(&shared), site(&shared).shared_by), (expected, followers));
    if let Some(Reasoned { message, .. }) = site(&shared).skip_reason() {
        assert!(message.starts_with("other releases use") && message.contains(SHARED_SOURCE), "{message}");
    }
    // Lasting reasons come first. Releases of one HelmRepository are independent.
    let suspended = resolve(&alone(Release { suspended: true, ..referring() }, &[]), Some(&tag), followers);
    assert_eq!(reason(&suspended), Some(Reason::Suspended));
    let apart = resolve(&alone(templated("podinfo", "1.2.0"), &[]), Some(&helm("https://charts.example")), followers);
    assert_eq!((reason(&apart), site(&apart).shared_by), (None, 1));
}

/// The same source, in the namespace `platform`.
fn elsewhere(source: Source) -> Source {
    let key = SourceKey { namespace: "platform".to_owned(), ..source.key };
    Source { access: ChartAccess { namespace: "platform".to_owned(), ..source.access }, key, ..source }
}

/// A workload gets nothing from a source that may not be used: no origin, no credentials, no object to write.
fn assert_out_of_reach(workload: &Workload, reason: Reason) {
    let Reasoned { reason: code, message } = site(workload).skip_reason().unwrap();
    assert!(code == reason && message.contains("platform/charts"), "{code}: {message}");
    assert_eq!((site(workload).origin.clone(), &workload.pull, &workload.destination), (None, &PullSource::default(), &None));
    assert!(!workload.is_unseen(), "its requests are ended");
}

/// A release never causes a change in another namespace, whatever the annotations.
#[rstest]
fn an_oci_repository_of_another_namespace(#[values(&[][..], &[("shared-source", "true")][..])] annotations: &[(&str, &str)]) {
    let source = elsewhere(oci(OciRef::Tag("1.2.0".to_owned())));
    let release = Release { source: ChartSourceRef::Source(source.key.clone()), accepted: Some("platform".to_owned()), ..referring() };
    let workload = resolve(&alone(release.clone(), annotations), Some(&source), 1);
    assert_out_of_reach(&workload, Reason::SourceInOtherNamespace);
    assert!(!image(&workload).contains("1.2.0"), "what another namespace's object says is not shown");
    assert!(!passes(Reason::SourceInOtherNamespace));
    assert_eq!(left(&resolve(&alone(release, annotations), None, 1)), Some(Reason::SourceInOtherNamespace), "known or not");
}

/// A HelmRepository in another namespace is queried with its secrets only once Flux has accepted it.
#[rstest]
#[case::open(false, None, None)]
#[case::not_looked_at_yet(true, None, Some(Reason::SourceNotAccepted))]
#[case::another_was_accepted(true, Some("n"), Some(Reason::SourceNotAccepted))]
#[case::accepted(true, Some("platform"), None)]
fn a_helm_repository_of_another_namespace(#[case] secret: bool, #[case] accepted: Option<&str>, #[case] expected: Option<Reason>) {
    let mut source = elsewhere(helm("https://charts.example"));
    source.access.secret = secret.then(|| "login".to_owned());
    let accepted = accepted.map(str::to_owned);
    let release = Release { source: ChartSourceRef::Source(source.key.clone()), accepted, ..templated("podinfo", "1.2.0") };
    let workload = resolve(&alone(release, &[]), Some(&source), 1);
    match expected {
        Some(reason) => assert_out_of_reach(&workload, reason),
        None => assert!(left(&workload).is_none() && site(&workload).origin.is_some(), "{workload:?}"),
    }
    assert_out_of_reach(&confine(workload), Reason::SourceInOtherNamespace);
    let own = at_version("1.2.0", &[]);
    assert_eq!(confine(own.clone()), own);
}

#[test]
fn what_is_written_stands_where_the_version_does() {
    let own = [("policy", "minor"), ("last-request", "of-another-life"), ("update-history", "[]")];
    let noted = [(LAST_REQUEST, "r"), (LAST_UPDATE, "2026-01-01T00:00:00Z"), ("headwind.sh/policy", "all")];
    let annotations = noted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let source = Source { annotations, has_annotations: true, ..oci(OciRef::Tag("1.2.0".to_owned())) };
    let workload = resolve(&alone(referring(), &own), Some(&source), 1);
    let expected = Destination {
        namespace: "n".to_owned(),
        name: "charts".to_owned(),
        uid: "source-uid".to_owned(),
        resource_version: "70".to_owned(),
        has_annotations: true,
        url: "oci://registry.example/team/podinfo".to_owned(),
    };
    assert_eq!(workload.destination, Some(expected));
    let has = |name: &str| workload.annotations.get(name).map(String::as_str);
    assert_eq!((has(LAST_REQUEST), has(LAST_UPDATE), has(UPDATE_HISTORY)), (Some("r"), Some("2026-01-01T00:00:00Z"), None));
    assert_eq!(has("headwind.sh/policy"), Some("minor"), "annotations of people are on the release");
    assert_eq!(workload.generation, GENERATIONS.0 + GENERATIONS.1, "it grows with either");
    assert_eq!((workload.uid.as_str(), workload.resource_version.as_str(), view(&workload).generation), ("uid", "7", GENERATIONS.0));
}

/// The running version is shown if it differs from the requested one.
#[rstest]
#[case::the_same("1.2.0", Some("1.2.0"), None)]
#[case::not_known("1.2.0", None, None)]
#[case::behind("1.2.0", Some("1.1.0"), Some("1.1.0"))]
#[case::of_a_range("1.x", Some("1.1.0"), Some("1.1.0"))]
#[case::spelt_otherwise("v1.2.0", Some("1.2.0"), None)]
#[case::the_only_build_there_is("1.2.0", Some("1.2.0+build.7"), None)]
fn what_runs(#[case] version: &str, #[case] running: Option<&str>, #[case] shown: Option<&str>) {
    let release = Release { running: running.map(str::to_owned), ..templated("podinfo", version) };
    let workload = resolve(&alone(release, &[]), Some(&helm("https://charts.example")), 1);
    assert_eq!(site(&workload).running.as_deref(), shown);
}

/// Flux replaces the build metadata of an `OCIRepository`'s chart with its digest.
#[rstest]
#[case::the_same("1.2.0", "1.2.0+92a4fa0b73a2", None)]
#[case::with_metadata("1.2.0_build.7", "1.2.0+92a4fa0b73a2", None)]
#[case::behind("1.2.0", "1.1.0+2490b250eba2", Some("1.1.0"))]
fn what_runs_of_an_oci_repository(#[case] tag: &str, #[case] running: &str, #[case] shown: Option<&str>) {
    let release = Release { running: Some(running.to_owned()), ..referring() };
    let workload = resolve(&alone(release, &[]), Some(&oci(OciRef::Tag(tag.to_owned()))), 1);
    assert_eq!(site(&workload).running.as_deref(), shown);
}
