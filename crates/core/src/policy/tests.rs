use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::artifact::ArtifactKind;
use crate::artifact::reference::Digest;
use crate::artifact::version::{natural_order, parse_tag};

fn rule(policy: &str) -> Rule {
    let (policy, pattern) = policy.split_once(' ').map_or((policy, None), |(policy, pattern)| (policy, Some(pattern)));
    Rule { policy: policy.parse().unwrap(), pattern: pattern.map(|text| Pattern::new(text).unwrap()) }
}

fn tags(text: &str) -> Vec<Candidate> {
    text.split_whitespace().map(|tag| Candidate::new(tag.to_owned(), None)).collect()
}

fn current(tag: &str) -> Current {
    Current { tag: Some(tag.to_owned()), ..Current::default() }
}

fn chosen(policy: &str, at: &str, candidates: &str) -> Option<String> {
    let candidates = tags(candidates);
    let judgement = judge(&rule(policy), ArtifactKind::Image, Occasion::Event, &current(at), &candidates);
    judgement.chosen.map(|place| candidates[place].tag.clone())
}

#[rstest]
#[case("none", "1.2.3", "1.2.4", None)]
#[case("patch", "1.2.3", "1.2.4 1.3.0 2.0.0", Some("1.2.4"))]
#[case("minor", "1.2.3", "1.2.4 1.3.0 2.0.0", Some("1.3.0"))]
#[case("major", "1.2.3", "1.2.4 1.3.0 2.0.0", Some("2.0.0"))]
#[case("major", "1.2.3", "1.2.2 1.2.3", None)]
#[case("patch", "1.2.3-debian-12-r4", "1.2.3-debian-12-r5", Some("1.2.3-debian-12-r5"))]
#[case("minor", "1.27-alpine", "1.28 1.28-alpine3.19 1.28-windowsservercore 1.28-alpine", Some("1.28-alpine"))]
#[case("minor", "1.1.1-staging", "1.1.2 1.1.2-staging", Some("1.1.2-staging"))]
#[case("minor", "1.27-alpine3.19", "1.28-alpine3.20 1.28-alpine3.19", Some("1.28-alpine3.19"))]
#[case("major", "3", "20240329 4", Some("4"))]
#[case("major", "1.9", "2024.1", None)]
#[case("major", "1.27", "1.27.1", None)]
#[case("major", "v1.2", "1.3", None)]
#[case("minor", "1.2.0", "1.3.0-rc.1", None)]
#[case("all", "1.2.0", "1.3.0-rc.1", Some("1.3.0-rc.1"))]
#[case("minor", "1.2.0-rc.1", "1.2.0-rc.2", Some("1.2.0-rc.2"))]
#[case("minor", "1.2.0-rc.1", "1.3.0-rc.2", None)]
#[case("minor", "1.2.0-rc.1", "1.2.0", Some("1.2.0"))]
#[case("minor *-rc*", "1.2.0", "1.3.0-rc.1", Some("1.3.0-rc.1"))]
#[case("minor *", "1.2.0", "1.3.0-rc.1", None)]
#[case("minor 1.3.*", "1.2.0", "1.3.1 1.4.0", Some("1.3.1"))]
#[case("major", "latest", "1.3.1 latest", None)]
#[case("major", "1.2.3", "latest main 1abb7b5dd", None)]
#[case("major", "2024.1.5", "2024.01.05", None)]
#[case("major", "2024.01.05", "2024.2.5 2024.02.05", Some("2024.02.05"))]
#[case("major", "1.2.3", "1.2.4_b 1.2.4_a", Some("1.2.4_a"))]
#[case("major", "1.2.3_b", "1.2.4_a 1.2.4_b", Some("1.2.4_b"))]
#[case("glob build-*", "build-9", "build-10 build-8", Some("build-10"))]
#[case("glob build-*", "build-9", "build-8", None)]
#[case("glob build-*", "main", "build-8 build-9", Some("build-9"))]
#[case("glob 1.*", "1.9", "1.10 1.8", Some("1.10"))]
#[case("glob *-alpine*", "1.27-alpine3.19", "1.27-alpine3.20", Some("1.27-alpine3.20"))]
#[case("glob 1.*", "1.9", "1.10-rc.1", None)]
#[case("glob 1.*", "1.27.0-alpine", "1.27.1 1.27.1-alpine 1.27.1-windowsservercore", Some("1.27.1-alpine"))]
#[case("glob 1.*", "1.27.0", "1.27.1-perl 1.27.1", Some("1.27.1"))]
#[case("glob 1.*", "1.27.0", "1.27.0-perl", None)]
#[case("glob 1.*", "1.27.0", "1.27.1-slim 1.27.1-perl", Some("1.27.1-perl"))]
#[case("glob *-alpine*", "1.27-alpine3.19", "1.27-alpine 1.27-alpine3.9 1.27-alpine3.20", Some("1.27-alpine3.20"))]
#[case("minor 3.*-[a-z]*", "3.12.1-alpine", "3.13.0a1-alpine 3.12.2-alpine", Some("3.12.2-alpine"))]
#[case("minor v[!a-m]*", "v1.2.3", "v1.3.0-m.1", None)]
#[case("minor *-{rc,beta}.[0-9]", "1.2.0", "1.3.0-beta.2", Some("1.3.0-beta.2"))]
#[case("glob {main,dev}-*", "main-3", "dev-1 main-4", Some("main-4"))]
#[case("glob v[12].*", "v1.0", "v2.1 v3.0", Some("v2.1"))]
#[case("glob Build-*", "x", "build-1", None)]
#[case(
    "patch",
    "17.0.3_7-jdk-alpine",
    "17.0.5_8-jdk 17.0.5_8-jdk-alpine 17.0.5_8-jre-alpine 18.0.1_10-jdk-alpine",
    Some("17.0.5_8-jdk-alpine")
)]
#[case("patch", "17.0.3_7-jdk", "17.0.3_10-jdk 17.0.3_8-jdk", Some("17.0.3_10-jdk"))]
#[case("major", "2026-08-28", "2026-09-03 2026-08-29 2027-08-28", Some("2027-08-28"))]
#[case("minor", "2026-08-28", "2026-09-03 2026-08-29", Some("2026-09-03"))]
#[case("minor", "2026-08-28", "2026-09 2026-08-27", None)]
#[case("minor", "1.4.9", "1.4.10 1.20231120.1", Some("1.4.10"))]
#[case("patch", "2.5.0p9-slim", "2.5.0p10-slim 2.5.1-slim 2.5.0p11", Some("2.5.0p10-slim"))]
#[case("patch", "1.2.3-r4", "1.2.3-r5 1.2.4", Some("1.2.3-r5"))]
#[case("minor", "1.2.3-dev.12", "1.2.3-dev.13 1.2.4", Some("1.2.3-dev.13"))]
#[case("minor", "1.2.3", "1.2.4_7 1.2.4_b", Some("1.2.4_b"))]
#[case("major", "1.2.3", "1abb7b5dd 9abb7b5", None)]
#[case("all", "1.2.0", "1.2.0-18-g1abb7b5dd 1.3.0-2-g1abb7b5dd", Some("1.3.0-2-g1abb7b5dd"))]
#[case("minor", "1.2.0-rc1", "1.2.0-rc2 1.2.0-rc.2", Some("1.2.0-rc2"))]
#[case("minor", "2024.01.05", "2024.2.5 2024.02.05 2024.02.5", Some("2024.02.05"))]
#[case("minor", "99999999999999999999.1", "99999999999999999999.2 99999999999999999999.10", Some("99999999999999999999.10"))]
#[case("glob 1.*", "1.2.0", "1 1.2 1.3 1.2.0 1.2.1 1.3.0 1.3.0-rc.1", Some("1.3.0"))]
#[case("glob 1.*-rc*", "1.3.0-rc.1", "1 1.3.0 1.3.0-rc.2 1.3-rc.3", Some("1.3.0-rc.2"))]
#[case("force", "1.2.3", "1.0.0", Some("1.0.0"))]
#[case("force", "1.2.3", "main", Some("main"))]
#[case("force", "main", "a b", Some("b"))]
#[case("force 1.*", "1.2.3", "main", None)]
#[case("force", "latest", "latest", Some("latest"))]
#[case("force release-*", "latest", "latest", None)]
#[case("force la*", "latest", "latest", Some("latest"))]
fn choices(#[case] policy: &str, #[case] at: &str, #[case] candidates: &str, #[case] expected: Option<&str>) {
    assert_eq!(chosen(policy, at, candidates).as_deref(), expected);
    // Except for force, the order of the list does not matter.
    if !policy.starts_with("force") {
        let reversed = candidates.split_whitespace().rev().collect::<Vec<_>>().join(" ");
        assert_eq!(chosen(policy, at, &reversed).as_deref(), expected, "reversed");
    }
}

#[rstest]
#[case("none", "1.2.3", "1.2.4", Reason::PolicyNone)]
#[case("minor", "1.2.3", "1.2.3", Reason::SameTag)]
#[case("minor", "1.2.3", "1.2.2", Reason::LowerVersion)]
#[case("minor", "1.2.3", "2.0.0", Reason::MajorDiffers)]
#[case("patch", "1.2.3", "1.3.0", Reason::MinorDiffers)]
#[case("minor", "1.2.3", "1.2.4-alpine", Reason::VariantDiffers)]
#[case("minor", "1.2.3", "1.2.4-7", Reason::RevisionDiffers)]
#[case("minor", "1.2.3", "1.3", Reason::SchemeDiffers)]
#[case("minor", "1.2.3", "1.3.0-rc1", Reason::PreRelease)]
#[case("minor", "1.2.3", "edge", Reason::NotAVersion)]
#[case("minor", "latest", "1.2.3", Reason::CurrentNotAVersion)]
#[case("minor", "2024.1.5", "2024.01.05", Reason::SameVersion)]
#[case("minor 9.*", "1.2.3", "1.3.0", Reason::PatternMismatch)]
#[case("minor", "1.2.0", "1.1.0-rc.1", Reason::LowerVersion)]
#[case("minor", "17.0.3_7-jdk", "17.0.5-jdk", Reason::RevisionDiffers)]
#[case("minor", "1.4.9", "1.20231120.1", Reason::SchemeDiffers)]
#[case("glob 1.*", "1.2.0", "1.3.0-rc.1", Reason::PreRelease)]
#[case("glob 1.*", "1.2.0", "1.1.0", Reason::LowerMatch)]
#[case("glob", "1.2.3", "1.3.0", Reason::PatternMissing)]
#[case("force", "1.2.3", "bad/tag", Reason::InvalidTag)]
#[case("force", "1.2.3", "sha256-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sig", Reason::NotAnImage)]
fn refusals(#[case] policy: &str, #[case] at: &str, #[case] candidate: &str, #[case] reason: Reason) {
    let judgement = judge(&rule(policy), ArtifactKind::Image, Occasion::Event, &current(at), &tags(candidate));
    assert_eq!(judgement.candidates[0].reason, reason, "{}", judgement.candidates[0].message);
    assert_eq!(judgement.candidates[0].outcome, Outcome::Refused);
}

fn digest(letter: &str) -> Digest {
    Digest::parse(&format!("sha256:{}", letter.repeat(64))).unwrap()
}

#[test]
fn digests_behind_the_same_tag() {
    let at = |known: Option<&str>| Current { tag: Some("latest".to_owned()), digest: known.map(digest), known: Vec::new() };
    let pushed = |new: Option<&str>| vec![Candidate::new("latest".to_owned(), new.map(digest))];
    let reason = |policy: &str, known, new, occasion| {
        judge(&rule(policy), ArtifactKind::Image, occasion, &at(known), &pushed(new)).candidates[0].reason
    };
    assert_eq!(reason("force", Some("a"), Some("b"), Occasion::Event), Reason::NewDigest);
    assert_eq!(reason("force", Some("a"), Some("a"), Occasion::Event), Reason::SameDigest);
    assert_eq!(reason("force", Some("a"), None, Occasion::Event), Reason::NewDigest);
    assert_eq!(reason("force", None, Some("b"), Occasion::Scan), Reason::NewDigest);
    assert_eq!(reason("minor", Some("a"), Some("b"), Occasion::Event), Reason::SameTag);
    let other = judge(&rule("force"), ArtifactKind::Image, Occasion::Scan, &at(None), &tags("1.2.3"));
    assert_eq!(other.candidates[0].reason, Reason::NotFollowed);
}

#[test]
fn a_digest_alone_belongs_to_force() {
    let alone = Current { tag: None, digest: Some(digest("a")), known: Vec::new() };
    let pushed = [Candidate::new("1.2.4".to_owned(), Some(digest("b")))];
    assert_eq!(judge(&rule("major"), ArtifactKind::Image, Occasion::Event, &alone, &pushed).candidates[0].reason, Reason::DigestOnly);
    assert_eq!(judge(&rule("force"), ArtifactKind::Image, Occasion::Event, &alone, &pushed).chosen, Some(0));
}

#[test]
fn charts_are_semver_and_ranges_are_left() {
    let judged = |at: &str, candidates: &str| {
        let candidates = tags(candidates);
        judge(&rule("minor"), ArtifactKind::Chart, Occasion::Scan, &current(at), &candidates)
            .chosen
            .map(|place| candidates[place].tag.clone())
    };
    assert_eq!(judged("1.2.3", "1.2.4 1.3.0 1.4.0-alpine 2.0.0").as_deref(), Some("1.3.0"));
    assert_eq!(judged("v1.2.3", "v1.3.0").as_deref(), Some("v1.3.0"));
    assert_eq!(judged("v1.2.3", "1.3").as_deref(), None, "Flux would read it as a range");
    assert_eq!(
        judge(&rule("minor"), ArtifactKind::Chart, Occasion::Scan, &current(">=1.2"), &tags("1.3.0")).candidates[0].reason,
        Reason::VersionRange
    );
}

#[test]
fn a_pattern_orders_the_same_once_a_tag_is_taken() {
    let candidates: Vec<Candidate> = ["v1-r1", "v1-rc.1"].iter().map(|tag| Candidate::new((*tag).to_owned(), None)).collect();
    let chosen = |at: &str| judge(&rule("glob *"), ArtifactKind::Image, Occasion::Scan, &current(at), &candidates).chosen;
    assert_eq!((chosen("2024.01.05"), chosen("v1-r1")), (Some(0), None));
}

/// The current tag is a hotfix, which the pattern does not match.
#[rstest]
#[case::nothing_known("", "build-7 build-8", Some("build-8"))]
#[case::applied_before("build-9", "build-8", None)]
#[case::higher_than_applied("build-9", "build-8 build-10", Some("build-10"))]
#[case::the_same_again("build-9", "build-9", Some("build-9"))]
#[case::what_does_not_match_counts_for_nothing("other-9", "build-8", Some("build-8"))]
fn glob_from_outside_of_its_pattern(#[case] known: &str, #[case] candidates: &str, #[case] expected: Option<&str>) {
    let current = Current { known: known.split_whitespace().map(str::to_owned).collect(), ..current("hotfix") };
    let candidates = tags(candidates);
    for occasion in [Occasion::Event, Occasion::Scan] {
        let judged = judge(&rule("glob build-*"), ArtifactKind::Image, occasion, &current, &candidates);
        assert_eq!(judged.chosen.map(|place| candidates[place].tag.as_str()), expected);
    }
}

#[test]
fn a_verdict_of_glob_is_not_ranked_again() {
    let (rule, current) = (rule("glob 1.*"), current("1.2.0"));
    let accepts =
        |tag: &str| still_accepts(&rule, ArtifactKind::Image, &current, &Candidate::new(tag, None)).map_err(|refused| refused.reason);
    assert_eq!(accepts("1.3.0-rc.1"), Ok(()), "it was chosen under another pattern, or all were");
    assert_eq!(accepts("1.1.0"), Ok(()));
    assert_eq!(accepts("2.0.0"), Err(Reason::PatternMismatch));
    assert_eq!(accepts("1.2.0"), Err(Reason::SameTag));
}

fn any_tag() -> impl Strategy<Value = String> {
    let number = 0_u32..4;
    prop_oneof![
        (
            prop::option::of(Just("v")),
            prop::collection::vec(number, 1..4),
            prop::sample::select(vec!["", "-alpine", "-rc.1", "-rc.2", "-r1", "-r2", "-7", "_7", "p9", "_m", "-alpine-r3", "-4-gabcd123"])
        )
            .prop_map(|(v, numbers, suffix)| format!(
                "{}{}{suffix}",
                v.unwrap_or_default(),
                numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
            )),
        Just("latest".to_owned()),
        Just("2024.01.05".to_owned()),
        Just("2024-01-05".to_owned()),
        Just("1.20240105".to_owned()),
        Just("build-7".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20000))]

    #[test]
    fn never_down_and_taken_once(at in any_tag(), list in prop::collection::vec(any_tag(), 0..8), policy in prop::sample::select(vec!["patch", "minor", "major", "all", "glob *", "glob [0-9v]*"])) {
        let candidates: Vec<Candidate> = list.iter().map(|tag| Candidate::new(tag.clone(), None)).collect();
        let rule = rule(policy);
        let first = judge(&rule, ArtifactKind::Image, Occasion::Scan, &current(&at), &candidates);
        let mut backwards = candidates.clone();
        backwards.reverse();
        let second = judge(&rule, ArtifactKind::Image, Occasion::Scan, &current(&at), &backwards);
        let choice = choose(&rule, ArtifactKind::Image, Occasion::Scan, &current(&at), &candidates);
        prop_assert_eq!(choice.accepted.first().copied(), first.chosen, "with sentences and without");
        prop_assert_eq!(choice.accepted.len(), first.candidates.iter().filter(|verdict| verdict.outcome != Outcome::Refused).count());
        if let Some(chosen) = first.chosen {
            prop_assert!(still_accepts(&rule, ArtifactKind::Image, &current(&at), &candidates[chosen]).is_ok(), "judged once");
        }
        let tag = |judgement: &Judgement, list: &[Candidate]| judgement.chosen.map(|place| list[place].tag.clone());
        prop_assert_eq!(tag(&first, &candidates), tag(&second, &backwards), "the order of the list");
        if let Some(taken) = tag(&first, &candidates) {
            prop_assert!(!(policy.starts_with("glob") && natural_order(&taken, &at).is_eq()));
            if let (Some(old), Some(new)) = (parse_tag(&at), parse_tag(&taken))
                && rule.policy != Policy::Glob
            {
                prop_assert!(new.cmp_precedence(&old).is_gt(), "{} to {}", at, taken);
            }
            let again = judge(&rule, ArtifactKind::Image, Occasion::Scan, &current(&taken), &candidates);
            prop_assert_eq!(tag(&again, &candidates), None, "taken, then something else taken");
        }
        prop_assert_eq!(first.candidates.iter().filter(|verdict| verdict.outcome == Outcome::Chosen).count(), usize::from(first.chosen.is_some()));
    }

    #[test]
    fn nothing_breaks_it(at in "\\PC{0,40}", list in prop::collection::vec("\\PC{0,40}", 0..4), pattern in "\\PC{0,20}") {
        let pattern = Pattern::new(&pattern).ok();
        for policy in Policy::ALL {
            let candidates: Vec<Candidate> = list.iter().map(|tag| Candidate::new(tag.clone(), None)).collect();
            let _ = judge(&Rule { policy: *policy, pattern: pattern.clone() }, ArtifactKind::Image, Occasion::Event, &current(&at), &candidates);
        }
    }
}

/// The properties of a policy agree with what it decides.
#[test]
fn properties_agree_with_decisions() {
    for policy in Policy::ALL.iter().copied() {
        let rule = |pattern: Option<&str>| Rule { policy, pattern: pattern.map(|text| Pattern::new(text).unwrap()) };
        let pushed = Candidate::new("1.0.0", Some(Digest::parse(&format!("sha256:{}", "b".repeat(64))).unwrap()));
        let accepts = |rule: &Rule, candidates: &[Candidate]| {
            let choice = choose(rule, ArtifactKind::Image, Occasion::Event, &current("1.0.0"), candidates);
            (choice.accepted, choice.headline.reason)
        };
        let higher = tags("1.0.2 1.0.1");
        let (accepted, _) = accepts(&rule(Some("*")), &higher);
        assert_eq!(accepted.is_empty(), policy.is_off(), "{policy}");
        // Without an order, the last one wins.
        assert_eq!(accepted.first() == Some(&0), policy.ranks_versions(), "{policy}");
        let (accepted, _) = accepts(&rule(Some("*")), &[pushed]);
        assert_eq!(!accepted.is_empty(), policy.follows_digest(), "{policy}");
        let (_, reason) = accepts(&rule(None), &higher);
        assert_eq!(reason == Reason::PatternMissing, policy.needs_pattern(), "{policy}");
        let (accepted, _) = accepts(&rule(None), &tags("1.1.0-rc.1"));
        assert_eq!(!accepted.is_empty() && policy.ranks_versions(), policy.accepts_pre_releases(), "{policy}");
        // A verdict that depends on the whole list is not made again for one candidate.
        let again = still_accepts(&rule(Some("*")), ArtifactKind::Image, &current("1.0.0"), &Candidate::new("0.9.0", None));
        assert_eq!(policy.ranks_versions() && again.is_ok(), policy.ranks_whole_lists(), "{policy}");
    }
}
