//! Many requests of one workload at once.

use super::*;

/// Executes every step until nothing is left to do now. Returns the number of steps.
fn steps_until_rest(live: &mut Workload, requests: &mut Vec<Request>, limit: usize) -> usize {
    for taken in 0..limit {
        match step(Some(live), requests) {
            Step::Requeue(_) => return taken,
            Step::Write(write) => {
                let request = requests.iter_mut().find(|request| request.name == write.request).unwrap();
                request.status = write.status;
            }
            Step::Delete { request } => requests.retain(|one| one.name != request),
            Step::Apply(apply) => {
                live.containers[0].image.clone_from(&apply.changes[0].to);
                live.annotations.insert(key::LAST_REQUEST.to_owned(), apply.last_request);
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("no end after {limit} steps")
}

/// A leader that was away finds the requests that the standby created meanwhile. Each request is ended once and pruned
/// once, and the best one is applied.
#[test]
fn a_hundred_requests_take_at_most_two_steps_each() {
    const ALL: usize = 119;
    let mut live = workload("app:1.0.0", &[]);
    let mut requests: Vec<Request> = (1..=ALL).map(|nth| request(&format!("r{nth}"), "app:1.0.0", &format!("app:1.{nth}.0"))).collect();
    let taken = steps_until_rest(&mut live, &mut requests, 3 * ALL);
    assert!(taken <= 2 * ALL + 2, "{taken} steps");
    assert_eq!(live.containers[0].image, "app:1.119.0");
    assert_eq!(violations_of(&requests), Vec::<String>::new());
}
