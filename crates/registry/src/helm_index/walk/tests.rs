use super::*;
use rstest::rstest;

fn read_of(text: &[u8], piece: usize, wanted: &[&str]) -> Result<Found, Unreadable> {
    let pieces: Vec<Vec<u8>> = text.chunks(piece).map(<[u8]>::to_vec).collect();
    let (sender, receiver) = tokio::sync::mpsc::channel(pieces.len().max(1));
    for piece in pieces {
        sender.try_send(piece).unwrap();
    }
    drop(sender);
    read(receiver, &wanted.iter().map(|name| (*name).to_owned()).collect(), Share::alone())
}

/// Returns the versions of chart `a` in short, and the number of skipped entries.
fn versions(text: &str) -> Result<(Vec<String>, usize), Unreadable> {
    let mut found = read_of(text.as_bytes(), 7, &["a"])?;
    assert_eq!(found.charts.keys().collect::<Vec<_>>(), ["a"]);
    let short = |version: ChartVersion| {
        let ChartVersion { version, app_version, deprecated, created: _, digest: _, url: _ } = version;
        let app = app_version.map(|app| format!("({app})")).unwrap_or_default();
        format!("{version}{app}{}", if deprecated { "-" } else { "" })
    };
    Ok((found.charts.remove("a").unwrap().into_iter().map(short).collect(), found.skipped))
}

const WHOLE: &str = r#"
# written by hand
apiVersion: v1
generated: "2024-05-01T10:11:12.123456789Z"
entries:
  other:
  - version: 9.9.9
    description: [a, {b: c}]
  a:
  - apiVersion: v2
    appVersion: "1.10"
    annotations:
      entries: |
        a:
        - version: 6.6.6
    created: 2024-05-01T12:11:12.123456789+02:00
    dependencies: [{name: common, version: 2.x.x}]
    digest: 8a9e
    name: a
    urls:
    - charts/a-1.1.0.tgz
    - https://mirror.example/a-1.1.0.tgz
    version: 1.1.0
  - {version: 1.0.0+build.1, deprecated: true, appVersion: ~}
"#;

#[test]
fn everything_that_counts() {
    for piece in [1, 3, 4096] {
        let found = read_of(WHOLE.as_bytes(), piece, &["a", "absent"]).unwrap();
        let first = ChartVersion {
            version: "1.1.0".to_owned(),
            app_version: Some("1.10".to_owned()),
            deprecated: false,
            created: Some("2024-05-01T10:11:12.123456789Z".parse().unwrap()),
            digest: Some("8a9e".to_owned()),
            url: Some("charts/a-1.1.0.tgz".to_owned()),
        };
        let second = ChartVersion { version: "1.0.0+build.1".to_owned(), deprecated: true, ..ChartVersion::default() };
        let charts = BTreeMap::from([("a".to_owned(), vec![first, second]), ("absent".to_owned(), Vec::new())]);
        assert_eq!(found, Found { charts, skipped: 0 });
    }
}

#[rstest]
#[case::json(r#"{"apiVersion":"v1","entries":{"b":[{"version":"2"}],"a":[{"version":"1.0.0","urls":["x"],"deprecated":false},{"version":"0.9.0","appVersion":"\u00e4\/"}]}}"#, &["1.0.0", "0.9.0(ä/)"], 0)]
#[case::number_is_as_it_stands("entries: {a: [{version: 1.10, appVersion: 2.0}, {version: 0x10}, {version: 007}]}", &["1.10(2.0)", "0x10", "007"], 0)]
#[case::first_of_two("entries: {a: [{version: 1.0.0, appVersion: x}, {version: 1.0.0, appVersion: y}]}", &["1.0.0(x)"], 0)]
#[case::first_chart_of_two("entries: {a: [{version: 1.0.0}], a: [{version: 2.0.0}]}", &["1.0.0"], 0)]
#[case::removed("entries: {a: [{version: 1.0.0, removed: true}, {version: 0.9.0, removed: false}]}", &["0.9.0"], 0)]
#[case::deprecated("entries: {a: [{version: 4, deprecated: yes}, {version: 3, deprecated: 'true'}, {version: 2, deprecated: null}]}", &["4-", "3-", "2"], 0)]
#[case::no_version("entries: {a: [{appVersion: 1}, {version: }, {version: ~}, {version: ''}, {version: 1.0.0}]}", &["1.0.0"], 4)]
#[case::odd_version("entries: {a: [{version: [1]}, {version: {a: 1}}, {version: a b}, {version: 1.0.0}]}", &["1.0.0"], 3)]
#[case::odd_types("entries: {a: [{version: 4, deprecated: perhaps}, {version: 3, urls: x}, {version: 2, appVersion: [x]}, {version: 1}]}", &["1"], 3)]
#[case::odd_entries("entries: {a: [1.0.0, [1.0.0], ~, {version: 1.0.0}]}", &["1.0.0"], 3)]
#[case::no_list("entries: {a: {version: 1.0.0}}", &[], 1)]
#[case::odd_time("entries: {a: [{version: 1.0.0, created: yesterday}]}", &["1.0.0"], 0)]
#[case::other_charts_may_be_anything("entries: {b: nonsense, [c]: d, a: [{version: 1.0.0}], e: }", &["1.0.0"], 0)]
#[case::empty_map("entries: {}", &[], 0)]
#[case::empty("apiVersion: v1\nentries:\n", &[], 0)]
#[case::absent("entries: {b: [{version: 1.0.0}]}", &[], 0)]
#[case::anchored_text("x: &v 1.0.0\nentries: {a: [{version: *v}, {version: &w 2.0.0}, {version: *w, appVersion: *w}]}", &["1.0.0", "2.0.0"], 0)]
#[case::anchored_entry("x: &e {version: 1.0.0}\nentries: {a: [*e, {version: 2.0.0, urls: *e}, {<<: *e, version: 3.0.0}]}", &["3.0.0"], 2)]
#[case::anchored_chart("entries: {b: &l [{version: 1.0.0}], a: *l}", &[], 1)]
#[case::windows("\u{FEFF}entries:\r\n  a:\r\n  - version: 1.0.0\r\n", &["1.0.0"], 0)]
#[case::two_documents("entries: {a: [{version: 1.0.0}]}\n---\nentries: {a: [{version: 2.0.0}]}\n", &["1.0.0"], 0)]
#[case::tagged("entries: {a: [{version: !!str 1.0.0, appVersion: !!int nonsense, deprecated: !x true}]}", &["1.0.0(nonsense)-"], 0)]
fn entries(#[case] text: &str, #[case] expected: &[&str], #[case] skipped: usize) {
    let (found, passed) = versions(text).unwrap();
    assert_eq!((found, passed), (expected.iter().map(|text| (*text).to_owned()).collect(), skipped));
}

#[rstest]
#[case::page("<!DOCTYPE html>\n<html><body class=\"a\">: {no}</body></html>", Unreadable::Page)]
#[case::page_that_is_no_yaml("\n <html>\n\t<b>a: b: [\n</html>", Unreadable::Page)]
#[case::nothing("", Unreadable::NoEntries)]
#[case::text("not found", Unreadable::NoEntries)]
#[case::list("[{version: 1.0.0}]", Unreadable::NoEntries)]
#[case::no_entries("apiVersion: v1\ngenerated: x\n", Unreadable::NoEntries)]
#[case::entries_are_a_list("entries: [a]", Unreadable::NoEntries)]
#[case::entries_are_a_text("entries: a", Unreadable::NoEntries)]
#[case::a_manifest(r#"{"errors":[{"code":"NOT_FOUND"}]}"#, Unreadable::NoEntries)]
#[case::cut_off("entries: {a: [{version: 1.0.0}, {ver", Unreadable::Syntax(1))]
#[case::broken("entries:\n  a:\n  - version: 1.0.0\n  ]\n", Unreadable::Syntax(4))]
#[case::unknown_alias("entries:\n  a: *nothing\n", Unreadable::Syntax(2))]
fn unreadable_indexes(#[case] text: &str, #[case] expected: Unreadable) {
    assert_eq!(versions(text), Err(expected));
}

fn lines(numbers: std::ops::Range<usize>, line: impl Fn(usize) -> String) -> String {
    numbers.map(line).collect::<Vec<_>>().concat()
}

#[test]
fn nothing_grows() {
    // A billion laughs: aliases are not expanded.
    let level = |n: usize| format!("k{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "));
    let levels = lines(1..30, level);
    let bomb = format!("k: &a0 [lol, lol, lol, lol]\n{levels}entries: {{a: [{{version: 1.0.0, annotations: *a29}}, *a29]}}\n");
    assert_eq!(versions(&bomb), Ok((vec!["1.0.0".to_owned()], 1)));

    let deep = |open: &str, close: &str| format!("x: {}{}\nentries: {{}}\n", open.repeat(5000), close.repeat(5000));
    assert_eq!(versions(&deep("[", "]")), Err(Unreadable::Syntax(1)));
    assert_eq!(versions(&deep("{a: ", "}")), Err(Unreadable::Syntax(1)));
    let deep = lines(0..5000, |depth| format!("{}a:\n", " ".repeat(depth)));
    assert_eq!(versions(&deep), Err(Unreadable::Syntax(101)));

    let anchors = lines(0..2000, |n| format!("k{n}: &a{n} x\n"));
    assert_eq!(versions(&anchors), Err(Unreadable::Anchors));
    let anchors = format!("k: &{} x\nentries: {{}}", "a".repeat(70_000));
    assert_eq!(versions(&anchors), Err(Unreadable::Anchors));

    let long = |text: &str| format!("a: 1\nx: {}\nentries: {{a: []}}\n", text.repeat(LONGEST / text.len() + 100));
    for text in ["x", "word ", "\n    word", "#comment\n", "      "] {
        let read = read_of(long(text).as_bytes(), 65536, &["a"]);
        assert!(matches!(read, Err(Unreadable::TooLong(_))), "{text:?}: {read:?}");
    }
    let icon = format!("entries: {{a: [{{version: 1.0.0, icon: '{}'}}]}}", "x".repeat(1024 * 1024));
    assert_eq!(versions(&icon), Ok((vec!["1.0.0".to_owned()], 0)));

    let many = lines(0..VERSIONS + 1, |n| format!("  - version: 1.0.{n}\n"));
    assert_eq!(read_of(format!("entries:\n  a:\n{many}").as_bytes(), 65536, &["a"]), Err(Unreadable::TooMany));
    assert_eq!(read_of(format!("entries:\n  a:\n{many}").as_bytes(), 65536, &["b"]).map(|found| found.skipped), Ok(0));

    let text = "x".repeat(2000);
    let large = lines(0..2000, |n| format!("  - version: 1.0.{n}\n    appVersion: {text}\n    digest: {text}\n    urls: ['{text}']\n"));
    assert_eq!(read_of(format!("entries:\n  a:\n{large}").as_bytes(), 65536, &["a"]), Err(Unreadable::TooLarge));
}

proptest::proptest! {
    #[test]
    fn nothing_breaks_it(text in "(entries:|a:|version:|- |\\{|\\}|\\[|\\]|,|&x|\\*x|\n|  |\"|'|1\\.0|<|\\?|!|\\||#|%|\t|ä){0,60}") {
        let _ = read_of(text.as_bytes(), 5, &["a"]);
    }

    #[test]
    fn nor_do_bytes(bytes in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..200)) {
        let _ = read_of(&bytes, 5, &["a"]);
    }
}
