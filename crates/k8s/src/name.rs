//! Deterministic, legal names.
//!
//! A request's name follows from the workload, the container and the new version, so two replicas or two events with
//! the same decision create one object. A name is an RFC 1123 subdomain of at most 63 characters, so that it can be a
//! label value as well.

use headwind_core::decide::Identity;
use sha2::{Digest, Sha256};

const TARGET: usize = 25;
const CONTAINER: usize = 16;
const HASH: usize = 20;

/// Returns the name of the request that writes `identity` into the workload with that name and UID.
pub fn request(workload: &str, uid: &str, container: &str, identity: &Identity) -> String {
    let mut hash = Sha256::new();
    for part in [uid, "\n", identity.as_str()] {
        hash.update(part.as_bytes());
    }
    let hash = hex::encode(hash.finalize());
    let hash = hash.get(..HASH).unwrap_or(&hash);
    [legal(workload, TARGET), legal(container, CONTAINER), hash.to_owned()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

/// Returns the suffix of the name of the Event for a transition of the request with that UID. It is the same for every
/// replica that reports the transition.
pub fn event(uid: &str, transition: &str, reason: &str) -> String {
    let mut hash = Sha256::new();
    for part in [uid, "\n", transition, "\n", reason] {
        hash.update(part.as_bytes());
    }
    let hash = hex::encode(hash.finalize());
    hash.get(..HASH).unwrap_or(&hash).to_owned()
}

/// Returns at most `limit` characters of the text that are legal in a label, without `-` at the start or end.
fn legal(text: &str, limit: usize) -> String {
    let kept: String =
        text.chars().map(|c| c.to_ascii_lowercase()).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(limit).collect();
    kept.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwind_core::artifact::{Artifact, ArtifactKind};
    use headwind_core::policy::Policy;

    fn identity(image: &str, policy: Policy, digest: Option<&str>) -> Identity {
        Identity::new("web", &Artifact::parse(ArtifactKind::Image, image).unwrap(), policy, digest)
    }

    #[test]
    fn the_same_verdict_makes_the_same_name() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let one = request("shop", "u-1", "web", &identity("nginx:1.26", Policy::Minor, None));
        assert_eq!(one, request("shop", "u-1", "web", &identity("docker.io/library/nginx:1.26", Policy::Minor, Some(&digest))));
        let hash = one.strip_prefix("shop-web-").unwrap();
        assert!(hash.len() == 20 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "80 bits are hard to collide: {one}");
        assert_ne!(one, request("shop", "u-2", "web", &identity("nginx:1.26", Policy::Minor, None)), "another object of that name");
        assert_ne!(one, request("shop", "u-1", "web", &identity("nginx:1.27", Policy::Minor, None)));
        let forced = request("shop", "u-1", "web", &identity("nginx:1.26", Policy::Force, None));
        assert_ne!(forced, request("shop", "u-1", "web", &identity("nginx:1.26", Policy::Force, Some(&digest))), "force follows digests");
    }

    #[test]
    fn a_version_of_a_chart_makes_one_name() {
        let name = |version: &str, digest: Option<&str>, policy: Policy| {
            let chart = Artifact::parse(ArtifactKind::Chart, &format!("team/podinfo:{version}")).unwrap();
            request("shop", "u-1", "chart", &Identity::new("chart", &chart, policy, digest))
        };
        let one = name("1.2.0+build.7", None, Policy::Minor);
        assert!(one.starts_with("shop-chart-") && one.len() == "shop-chart-".len() + HASH, "{one}");
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(one, name("1.2.0+build.7", Some(&digest), Policy::Minor));
        assert_eq!(one, name("1.2.0+build.7", Some(&digest), Policy::Force), "a chart's version is published once");
        assert_ne!(one, name("1.2.0+build.8", None, Policy::Minor));
    }

    #[rstest::rstest]
    #[case("shop", "web")]
    #[case(&"a.b".repeat(80), &"c".repeat(63))]
    #[case("-odd.-", "UPPER_case")]
    #[case("", "")]
    fn names_are_legal(#[case] workload: &str, #[case] container: &str) {
        let name = request(workload, "uid", container, &identity("nginx:1", Policy::All, None));
        assert!(name.len() <= 63, "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
    }
}
