//! The addresses that Headwind never connects to, whatever name resolves to them.
//!
//! Link-local addresses serve a cloud's metadata, including credentials. Multicast and unspecified addresses name no
//! host. Loopback is Headwind's own pod; [`Rules`](crate::rules::Rules) define when it is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside the link-local ranges: Alibaba Cloud, Azure's wire server.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
/// The same for IPv6, each with its prefix length: Amazon's services on the node, Google's metadata.
const METADATA_V6: [(Ipv6Addr, u32); 2] =
    [(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32), (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128)];

/// The kind of an address, as far as it matters for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any other host.
    Ordinary,
    /// This machine or pod.
    Loopback,
    /// Never a registry's address, with the reason.
    Never(&'static str),
}

/// Returns why Headwind never connects to an address; `None` if it may.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match kind(address) {
        Kind::Never(why) => Some(why),
        Kind::Loopback | Kind::Ordinary => None,
    }
}

/// Returns the kind of an address. An IPv6 address that carries an IPv4 address counts as the IPv4 address.
pub(crate) fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => match carried(address) {
            Some(carried) => kind_v4(carried),
            None => kind_v6(address),
        },
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    if address.is_link_local() {
        Kind::Never("a link-local address")
    } else if METADATA_V4.contains(&address) {
        Kind::Never("the address of a metadata service")
    } else if address.octets()[0] == 0 {
        Kind::Never("an unspecified address")
    } else if address.is_multicast() || address.is_broadcast() {
        Kind::Never("a multicast address")
    } else if address.is_loopback() {
        Kind::Loopback
    } else {
        Kind::Ordinary
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    let within = |(network, length): &(Ipv6Addr, u32)| (address.to_bits() ^ network.to_bits()).leading_zeros() >= *length;
    if address.is_unicast_link_local() {
        Kind::Never("a link-local address")
    } else if METADATA_V6.iter().any(within) {
        Kind::Never("the address of a metadata service")
    } else if address.is_unspecified() {
        Kind::Never("an unspecified address")
    } else if address.is_multicast() {
        Kind::Never("a multicast address")
    } else if address.is_loopback() {
        Kind::Loopback
    } else {
        Kind::Ordinary
    }
}

/// Returns the IPv4 address inside an IPv6 address: IPv4-mapped and -compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC
/// 3056).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = || Ipv4Addr::from_bits(u32::try_from(address.to_bits() & u128::from(u32::MAX)).unwrap_or_default());
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last()),
        // `::` and `::1` are IPv6 addresses.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(last()),
        [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::metadata("169.254.169.254", "a link-local address")]
    #[case::pod_identity("169.254.170.23", "a link-local address")]
    #[case::mapped("::ffff:169.254.169.254", "a link-local address")]
    #[case::mapped_as_hex("::ffff:a9fe:a9fe", "a link-local address")]
    #[case::compatible("::169.254.169.254", "a link-local address")]
    #[case::nat64("64:ff9b::a9fe:a9fe", "a link-local address")]
    #[case::six_to_four("2002:a9fe:a9fe::1", "a link-local address")]
    #[case::link_local("fe80::1", "a link-local address")]
    #[case::link_local_end("febf::1", "a link-local address")]
    #[case::amazon("fd00:ec2::254", "the address of a metadata service")]
    #[case::amazon_pod_identity("fd00:ec2::23", "the address of a metadata service")]
    #[case::google("fd20:ce::254", "the address of a metadata service")]
    #[case::alibaba("100.100.100.200", "the address of a metadata service")]
    #[case::azure("168.63.129.16", "the address of a metadata service")]
    #[case::unspecified("0.0.0.0", "an unspecified address")]
    #[case::this_network("0.1.2.3", "an unspecified address")]
    #[case::unspecified_v6("::", "an unspecified address")]
    #[case::multicast("224.0.0.1", "a multicast address")]
    #[case::broadcast("255.255.255.255", "a multicast address")]
    #[case::multicast_v6("ff02::1", "a multicast address")]
    fn never(#[case] address: &str, #[case] why: &str) {
        assert_eq!(kind(address.parse().unwrap()), Kind::Never(Box::leak(why.to_owned().into_boxed_str())));
    }

    #[rstest]
    #[case("127.0.0.1", Kind::Loopback)]
    #[case("127.1.2.3", Kind::Loopback)]
    #[case("::1", Kind::Loopback)]
    #[case("::ffff:127.0.0.1", Kind::Loopback)]
    #[case("10.0.0.1", Kind::Ordinary)]
    #[case("192.168.1.1", Kind::Ordinary)]
    #[case("169.253.1.1", Kind::Ordinary)]
    #[case("fd00:ec3::254", Kind::Ordinary)]
    #[case("fd20:ce::253", Kind::Ordinary)]
    #[case("2001:db8::1", Kind::Ordinary)]
    #[case("::ffff:10.0.0.1", Kind::Ordinary)]
    fn others(#[case] address: &str, #[case] expected: Kind) {
        assert_eq!(kind(address.parse().unwrap()), expected);
    }
}
