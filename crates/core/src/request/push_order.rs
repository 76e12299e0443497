//! The order of pushes: of two claims about one tag, the one that arrived later takes precedence.

use jiff::{SignedDuration, Timestamp};

use super::Request;
use crate::decide::Proposal;
use crate::reason::Reason;
use crate::trigger::Trigger;

/// Time during which pushes of one tag without a known digest count as one new digest.
const BURST: SignedDuration = SignedDuration::from_mins(1);

/// Returns why a claim that arrived at `arrived` must not create the proposal: a later claim is recorded, or the claim
/// belongs to the same burst of pushes without a known digest.
///
/// The order of pushes matters only under policy `force`. For every other policy, the version decides.
///
/// `requests` are the requests of the workload.
pub fn outdated(proposal: &Proposal, arrived: Timestamp, requests: &[Request]) -> Option<Reason> {
    if !proposal.policy.follows_digest() {
        return None;
    }
    let restart = proposal.new_digest.is_none() && proposal.new_image == proposal.current_image;
    let counts = |request: &&Request| {
        request.spec.container.as_deref() == Some(&proposal.container)
            && request.spec.trigger != Trigger::Manual
            && !request.status.is_replaceable()
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
    use crate::decide::Identity;
    use crate::policy::Policy;
    use crate::request::{Phase, Spec, Status};
    use crate::testing;

    const IMAGE: &str = "registry.example/app:main";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// Returns a request under policy `force` from a push at that time.
    fn request(seconds: i64, digest: Option<&str>, phase: Phase) -> Request {
        let base = testing::request("r", IMAGE, IMAGE, at(seconds));
        let spec = Spec { new_digest: digest.map(str::to_owned), policy: Policy::Force, ..base.spec };
        Request { spec, status: Status { phase, ..Status::default() }, ..base }
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
            approvals: 1,
            require_approval: false,
            trigger: Trigger::Webhook,
            identity: Identity::new("web", &crate::artifact::Artifact::parse(ArtifactKind::Image, IMAGE).unwrap(), policy, digest),
        }
    }

    #[rstest]
    #[case::an_older_push(Some("d1"), 0, Some("d2"), 1, Phase::Completed, Some(Reason::NewerPush))]
    #[case::a_newer_push(Some("d2"), 1, Some("d1"), 0, Phase::Completed, None)]
    #[case::what_gave_way_does_not_count(Some("d1"), 0, Some("d2"), 1, Phase::Superseded, None)]
    #[case::one_burst(None, 5, None, 0, Phase::Completed, Some(Reason::SamePush))]
    #[case::one_burst_in_disorder(None, 0, None, 5, Phase::Completed, Some(Reason::SamePush))]
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
