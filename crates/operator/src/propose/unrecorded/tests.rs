use headwind_core::artifact::Origin;
use headwind_core::artifact::reference::RepositoryKey;
use headwind_core::claim::Claim;
use headwind_core::trigger::Trigger;
use headwind_core::workload::Kind;

use super::*;

const NOW: Duration = Duration::from_secs(100);

fn key(namespace: &str) -> ContainerKey {
    (WorkloadKey { kind: Kind::Deployment, namespace: namespace.to_owned(), name: "web".to_owned() }, "web".to_owned())
}

fn heard(tag: &str, second: i64) -> Heard {
    let claim = Claim {
        origin: Origin::Registry(RepositoryKey::parse("registry.example/app").unwrap()),
        chart: None,
        tag: Some(tag.to_owned()),
        digest: None,
        trigger: Trigger::Webhook,
    };
    Heard { arrived: Arc::new(Arrived { claim, at: at(second), proven: true }), answer: None }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn tags(claims: &[Heard]) -> Vec<&str> {
    claims.iter().map(|heard| heard.arrived.claim.tag.as_deref().unwrap()).collect()
}

fn refusal() -> Failure {
    let mut failure = Failure::busy("exceeded quota", None);
    failure.class = Class::Forbidden;
    failure
}

fn fails(all: &mut Unrecorded, namespace: &str, heard: Heard, failure: &Failure, now: Duration) -> Verdict {
    all.failed(key(namespace), "u", vec![heard], "app:1", failure, (now, at(0)))
}

#[test]
fn a_refusal_is_reported_once_and_tried_again_for_an_hour() {
    let mut all = Unrecorded::default();
    assert_eq!(fails(&mut all, "n", heard("1.1.0", 1), &refusal(), NOW), Verdict::Report);
    assert_eq!(all.failure(&key("n"), "u").unwrap().message, "exceeded quota");
    assert_eq!(all.failure(&key("n"), "another object"), None);
    let mut now = NOW;
    let mut tries = 1;
    loop {
        assert!(all.next(now).is_none());
        now = all.wake().unwrap();
        let retry = all.next(now).unwrap();
        tries += 1;
        let verdict = all.failed(key("n"), "u", retry.claims.clone(), "app:1", &refusal(), (now, at(0)));
        all.tried(&retry);
        if verdict == Verdict::GivenUp {
            break;
        }
        assert_eq!(verdict, Verdict::Retry);
    }
    assert!(now <= NOW + REFUSED_PATIENCE && (5..20).contains(&tries), "{tries} tries until {now:?}");
    assert!(all.wake().is_none() && all.waiting() == 0);
    assert_eq!(all.failure(&key("n"), "u").unwrap().retry_at, None, "it is still shown");
    // A new claim starts again.
    assert!(!all.join(&key("n"), "u", &heard("1.2.0", 2), |_| None));
    assert_eq!(fails(&mut all, "n", heard("1.2.0", 2), &refusal(), now), Verdict::Report);
}

#[test]
fn newer_claims_join_and_cost_no_call() {
    let mut all = Unrecorded::default();
    fails(&mut all, "n", heard("0", 0), &refusal(), NOW);
    assert!(!all.join(&key("other"), "u", &heard("1", 1), |_| None), "nothing failed there");
    // If there are too many, the best one is kept, whenever it came.
    for n in 1..10_000 {
        assert!(all.join(&key("n"), "u", &heard(&n.to_string(), n), |held| held.iter().position(|heard| heard.arrived.at == at(0))));
    }
    let retry = all.next(NOW + REFUSED_BACKOFF.min).unwrap();
    assert_eq!(retry.claims.len(), CLAIMS);
    assert_eq!((tags(&retry.claims)[0], tags(&retry.claims)[CLAIMS - 1]), ("0", "9999"), "in the order in which they arrived");
    // A claim that joins during an attempt is tried next.
    assert!(all.join(&key("n"), "u", &heard("late", 10_000), |_| None));
    all.recorded(&key("n"), &retry.claims, NOW);
    all.tried(&retry);
    let retry = all.next(NOW).unwrap();
    assert_eq!(tags(&retry.claims), ["late"]);
    all.recorded(&key("n"), &retry.claims, NOW);
    all.tried(&retry);
    assert!(all.failure(&key("n"), "u").is_none() && all.is_idle());
}

/// Of two claims about the same tag, the latest is kept, whichever fails first.
#[test]
fn an_older_push_does_not_come_back() {
    let mut all = Unrecorded::default();
    fails(&mut all, "n", heard("main", 2), &refusal(), NOW);
    fails(&mut all, "n", heard("main", 1), &refusal(), NOW);
    let retry = all.next(NOW + Duration::from_mins(2)).unwrap();
    assert_eq!(retry.claims.iter().map(|heard| heard.arrived.at).collect::<Vec<_>>(), [at(2)]);
}

#[test]
fn an_api_server_that_is_not_well_is_tried_soon_and_without_end() {
    let mut all = Unrecorded::default();
    let busy = Failure::busy("etcd leader changed", None);
    let mut now = NOW;
    let verdicts: Vec<Verdict> = (0..500)
        .map(|_| {
            let verdict = fails(&mut all, "n", heard("1", 1), &busy, now);
            now = all.wake().unwrap();
            verdict
        })
        .collect();
    assert!(now > NOW + 2 * REFUSED_PATIENCE && !all.is_idle());
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Report).count(), 1);
    assert_eq!(verdicts.first(), Some(&Verdict::Retry));
    // The pause that the API server asks for is kept, up to a limit.
    fails(&mut all, "n", heard("1", 1), &Failure::busy("later", Some(Duration::from_hours(9))), now);
    assert_eq!(all.wake(), Some(now + REFUSED_BACKOFF.max));
}

/// A slow namespace has one retry at a time, and blocks no other one.
#[test]
fn namespaces_do_not_wait_for_each_other() {
    let mut all = Unrecorded::default();
    let busy = Failure::busy("slow", None);
    for n in 0..5 {
        let mut slow = key("slow");
        slow.0.name = format!("web-{n}");
        all.failed(slow, "u", vec![heard("1", 1)], "app:1", &busy, (NOW, at(0)));
    }
    fails(&mut all, "other", heard("1", 1), &busy, NOW);
    let later = NOW + BUSY_BACKOFF.min;
    let (first, second) = (all.next(later).unwrap(), all.next(later).unwrap());
    let mut namespaces = [&first.key.0.namespace, &second.key.0.namespace];
    namespaces.sort();
    assert_eq!(namespaces, ["other", "slow"]);
    assert!(all.next(later).is_none());
    all.retain(|(workload, _)| workload.namespace != "slow");
    for retry in [&first, &second] {
        all.recorded(&retry.key, &retry.claims, later);
        all.tried(retry);
    }
    assert!(all.is_idle() && all.wake().is_none());
}
