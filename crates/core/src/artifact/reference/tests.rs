use proptest::prelude::*;
use rstest::rstest;

use super::*;

const SHA: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[rstest]
#[case("nginx", "docker.io/library/nginx", Some("latest"))]
#[case("nginx:1.25", "docker.io/library/nginx", Some("1.25"))]
#[case("bitnami/nginx", "docker.io/bitnami/nginx", Some("latest"))]
#[case("docker.io/nginx:1", "docker.io/library/nginx", Some("1"))]
#[case("index.docker.io/library/nginx:1", "docker.io/library/nginx", Some("1"))]
#[case("registry-1.docker.io/a/b:1", "docker.io/a/b", Some("1"))]
#[case("localhost/a:1", "localhost/a", Some("1"))]
#[case("localhost:5000/a", "localhost:5000/a", Some("latest"))]
#[case("127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c", Some("1"))]
#[case("Host/a:1", "host/a", Some("1"))]
#[case("GHCR.io/a/b:1", "ghcr.io/a/b", Some("1"))]
#[case("[::1]:5000/a:1", "[::1]:5000/a", Some("1"))]
#[case("a__b/c--d.e_f:1", "docker.io/a__b/c--d.e_f", Some("1"))]
#[case("gcr.io/p/i@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "gcr.io/p/i", None)]
#[case("gcr.io/p/i:1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "gcr.io/p/i", Some("1"))]
fn references(#[case] text: &str, #[case] repository: &str, #[case] tag: Option<&str>) {
    let reference = ImageReference::parse(text).unwrap();
    assert_eq!((reference.repository().as_str(), reference.effective_tag()), (repository, tag));
    assert_eq!(reference.to_string(), text, "the user's spelling");
}

#[rstest]
#[case("", ReferenceError::Empty)]
#[case("Nginx", ReferenceError::UpperCase)]
#[case("a/B:1", ReferenceError::UpperCase)]
#[case("nginx:", ReferenceError::Tag)]
#[case("nginx:-1", ReferenceError::Tag)]
#[case("nginx:1:2", ReferenceError::Tag)]
#[case("nginx@sha256:abc", ReferenceError::Digest)]
#[case("nginx@", ReferenceError::Digest)]
#[case("a//b", ReferenceError::Name)]
#[case("a/", ReferenceError::Name)]
#[case("a___b", ReferenceError::Name)]
#[case("a..b", ReferenceError::Name)]
#[case("-a", ReferenceError::Name)]
#[case("host.x:99999/a", ReferenceError::Host)]
#[case("-host.x/a", ReferenceError::Host)]
#[case("a b", ReferenceError::Name)]
#[case("https://a.b/c", ReferenceError::Host)]
fn no_references(#[case] text: &str, #[case] error: ReferenceError) {
    assert_eq!(ImageReference::parse(text), Err(error));
}

#[test]
fn too_long() {
    assert_eq!(ImageReference::parse(&"a".repeat(256)), Err(ReferenceError::TooLong));
    assert_eq!(ImageReference::parse(&format!("a:{}", "1".repeat(129))), Err(ReferenceError::Tag));
    assert!(ImageReference::parse(&format!("a:{}", "1".repeat(128))).is_ok());
    assert_eq!(ImageReference::parse(&format!("a@x:{}", "A".repeat(1024))), Err(ReferenceError::TooLong));
    assert_eq!(ImageReference::parse(&"é".repeat(2000)), Err(ReferenceError::TooLong));
}

/// Container runtimes read 64 hexadecimal digits as an image's ID.
#[rstest]
#[case(&"0123456789abcdef".repeat(4), false)]
#[case(&format!("{}:1.0", "a".repeat(64)), false)]
#[case(&format!("library/{}", "a".repeat(64)), true)]
#[case(&format!("ghcr.io/{}", "a".repeat(64)), true)]
#[case(&"a".repeat(63), true)]
#[case(&"g".repeat(64), true)]
fn image_ids(#[case] text: &str, #[case] fine: bool) {
    assert_eq!(ImageReference::parse(text).err(), (!fine).then_some(ReferenceError::ImageId));
}

#[test]
fn replaced_in_place() {
    let digest = Digest::parse(SHA).unwrap();
    let image = |text: &str| ImageReference::parse(text).unwrap();
    assert_eq!(image("nginx:1.25").with_tag("1.26").to_string(), "nginx:1.26");
    assert_eq!(image("nginx").with_tag("1.26").to_string(), "nginx:1.26");
    assert_eq!(image("Host:1/a:1").with_tag("2").to_string(), "Host:1/a:2");
    assert_eq!(image("nginx:1").with_tag_and_digest("2", &digest).to_string(), format!("nginx:2@{SHA}"));
    assert_eq!(image(&format!("nginx@{SHA}")).with_digest(&digest).to_string(), format!("nginx@{SHA}"));
    assert_eq!(image(&format!("nginx:1@{SHA}")).with_tag("2").to_string(), "nginx:2", "a tag moves off its digest");
}

#[test]
fn the_path_never_decides_the_host() {
    let key = |host: &str, path: &str| RepositoryKey::from_parts(host, path).map(|key| key.to_string());
    assert_eq!(key("h:5000", "localhost/x").as_deref(), Ok("h:5000/localhost/x"));
    assert_eq!(key("docker.io:443", "nginx").as_deref(), Ok("docker.io/library/nginx"));
    assert_eq!(key("h/x", "a"), Err(ReferenceError::Host));
    assert_eq!(key("", "a"), Err(ReferenceError::Host));
    assert_eq!(key("h", "a:1"), Err(ReferenceError::Name));
    assert!(RepositoryKey::parse("nginx:1").is_err());
    let key = RepositoryKey::parse("ghcr.io/a/b").unwrap();
    assert_eq!((key.registry(), key.path()), ("ghcr.io", "a/b"));
}

#[rstest]
#[case(SHA, true)]
#[case("sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false)]
#[case("sha512:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false)]
#[case("blake3:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true)]
#[case("sha256", false)]
#[case(":aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false)]
fn digests(#[case] text: &str, #[case] fine: bool) {
    assert_eq!(Digest::parse(text).is_ok(), fine);
    let json: Result<Digest, _> = serde_json::from_value(text.into());
    assert_eq!(json.is_ok(), fine);
}

proptest! {
    #[test]
    fn nothing_breaks_it(text in "\\PC{0,300}") {
        let _ = (ImageReference::parse(&text), Digest::parse(&text), RepositoryKey::parse(&text), RepositoryKey::from_parts(&text, &text));
    }

    #[test]
    fn parse_of_print(host in prop::option::of("([a-z]{1,5}\\.[a-z]{1,3}|localhost)(:[1-9][0-9]{1,3})?"), path in "[a-z0-9]{1,6}([._-][a-z0-9]{1,4})?(/[a-z0-9]{1,5}){0,2}", tag in prop::option::of("[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}"), pinned in any::<bool>()) {
        let host = host.map(|host| format!("{host}/")).unwrap_or_default();
        let tag_part = tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let text = format!("{host}{path}{tag_part}{}", if pinned { format!("@{SHA}") } else { String::new() });
        let reference = ImageReference::parse(&text).unwrap();
        prop_assert_eq!(reference.to_string(), text.clone());
        prop_assert_eq!(reference.tag(), tag.as_deref());
        let moved = reference.with_tag("9.9");
        prop_assert_eq!(moved.repository(), reference.repository());
        prop_assert_eq!(moved.to_string(), format!("{host}{path}:9.9"), "the name keeps its spelling");
        prop_assert_eq!(ImageReference::parse(&moved.to_string()).unwrap(), moved);
    }
}
