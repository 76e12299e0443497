mod charts;

use rstest::rstest;

use super::*;
use crate::artifact::reference::Digest;
use crate::workload::{Kind, TargetKey};

/// What is on record: an obstacle for every identity, and open requests.
#[derive(Default)]
struct OnRecord {
    obstacle: Option<Reason>,
    left: bool,
    open: Vec<String>,
}

impl Record for OnRecord {
    fn obstacle(&self, _: &str, _: &Identity) -> Option<Reason> {
        self.obstacle
    }

    fn left(&self, _: &str, _: &Identity, _: Policy) -> bool {
        self.left
    }

    fn open_for(&self, _: &str) -> Vec<String> {
        self.open.clone()
    }
}

fn digest(letter: char) -> Digest {
    Digest::parse(&format!("sha256:{}", letter.to_string().repeat(64))).unwrap()
}

fn target(image: &str, annotations: &[(&str, &str)]) -> Target {
    Target {
        key: TargetKey { kind: Kind::Deployment, namespace: "n".to_owned(), name: "t".to_owned() },
        api_version: "apps/v1",
        uid: "u".to_owned(),
        resource_version: "1".to_owned(),
        generation: 4,
        annotations: annotations.iter().map(|(key, value)| (format!("headwind.sh/{key}"), (*value).to_owned())).collect(),
        has_annotations: true,
        template_has_annotations: false,
        containers: vec![Container::new("web", image)],
        release: None,
        carrier: None,
        pull: crate::workload::PullSource::default(),
        rollout: crate::rollout::View::Deployment(crate::rollout::DeploymentView::default()),
        selector: String::new(),
        revision: String::new(),
        deleting: false,
    }
}

fn ask(target: &Target, tag: &str, digest: Option<Digest>, record: &OnRecord) -> Result<Proposal, Reason> {
    let candidates = [Candidate::new(tag, digest)];
    let site = Site {
        target,
        defaults: &Annotations::new(),
        container: &target.containers[0],
        candidates: &candidates,
        occasion: Occasion::Event,
        trigger: Trigger::Webhook,
    };
    match decide(&site, record) {
        Decision::Propose(proposal) => Ok(*proposal),
        Decision::Refuse(refusal) => Err(refusal.reason),
    }
}

#[test]
fn a_proposal_says_what_from_what_and_why() {
    let target = target("nginx:1.25", &[("policy", "minor")]);
    let proposal = ask(&target, "1.26", Some(digest('b')), &OnRecord::default()).unwrap();
    assert_eq!((proposal.current_image.as_str(), proposal.new_image.as_str()), ("nginx:1.25", "nginx:1.26"));
    assert!(proposal.require_approval && proposal.policy == Policy::Minor && proposal.reason == Reason::HigherVersion);
    let bare = ask(&target, "1.26", None, &OnRecord::default()).unwrap();
    assert_eq!(proposal.identity, bare.identity, "told with a digest or without, it is the same version");
}

#[rstest]
#[case(&[("policy", "none")], Reason::PolicyNone)]
#[case(&[("policy", "bad")], Reason::InvalidAnnotation)]
#[case(&[("policy", "minor"), ("images", "other")], Reason::NotTracked)]
#[case(&[("policy", "minor"), ("event-source", "polling")], Reason::EventSource)]
#[case(&[("policy", "patch")], Reason::MinorDiffers)]
fn refusals(#[case] annotations: &[(&str, &str)], #[case] reason: Reason) {
    assert_eq!(ask(&target("nginx:1.25.0", annotations), "1.26.0", None, &OnRecord::default()), Err(reason));
}

#[test]
fn what_is_on_record_stands_in_the_way() {
    let target = target("nginx:1.25.0", &[("policy", "minor")]);
    for reason in [Reason::Rejected, Reason::RevertedExternally, Reason::AlreadyRequested] {
        let record = OnRecord { obstacle: Some(reason), ..OnRecord::default() };
        assert_eq!(ask(&target, "1.26.0", None, &record), Err(reason));
    }
    let record = OnRecord { open: vec!["nginx:1.27.0".to_owned()], ..OnRecord::default() };
    assert_eq!(ask(&target, "1.26.0", None, &record), Err(Reason::NewerPending));
    assert!(ask(&target, "1.28.0", None, &record).is_ok(), "a newer one passes");
}

/// Some versions are on record, each with what stands in its way.
struct Versions(&'static [(&'static str, Reason)]);

impl Record for Versions {
    fn obstacle(&self, container: &str, identity: &Identity) -> Option<Reason> {
        let of = |image: &str| Identity::new(container, &Artifact::parse(ArtifactKind::Image, image).unwrap(), Policy::Minor, None);
        let stands = |reason: Reason| !matches!(reason, Reason::NewerPending | Reason::ImageChanged);
        self.0.iter().find(|(image, reason)| stands(*reason) && of(image) == *identity).map(|(_, reason)| *reason)
    }

    fn left(&self, _: &str, _: &Identity, _: Policy) -> bool {
        false
    }

    fn open_for(&self, _: &str) -> Vec<String> {
        let open = |reason: &Reason| matches!(reason, Reason::AlreadyRequested | Reason::NewerPending);
        self.0.iter().filter(|(_, reason)| open(reason)).map(|(image, _)| (*image).to_owned()).collect()
    }

    fn proposed_for(&self, container: &str) -> Vec<String> {
        let superseded = self.0.iter().filter(|(_, reason)| *reason == Reason::ImageChanged).map(|(image, _)| (*image).to_owned());
        self.open_for(container).into_iter().chain(superseded).collect()
    }
}

fn scan(target: &Target, tags: &str, record: &impl Record) -> Result<String, Reason> {
    let candidates: Vec<Candidate> = tags.split_whitespace().map(|tag| Candidate::new(tag, None)).collect();
    let defaults = Annotations::new();
    let site = Site {
        target,
        defaults: &defaults,
        container: &target.containers[0],
        candidates: &candidates,
        occasion: Occasion::Scan,
        trigger: Trigger::Polling,
    };
    let decision = decide(&site, record);
    match decision {
        Decision::Propose(proposal) => {
            assert_eq!(
                chosen_tag(&site, record, |inquiry| site.choose(inquiry)).as_deref(),
                proposal.new_image.split_once(':').map(|(_, tag)| tag)
            );
            Ok(proposal.new_image)
        }
        Decision::Refuse(refusal) => Err(refusal.reason),
    }
}

/// What was rejected, failed, expired or was rolled back is set aside, and the next best is proposed.
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
    let live = target("app:1.0.0", &[("policy", "minor"), ("event-source", "polling")]);
    for tags in ["1.0.0 1.1.8 1.1.9 1.2.0 2.0.0", "2.0.0 1.2.0 1.1.9 1.1.8 1.0.0"] {
        assert_eq!(scan(&live, tags, &Versions(record)), expected.map(str::to_owned));
    }
}

#[test]
fn a_pinned_reference_follows_the_next_best_as_well() {
    let live = target(&format!("app:1.0.0@{}", digest('a')), &[("policy", "minor"), ("event-source", "polling")]);
    let candidates = ["1.1.9", "1.2.0"].map(|tag| Candidate::new(tag, None));
    let site = Site {
        target: &live,
        defaults: &Annotations::new(),
        container: &live.containers[0],
        candidates: &candidates,
        occasion: Occasion::Scan,
        trigger: Trigger::Polling,
    };
    assert_eq!(chosen_tag(&site, &Versions(&[]), |inquiry| site.choose(inquiry)).as_deref(), Some("1.2.0"));
    assert_eq!(chosen_tag(&site, &Versions(&[("app:1.2.0", Reason::Rejected)]), |inquiry| site.choose(inquiry)).as_deref(), Some("1.1.9"));
}

/// A person set a hotfix: an event for an older match is no update.
#[test]
fn glob_goes_never_below_what_was_applied_or_is_open() {
    let history = r#"[{"container":"web","image":"app:build-9","timestamp":"2026-01-01T00:00:00Z","updateRequestName":"r","approvedBy":null},
        {"container":"web","image":"app:build-3","timestamp":"2026-01-01T00:00:00Z","updateRequestName":null,"approvedBy":null}]"#;
    let annotations = [("policy", "glob"), ("pattern", "build-*"), ("update-history", history)];
    let live = target("app:hotfix", &annotations);
    let none = Versions(&[]);
    let event = |target: &Target, tag: &str, record: &Versions| {
        let candidates = [Candidate::new(tag, None)];
        let defaults = Annotations::new();
        let site = Site {
            target,
            defaults: &defaults,
            container: &target.containers[0],
            candidates: &candidates,
            occasion: Occasion::Event,
            trigger: Trigger::Webhook,
        };
        match decide(&site, record) {
            Decision::Propose(proposal) => Ok(proposal.new_image),
            Decision::Refuse(refusal) => Err(refusal.reason),
        }
    };
    assert_eq!(event(&live, "build-8", &none), Err(Reason::LowerMatch));
    assert_eq!(event(&live, "build-10", &none), Ok("app:build-10".to_owned()));
    let fresh = target("app:hotfix", &annotations[..2]);
    assert_eq!(event(&fresh, "build-8", &none), Ok("app:build-8".to_owned()), "nothing is known");
    assert_eq!(event(&fresh, "build-8", &Versions(&[("app:build-9", Reason::NewerPending)])), Err(Reason::LowerMatch));
    let superseded = Versions(&[("app:build-9", Reason::ImageChanged)]);
    assert_eq!(event(&fresh, "build-8", &superseded), Err(Reason::LowerMatch), "the hotfix superseded the request for build-9");
    assert_eq!(event(&fresh, "build-9", &superseded), Ok("app:build-9".to_owned()));
    assert_eq!(event(&fresh, "build-8", &Versions(&[("app:build-9", Reason::Rejected)])), Ok("app:build-8".to_owned()));
}

/// Under glob, two requests are not ranked as two tags where the whole list may have been ranked otherwise.
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
    let mut going = target("nginx:1.25.0", &[("policy", "minor")]);
    going.deleting = true;
    assert_eq!(ask(&going, "1.26.0", None, &OnRecord::default()), Err(Reason::Deleting));
    assert_eq!(ask(&target("NOT AN IMAGE", &[("policy", "minor")]), "1", None, &OnRecord::default()), Err(Reason::InvalidImage));
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
    let mut live = target("nginx:latest", &[("policy", "force"), ("digest-update", how)]);
    live.containers[0].pulls_always = always;
    let got = ask(&live, "latest", new.map(digest), &OnRecord::default()).map(|proposal| proposal.new_image);
    assert_eq!(got, expected.map(|image| image.replace("@b", &format!("@{}", digest('b')))));
    live.containers[0].restarted_for = Some(format!("{}@{}", live.containers[0].image, digest('b')));
    if new.is_some() {
        assert_eq!(ask(&live, "latest", new.map(digest), &OnRecord::default()), Err(Reason::SameDigest), "it runs already");
    }
}

#[test]
fn pinned_references_move_whole_and_digests_alone_stay_alone() {
    let pinned = target(&format!("nginx:1.25.0@{}", digest('a')), &[("policy", "minor")]);
    assert_eq!(ask(&pinned, "1.26.0", Some(digest('b')), &OnRecord::default()).unwrap().new_image, format!("nginx:1.26.0@{}", digest('b')));
    assert_eq!(ask(&pinned, "1.26.0", None, &OnRecord::default()), Err(Reason::DigestUnknown));
    let alone = target(&format!("nginx@{}", digest('a')), &[("policy", "force")]);
    assert_eq!(ask(&alone, "1.26.0", Some(digest('b')), &OnRecord::default()).unwrap().new_image, format!("nginx@{}", digest('b')));
    let strict = target(&format!("nginx@{}", digest('a')), &[("policy", "major")]);
    assert_eq!(ask(&strict, "1.26.0", Some(digest('b')), &OnRecord::default()), Err(Reason::DigestOnly));
}

#[test]
fn a_push_whose_digest_nobody_told_is_new_once_for_each_state_of_the_workload() {
    let mut live = target("nginx:latest", &[("policy", "force"), ("digest-update", "restart")]);
    let first = ask(&live, "latest", None, &OnRecord::default()).unwrap().identity;
    assert_eq!(first, ask(&live, "latest", None, &OnRecord::default()).unwrap().identity);
    live.generation += 1;
    assert_ne!(first, ask(&live, "latest", None, &OnRecord::default()).unwrap().identity);
}

#[test]
fn what_a_person_left_is_not_offered_again() {
    let live = target("nginx:1.25.0", &[("policy", "minor")]);
    assert!(ask(&live, "1.26.0", None, &OnRecord::default()).is_ok());
    assert_eq!(ask(&live, "1.26.0", None, &OnRecord { left: true, ..OnRecord::default() }), Err(Reason::RolledBack));
}
