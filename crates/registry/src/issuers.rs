//! Token issuers on another host that belong to a registry.
//!
//! A registry names its issuer in its challenge. Headwind queries an issuer on another host only if it is known here or
//! if the registry's entry names it. Otherwise the registry would receive that host's response as a token, and could
//! send requests from Headwind's place in the network.

/// Registries and their issuers, by host.
const KNOWN: &[(&str, &str)] = &[
    ("docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
    ("lscr.io", "ghcr.io"),
    ("docker.elastic.co", "docker-auth.elastic.co"),
    ("registry.digitalocean.com", "api.digitalocean.com"),
];
/// Clouds whose registries and issuers share a domain: the domain, and the prefix of the issuers' names.
const FAMILIES: &[(&str, &str)] = &[(".aliyuncs.com", "dockerauth")];

/// Returns true if an issuer is known to belong to a registry.
pub(crate) fn is_known(registry: &str, issuer: &str) -> bool {
    let family = |(domain, prefix): &(&str, &str)| registry.ends_with(domain) && issuer.ends_with(domain) && issuer.starts_with(prefix);
    KNOWN.contains(&(registry, issuer)) || FAMILIES.iter().any(family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("docker.io", "auth.docker.io", true)]
    #[case("docker.io", "evil.example", false)]
    #[case("evil.example", "auth.docker.io", false)]
    #[case("registry.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com", true)]
    #[case("a-registry.cn-beijing.cr.aliyuncs.com", "dockerauth-ee.cn-beijing.aliyuncs.com", true)]
    #[case("registry.cn-hangzhou.aliyuncs.com", "bucket.oss.aliyuncs.com", false)]
    #[case("registry.cn-hangzhou.aliyuncs.com", "dockerauth.evil.example", false)]
    #[case("evilaliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com", false)]
    fn known(#[case] registry: &str, #[case] issuer: &str, #[case] expected: bool) {
        assert_eq!(is_known(registry, issuer), expected);
    }
}
