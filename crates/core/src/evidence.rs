//! What has to be known beside a claim before something follows from it.

use jiff::{SignedDuration, Timestamp};

use crate::artifact::Artifact;
use crate::artifact::version::parse_tag;
use crate::claim::Claim;
use crate::decide::{self, Proposal};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::request::Request;
use crate::settings::Settings;
use crate::trigger::Trigger;
use crate::workload::Container;

/// How long all pushes of one tag count as one new digest when nobody knows the digest.
const BURST: SignedDuration = SignedDuration::from_mins(1);

/// What the registry has to say before a claim leads to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// The digest, if the registry tells it. Without it the claim stands as it is.
    Digest,
    /// That the tag exists, if the registry answers.
    Presence,
    /// That the tag exists. Nothing follows from the claim before.
    Proof,
}

/// How far a claim is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belief {
    /// Whether the sender of the claim was authenticated.
    pub proven: bool,
    /// Whether every claim is confirmed with the registry.
    pub confirm: bool,
}

/// Returns what the registry has to say before the claim may change the container.
pub fn need(claim: &Claim, belief: Belief, container: &Container, settings: &Settings) -> Need {
    let (Ok(artifact), Some(tag), true) = (container.artifact(), claim.tag.as_deref(), claim.is_about(container)) else {
        return Need::Nothing;
    };
    if decide::admits(settings, container, &artifact, claim.trigger).is_err() {
        return Need::Nothing;
    }
    if belief.confirm {
        return Need::Proof;
    }
    let Artifact::Image(image) = &artifact else { return Need::Nothing };
    let force = settings.policy == Policy::Force;
    match (&claim.digest, image.digest()) {
        (None, Some(_)) => Need::Digest,
        // Each push counts as a new digest: only somebody who was authenticated may say so.
        (None, None) if force && image.effective_tag() == Some(tag) => {
            if belief.proven {
                Need::Digest
            } else {
                Need::Proof
            }
        }
        // An old call that is sent again names a lower version.
        (_, _) if force && image.effective_tag().is_some_and(|current| is_lower(tag, current)) => Need::Presence,
        (_, _) => Need::Nothing,
    }
}

fn is_lower(tag: &str, current: &str) -> bool {
    let versions = parse_tag(tag).zip(parse_tag(current));
    versions.is_some_and(|(tag, current)| tag.cmp_precedence(&current).is_lt())
}

/// Returns why a claim that arrived at `arrived` must not lead to the proposal: a claim that arrived later is on record,
/// or the claim belongs to the same burst of pushes whose digest nobody knows.
///
/// Only under policy `force` does the order of pushes matter. For every other policy, the version decides.
///
/// `requests` are the requests of the workload.
pub fn outdated(proposal: &Proposal, arrived: Timestamp, requests: &[Request]) -> Option<Reason> {
    if proposal.policy != Policy::Force {
        return None;
    }
    let restart = proposal.new_digest.is_none() && proposal.new_image == proposal.current_image;
    let counts = |request: &&Request| {
        request.spec.container.as_deref() == Some(&proposal.container)
            && request.spec.trigger != Trigger::Manual
            && !request.status.makes_room()
    };
    requests.iter().filter(counts).find_map(|request| {
        let unknown = request.is_restart() && request.spec.new_digest.is_none();
        if restart && unknown && request.proposed.duration_since(arrived).abs() < BURST {
            Some(Reason::SamePush)
        } else {
            (request.proposed > arrived).then_some(Reason::NewerPush)
        }
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::artifact::ArtifactKind;
    use crate::artifact::reference::Digest;
    use crate::decide::Identity;
    use crate::request::{Phase, Spec, Status};

    const IMAGE: &str = "registry.example/app:main";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// A request under policy `force` that was made of a push at that time.
    fn request(seconds: i64, digest: Option<&str>, phase: Phase) -> Request {
        Request {
            name: "r".to_owned(),
            target_uid: "u".to_owned(),
            fault: None,
            created: at(seconds),
            siblings: Vec::new(),
            proposed: at(seconds),
            spec: Spec {
                kind: ArtifactKind::Image,
                container: Some("web".to_owned()),
                current_image: IMAGE.to_owned(),
                new_image: IMAGE.to_owned(),
                current_digest: None,
                new_digest: digest.map(str::to_owned),
                policy: Policy::Force,
                require_approval: false,
                expires_at: None,
                trigger: Trigger::Webhook,
            },
            status: Status { phase, ..Status::default() },
        }
    }

    fn proposal(digest: Option<&str>, policy: Policy) -> Proposal {
        Proposal {
            container: "web".to_owned(),
            current_image: IMAGE.to_owned(),
            new_image: IMAGE.to_owned(),
            current_digest: None,
            new_digest: digest.map(str::to_owned),
            policy,
            reason: Reason::NewDigest,
            message: String::new(),
            require_approval: false,
            trigger: Trigger::Webhook,
            identity: Identity::new("web", &crate::artifact::Artifact::parse(ArtifactKind::Image, IMAGE).unwrap(), policy, digest),
        }
    }

    #[rstest]
    #[case::confirmed("minor", "app:1.0.0", "1.1.0", true, Belief { proven: true, confirm: true }, Need::Proof)]
    #[case::believed("minor", "app:1.0.0", "1.1.0", false, Belief { proven: false, confirm: false }, Need::Nothing)]
    #[case::policy_none("none", "app:1.0.0", "1.1.0", false, Belief { proven: false, confirm: true }, Need::Nothing)]
    #[case::pinned("minor", "app:1.0.0@DIGEST", "1.1.0", false, Belief { proven: true, confirm: false }, Need::Digest)]
    #[case::pinned_and_told("minor", "app:1.0.0@DIGEST", "1.1.0", true, Belief { proven: true, confirm: false }, Need::Nothing)]
    #[case::pushed_again("force", "app:main", "main", false, Belief { proven: true, confirm: false }, Need::Digest)]
    #[case::pushed_again_by_nobody("force", "app:main", "main", false, Belief { proven: false, confirm: false }, Need::Proof)]
    #[case::pushed_again_with_a_digest("force", "app:main", "main", true, Belief { proven: false, confirm: false }, Need::Nothing)]
    #[case::down("force", "app:1.1.0", "1.0.0", true, Belief { proven: true, confirm: false }, Need::Presence)]
    #[case::up("force", "app:1.1.0", "1.2.0", true, Belief { proven: true, confirm: false }, Need::Nothing)]
    #[case::sideways("force", "app:1.1.0", "main", true, Belief { proven: true, confirm: false }, Need::Nothing)]
    fn needs(
        #[case] policy: &str,
        #[case] image: &str,
        #[case] tag: &str,
        #[case] told: bool,
        #[case] belief: Belief,
        #[case] expected: Need,
    ) {
        let digest = format!("sha256:{}", "a".repeat(64));
        let container = Container::new("web", &format!("registry.example/{image}").replace("DIGEST", &digest));
        let annotations = [("headwind.sh/policy".to_owned(), policy.to_owned())].into();
        let settings = Settings::resolve(&std::collections::BTreeMap::default(), &annotations, "web").unwrap();
        let claim = Claim {
            origin: container.origin().unwrap(),
            chart: None,
            tag: Some(tag.to_owned()),
            digest: told.then(|| Digest::parse(&digest).unwrap()),
            trigger: Trigger::Webhook,
        };
        assert_eq!(need(&claim, belief, &container, &settings), expected);
        let elsewhere = Container::new("web", "registry.example/other:1.0.0");
        assert_eq!(need(&claim, belief, &elsewhere, &settings), Need::Nothing);
    }

    #[rstest]
    #[case::an_older_push(Some("d1"), 0, Some("d2"), 1, Phase::Completed, Some(Reason::NewerPush))]
    #[case::a_newer_push(Some("d2"), 1, Some("d1"), 0, Phase::Completed, None)]
    #[case::what_gave_way_does_not_count(Some("d1"), 0, Some("d2"), 1, Phase::Superseded, None)]
    #[case::one_burst(None, 5, None, 0, Phase::Completed, Some(Reason::SamePush))]
    #[case::one_burst_told_in_disorder(None, 0, None, 5, Phase::Completed, Some(Reason::SamePush))]
    #[case::the_next_minute(None, 60, None, 0, Phase::Completed, None)]
    #[case::a_digest_is_no_burst(Some("d2"), 5, None, 0, Phase::Completed, None)]
    #[case::after_a_digest(None, 5, Some("d1"), 0, Phase::Completed, None)]
    fn order_of_pushes(
        #[case] digest: Option<&str>,
        #[case] arrived: i64,
        #[case] recorded: Option<&str>,
        #[case] proposed: i64,
        #[case] phase: Phase,
        #[case] reason: Option<Reason>,
    ) {
        let requests = [request(proposed, recorded, phase)];
        assert_eq!(outdated(&proposal(digest, Policy::Force), at(arrived), &requests), reason);
        assert_eq!(outdated(&proposal(digest, Policy::Minor), at(arrived), &requests), None);
        let elsewhere = Proposal { container: "side".to_owned(), ..proposal(digest, Policy::Force) };
        assert_eq!(outdated(&elsewhere, at(arrived), &requests), None);
    }
}
