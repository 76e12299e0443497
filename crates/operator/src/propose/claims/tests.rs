use headwind_core::artifact::reference::{Digest, RepositoryKey};
use headwind_core::trigger::Trigger;

use super::*;

const NOW: Duration = Duration::from_secs(100);

fn arrived(repository: &str, tag: &str, digest: Option<char>) -> Arrived {
    Arrived {
        claim: Claim {
            origin: Origin::Registry(RepositoryKey::parse(repository).unwrap()),
            chart: None,
            tag: Some(tag.to_owned()),
            digest: digest.map(|letter| Digest::parse(&format!("sha256:{}", letter.to_string().repeat(64))).unwrap()),
            trigger: Trigger::Webhook,
        },
        at: Timestamp::UNIX_EPOCH,
        proven: false,
    }
}

fn tags(repository: &str, count: usize) -> Vec<Arrived> {
    (0..count).map(|n| arrived(repository, &format!("1.{n}.0"), None)).collect()
}

fn lane(host: &str) -> Lane {
    Lane { host: host.to_owned(), namespace: None }
}

fn tag(arrived: &Arrived) -> &str {
    arrived.claim.tag.as_deref().unwrap()
}

/// Sends every claim that waits for a worker to the lane.
fn to_lane(claims: &mut Claims, lane: &Lane, optional: bool) {
    while let Some(work) = claims.next() {
        assert_eq!(claims.worked(&work, [(lane.clone(), optional)], NOW), After::Waits);
    }
}

fn again() -> LookedUp {
    LookedUp::Again { settled: HashSet::new() }
}

#[test]
fn a_newer_claim_takes_the_place() {
    let mut claims = Claims::default();
    assert_eq!(claims.offer(vec![arrived("r.example/a", "main", Some('1'))], NOW), Ok(0));
    let older = claims.next().unwrap();
    // It arrives during the work on the older one, and is processed after it.
    let newer = arrived("r.example/a", "main", Some('2'));
    assert_eq!(claims.offer(vec![newer.clone()], NOW), Ok(1));
    assert!(claims.next().is_none(), "one of an origin at a time");
    assert_eq!(claims.worked(&older, [(lane("r.example"), false)], NOW), After::Waits);
    assert!(claims.next_look_up(NOW).is_none(), "what the older one wants is not wanted any more");
    let work = claims.next().unwrap();
    assert_eq!(*work.arrived, newer);
    assert_eq!(claims.worked(&work, [], NOW), After::Done);
    assert!(claims.is_idle() && claims.len() == 0);
}

#[test]
fn a_newer_claim_takes_the_place_of_one_that_is_looked_up_again() {
    let mut claims = Claims::default();
    let here = lane("r.example");
    claims.offer(vec![arrived("r.example/a", "main", Some('1'))], NOW).unwrap();
    to_lane(&mut claims, &here, false);
    let look_up = claims.next_look_up(NOW).unwrap();
    assert_eq!(claims.looked_up(&look_up, again(), Host::Down(None), NOW), After::Waits);
    claims.offer(vec![arrived("r.example/a", "main", Some('2'))], NOW).unwrap();
    to_lane(&mut claims, &here, false);
    let later = claims.wake(NOW).unwrap();
    let look_up = claims.next_look_up(later).unwrap();
    assert_eq!(look_up.arrived.claim.digest, arrived("r.example/a", "main", Some('2')).claim.digest);
    assert_eq!(claims.looked_up(&look_up, LookedUp::Answered, Host::Answers, later), After::Done);
    assert!(claims.next_look_up(later + PATIENCE).is_none() && claims.len() == 0);
}

#[test]
fn origins_have_their_turns() {
    let mut claims = Claims::default();
    claims.offer(tags("r.example/many", 500), NOW).unwrap();
    claims.offer(tags("r.example/one", 1), NOW).unwrap();
    let slow = claims.next().unwrap();
    let other = claims.next().unwrap();
    assert_eq!(other.arrived.claim.origin.to_string(), "r.example/one");
    assert!(claims.next().is_none());
    assert_eq!(claims.worked(&slow, [], NOW), After::Done);
    assert_eq!(tag(&claims.next().unwrap().arrived), "1.1.0", "in the order in which they came");
}

/// Neither one repository, nor one host, nor forty hosts use up all places.
#[test]
fn places_are_shared() {
    let mut claims = Claims::default();
    assert_eq!(claims.offer(tags("r.example/a", ORIGIN_PLACES + 1), NOW), Err(Full::Ever));
    claims.offer(tags("r.example/a", ORIGIN_PLACES), NOW).unwrap();
    assert_eq!(claims.offer(vec![arrived("r.example/a", "new", None)], NOW), Err(Full::Now));
    assert_eq!(claims.offer(tags("r.example/a", 10), NOW), Ok(10), "what merges takes no place");
    for host in 0..40 {
        for repository in 0..6 {
            // Some are rejected, on purpose.
            claims.offer(tags(&format!("h{host}.example/r{repository}"), 900), NOW).ok();
        }
    }
    let full = claims.len();
    assert!(full < PLACES, "{full}");
    assert_eq!(claims.offer(vec![arrived("other.example/b", "1.0.0", None)], NOW), Ok(0));
    assert_eq!(claims.len(), full + 1);
}

#[test]
fn a_call_is_taken_as_a_whole() {
    let mut claims = Claims::default();
    claims.offer(tags("r.example/a", ORIGIN_PLACES), NOW).unwrap();
    let call = vec![arrived("s.example/b", "1", None), arrived("r.example/a", "new", None)];
    assert_eq!(claims.offer(call, NOW), Err(Full::Now));
    assert_eq!(claims.len(), ORIGIN_PLACES);
}

/// A host that does not answer is backed off at the first timeout, and delays no other one.
#[test]
fn a_host_that_is_down_delays_nobody() {
    let mut claims = Claims::default();
    let (dead, good) = (lane("dead.example"), lane("good.example"));
    claims.offer(tags("dead.example/a", 100), NOW).unwrap();
    to_lane(&mut claims, &dead, false);
    let first: Vec<LookUp> = std::iter::from_fn(|| claims.next_look_up(NOW)).collect();
    assert_eq!(first.len(), LANE_WIDTH);
    claims.offer(tags("good.example/a", 1), NOW).unwrap();
    to_lane(&mut claims, &good, false);
    let look_up = claims.next_look_up(NOW).unwrap();
    assert_eq!(look_up.lane, good);
    assert_eq!(claims.looked_up(&look_up, LookedUp::Answered, Host::Answers, NOW), After::Done);

    for look_up in &first {
        assert_eq!(claims.looked_up(look_up, again(), Host::Down(None), NOW), After::Waits);
    }
    assert!(claims.next_look_up(NOW).is_none(), "the host is left alone");
    let later = claims.wake(NOW).unwrap();
    assert!(later > NOW && later <= NOW + LANE_BACKOFF.max, "{later:?}");
    let probe = claims.next_look_up(later).unwrap();
    assert!(!probe.skip && claims.next_look_up(later).is_none(), "one look-up tries it");
    assert_eq!(claims.looked_up(&probe, LookedUp::Answered, Host::Answers, later), After::Done);
    assert_eq!(std::iter::from_fn(|| claims.next_look_up(later)).count(), LANE_WIDTH, "it answers again");
}

#[test]
fn what_stands_without_a_look_up_does_not_wait_for_a_host_that_is_down() {
    let mut claims = Claims::default();
    let dead = lane("dead.example");
    claims.offer(tags("dead.example/a", 10), NOW).unwrap();
    to_lane(&mut claims, &dead, true);
    let look_up = claims.next_look_up(NOW).unwrap();
    assert!(!look_up.skip);
    assert_eq!(claims.looked_up(&look_up, LookedUp::Answered, Host::Down(None), NOW), After::Done);
    let rest: Vec<LookUp> = std::iter::from_fn(|| claims.next_look_up(NOW)).collect();
    assert!(rest.len() == 9 && rest.iter().all(|look_up| look_up.skip));
    for look_up in &rest {
        assert_eq!(claims.looked_up(look_up, LookedUp::Answered, Host::NotAsked, NOW), After::Done);
    }
}

#[test]
fn an_answer_is_waited_for_during_an_hour() {
    let mut claims = Claims::default();
    let dead = lane("dead.example");
    claims.offer(tags("dead.example/a", 3), NOW).unwrap();
    to_lane(&mut claims, &dead, false);
    let mut now = NOW;
    let mut tries = 0;
    loop {
        assert!(now >= NOW + PATIENCE || claims.expire(now).is_empty());
        let Some(look_up) = claims.next_look_up(now) else {
            now = claims.wake(now).unwrap();
            continue;
        };
        tries += 1;
        match claims.looked_up(&look_up, again(), Host::Down(None), now) {
            After::Waits => {}
            after => {
                assert_eq!(after, After::Dropped { done: true });
                break;
            }
        }
    }
    assert!(now >= NOW + PATIENCE && (10..50).contains(&tries), "{tries} tries until {now:?}");
    assert_eq!(claims.expire(now).len(), 2, "those that the pause of the host kept back");
    assert_eq!(claims.len(), 0);
    claims.expire(now + 2 * LANE_BACKOFF.max);
    assert!(claims.lanes.is_empty() && claims.origins.is_empty() && claims.hosts.is_empty() && claims.turns.is_empty());
}

/// A query that has an answer for some of the workloads is not repeated.
#[test]
fn what_is_settled_stays_settled() {
    let mut claims = Claims::default();
    claims.offer(tags("r.example/a", 1), NOW).unwrap();
    to_lane(&mut claims, &lane("r.example"), false);
    let look_up = claims.next_look_up(NOW).unwrap();
    assert!(look_up.settled.is_empty() && !claims.is_idle());
    claims.looked_up(&look_up, LookedUp::Again { settled: [Fingerprint::default()].into() }, Host::Answers, NOW);
    assert!(claims.is_idle(), "it waits for the registry, not for Headwind");
    let look_up = claims.next_look_up(claims.wake(NOW).unwrap()).unwrap();
    assert_eq!(look_up.settled, [Fingerprint::default()].into());
}

/// Repeated claims of one tag for a host that is down use no additional memory.
#[test]
fn the_same_again_and_again_takes_one_place() {
    let mut claims = Claims::default();
    let dead = lane("dead.example");
    for _ in 0..1000 {
        claims.offer(tags("dead.example/a", 1), NOW).unwrap();
        to_lane(&mut claims, &dead, false);
        if let Some(look_up) = claims.next_look_up(NOW) {
            claims.looked_up(&look_up, again(), Host::Down(None), NOW);
        }
    }
    assert!(claims.len() == 1 && claims.lanes[&dead].needed.len() == 1);
}
