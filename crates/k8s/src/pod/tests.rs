use headwind_core::rollout::pod::PodView;
use headwind_core::workload::Workload;
use serde_json::{Value, json};

use super::*;
use crate::kinds::{SlimStatefulSet, SlimWorkload as _};

fn workload() -> Workload {
    let set = json!({"metadata": {"name": "db", "namespace": "n", "uid": "u"}, "spec": {"template": {"spec": {}}}});
    serde_json::from_value::<SlimStatefulSet>(set).unwrap().read().unwrap()
}

fn read(status: &Value) -> PodView {
    let pod = json!({"metadata": {"name": "db-0", "namespace": "n", "uid": "p"}, "spec": {"nodeName": "node-7"}, "status": status});
    serde_json::from_value::<SlimPod>(pod).unwrap().read(&workload(), false)
}

#[test]
fn last_words_are_one_short_line() {
    let log = format!("\u{1b}[31mpanic:\u{7} {}\nPASSWORD=hunter2\n", "a".repeat(4000));
    let ended = json!({"terminated": {"reason": "Error", "exitCode": 1, "message": log}});
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": format!("back-off\n{log}")}});
    let pod = read(&json!({"containerStatuses": [{"name": "web", "state": waiting, "lastState": ended}]}));
    let (_, code, words) = pod.containers[0].ended.clone().unwrap();
    assert_eq!((code, words.chars().count()), (1, 201), "{words}");
    assert!(words.starts_with("[31mpanic: aaa") && words.ends_with('…') && !words.contains("PASSWORD"), "{words}");
    assert_eq!(pod.containers[0].waiting, Some(("CrashLoopBackOff".to_owned(), "back-off".to_owned())));
}

#[test]
fn a_node_that_does_not_answer_is_named() {
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason});
    let lost = |ready: Value| read(&json!({"conditions": [ready, condition("ContainersReady", "True", "")]})).lost_node;
    assert_eq!(lost(condition("Ready", "False", "")), Some("node-7".to_owned()));
    assert_eq!(lost(condition("Ready", "True", "")), None);
    assert_eq!(lost(condition("Ready", "False", "ReadinessGatesNotReady")), None);
    let unready = json!([condition("Ready", "False", "ContainersNotReady"), condition("ContainersReady", "False", "ContainersNotReady")]);
    assert_eq!(read(&json!({"conditions": unready})).lost_node, None);
}
