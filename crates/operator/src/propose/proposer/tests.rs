use headwind_core::artifact::reference::RepositoryKey;
use headwind_core::policy::Candidate;
use headwind_core::testing;
use headwind_core::trigger::Trigger;
use rstest::rstest;

use super::super::verifier::{LookUps, decided};
use super::*;
use crate::observe::requests::Held;
use crate::report::events::tests::recorded;
use crate::testing::Site;

fn origin(repository: &str) -> Origin {
    Origin::Registry(RepositoryKey::parse(repository).unwrap())
}

fn push(repository: &str, tag: &str) -> Arrived {
    let claim = Claim { origin: origin(repository), chart: None, tag: Some(tag.to_owned()), digest: None, trigger: Trigger::Webhook };
    Arrived { claim, at: Timestamp::now(), proven: true }
}

/// One push to two repositories leads to one rollout, also if this replica does not lead: the leader reads from the
/// first request that there is a second one.
#[tokio::test]
async fn requests_of_one_push_name_each_other() {
    let site = Site::internal();
    let proposer = site.proposer(recorded().0);
    let mut workload = testing::deployment("r.example/web:1.0.0", &[("policy", "minor")]);
    workload.containers.push(Container::new("proxy", "r.example/proxy:1.0.0"));
    site.workload(workload.clone());
    let work = {
        let mut claims = proposer.inbox.claims.lock();
        let both = vec![push("r.example/web", "1.1.0"), push("r.example/proxy", "1.1.0")];
        assert_eq!(claims.offer(both, Duration::ZERO), Ok(0));
        claims.next().unwrap()
    };
    proposer.claim(decided(&proposer, &work.arrived, &mut LookUps::new())).await;
    let requests: Vec<Request> = proposer.state.requests.read().of(&workload.key).map(Held::read).collect();
    let mut found: Vec<(String, Vec<String>)> = requests.into_iter().map(|request| (request.name, request.siblings)).collect();
    found.sort();
    let [(a, others_of_a), (b, others_of_b)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((others_of_a.as_slice(), others_of_b.as_slice()), ([b.clone()].as_slice(), [a.clone()].as_slice()));
}

/// The leader does not wait for other requests if a push has more than a request can name.
#[tokio::test]
async fn a_push_to_very_many_containers_creates_requests_without_siblings() {
    let site = Site::internal();
    let proposer = site.proposer(recorded().0);
    let mut workload = testing::deployment("r.example/web:1.0.0", &[("policy", "minor")]);
    let more = (0..99).map(|number| Container::new(&format!("c{number}"), "r.example/web:1.0.0"));
    workload.containers.extend(more);
    site.workload(workload.clone());
    let arrived = Arc::new(push("r.example/web", "1.1.0"));
    proposer.claim(decided(&proposer, &arrived, &mut LookUps::new())).await;
    let requests: Vec<Request> = proposer.state.requests.read().of(&workload.key).map(Held::read).collect();
    assert_eq!(requests.len(), 100);
    assert!(requests.iter().all(|request| request.siblings.is_empty()));
}

/// A person hears once about a fault of the workload, however many tags are pushed.
#[rstest]
#[case::current_is_no_version("r.example/web:stable", Reason::CurrentNotAVersion, 1)]
#[case::about_the_tag("r.example/web:1.0.0", Reason::NotInRegistry, 3)]
#[tokio::test]
async fn a_fault_of_the_workload_is_one_warning(#[case] image: &str, #[case] reason: Reason, #[case] warnings: usize) {
    let (events, mut written) = recorded();
    let site = Site::internal();
    let proposer = site.proposer(events);
    let workload = testing::deployment(image, &[("policy", "minor")]);
    for tag in ["1.1.0", "1.2.0", "1.3.0"] {
        let offer = Offer::new(Occasion::Event, vec![Candidate::new(tag, None)]);
        let message = if reason == Reason::NotInRegistry { format!("{tag} is not in the registry") } else { reason.sentence().to_owned() };
        proposer.refused(&origin("r.example/web"), &offer, &workload, &workload.containers[0], &Reasoned::new(reason, message));
    }
    let written = written();
    assert_eq!(written.len(), warnings, "{written:?}");
    assert!(written.iter().all(|event| event.starts_with(reason.code())), "{written:?}");
}
