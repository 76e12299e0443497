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
fn versions(#[case] text: &str) {
    tag(text);
}

#[rstest]
#[case("latest")]
#[case("main")]
#[case("stable-2")]
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
fn no_versions(#[case] text: &str) {
    assert_eq!(parse_tag(text), None);
}

#[rstest]
#[case("1.2.3-rc.1", "rc 1", "", "")]
#[case("1.2.3rc1", "rc 1", "", "")]
#[case("3.8.0b1-alpine", "b 1", "", "alpine")]
#[case("1.2.3-RC1", "rc 1", "", "")]
#[case("2.0.0.M3", "m 3", "", "")]
#[case("1.2.3-beta", "beta", "", "")]
#[case("1.2.3-18-g1abb7b5dd", "18 g1abb7b5dd", "", "")]
#[case("1.2.3-rc.1-18-g1abb7b5dd", "rc 1 18 g1abb7b5dd", "", "")]
#[case("1.2.3-7", "", "-7", "")]
#[case("7.9.1-1-ubi8", "", "-1", "ubi8")]
#[case("1.2.3-debian-12-r4", "", "-r4", "debian-12")]
#[case("1.2.3-debian-12", "", "", "debian-12")]
#[case("1.2.3-r4", "", "-r4", "")]
#[case("1.2.3-ls12", "", "-ls12", "")]
#[case("1.2.3-build.5", "", "-build.5", "")]
#[case("1.2.3-build5", "", "-build5", "")]
#[case("1.2.3-p3", "", "-p3", "")]
#[case("1.2.3-rev2", "", "-rev2", "")]
#[case("1.2.3-dev.12", "", ".12", "dev")]
#[case("1.1.1-staging", "", "", "staging")]
#[case("1.27-alpine3.19", "", "", "alpine3.19")]
#[case("1.27-bookworm-slim", "", "", "bookworm-slim")]
#[case("1.2.3-linux_amd64", "", "", "linux_amd64")]
#[case("1.2.3-apache", "", "", "apache")]
fn parts(#[case] text: &str, #[case] pre: &str, #[case] revision: &str, #[case] variant: &str) {
    let version = tag(text);
    let shown: Vec<&str> = version
        .pre
        .iter()
        .map(|part| match part {
            Identifier::Number(number) => number.as_written(),
            Identifier::Word(word) => word,
        })
        .collect();
    assert_eq!(shown.join(" "), pre, "pre-release");
    assert_eq!(
        version.revision.map(|revision| format!("{}{}", revision.style, revision.number.as_written())).unwrap_or_default(),
        revision,
        "revision"
    );
    assert_eq!(version.variant, variant, "variant");
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

fn scheme() -> impl Strategy<Value = String> {
    (
        0_u32..12,
        0_u32..12,
        0_u32..12,
        prop::option::of((prop::sample::select(vec!["rc", "beta", "a"]), 0_u32..12)),
        prop::option::of(0_u32..12),
    )
        .prop_map(|(a, b, c, pre, revision)| {
            let pre = pre.map(|(word, number)| format!("-{word}.{number}")).unwrap_or_default();
            let revision = revision.map(|number| format!("-r{number}")).unwrap_or_default();
            format!("{a}.{b}.{c}{pre}{revision}")
        })
}

proptest! {
    #[test]
    fn the_order_is_total(a in scheme(), b in scheme(), c in scheme()) {
        let (x, y, z) = (tag(&a), tag(&b), tag(&c));
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
    fn near_versions_do_not_break_them(text in "v?[0-9]{0,3}([.+_-]?(rc|alpine|g1abb7b5|[0-9]{1,4}|r[0-9])){0,6}") {
        let _ = (parse_tag(&text), parse_chart(&text));
    }
}

#[test]
fn long_texts_are_read_in_no_time() {
    for text in ["1.".repeat(50_000), "-1".repeat(50_000), format!("1{}", "-rc.1".repeat(20_000)), "9".repeat(100_000)] {
        let _ = (parse_tag(&text), parse_chart(&text), natural_order(&text, &text));
    }
}
