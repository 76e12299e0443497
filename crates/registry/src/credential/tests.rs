use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use serde_json::json;

use super::*;

fn repository(text: &str) -> RepositoryKey {
    RepositoryKey::parse(text).unwrap()
}

fn users(keyring: &Keyring, of: &str) -> Vec<String> {
    keyring
        .lookup(&repository(of))
        .iter()
        .map(|credential| match credential.proof() {
            Proof::Login { username, .. } => username.clone(),
            Proof::Identity(_) => "(identity)".to_owned(),
            Proof::Token(_) => "(token)".to_owned(),
            Proof::Cloud(_) => "(cloud)".to_owned(),
        })
        .collect()
}

/// Returns a keyring of one secret in which the user of each entry is its key.
fn keyring(keys: &[&str]) -> Keyring {
    let auths: serde_json::Map<String, serde_json::Value> =
        keys.iter().map(|key| ((*key).to_owned(), json!({"auth": STANDARD.encode(format!("{}:p", key.replace(':', ";")))}))).collect();
    let (keyring, faults) = Keyring::read(Format::DockerConfigJson, json!({"auths": auths}).to_string().as_bytes());
    assert!(faults.is_empty(), "{faults:?}");
    keyring
}

// The cases of Kubernetes' own `TestURLsMatch` and `TestDockerKeyringLookup` that are about images.
#[rstest]
#[case::host("kubernetes.io", "kubernetes.io/a", true)]
#[case::wild("*.kubernetes.io", "prefix.kubernetes.io/a", true)]
#[case::wild_inside("prefix.*.io", "prefix.kubernetes.io/a", true)]
#[case::wild_part("*-good.kubernetes.io", "prefix-good.kubernetes.io/a", true)]
#[case::all_wild("*.*.*", "prefix.kubernetes.io/a", true)]
#[case::wild_is_one_part("*.kubernetes.io", "kubernetes.io/a", false)]
#[case::wild_is_not_two("*.kubernetes.io", "a.b.kubernetes.io/a", false)]
#[case::wild_port("*.kubernetes.io:8888", "prefix.kubernetes.io:8888/a", true)]
#[case::port_missing("*.kubernetes.io", "prefix.kubernetes.io:8888/a", false)]
#[case::port_other("kubernetes.io:1111", "kubernetes.io:2222/a", false)]
#[case::path("*.kubernetes.io/blah", "prefix.kubernetes.io/blah/x", true)]
#[case::path_other("*.kubernetes.io/blah", "prefix.kubernetes.io/other/x", false)]
#[case::path_is_a_prefix("quay.io/coreos", "quay.io/coreos-extra/x", true)]
#[case::another_host("kubernetes.io", "kubernetes.com/a", false)]
#[case::suffix_is_no_match("kubernetes.io", "evil-kubernetes.io/a", false)]
#[case::longer_host("kubernetes.io", "kubernetes.io.evil.com/a", false)]
#[case::longer_host_behind_a_wild("*.io", "kubernetes.io.evil.com/a", false)]
#[case::scheme("https://kubernetes.io", "kubernetes.io/a", true)]
#[case::plain_scheme("http://kubernetes.io/", "kubernetes.io/a", true)]
#[case::v1("https://kubernetes.io/v1/", "kubernetes.io/a", true)]
#[case::v2_path("kubernetes.io/v2/team", "kubernetes.io/team/x", true)]
#[case::v1beta_is_a_path("kubernetes.io/v1beta", "kubernetes.io/a", false)]
#[case::upper("Kubernetes.IO", "kubernetes.io/a", true)]
#[case::hub_legacy("https://index.docker.io/v1/", "docker.io/library/nginx", true)]
#[case::hub("docker.io", "docker.io/library/nginx", true)]
#[case::hub_server("registry-1.docker.io", "docker.io/library/nginx", true)]
#[case::hub_team("docker.io/acme", "docker.io/library/nginx", false)]
#[case::hub_is_not_others("https://index.docker.io/v1/", "quay.io/library/nginx", false)]
#[case::ipv6("[::1]:5000", "[::1]:5000/a", true)]
#[case::class("[ab].kubernetes.io", "b.kubernetes.io/a", true)]
#[case::not_in_a_class("[^ab].kubernetes.io", "b.kubernetes.io/a", false)]
#[case::two_wild("*a*.kubernetes.io", "prefix-a-1.kubernetes.io/a", true)]
#[case::braces_mean_nothing("{a,b}.kubernetes.io", "b.kubernetes.io/a", false)]
fn keys_match_as_the_kubelet_matches_them(#[case] key: &str, #[case] image: &str, #[case] expected: bool) {
    assert_eq!(!users(&keyring(&[key]), image).is_empty(), expected);
}

#[test]
fn longer_paths_come_first_and_secrets_in_their_order() {
    let mut both = keyring(&["quay.io", "quay.io/coreos", "quay.io/coreos/x", "*.io"]);
    both.extend(&keyring(&["quay.io/other", "https://quay.io"]));
    // The second secret's "https://quay.io" is the same key as "quay.io", with another user.
    assert_eq!(users(&both, "quay.io/coreos/x"), ["quay.io/coreos/x", "quay.io/coreos", "quay.io", "*.io", "https;//quay.io"]);
    assert_eq!(users(&both, "quay.io/other/y"), ["quay.io", "*.io", "quay.io/other", "https;//quay.io"]);
}

/// Each credential that is tried is a login at the registry.
#[test]
fn eight_credentials_are_tried_and_longer_paths_come_first() {
    let keys: Vec<String> = (0..40).map(|length| format!("r.io/{}", "a".repeat(length))).collect();
    let many = keyring(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let mut all = many.clone();
    all.extend(&many);
    all.extend(&keyring(&["r.io/"]));
    let expected: Vec<String> = (32..40).rev().map(|length| format!("r.io/{}", "a".repeat(length))).collect();
    assert_eq!(users(&all, &format!("r.io/{}/x", "a".repeat(50))), expected);
    assert_eq!(users(&all, "r.io/aa/x"), ["r.io/aa", "r.io/a", "r.io/"]);
}

#[test]
fn the_entries_of_a_keyring_are_limited() {
    let mut all = Keyring::default();
    for number in 0..ENTRIES {
        all.extend(&Keyring::of(&format!("r{number}.io"), Credential::login("u", "p")));
    }
    all.extend(&Keyring::of("last.io", Credential::login("u", "p")));
    assert_eq!(users(&all, &format!("r{}.io/a", ENTRIES - 1)), ["u"]);
    assert!(users(&all, "last.io/a").is_empty());
}

/// Keyrings of many workloads are in memory at the same time, with the same secrets.
#[test]
fn keyrings_share_the_entries_of_a_secret() {
    let one = keyring(&["r.io"]);
    let mut other = Keyring::default();
    other.extend(&one);
    assert!(one.shelves.iter().zip(&other.shelves).all(|(one, other)| Arc::ptr_eq(one, other)));
    assert!(one.size() > "r.io".len() && one.size() == other.size());
}

#[test]
fn the_entries_of_a_secret_are_limited() {
    let auths: serde_json::Map<String, serde_json::Value> = (0..300).map(|n| (format!("r{n:03}.io"), json!({"auth": "dTpw"}))).collect();
    let (keyring, faults) = Keyring::read(Format::DockerCfg, json!(auths).to_string().as_bytes());
    assert_eq!((users(&keyring, "r255.io/a").len(), users(&keyring, "r256.io/a").len()), (1, 0));
    assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), ["it has 300 entries, and only the first 256 are read"]);
}

#[test]
fn the_size_of_a_secret_is_limited() {
    let text = |length: usize| json!({"auths": {"r.io": {"auth": "dTpw"}}, "x": "x".repeat(length)}).to_string();
    let overhead = text(0).len();
    for (length, expected) in [(256 * 1024, None), (256 * 1024 + 1, Some("it is larger than 256 KiB"))] {
        let (keyring, faults) = Keyring::read(Format::DockerConfigJson, text(length - overhead).as_bytes());
        assert_eq!(keyring.is_empty(), expected.is_some());
        assert_eq!(faults.first().map(ToString::to_string).as_deref(), expected);
    }
}

#[rstest]
#[case::longest("a".repeat(255), true)]
#[case::too_long("a".repeat(256), false)]
#[case::most_parts(["a"; 16].join("."), true)]
#[case::too_many_parts(["a"; 17].join("."), false)]
#[case::too_many_wild_parts(["*"; 17].join("."), false)]
#[case::far_too_many_wild_parts("*.".repeat(50_000), false)]
#[case::large_class("[a-z]".repeat(10_000), false)]
fn the_length_of_a_key_is_limited(#[case] key: String, #[case] accepted: bool) {
    let mut auths = serde_json::Map::new();
    auths.insert(key, json!({"auth": "dTpw"}));
    auths.insert("b.io".to_owned(), json!({"auth": "dTpw"}));
    let (keyring, faults) = Keyring::read(Format::DockerCfg, json!(auths).to_string().as_bytes());
    assert_eq!(users(&keyring, "b.io/x"), ["u"]);
    assert_eq!(faults.is_empty(), accepted);
    let too_long = |fault: &Fault| fault.to_string().ends_with("is longer than 255 bytes, or its host has more than 16 parts");
    assert!(faults.iter().all(too_long), "{faults:?}");
}

#[test]
fn wildcards_match_only_what_is_a_label_in_dns() {
    let many = keyring(&["*.io"]);
    assert_eq!(users(&many, &format!("{}.io/x", "x".repeat(63))), ["*.io"]);
    assert!(users(&many, &format!("{}.io/x", "x".repeat(64))).is_empty());
}

#[test]
fn the_same_credential_is_tried_once() {
    let one = Keyring::of("quay.io", Credential::login("u", "p"));
    let mut both = one.clone();
    both.extend(&one);
    assert_eq!(users(&both, "quay.io/a"), ["u"]);
}

#[rstest]
#[case::auth(json!({"auth": "dTpwOnE="}), Some("u"), None)]
#[case::auth_without_padding(json!({"auth": "dTpwOnE"}), Some("u"), None)]
#[case::auth_broken_over_lines(json!({"auth": "dTpw\nOnE=\n"}), Some("u"), None)]
#[case::auth_before_fields(json!({"auth": "dTpwOnE=", "username": "x", "password": "y"}), Some("u"), None)]
#[case::fields(json!({"username": "u", "password": "p", "email": "e"}), Some("u"), None)]
#[case::identity(json!({"auth": "dTo=", "identitytoken": "t"}), Some("(identity)"), None)]
#[case::token(json!({"registrytoken": "t"}), Some("(token)"), None)]
#[case::not_base64(json!({"auth": "%%%"}), None, Some("the entry for \"r.io\" has an auth that is not base64 of user:password"))]
#[case::no_colon(json!({"auth": "dQ=="}), None, Some("the entry for \"r.io\" has an auth that is not base64 of user:password"))]
#[case::empty(json!({}), None, Some("the entry for \"r.io\" is empty"))]
#[case::wrong_type(json!({"auth": 5}), None, Some("the entry for \"r.io\" has an unexpected structure"))]
#[case::null(json!(null), None, Some("the entry for \"r.io\" has an unexpected structure"))]
fn entries(#[case] entry: serde_json::Value, #[case] user: Option<&str>, #[case] expected: Option<&str>) {
    for (format, document) in [(Format::DockerConfigJson, json!({"auths": {"r.io": entry}})), (Format::DockerCfg, json!({"r.io": entry}))] {
        let (keyring, faults) = Keyring::read(format, document.to_string().as_bytes());
        assert_eq!(users(&keyring, "r.io/a").first().map(String::as_str), user);
        assert_eq!(faults.first().map(ToString::to_string).as_deref(), expected);
    }
}

#[rstest]
#[case::no_json(b"{" as &[u8], "it is not a JSON object")]
#[case::list(b"[]", "it is not a JSON object")]
#[case::no_auths(b"{}", "it has no auths")]
#[case::helper(br#"{"credsStore":"pass"}"#, "it has no auths; credential helpers are not supported")]
#[case::auths_no_object(br#"{"auths":7}"#, "auths is not a JSON object")]
#[case::no_host(br#"{"auths":{"https://":{"auth":"dTpw"}}}"#, "\"https://\" does not contain a registry host")]
fn secrets_that_cannot_be_read(#[case] bytes: &[u8], #[case] expected: &str) {
    let (keyring, faults) = Keyring::read(Format::DockerConfigJson, bytes);
    assert!(keyring.is_empty());
    assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn one_bad_entry_spoils_no_other() {
    let (keyring, faults) = Keyring::read(Format::DockerConfigJson, br#"{"auths":{"a.io":{"auth":"%"},"b.io":{"auth":"dTpw"}}}"#);
    assert_eq!((users(&keyring, "b.io/x"), faults.len()), (vec!["u".to_owned()], 1));
}

#[test]
fn nothing_prints_a_credential() {
    let secret = json!({"auths": {"a.io": {"username": "u", "password": "canary"}, "b.io": {"identitytoken": "canary"}, "c.io": {"auth": "canary"}, "d.io": {"auth": ["canary"]}}});
    let (keyring, faults) = Keyring::read(Format::DockerConfigJson, secret.to_string().as_bytes());
    let printed = format!("{keyring:?} {faults:?}");
    assert!(faults.len() == 2 && !printed.contains("canary"), "{printed}");
}

proptest::proptest! {
    #[test]
    fn no_secret_breaks_it(bytes in ".{0,200}", key in ".{0,40}") {
        let _ = Keyring::read(Format::DockerCfg, bytes.as_bytes());
        let _ = Keyring::read(Format::DockerConfigJson, json!({"auths": {key: {"auth": bytes}}}).to_string().as_bytes());
    }
}

#[rstest]
#[case::new(r#"{"auths":{"a.b":{"auth":"dTpw"}}}"#, Some(Format::DockerConfigJson))]
#[case::old(r#"{"a.b":{"auth":"dTpw"}}"#, Some(Format::DockerCfg))]
#[case::old_with_a_login(r#"{"https://a.b":{"username":"u","password":"p"}}"#, Some(Format::DockerCfg))]
#[case::store_alone(r#"{"credsStore":"desktop"}"#, Some(Format::DockerConfigJson))]
#[case::settings_alone(r#"{"HttpHeaders":{"User-Agent":"x"}}"#, Some(Format::DockerConfigJson))]
#[case::empty("{}", Some(Format::DockerConfigJson))]
#[case::array("[]", None)]
#[case::no_json("x", None)]
fn the_format_of_a_file(#[case] text: &str, #[case] expected: Option<Format>) {
    assert_eq!(Format::of(text.as_bytes()), expected);
}

#[test]
fn an_empty_entry_beside_a_store_says_where_the_credential_is() {
    let text = r#"{"auths":{"https://index.docker.io/v1/":{},"a.b":{"auth":"dTpw"}},"credsStore":"desktop"}"#;
    let (keyring, faults) = Keyring::read(Format::DockerConfigJson, text.as_bytes());
    assert_eq!(users(&keyring, "a.b/c"), ["u"]);
    assert!(faults.len() == 1 && faults[0].to_string().contains("credsStore"), "{faults:?}");
}
