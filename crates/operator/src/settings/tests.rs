use std::collections::HashSet;

use headwind_core::config::{Fault, InEffect, accept};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::json;

use super::*;
use crate::observe::watch::Feed;
use crate::report::events::tests::recorded;

/// A store that accepts only numbers, with the values that it adopted.
fn own() -> (Arc<OwnSettings>, Arc<Mutex<Values>>, impl FnMut() -> Vec<String>) {
    let adopted = Arc::<Mutex<Values>>::default();
    let (events, written) = recorded();
    let adopt = Adopt::new({
        let adopted = Arc::clone(&adopted);
        move |stored: &Stored| {
            let known = [("A", Store::ConfigMap), ("B", Store::Secret)];
            let known = known.map(|(name, store)| headwind_core::config::Known { name, store, is_fixed: false });
            let check = |values: &Values| {
                let bad = values.iter().filter(|(_, value)| value.parse::<u8>().is_err());
                bad.map(|(name, _)| Fault { name: name.clone(), why: "must be a number".to_owned() }).collect()
            };
            let before = adopted.lock().clone();
            let (values, problems) = accept(&known, stored, &before, check);
            *adopted.lock() = values;
            problems
        }
    });
    (Arc::new(OwnSettings::new("hw", adopt, events, Metrics::new(), Arc::default())), adopted, written)
}

fn config_map(version: u64, a: &str) -> ConfigMap {
    let metadata = json!({"name": "headwind", "uid": "u", "resourceVersion": version.to_string()});
    serde_json::from_value(json!({"metadata": metadata, "data": {"A": a}})).unwrap()
}

fn value(adopted: &Mutex<Values>, name: &str) -> Option<String> {
    adopted.lock().get(name).cloned()
}

#[tokio::test]
async fn both_objects_are_adopted_and_an_older_copy_is_not() {
    let (own, adopted, _) = own();
    own.apply(config_map(9, "1"), true);
    let secret = json!({"metadata": {"name": "headwind", "uid": "s", "resourceVersion": "3"}, "data": {"B": "Mg=="}});
    own.apply(serde_json::from_value::<Secret>(secret).unwrap(), true);
    assert_eq!((value(&adopted, "A").as_deref(), value(&adopted, "B").as_deref()), (Some("1"), Some("2")));
    // After a write of this replica, the watch may deliver what was there before.
    own.apply(config_map(8, "7"), false);
    assert_eq!(value(&adopted, "A").as_deref(), Some("1"));
    assert_eq!((own.current().config_map.as_deref(), own.current().secret.as_deref()), (Some("9"), Some("3")));
    own.delete(config_map(9, "1"));
    assert_eq!((value(&adopted, "A"), own.current().config_map), (None, None));
}

#[tokio::test]
async fn updates_are_frozen_until_the_config_map_is_read() {
    let (own, _, _) = own();
    let is_frozen = || own.state.limits.configured().freeze.is_some();
    assert!(is_frozen());
    let secret = json!({"metadata": {"name": "headwind", "uid": "s", "resourceVersion": "3"}, "data": {"B": "Mg=="}});
    own.apply(serde_json::from_value::<Secret>(secret).unwrap(), true);
    assert!(is_frozen(), "the Secret contains no limits");
    Feed::<ConfigMap>::sweep(&own, &HashSet::new());
    assert!(!is_frozen(), "it does not exist");
}

#[tokio::test]
async fn an_object_that_is_not_in_the_list_is_gone() {
    let (own, adopted, _) = own();
    own.apply(config_map(9, "1"), true);
    Feed::<ConfigMap>::sweep(&own, &HashSet::from([()]));
    Feed::<Secret>::sweep(&own, &HashSet::new());
    assert_eq!(value(&adopted, "A").as_deref(), Some("1"));
    Feed::<ConfigMap>::sweep(&own, &HashSet::new());
    assert_eq!(value(&adopted, "A"), None);
}

#[tokio::test]
async fn a_bad_value_is_reported_once_and_counted_until_it_is_corrected() {
    let (own, adopted, mut written) = own();
    own.apply(config_map(1, "1"), true);
    own.apply(config_map(2, "x"), false);
    own.apply(config_map(3, "y"), false);
    assert_eq!(value(&adopted, "A").as_deref(), Some("1"));
    assert_eq!(own.current().problems.iter().map(|problem| problem.in_effect.clone()).collect::<Vec<_>>(), [Some(InEffect::LastValid)]);
    let events = written();
    assert!(events.len() == 1 && events[0].starts_with("InvalidSetting "), "{events:?}");
    assert_eq!(own.metrics.settings_invalid.get(), 1);
    own.apply(config_map(4, "5"), false);
    assert_eq!((own.metrics.settings_invalid.get(), own.metrics.settings_changes.get()), (0, 4));
    assert!(written().is_empty());
}
