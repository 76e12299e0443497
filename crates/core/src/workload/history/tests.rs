use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn images<'a>(history: &'a History, container: &'a str) -> Vec<&'a str> {
    history.of(container).map(|entry| entry.image.as_str()).collect()
}

#[test]
fn ten_are_kept_and_the_first_image_stays() {
    let mut history = History::default();
    for n in 1..=15 {
        history.record("a", &format!("i:{}", n - 1), &format!("i:{n}"), at(n), &format!("r{n}"), None);
    }
    history.record("b", "j:0", "j:1", at(99), "s", Some("ann"));
    assert_eq!(images(&history, "a"), ["i:15", "i:14", "i:13", "i:12", "i:11", "i:10", "i:9", "i:8", "i:7", "i:6", "i:0"]);
    assert_eq!(images(&history, "b"), ["j:1", "j:0"]);
    assert_eq!(history.of("b").next().unwrap().approved_by.as_deref(), Some("ann"));
    let (read, whole) = History::parse(Some(&history.to_annotation()));
    assert!(whole && read == history, "parse of print");
}

#[test]
fn what_was_broken_is_repaired() {
    for text in ["", "nonsense", "{}", "[1,2]", "null"] {
        let (mut history, whole) = History::parse(Some(text));
        assert!(!whole, "{text}");
        history.record("a", "i:0", "i:1", at(1), "r", None);
        assert_eq!(images(&history, "a"), ["i:1", "i:0"]);
    }
    let half =
        r#"[{"container":"a","image":"i:1","timestamp":"2026-01-01T00:00:00Z","updateRequestName":"r","approvedBy":null},{"container":7}]"#;
    let (history, whole) = History::parse(Some(half));
    assert!(!whole && images(&history, "a") == ["i:1"]);
    assert_eq!(history.times_applied("r"), 1);
}

#[test]
fn the_annotation_stays_small() {
    let mut history = History::default();
    for container in 0..40 {
        for n in 0..12 {
            let name = format!("c{container}");
            history.record(&name, &format!("{}:{n}", "i".repeat(200)), &format!("{}:{}", "i".repeat(200), n + 1), at(n), "request", None);
        }
    }
    assert!(history.to_annotation().len() <= SIZE, "{}", history.to_annotation().len());
    assert!((0..40).all(|container| history.of(&format!("c{container}")).count() >= 2));
}

#[test]
fn what_another_hand_put_there_is_noted() {
    let mut history = History::default();
    history.record("a", "i:0", "i:1", at(1), "r1", None);
    history.record("a", "i:hand", "i:2", at(2), "r2", None);
    assert_eq!(images(&history, "a"), ["i:2", "i:hand", "i:1", "i:0"]);
    assert_eq!(history.before("a", "i:2").map(|entry| entry.image.as_str()).collect::<Vec<_>>(), ["i:hand", "i:1", "i:0"]);
    assert_eq!(history.before("a", "i:elsewhere").count(), 4, "from an unknown image, the newest entry is one step back");
}

#[test]
fn going_back_forgets_what_is_gone_over() {
    let mut history = History::default();
    for n in 1..=3 {
        history.record("a", &format!("i:{}", n - 1), &format!("i:{n}"), at(n), &format!("r{n}"), None);
    }
    history.record("b", "j:0", "j:1", at(9), "s", None);
    assert_eq!(history.go_back("a", "i:3", "i:1", at(10)), ["r3", "r2"]);
    assert_eq!((images(&history, "a"), images(&history, "b")), (vec!["i:1", "i:0"], vec!["j:1", "j:0"]));
    assert!(history.names("r1") && !history.names("r3"));
    history.go_back("a", "i:1", "i:0", at(11));
    assert_eq!((images(&history, "a"), history.before("a", "i:0").count()), (vec!["i:0"], 0), "there is nothing older");
}

/// The history contains images as written, and a restart for a new digest of a tag does not change the image.
#[test]
fn a_restart_leaves_nothing_to_go_back_to() {
    let mut history = History::default();
    history.record("a", "i:main", "i:main", at(1), "r1", None);
    history.record("a", "i:main", "i:main", at(2), "r2", None);
    assert_eq!(history.before("a", "i:main").count(), 0, "{:?}", images(&history, "a"));
}

#[test]
fn going_back_never_goes_forward() {
    let mut history = History::default();
    for (n, (from, to)) in [("i:1", "i:2"), ("i:2", "i:1"), ("i:1", "i:2")].into_iter().enumerate() {
        history.record("a", from, to, at(1), &format!("r{n}"), None);
    }
    assert_eq!(images(&history, "a"), ["i:2", "i:1", "i:2", "i:1"]);
    assert_eq!(history.before("a", "i:2").map(|entry| entry.image.as_str()).collect::<Vec<_>>(), ["i:1"]);
    assert_eq!(history.go_back("a", "i:2", "i:1", at(2)), ["r2", "r0"]);
    assert_eq!(history.before("a", "i:1").count(), 0, "i:2 was left: {:?}", images(&history, "a"));
}

#[test]
fn what_was_put_there_later_is_not_before() {
    let mut history = History::default();
    for n in 1..=2 {
        history.record("a", &format!("i:{}", n - 1), &format!("i:{n}"), at(n), &format!("r{n}"), None);
    }
    let before = |current| history.before("a", current).map(|entry| entry.image.as_str()).collect::<Vec<_>>();
    assert_eq!((before("i:1"), before("i:0")), (vec!["i:0"], vec![]), "they were restored outside Headwind");
}

#[test]
fn going_back_to_what_the_history_does_not_know_keeps_what_is_older() {
    let mut history = History::default();
    history.record("a", "i:0", "i:main", at(1), "r1", None);
    history.record("a", "i:main", "i:main", at(2), "r2", None);
    history.go_back("a", "i:main", "i:main@sha256:old", at(3));
    assert_eq!(images(&history, "a"), ["i:main@sha256:old", "i:0"], "the tag alone names what was left");
}

#[test]
fn a_hostile_annotation_is_cut_to_its_limits() {
    let entry = |container: &str, image: &str| {
        format!(
            r#"{{"container":"{container}","image":"{image}","timestamp":"2026-01-01T00:00:00Z","updateRequestName":null,"approvedBy":null}}"#
        )
    };
    for many in [
        (0..5000).map(|n| entry("a", &format!("i:{n}"))).collect::<Vec<_>>(),
        (0..5000).map(|n| entry(&format!("c{n}"), "i:1")).collect(),
        vec![entry("a", &"i".repeat(250_000)), entry("b", "i:1")],
    ] {
        let (mut history, _) = History::parse(Some(&format!("[{}]", many.join(","))));
        history.record("a", "i:0", "i:1", at(1), "r", None);
        assert!(history.to_annotation().len() <= SIZE, "{}", history.to_annotation().len());
        assert_eq!(images(&history, "a").first(), Some(&"i:1"));
    }
}
