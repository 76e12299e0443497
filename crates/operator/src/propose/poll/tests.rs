use headwind_core::artifact::reference::RepositoryKey;
use headwind_core::policy::{Candidate, Occasion};
use headwind_core::settings::Annotations;
use headwind_core::testing;
use headwind_core::trigger::Trigger;
use headwind_core::workload::Kind;

use super::*;
use crate::api::explain::WorkloadFilter;
use crate::observe::visible::Visible;
use crate::propose::prior::prior_requests;
use crate::propose::{DecisionInput, Offer};
use crate::report::events::tests::recorded;
use crate::testing::Site;

fn polling(interval: Option<u64>) -> Polling {
    Polling { interval: interval.map(Duration::from_secs), min_interval: Duration::from_mins(1), discovery: true }
}

fn poller(site: &Site) -> Arc<Poller> {
    Arc::new(Poller {
        proposer: site.proposer(recorded().0),
        asking: Arc::clone(&site.handle.explainer.asking),
        settings: watch::channel(polling(Some(300))).1,
        seed: 0,
    })
}

/// A bug that one workload triggers must not end the polling of all.
#[tokio::test]
async fn a_plan_that_panics_is_made_again_later() {
    let site = Site::internal();
    let poller = poller(&site);
    let mut round = Round::new(0);
    let now = Duration::from_secs(1);
    for panics in [true, false] {
        round.planning.spawn(async move {
            assert!(!panics, "a bug");
            (7, Plan::default())
        });
        let ended = round.planning.join_next().await.unwrap();
        round.planned(&poller, ended, now);
        assert_eq!((round.revision, round.planning.len()), ((!panics).then_some(7), 0));
        assert!(round.rest_until >= if panics { now + REPLAN } else { now + REST });
    }
}

/// With polling off, only releases are looked up: a change of any other workload needs no new plan.
#[test]
fn with_polling_off_only_releases_change_the_plan() {
    let mut round = Round::new(0);
    let revision = |all, releases| Revision { all, releases };
    round.polling = Some(polling(None));
    assert_eq!(round.relevant(revision(5, 2)), round.relevant(revision(6, 2)), "a Deployment changed");
    assert_ne!(round.relevant(revision(5, 2)), round.relevant(revision(6, 3)), "a release changed");
    round.polling = Some(polling(Some(300)));
    assert_ne!(round.relevant(revision(5, 2)), round.relevant(revision(6, 2)), "a Deployment changed");
}

/// The list of workloads shows what the last scan found, not the state before it.
#[tokio::test]
async fn the_list_of_workloads_shows_the_last_scan() {
    let site = Site::internal();
    // The API server of the site says about this namespace that it has no ServiceAccount.
    let named = |name: &str, image: &str| {
        let key = WorkloadKey { namespace: "hw".to_owned(), ..testing::key(Kind::Deployment, name) };
        Workload { key, ..testing::deployment(image, &[("policy", "minor"), ("event-source", "polling")]) }
    };
    let (silent, served) = (named("silent", "127.0.0.1:9/app:1.0.0"), named("served", "r.example/app:1.0.0"));
    site.workload(silent);
    site.workload(served.clone());
    let poller = poller(&site);
    let plan = Arc::clone(&poller).plan(Arc::default()).await;
    let (key, planned) = plan.scans.into_iter().find(|((origin, _), _)| origin.host() == "127.0.0.1:9").unwrap();
    // Nothing listens on that port.
    let scanned = Arc::clone(&poller).scan(key, planned.wanted, None).await;
    assert!(!matches!(scanned.outcome, Outcome::Answered), "{scanned:?}");
    let (origin, offer) = (
        Origin::Registry(RepositoryKey::parse("r.example/app").unwrap()),
        Offer::new(Occasion::Scan, vec![Candidate::new("1.0.0", None), Candidate::new("2.0.0", None)]),
    );
    let input = DecisionInput { origin: &origin, offer: &offer, trigger: Trigger::Polling, evidence: &testing::trusted() };
    let prior = prior_requests(&poller.proposer.state, &served);
    poller.proposer.decide(&input, &served, &Annotations::new(), &served.containers[0], &prior);
    let page = site.handle.workloads(&WorkloadFilter { visible: Visible::All, ..WorkloadFilter::default() }, None, 10);
    let found: Vec<(&str, Reason, usize)> =
        page.items.iter().map(|one| (one.key.name.as_str(), one.containers[0].because.reason, one.registry_errors.len())).collect();
    assert_eq!(found, [("served", Reason::MajorDiffers, 0), ("silent", Reason::RegistryError, 1)]);
}
