mod charts;

use rstest::rstest;

use super::*;
use crate::reference::Digest;
use crate::target::{Kind, TargetKey};

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
        pull: crate::target::PullSource::default(),
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
    live.containers[0].restarted_for = Some(digest('b').to_string());
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
