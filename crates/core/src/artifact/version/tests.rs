use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn tag(text: &str) -> Version {
    parse_tag(text).unwrap_or_else(|| panic!("{text} is a version"))
}

#[rstest]
#[case("1.2.3")]
#[case("v1.2")]
#[case("15")]
#[case("2024.01.05")]
#[case("4.8.1.0")]
#[case("1.27-alpine")]
#[case("3.8.0b1-alpine")]
#[case("1.2.3-rc.1")]
#[case("1.2.3+build")]
#[case("1.2.3_build")]
#[case("99999999999999999999999999999999999999.1")]
#[case("20240329")]
#[case("2.5.0p9-slim")]
#[case("2025-08-05")]
#[case("2025-08-alpine")]
#[case("17.0.3_7-jdk-alpine")]
fn versions(#[case] text: &str) {
    tag(text);
}

#[rstest]
#[case("latest")]
#[case("main")]
#[case("stable-2")]
#[case("2024-01-05.1")]
#[case("2024-01-05.1-slim")]
#[case("1abb7b5dd")]
#[case("7d3f2a1")]
#[case("1234567b2-alpine")]
#[case("1.2.3.4.5")]
#[case("1.27alpine")]
#[case("v")]
#[case("")]
#[case("1.")]
#[case("1..2")]
#[case("1.2-")]
#[case("V1.2")]
#[case("sha256-aa")]
#[case("1.2.3_")]
#[case("1.2.3+")]
#[case("1.2.3-alpine+")]
#[case("17.0.3_7x")]
#[case("17.0.3_7_8")]
#[case("17.0.3_7.1")]
#[case("1.2.3-alpha.2.3e95dc3")]
#[case("1.2.3rc1a")]
#[case("2.5.0p")]
#[case("2.5.0p9a")]
#[case("8u302-b08-jdk")]
#[case("20240329T10")]
fn no_versions(#[case] text: &str) {
    assert_eq!(parse_tag(text), None);
}

/// The parts of a version: numbers, pre-release, revision, variant, metadata.
#[rstest]
#[case("1.2.3-rc.1", "1 2 3", "rc 1", "", "", "")]
#[case("1.2.3rc1", "1 2 3", "rc 1", "", "", "")]
#[case("1.2.3-rc-1", "1 2 3", "rc 1", "", "", "")]
#[case("1.2.3rc", "1 2 3", "rc", "", "", "")]
#[case("3.8.0b1-alpine", "3 8 0", "b 1", "", "alpine", "")]
#[case("1.2.3-RC1", "1 2 3", "rc 1", "", "", "")]
#[case("2.0.0.M3", "2 0 0", "m 3", "", "", "")]
#[case("1.2.3-beta", "1 2 3", "beta", "", "", "")]
#[case("1.2.3-preview.2", "1 2 3", "preview 2", "", "", "")]
#[case("1.2.3-milestone4", "1 2 3", "milestone 4", "", "", "")]
#[case("22-ea-8-jdk", "22", "ea 8", "", "jdk", "")]
#[case("1.2.3-cr2", "1 2 3", "cr 2", "", "", "")]
#[case("1.2.3-pre", "1 2 3", "pre", "", "", "")]
#[case("1.2.3-alpha.1-r4", "1 2 3", "alpha 1", "4", "", "")]
#[case("1.2.3-18-g1abb7b5dd", "1 2 3", "18 g1abb7b5dd", "", "", "")]
#[case("1.2.3-18-g1abb7b5dd-alpine", "1 2 3", "18 g1abb7b5dd", "", "alpine", "")]
#[case("1.2.3-rc.1-18-g1abb7b5dd", "1 2 3", "rc 1 18 g1abb7b5dd", "", "", "")]
#[case("1.2.3-rc-18-g1abb7b5dd", "1 2 3", "rc 18 g1abb7b5dd", "", "", "")]
#[case("1.2.3-7", "1 2 3", "", "7", "", "")]
#[case("7.9.1-1-ubi8", "7 9 1", "", "1", "ubi8", "")]
#[case("17.0.3_7", "17 0 3", "", "7", "", "")]
#[case("17.0.3_7-jdk-alpine", "17 0 3", "", "7", "jdk-alpine", "")]
#[case("17.0.4.1_1-jre", "17 0 4 1", "", "1", "jre", "")]
#[case("17.0.3_7_b", "17 0 3", "", "7", "", "b")]
#[case("2.5.0p9", "2 5 0", "", "9", "", "")]
#[case("2.5.0p9-slim", "2 5 0", "", "9", "slim", "")]
#[case("1.2.3-debian-12-r4", "1 2 3", "", "4", "debian-12", "")]
#[case("1.2.3-debian-12", "1 2 3", "", "", "debian-12", "")]
#[case("1.2.3-r4", "1 2 3", "", "4", "", "")]
#[case("1.2.3-ls12", "1 2 3", "", "12", "", "")]
#[case("1.2.3-build.5", "1 2 3", "", "5", "", "")]
#[case("1.2.3-build5", "1 2 3", "", "5", "", "")]
#[case("1.2.3-alpine-build.5", "1 2 3", "", "5", "alpine", "")]
#[case("1.2.3-p3", "1 2 3", "", "3", "", "")]
#[case("1.2.3-rev2", "1 2 3", "", "2", "", "")]
#[case("1.2.3-dev.12", "1 2 3", "", "12", "dev", "")]
#[case("1.2.3-alpine-dev.12", "1 2 3", "", "12", "alpine-dev", "")]
#[case("1.2.3-alpine3.19", "1 2 3", "", "", "alpine3.19", "")]
#[case("1.2.3-debian-12.5", "1 2 3", "", "", "debian-12.5", "")]
#[case("1.1.1-staging", "1 1 1", "", "", "staging", "")]
#[case("1.27-alpine3.19", "1 27", "", "", "alpine3.19", "")]
#[case("1.27-bookworm-slim", "1 27", "", "", "bookworm-slim", "")]
#[case("1.2.3-linux_amd64", "1 2 3", "", "", "linux_amd64", "")]
#[case("1.2.3-apache", "1 2 3", "", "", "apache", "")]
#[case("1.2.3-dev", "1 2 3", "", "", "dev", "")]
#[case("1.2.3-arm64", "1 2 3", "", "", "arm64", "")]
#[case("1.2.3+build.5", "1 2 3", "", "", "", "build.5")]
#[case("1.2.3+5", "1 2 3", "", "", "", "5")]
#[case("1.2.3_build.5", "1 2 3", "", "", "", "build.5")]
#[case("1.2.3-7_b", "1 2 3", "", "7", "", "b")]
#[case("2025-08-05", "2025 08 05", "", "", "", "")]
#[case("2025-08", "2025 08", "", "", "", "")]
#[case("v2025-08-05-slim", "2025 08 05", "", "", "slim", "")]
#[case("2025-08-05-2", "2025 08 05", "", "2", "", "")]
#[case("2025-08-05-rc.1", "2025 08 05", "rc 1", "", "", "")]
#[case("2025-8", "2025", "", "8", "", "")]
#[case("2025-123", "2025", "", "123", "", "")]
#[case("3025-08-05", "3025", "", "08", "05", "")]
#[case("1999-12-31", "1999 12 31", "", "", "", "")]
fn parts(
    #[case] text: &str,
    #[case] numbers: &str,
    #[case] pre: &str,
    #[case] revision: &str,
    #[case] variant: &str,
    #[case] metadata: &str,
) {
    let version = tag(text);
    let written = |all: &[Number]| all.iter().map(Number::as_written).collect::<Vec<_>>().join(" ");
    let shown: Vec<&str> = version
        .pre
        .iter()
        .map(|part| match part {
            Identifier::Number(number) => number.as_written(),
            Identifier::Word(word) => word,
        })
        .collect();
    let revision_of = version.revision.as_ref().map(Number::as_written).unwrap_or_default();
    assert_eq!(
        (written(&version.numbers).as_str(), shown.join(" ").as_str(), revision_of, version.variant.as_str(), version.metadata.as_str()),
        (numbers, pre, revision, variant, metadata)
    );
}

#[rstest]
#[case("1.2.3", "1.2.4")]
#[case("1.9.0", "1.10.0")]
#[case("1.2.0-rc.1", "1.2.0-rc.2")]
#[case("1.2.0-rc9", "1.2.0-rc10")]
#[case("1.2.0-rc.9", "1.2.0")]
#[case("1.2.0-alpha", "1.2.0-beta")]
#[case("1.2.0-18-g1abb7b5dd", "1.2.0-rc.1")]
#[case("1.2.3-debian-12-r4", "1.2.3-debian-12-r5")]
#[case("1.2.3-7", "1.2.3-10")]
#[case("18446744073709551615.1", "18446744073709551616.0")]
#[case("2025-08-31", "2025-09-01")]
#[case("2025-12", "2026-01")]
#[case("17.0.3_7-jdk", "17.0.3_10-jdk")]
#[case("2.5.0p9", "2.5.0p10")]
#[case("1.2.0-a", "1.2.0-alpha")]
#[case("1.2.0-rc.18446744073709551615", "1.2.0-rc.18446744073709551616")]
fn lower_and_higher(#[case] lower: &str, #[case] higher: &str) {
    assert_eq!(tag(lower).cmp_precedence(&tag(higher)), Ordering::Less);
    assert_eq!(tag(higher).cmp_precedence(&tag(lower)), Ordering::Greater);
}

#[rstest]
#[case("3", "20240329", false)]
#[case("1.9", "2024.1", false)]
#[case("2024.1", "2025.3", true)]
#[case("1.27", "1.27.1", false)]
#[case("v1.2", "1.3", false)]
#[case("1998.1", "2001.2", true)]
#[case("1.4.9", "1.20231120.1", false)]
#[case("1.20231119.1", "1.20231120.1", true)]
#[case("10.0.17763", "10.0.20348", true)]
#[case("2026-08-28", "2026-09", false)]
#[case("2026-08-28", "2026.09.01", true)]
fn schemes(#[case] a: &str, #[case] b: &str, #[case] same: bool) {
    assert_eq!(tag(a).same_scheme(&tag(b)), same);
}

#[test]
fn leading_zeros_are_kept_and_do_not_count() {
    assert_eq!(tag("2024.01.05").numbers[1].as_written(), "01");
    assert_eq!(tag("2024.01.05").cmp_precedence(&tag("2024.1.5")), Ordering::Equal);
}

#[rstest]
#[case("build-9", "build-10")]
#[case("a", "b")]
#[case("a1b2", "a1b10")]
#[case("a", "a1")]
#[case("x7", "x07")]
fn natural(#[case] lower: &str, #[case] higher: &str) {
    assert_eq!(natural_order(lower, higher), if lower == "x7" { Ordering::Greater } else { Ordering::Less });
}

#[test]
fn artefacts() {
    let hex = "a".repeat(64);
    for ending in ["", ".sig", ".att", ".sbom"] {
        assert!(is_artefact(&format!("sha256-{hex}{ending}")));
    }
    assert!(!is_artefact("sha256-short.sig") && !is_artefact("1.2.3"));
}

#[rstest]
#[case("1.2.3", true)]
#[case("v1.2", true)]
#[case("1", true)]
#[case("1.2.3-anything.at-all+meta", true)]
#[case("1.2.3.4", false)]
#[case("1.2.3-", false)]
#[case("1.2.3-a..b", false)]
#[case("0.9.0-alpha.2.095.3e95dc3", false)]
#[case("1.0.0-03173138", false)]
#[case("1.0.0-0", true)]
#[case("1.0.0-03a", true)]
#[case("1.0.0+03", true)]
#[case("18446744073709551615.0.0", true)]
#[case("18446744073709551616.0.0", false)]
#[case("1.0.0-18446744073709551616", true)]
#[case("latest", false)]
fn charts(#[case] text: &str, #[case] fine: bool) {
    assert_eq!(parse_chart(text).is_some(), fine);
}

#[rstest]
#[case(">=1.2")]
#[case("1.x")]
#[case("*")]
#[case("")]
#[case("~1.2")]
#[case("1.2 - 1.4")]
#[case("^1 || ^2")]
fn ranges(#[case] text: &str) {
    assert!(is_range(text));
    assert!(!is_range("1.2.3-x.1") && !is_range("v1.2.3"));
    assert!(is_constraint(text) && !is_constraint("1.2.3-x.1") && !is_constraint("v1.2.3"));
    assert!(is_constraint("1.2") && is_constraint("v1") && !is_range("1.2"), "only where Flux reads it as one");
}

fn any_version() -> impl Strategy<Value = String> {
    let attached = vec!["", "-7", "-10", "_7", "_10", "p9", "-rc.1", "-rc.10", "b2", "-alpha", "-4-gabcd123", "-rc.1-4-gabcd123"];
    let last = vec!["", "-r1", "-r10", "-alpine", "-alpine-r2", "-alpine3.19", "-dev.3", "_meta", "-jdk_x"];
    (prop::bool::ANY, 0_usize..3, prop::collection::vec(0_u32..12, 1..5), prop::sample::select(attached), prop::sample::select(last))
        .prop_map(|(v, date, numbers, attached, last)| {
            let numbers = match date {
                0 => format!("20{:02}-{:02}", 20 + numbers[0], numbers[0] + 1),
                _ => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("."),
            };
            format!("{}{numbers}{attached}{last}", if v { "v" } else { "" })
        })
        .prop_filter("a version", |text| parse_tag(text).is_some())
}

proptest! {
    #[test]
    fn the_order_is_total(a in any_version(), b in any_version(), c in any_version()) {
        let (x, y, z) = (tag(&a), tag(&b), tag(&c));
        prop_assert!(x.cmp_precedence(&x).is_eq());
        prop_assert_eq!(x.cmp_precedence(&y), y.cmp_precedence(&x).reverse());
        if x.cmp_precedence(&y).is_le() && y.cmp_precedence(&z).is_le() {
            prop_assert!(x.cmp_precedence(&z).is_le());
        }
    }

    #[test]
    fn natural_order_is_total(a in "[a-c0-9.-]{0,8}", b in "[a-c0-9.-]{0,8}", c in "[a-c0-9.-]{0,8}") {
        prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
        prop_assert_eq!(natural_order(&a, &b).is_eq(), a == b);
        if natural_order(&a, &b).is_le() && natural_order(&b, &c).is_le() {
            prop_assert!(natural_order(&a, &c).is_le());
        }
    }

    #[test]
    fn nothing_breaks_the_parsers(text in "\\PC{0,200}") {
        let _ = (parse_tag(&text), parse_chart(&text), is_range(&text), is_artefact(&text));
    }

    #[test]
    fn near_versions_do_not_break_them(text in "v?(20[0-9]{2}|[0-9]{0,3})([.+_-]?(rc|alpine|g1abb7b5|[0-9]{1,4}|[rp][0-9])){0,6}") {
        let _ = (parse_tag(&text), parse_chart(&text));
    }
}

#[test]
fn long_texts_are_read_in_no_time() {
    for text in ["1.".repeat(50_000), "-1".repeat(50_000), format!("1{}", "-rc.1".repeat(20_000)), "9".repeat(100_000)] {
        let _ = (parse_tag(&text), parse_chart(&text), natural_order(&text, &text));
    }
}
