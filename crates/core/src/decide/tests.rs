mod charts;

use std::collections::BTreeSet;

use rstest::rstest;

use super::*;
use crate::artifact::ArtifactKind;
use crate::artifact::reference::Digest;
use crate::evidence::{Answer, Need, Trust};
use crate::testing::{self, candidates, digest, prior, prior_requests, trusted};

fn workload(image: &str, annotations: &[(&str, &str)]) -> Workload {
    Workload { generation: 4, ..testing::deployment(image, annotations) }
}

/// Decides about the only container, from a webhook or, in a scan, from polling.
fn look(workload: &Workload, candidates: &[Candidate], occasion: Occasion, evidence: &Evidence, prior: &PriorRequests) -> Decision {
    let trigger = if occasion == Occasion::Scan { Trigger::Polling } else { Trigger::Webhook };
    let evaluation = Evaluation {
        workload,
        defaults: &Annotations::new(),
        container: &workload.containers[0],
        candidates,
        occasion,
        trigger,
        nodes: None,
    };
    decide(&evaluation, evidence, prior)
}

/// Returns the decision about a webhook after the registry answered with that digest, or did not answer.
fn heard(workload: &Workload, tag: &str, digest: Option<Digest>, prior: &PriorRequests) -> Result<Proposal, Reason> {
    let mut evidence = trusted();
    evidence.add(tag, Answer::Unavailable);
    match look(workload, &[Candidate::new(tag, digest)], Occasion::Event, &evidence, prior) {
        Decision::Propose(proposal) => Ok(*proposal),
        Decision::Refuse(refusal) => Err(refusal.reason),
        Decision::Ask(question) => panic!("{question:?} has its answer"),
    }
}

fn ask(workload: &Workload, tag: &str, digest: Option<Digest>) -> Result<Proposal, Reason> {
    heard(workload, tag, digest, &PriorRequests::none())
}

#[test]
fn a_proposal_says_what_from_what_and_why() {
    let workload = workload("nginx:1.25", &[("policy", "minor")]);
    let proposal = ask(&workload, "1.26", Some(digest('b'))).unwrap();
    assert_eq!((proposal.current_image.as_str(), proposal.new_image.as_str()), ("nginx:1.25", "nginx:1.26"));
    assert!(proposal.require_approval && proposal.policy == Policy::Minor && proposal.reason == Reason::HigherVersion);
    let bare = ask(&workload, "1.26", None).unwrap();
    assert_eq!(proposal.identity, bare.identity, "with or without a digest, it is the same version");
}

#[rstest]
#[case(&[("policy", "none")], Reason::PolicyNone)]
#[case(&[("policy", "bad")], Reason::InvalidAnnotation)]
#[case(&[("policy", "minor"), ("images", "other")], Reason::NotTracked)]
#[case(&[("policy", "minor"), ("event-source", "polling")], Reason::EventSource)]
#[case(&[("policy", "patch")], Reason::MinorDiffers)]
fn refusals(#[case] annotations: &[(&str, &str)], #[case] reason: Reason) {
    assert_eq!(ask(&workload("nginx:1.25.0", annotations), "1.26.0", None), Err(reason));
}

#[test]
fn what_is_on_record_stands_in_the_way() {
    let workload = workload("nginx:1.25.0", &[("policy", "minor")]);
    for reason in [Reason::Rejected, Reason::RevertedExternally, Reason::AlreadyRequested] {
        let record = prior_requests([PriorRequest { obstacle: Some(reason), ..prior("web", "nginx:1.26.0") }]);
        assert_eq!(heard(&workload, "1.26.0", None, &record), Err(reason));
    }
    let record = prior_requests([PriorRequest { waits: true, ..prior("web", "nginx:1.27.0") }]);
    assert_eq!(heard(&workload, "1.26.0", None, &record), Err(Reason::NewerPending));
    assert!(heard(&workload, "1.28.0", None, &record).is_ok(), "a newer one passes");
}

/// A request that only has the same name does not block the version, and neither does one with another name.
#[test]
fn a_request_counts_for_what_it_asks_for() {
    let workload = workload("nginx:1.25.0", &[("policy", "minor")]);
    let rejected = PriorRequest { obstacle: Some(Reason::Rejected), ..prior("web", "nginx:1.26.0") };
    let elsewhere = PriorRequest { identity: prior("web", "nginx:1.27.0").identity, ..rejected.clone() };
    let renamed = PriorRequest { name: "another".to_owned(), ..rejected };
    for record in [elsewhere, renamed] {
        assert!(heard(&workload, "1.26.0", None, &prior_requests([record])).is_ok());
    }
}

/// A verdict stands when the policy changes to one that follows digests, or back.
#[rstest]
#[case::to_minor("minor", Policy::Force, 'a', "nginx:1.26.0", Err(Reason::RolledBack))]
#[case::the_tag_with_another_digest("minor", Policy::Force, 'b', "nginx:1.26.0", Err(Reason::RolledBack))]
#[case::another_version("minor", Policy::Force, 'a', "nginx:1.24.0", Ok(()))]
#[case::to_force("force", Policy::Minor, 'a', "nginx:1.26.0", Err(Reason::RolledBack))]
#[case::another_digest_is_another_version("force", Policy::Minor, 'b', "nginx:1.26.0", Ok(()))]
fn a_verdict_outlives_its_policy(
    #[case] policy: &str,
    #[case] before: Policy,
    #[case] heard_digest: char,
    #[case] image: &str,
    #[case] expected: Result<(), Reason>,
) {
    let artifact = Artifact::parse(ArtifactKind::Image, image).unwrap();
    let identity = Identity::new("web", &artifact, before, Some(digest('a').as_str()));
    let rolled_back = PriorRequest {
        name: identity.as_str().to_owned(),
        identity: Some(identity),
        new_digest: Some(digest('a').to_string()),
        obstacle: Some(Reason::RolledBack),
        ..prior("web", image)
    };
    let workload = workload("nginx:1.25.0", &[("policy", policy)]);
    let after = |request| heard(&workload, "1.26.0", Some(digest(heard_digest)), &prior_requests([request])).map(drop);
    assert_eq!(after(rolled_back.clone()), expected);
    let by_a_person = PriorRequest { name: "another".to_owned(), ..rolled_back.clone() };
    let open = PriorRequest { obstacle: Some(Reason::AlreadyRequested), ..rolled_back };
    assert_eq!((after(by_a_person), after(open)), (Ok(()), Ok(())));
}

/// Some versions have requests, each with its obstacle. `ImageChanged` is for a superseded one.
fn versions(all: &[(&str, Reason)]) -> PriorRequests {
    prior_requests(all.iter().map(|(image, reason)| {
        let stands = !matches!(reason, Reason::NewerPending | Reason::ImageChanged);
        let waits = matches!(reason, Reason::AlreadyRequested | Reason::NewerPending);
        let counts = waits || *reason == Reason::ImageChanged;
        PriorRequest { obstacle: stands.then_some(*reason), waits, counts, ..prior("web", image) }
    }))
}

fn scan(workload: &Workload, tags: &str, record: &PriorRequests) -> Result<String, Reason> {
    match look(workload, &candidates(tags), Occasion::Scan, &trusted(), record) {
        Decision::Propose(proposal) => Ok(proposal.new_image),
        Decision::Refuse(refusal) => Err(refusal.reason),
        Decision::Ask(question) => panic!("{question:?}"),
    }
}

/// A version that was rejected, failed, expired or was rolled back is skipped, and the next best is proposed.
#[rstest]
#[case::rejected(&[("app:1.2.0", Reason::Rejected)], Ok("app:1.1.9"))]
#[case::failed(&[("app:1.2.0", Reason::Failed)], Ok("app:1.1.9"))]
#[case::expired(&[("app:1.2.0", Reason::Expired)], Ok("app:1.1.9"))]
#[case::rolled_back(&[("app:1.2.0", Reason::RolledBack), ("app:1.1.9", Reason::Failed)], Ok("app:1.1.8"))]
#[case::all_of_them(&[("app:1.2.0", Reason::Rejected), ("app:1.1.9", Reason::Failed), ("app:1.1.8", Reason::Expired)], Err(Reason::Rejected))]
#[case::open(&[("app:1.2.0", Reason::AlreadyRequested)], Err(Reason::AlreadyRequested))]
#[case::reverted(&[("app:1.2.0", Reason::RevertedExternally)], Err(Reason::RevertedExternally))]
#[case::the_next_is_open(&[("app:1.2.0", Reason::Rejected), ("app:1.1.9", Reason::AlreadyRequested)], Err(Reason::AlreadyRequested))]
#[case::a_better_one_is_open(&[("app:1.2.0", Reason::Rejected), ("app:1.3.0", Reason::NewerPending)], Err(Reason::NewerPending))]
fn the_next_best(#[case] record: &'static [(&'static str, Reason)], #[case] expected: Result<&str, Reason>) {
    let live = workload("app:1.0.0", &[("policy", "minor"), ("event-source", "polling")]);
    for tags in ["1.0.0 1.1.8 1.1.9 1.2.0 2.0.0", "2.0.0 1.2.0 1.1.9 1.1.8 1.0.0"] {
        assert_eq!(scan(&live, tags, &versions(record)), expected.map(str::to_owned));
    }
}

/// The registry is queried for the digest of the best version that no request blocks. Both are proposed together.
#[test]
fn a_pinned_reference_asks_for_the_digest_of_the_next_best() {
    let live = workload(&format!("app:1.0.0@{}", digest('a')), &[("policy", "minor"), ("event-source", "polling")]);
    let tags = candidates("1.1.9 1.2.0");
    for (record, tag) in [(versions(&[]), "1.2.0"), (versions(&[("app:1.2.0", Reason::Rejected)]), "1.1.9")] {
        let mut evidence = trusted();
        let Decision::Ask(question) = look(&live, &tags, Occasion::Scan, &evidence, &record) else { panic!("it has no digest") };
        assert_eq!((question.tag.as_str(), &question.needs), (tag, &BTreeSet::from([Need::Digest])));
        evidence.add(question.tag, Answer::exists(Some(digest('b'))));
        let Decision::Propose(proposal) = look(&live, &tags, Occasion::Scan, &evidence, &record) else { panic!("answered") };
        assert_eq!(proposal.new_image, format!("app:{tag}@{}", digest('b')));
    }
}

/// A claim that must be verified leads to no update before the registry has the tag.
#[test]
fn a_claim_is_verified_when_it_would_lead_to_a_proposal() {
    let live = workload("app:1.0.0", &[("policy", "minor")]);
    let verified = Evidence::new(Trust { authenticated: true, verify: true, bind: false });
    let decided = |tag: &str, answer: Option<Answer>, record: &PriorRequests| {
        let mut evidence = verified.clone();
        if let Some(answer) = answer {
            evidence.add(tag, answer);
        }
        match look(&live, &candidates(tag), Occasion::Event, &evidence, record) {
            Decision::Propose(proposal) => Ok(proposal.new_image),
            Decision::Refuse(refusal) => Err(Some(refusal.reason)),
            Decision::Ask(_) => Err(None),
        }
    };
    let none = PriorRequests::none();
    assert_eq!(decided("1.1.0", None, &none), Err(None));
    assert_eq!(decided("1.1.0", Some(Answer::Unavailable), &none), Err(None));
    assert_eq!(decided("1.1.0", Some(Answer::Missing), &none), Err(Some(Reason::NotInRegistry)));
    assert_eq!(decided("1.1.0", Some(Answer::exists(None)), &none), Ok("app:1.1.0".to_owned()));
    assert_eq!(decided("2.0.0", None, &none), Err(Some(Reason::MajorDiffers)), "no query about a version that is refused anyway");
    assert_eq!(decided("1.1.0", None, &versions(&[("app:1.1.0", Reason::Rejected)])), Err(Some(Reason::Rejected)));
}

/// The registry's digest is used, not the sender's: it may be the running one, or one that was rejected.
#[test]
fn the_answer_is_judged_again() {
    let live = workload(&format!("app:main@{}", digest('a')), &[("policy", "force")]);
    let verified = Evidence::new(Trust { authenticated: true, verify: true, bind: false });
    let decided = |returned: char, record: &PriorRequests| {
        let mut evidence = verified.clone();
        evidence.add("main", Answer::exists(Some(digest(returned))));
        match look(&live, &[Candidate::new("main", Some(digest('b')))], Occasion::Event, &evidence, record) {
            Decision::Propose(proposal) => Ok(proposal.new_image),
            Decision::Refuse(refusal) => Err(refusal.reason),
            Decision::Ask(question) => panic!("{question:?}"),
        }
    };
    let none = PriorRequests::none();
    assert_eq!(decided('c', &none), Ok(format!("app:main@{}", digest('c'))));
    assert_eq!(decided('a', &none), Err(Reason::SameDigest));
    let pinned = Artifact::parse(ArtifactKind::Image, "app:main").unwrap();
    let rejected = Identity::new("web", &pinned, Policy::Force, Some(digest('c').as_str()));
    let record = PriorRequest {
        name: rejected.as_str().to_owned(),
        identity: Some(rejected),
        obstacle: Some(Reason::Rejected),
        ..prior("web", "app:main")
    };
    assert_eq!(decided('c', &prior_requests([record])), Err(Reason::Rejected));
}

/// A person set a hotfix: an event for an older match is not an update.
#[test]
fn glob_goes_never_below_what_was_applied_or_is_open() {
    let history = r#"[{"container":"web","image":"app:build-9","timestamp":"2026-01-01T00:00:00Z","updateRequestName":"r","approvedBy":null},
        {"container":"web","image":"app:build-3","timestamp":"2026-01-01T00:00:00Z","updateRequestName":null,"approvedBy":null}]"#;
    let annotations = [("policy", "glob"), ("pattern", "build-*"), ("update-history", history)];
    let live = workload("app:hotfix", &annotations);
    let none = versions(&[]);
    let event =
        |workload: &Workload, tag: &str, record: &PriorRequests| heard(workload, tag, None, record).map(|proposal| proposal.new_image);
    assert_eq!(event(&live, "build-8", &none), Err(Reason::LowerMatch));
    assert_eq!(event(&live, "build-10", &none), Ok("app:build-10".to_owned()));
    let fresh = workload("app:hotfix", &annotations[..2]);
    assert_eq!(event(&fresh, "build-8", &none), Ok("app:build-8".to_owned()), "nothing is known");
    assert_eq!(event(&fresh, "build-8", &versions(&[("app:build-9", Reason::NewerPending)])), Err(Reason::LowerMatch));
    let superseded = versions(&[("app:build-9", Reason::ImageChanged)]);
    assert_eq!(event(&fresh, "build-8", &superseded), Err(Reason::LowerMatch), "the hotfix superseded the request for build-9");
    assert_eq!(event(&fresh, "build-9", &superseded), Ok("app:build-9".to_owned()));
    assert_eq!(event(&fresh, "build-8", &versions(&[("app:build-9", Reason::Rejected)])), Ok("app:build-8".to_owned()));
}

/// Under glob, two requests are not compared by their tags if the whole list of tags may have another order.
#[rstest]
#[case("glob *", "app:build-9", "app:build-10", Some(false))]
#[case("glob *", "app:1.3.0", "app:1.2.0", Some(true))]
#[case("glob *rc*", "app:1.3.0-rc.1", "app:1.3.0", None)]
#[case("minor", "app:1.3.0", "app:1.2.0", Some(true))]
#[case("force", "app:1.3.0", "app:1.2.0", None)]
fn preferences(#[case] rule: &str, #[case] first: &str, #[case] second: &str, #[case] expected: Option<bool>) {
    let (policy, pattern) = rule.split_once(' ').map_or((rule, None), |(policy, pattern)| (policy, Some(pattern)));
    let pattern = pattern.map(|text| crate::policy::Pattern::new(text).unwrap());
    let rule = Rule { policy: policy.parse().unwrap(), pattern };
    let container = Container::new("web", "app:1.0.0");
    assert_eq!(prefer(&rule, &container.artifact().unwrap(), &container, first, second), expected);
}

#[test]
fn objects_that_go_or_cannot_be_read() {
    let mut going = workload("nginx:1.25.0", &[("policy", "minor")]);
    going.deleting = true;
    assert_eq!(ask(&going, "1.26.0", None), Err(Reason::Deleting));
    assert_eq!(ask(&workload("NOT AN IMAGE", &[("policy", "minor")]), "1", None), Err(Reason::InvalidImage));
    assert_eq!(ask(&workload(&"a".repeat(1025), &[("policy", "minor")]), "1", None), Err(Reason::InvalidImage));
}

/// `digest-update`: restart, pin, or as the container pulls.
#[rstest]
#[case("auto", false, Some('b'), Ok("nginx:latest@b"))]
#[case("auto", true, Some('b'), Ok("nginx:latest"))]
#[case("restart", false, Some('b'), Ok("nginx:latest"))]
#[case("restart", false, None, Ok("nginx:latest"))]
#[case("pin", true, Some('b'), Ok("nginx:latest@b"))]
#[case("pin", true, None, Err(Reason::DigestUnknown))]
fn digests(#[case] how: &str, #[case] always: bool, #[case] new: Option<char>, #[case] expected: Result<&str, Reason>) {
    let mut live = workload("nginx:latest", &[("policy", "force"), ("digest-update", how)]);
    live.containers[0].pulls_always = always;
    let got = ask(&live, "latest", new.map(digest)).map(|proposal| proposal.new_image);
    assert_eq!(got, expected.map(|image| image.replace("@b", &format!("@{}", digest('b')))));
    live.containers[0].restarted_for = Some(format!("{}@{}", live.containers[0].image, digest('b')));
    if new.is_some() {
        assert_eq!(ask(&live, "latest", new.map(digest)), Err(Reason::SameDigest), "it runs already");
    }
}

#[test]
fn pinned_references_move_whole_and_digests_alone_stay_alone() {
    let pinned = workload(&format!("nginx:1.25.0@{}", digest('a')), &[("policy", "minor")]);
    assert_eq!(ask(&pinned, "1.26.0", Some(digest('b'))).unwrap().new_image, format!("nginx:1.26.0@{}", digest('b')));
    assert_eq!(ask(&pinned, "1.26.0", None), Err(Reason::DigestUnknown));
    let alone = workload(&format!("nginx@{}", digest('a')), &[("policy", "force")]);
    assert_eq!(ask(&alone, "1.26.0", Some(digest('b'))).unwrap().new_image, format!("nginx@{}", digest('b')));
    let strict = workload(&format!("nginx@{}", digest('a')), &[("policy", "major")]);
    assert_eq!(ask(&strict, "1.26.0", Some(digest('b'))), Err(Reason::DigestOnly));
}

#[test]
fn a_push_without_a_digest_is_new_once_for_each_state_of_the_workload() {
    let mut live = workload("nginx:latest", &[("policy", "force"), ("digest-update", "restart")]);
    let first = ask(&live, "latest", None).unwrap().identity;
    assert_eq!(first, ask(&live, "latest", None).unwrap().identity);
    live.generation += 1;
    assert_ne!(first, ask(&live, "latest", None).unwrap().identity);
}

#[test]
fn what_a_person_left_is_not_offered_again() {
    let live = workload("nginx:1.25.0", &[("policy", "minor")]);
    assert!(ask(&live, "1.26.0", None).is_ok());
    let back = prior("web", "nginx:1.25.0");
    let left = Artifact::parse(ArtifactKind::Image, "nginx:1.26.0").unwrap();
    let record = prior_requests([PriorRequest { rolled_back_from: Some((left, None)), ..back }]);
    assert_eq!(heard(&live, "1.26.0", None, &record), Err(Reason::RolledBack));
    assert!(heard(&live, "1.27.0", None, &record).is_ok());
}

/// A registry with the same answer to every question.
struct Same {
    answer: Option<Answer>,
    asked: Vec<Question>,
}

impl Answers for Same {
    type Error = ();

    async fn answer(&mut self, question: &Question) -> Result<Option<Answer>, ()> {
        self.asked.push(question.clone());
        Ok(self.answer.clone())
    }
}

/// Settles the decision about a pinned container, with that answer of the registry to every question.
fn settled(answer: Option<Answer>) -> (Decision, Vec<Question>) {
    settled_with(&[], answer)
}

/// Settles it with more annotations.
fn settled_with(annotations: &[(&str, &str)], answer: Option<Answer>) -> (Decision, Vec<Question>) {
    let annotations = [&[("policy", "minor"), ("event-source", "both")], annotations].concat();
    let workload = workload(&format!("nginx:1.25.0@{}", digest('a')), &annotations);
    let mut registry = Same { answer, asked: Vec::new() };
    let decide = |evidence: &Evidence| Ok(look(&workload, &candidates("1.26.0"), Occasion::Scan, evidence, &PriorRequests::none()));
    let settling = Box::pin(settle(&mut registry, Evidence::new(Trust::REGISTRY), decide));
    let polled = { settling }.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    let std::task::Poll::Ready(Ok(decision)) = polled else { panic!("every question is answered at once") };
    (decision, registry.asked)
}

#[test]
fn a_question_is_answered_once_and_decided_again() {
    let (decision, asked) = settled(Some(Answer::exists(Some(digest('b')))));
    assert!(matches!(&decision, Decision::Propose(proposal) if proposal.new_image.ends_with(digest('b').as_str())), "{decision:?}");
    assert_eq!(asked, [Question { tag: "1.26.0".to_owned(), needs: BTreeSet::from([Need::Digest]) }]);
    let (decision, asked) = settled(None);
    assert!(matches!(decision, Decision::Ask(_)) && asked.len() == 1, "{decision:?}");
    let (decision, asked) = settled(Some(Answer::Unavailable));
    assert!(!matches!(decision, Decision::Propose(proposal) if proposal.new_image.contains("sha256:b")) && asked.len() == 1);
}

/// A registry that leaves out a fact does not keep Headwind asking, and nothing is proposed without it.
#[test]
fn a_question_without_a_sufficient_answer_is_asked_once() {
    let (decision, asked) = settled_with(&[("platforms", "linux/arm64")], Some(Answer::exists(Some(digest('b')))));
    assert_eq!(asked, [Question { tag: "1.26.0".to_owned(), needs: BTreeSet::from([Need::Digest, Need::Platforms]) }]);
    assert_eq!(decision, Decision::Ask(asked[0].clone()));
}
