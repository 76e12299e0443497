use serde_json::json;

use super::*;

fn request(name: &str, version: &str, phase: &str) -> UpdateRequest {
    serde_json::from_value(json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}"), "resourceVersion": version, "managedFields": [{"manager": "x"}]},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "t", "uid": "u"}, "updateType": "image", "containerName": "web",
            "currentImage": "a:1", "newImage": "a:2", "policy": "minor", "requireApproval": true, "trigger": "webhook",
        },
        "status": {"phase": phase},
    }))
    .unwrap()
}

#[test]
fn an_object_never_goes_back() {
    let mut requests = Requests::default();
    assert_eq!(requests.apply(request("a", "5", "Pending")), Some(Moved { before: None, after: Phase::Pending }));
    assert_eq!(requests.apply(request("a", "6", "Approved")), Some(Moved { before: Some(Phase::Pending), after: Phase::Approved }));
    assert_eq!(requests.apply(request("a", "5", "Pending")), None);
    assert_eq!(requests.get("n", "a").unwrap().phase(), Phase::Approved);
    assert!(requests.get("n", "a").unwrap().metadata.managed_fields.is_none());
    let mut reborn = request("a", "4", "Pending");
    reborn.metadata.uid = Some("another".to_owned());
    assert_eq!(requests.apply(reborn), Some(Moved { before: None, after: Phase::Pending }));
}

#[test]
fn counts_and_places_do_not_drift() {
    let mut requests = Requests::default();
    for name in ["b", "a", "c"] {
        requests.apply(request(name, "1", "Pending"));
    }
    assert_eq!(requests.pending(), 3);
    requests.apply(request("a", "2", "Completed"));
    assert_eq!(requests.pending(), 2);
    let target = request("a", "1", "Pending").target();
    assert_eq!(requests.of(&target).len(), 3);
    let names: Vec<String> = requests.after(Some(&("n".to_owned(), "a".to_owned()))).map(|request| request.name_any()).collect();
    assert_eq!(names, ["b", "c"]);
    let seen = HashSet::from([("n".to_owned(), "b".to_owned())]);
    assert_eq!(requests.sweep(None, &seen).len(), 2);
    assert_eq!((requests.pending(), requests.of(&target).len(), requests.targets().count()), (1, 1, 1));
    requests.remove(&("n".to_owned(), "b".to_owned()));
    assert_eq!((requests.pending(), requests.targets().count()), (0, 0));
}
