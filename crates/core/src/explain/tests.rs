mod charts;

use super::*;
use crate::decide::PriorRequest;
use crate::gate::Waiting;
use crate::testing::{self, deployment, digest, prior, prior_requests};

/// One version was rejected.
fn rejected(image: &str) -> PriorRequests {
    prior_requests([PriorRequest { obstacle: Some(Reason::Rejected), ..prior("web", image) }])
}

fn workload(annotations: &[(&str, &str)]) -> Workload {
    deployment("app:1.0.0", annotations)
}

fn explained(annotations: &[(&str, &str)], tags: &[&str]) -> Explained {
    let workload = workload(annotations);
    let candidates = testing::candidates(&tags.join(" "));
    of_workload(&workload, &candidates, "app:1.2.0")
}

/// Explains the only container after a person rejected an image.
fn of_workload(workload: &Workload, candidates: &[Candidate], image: &str) -> Explained {
    let moment = Moment { now: Timestamp::from_second(1000).unwrap(), limits: &Limits::default(), nodes: None };
    explain(workload, &Annotations::new(), &workload.containers[0], candidates, &[], &rejected(image), moment)
}

#[test]
fn every_candidate_has_its_verdict() {
    let last = Timestamp::from_second(900).unwrap().to_string();
    let all = explained(&[("policy", "minor"), ("last-update", &last)], &["1.0.0", "1.1.0", "1.2.0", "2.0.0", "latest"]);
    let verdicts: Vec<(Outcome, Reason)> = all.candidates.iter().map(|verdict| (verdict.outcome, verdict.reason)).collect();
    assert_eq!(
        verdicts,
        [
            (Outcome::Refused, Reason::SameTag),
            (Outcome::Chosen, Reason::HigherVersion),
            (Outcome::Refused, Reason::Rejected),
            (Outcome::Refused, Reason::MajorDiffers),
            (Outcome::Refused, Reason::NotAVersion)
        ]
    );
    assert_eq!(
        (all.newest.as_deref(), all.would_take.as_deref(), all.because.reason),
        (Some("2.0.0"), Some("app:1.1.0"), Reason::HigherVersion),
        "the next best"
    );
    assert_eq!(all.gate, Gate::Wait(Waiting::new(Reason::MinUpdateInterval, Timestamp::from_second(1200).ok())));
}

#[test]
fn what_would_be_taken_and_who_takes_no_part() {
    let one = explained(&[("policy", "patch")], &["1.0.1"]);
    assert_eq!((one.would_take.as_deref(), one.because.reason, one.gate), (Some("app:1.0.1"), Reason::HigherVersion, Gate::Open));
    let polled = explained(&[("policy", "patch"), ("event-source", "polling")], &["1.0.1"]);
    assert_eq!(polled.would_take.as_deref(), Some("app:1.0.1"));
    assert_eq!(explained(&[], &["1.0.1"]).because.reason, Reason::PolicyNone);
    assert_eq!(explained(&[("policy", "x")], &["1.0.1"]).because.reason, Reason::InvalidAnnotation);
    assert_eq!(explained(&[("policy", "minor"), ("images", "other")], &["1.0.1"]).because.reason, Reason::NotTracked);
    assert_eq!(explained(&[("policy", "minor")], &[]).because.reason, Reason::NotQueried);
    assert_eq!(explained(&[("policy", "minor"), ("event-source", "none")], &["1.0.1"]).because.reason, Reason::EventSource);
}

/// The headline does not depend on the order of the tags.
#[rstest::rstest]
#[case::beyond_the_policy("minor", "0.1.0 1.0.0 2.0.0 0.2.0", Reason::MajorDiffers, "2.0.0 has another major version")]
#[case::a_release_before_a_pre_release("minor", "3.0.0-rc.1 2.0.0", Reason::MajorDiffers, "2.0.0")]
#[case::a_pre_release("minor", "0.9.0-rc.1 1.1.0-rc.1 1.1.0-rc.2", Reason::PreRelease, "1.1.0-rc.2")]
#[case::nothing_higher("minor", "0.1.0 1.0.0 1.0.0-alpine latest 20240105", Reason::UpToDate, "no version is higher than 1.0.0")]
#[case::rejected("minor", "1.0.0 1.2.0 2.0.0", Reason::Rejected, "1.2.0")]
#[case::taken("minor", "1.0.0 1.2.0 1.1.0 2.0.0", Reason::HigherVersion, "1.1.0")]
#[case::glob("glob", "0.1.0 1.0.0 2.0.0", Reason::UpToDate, "no match of 1.* is higher")]
#[case::force("force", "0.1.0 1.0.0 2.0.0", Reason::NotFollowed, "follows the digest of 1.0.0")]
fn the_headline(#[case] policy: &str, #[case] tags: &str, #[case] reason: Reason, #[case] words: &str) {
    let mut annotations = vec![("policy", policy)];
    annotations.extend((policy == "glob").then_some(("pattern", "1.*")));
    let mut tags: Vec<&str> = tags.split_whitespace().collect();
    for _ in 0..tags.len() {
        let explained = explained(&annotations, &tags);
        assert!(explained.because.reason == reason && explained.because.message.contains(words), "{:?}", explained.because);
        tags.rotate_left(1);
    }
}

#[test]
fn the_digest_of_a_pinned_image_is_looked_up_later() {
    let pinned = deployment(&format!("app:1.0.0@{}", digest('a')), &[("policy", "minor")]);
    let candidates = [Candidate::new("1.1.0", None)];
    let explained = of_workload(&pinned, &candidates, "app:1.2.0");
    assert_eq!((explained.would_take.as_deref(), explained.because.reason), (Some("app:1.1.0"), Reason::HigherVersion));
    assert!(explained.because.message.contains("looks up its digest"), "{}", explained.because.message);
}

/// The age of a version counts from its request, also before anybody approves it.
#[test]
fn the_cool_down_of_a_request_that_waits_for_a_person() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let workload = workload(&[("policy", "minor"), ("cool-down", "1h"), ("min-update-interval", "0")]);
    let mut asks = testing::request("r", "app:1.0.0", "app:1.1.0", at(1000));
    asks.spec.require_approval = true;
    let gate = |asks: &Request| {
        let moment = Moment { now: at(1060), limits: &Limits::default(), nodes: None };
        explain(&workload, &Annotations::new(), &workload.containers[0], &[], &[asks], &PriorRequests::none(), moment).gate
    };
    let waiting = gate(&asks).waiting().cloned().unwrap();
    assert_eq!((waiting.reason, waiting.until), (Reason::CoolDown, Some(at(4600))));
    asks.status.phase = Phase::Rejected;
    assert_eq!(gate(&asks), Gate::Open);
}

/// A repository may have tens of thousands of tags; an answer contains the best verdicts and their number.
#[test]
fn an_answer_has_the_best_verdicts_and_the_counts() {
    let candidates: Vec<Candidate> = (0..5000).map(|number| Candidate::new(format!("{}.{}.0", number % 2 + 1, number), None)).collect();
    let workload = workload(&[("policy", "minor")]);
    let mut explained = of_workload(&workload, &candidates, "app:9.9.9");
    explained.keep_best(300);
    let Counts { chosen, eligible, refused } = explained.counts;
    assert_eq!((chosen, chosen + eligible + refused, explained.candidates.len()), (1, 5000, 300));
    assert!(explained.candidates.iter().any(|verdict| verdict.outcome == Outcome::Chosen));
    assert!(explained.candidates.iter().all(|verdict| verdict.outcome != Outcome::Refused), "what is allowed comes first");
    let place = |verdict: &CandidateVerdict| candidates.iter().position(|candidate| candidate.tag == verdict.tag).unwrap();
    assert!(explained.candidates.windows(2).all(|two| place(&two[0]) < place(&two[1])), "in the order of the list");
}
