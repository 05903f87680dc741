//! Which addresses may be called. A queue's address is chosen by whoever may put queues, who need not
//! be let into this machine's own network: so each address that a name resolves to is looked at, and
//! the one that was looked at is the one that is called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where webhooks may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// To addresses of the public internet alone.
    #[default]
    Public,
    /// And to this machine itself: for trying out.
    Loopback,
    /// Anywhere: private networks too.
    Any,
}

impl Reach {
    /// Whether this address may be called.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Any => !is_nobody(address),
            Self::Loopback => is_public(address) || unmapped(address).is_loopback(),
            Self::Public => is_public(address),
        }
    }
}

/// An IPv4 address that is written as an IPv6 one is one.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// An address that no single machine has.
fn is_nobody(address: IpAddr) -> bool {
    match unmapped(address) {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    }
}

/// Whether it is of the public internet, by IANA's registries of special-purpose addresses
/// (RFC 6890 and what followed it).
fn is_public(address: IpAddr) -> bool {
    match unmapped(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // "This network", private, loopback, and 240.0.0.0/4, which is reserved, with broadcast.
        (0 | 10 | 127 | 240.., ..) => true,
        // Multicast.
        (224..=239, ..) => true,
        // Shared with a carrier (RFC 6598).
        (100, 64..=127, _) => true,
        // Of this link, where clouds keep their metadata.
        (169, 254, _) => true,
        (172, 16..=31, _) | (192, 168, _) => true,
        // IETF's own, documentation, and what was 6to4's.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113) => true,
        // Benchmarks (RFC 2544).
        (198, 18..=19, _) => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [.., high, low] = segments;
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        // What is translated to IPv4 (RFC 6052) goes where that goes.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(v4(high, low)),
        // So does 6to4 (RFC 3056).
        [0x2002, first, second, ..] => is_public_v4(v4(first, second)),
        // IETF's own, Teredo, benchmarks and overlays among them (2001::/23), and documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Beyond 2000::/3 nothing is given out: there are loopback, unspecified, IPv4-compatible,
        // local translation, discard, unique local, link-local, site-local and multicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: [&str; 16] = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2001:200::1",
        "2a00::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ];
    const LOOPBACK: [&str; 4] = ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"];
    /// Real machines, but not public ones.
    const PRIVATE: [&str; 23] = [
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::1",
        "2001:db8::1",
        "2001::1",
        "2002:a00:1::1",
        "fc00::1",
        "fe80::1",
    ];
    const NOBODY: [&str; 7] = [
        "0.0.0.0",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "::",
        "ff02::1",
        "::ffff:0.0.0.0",
    ];

    fn allowed(reach: Reach, addresses: &[&str]) -> Vec<bool> {
        addresses.iter().map(|address| reach.allows(address.parse().unwrap())).collect()
    }

    #[test]
    fn each_reach_goes_so_far_and_no_further() {
        for (reach, reached) in [
            (Reach::Public, [true, false, false, false]),
            (Reach::Loopback, [true, true, false, false]),
            (Reach::Any, [true, true, true, false]),
        ] {
            let groups = [&PUBLIC[..], &LOOPBACK, &PRIVATE, &NOBODY];
            for (group, reached) in groups.into_iter().zip(reached) {
                let allowed = allowed(reach, group);
                let wrong = group.iter().zip(allowed).filter(|(_, allowed)| *allowed != reached);
                assert_eq!(wrong.count(), 0, "{reach:?}: {group:?}");
            }
        }
    }

    #[test]
    fn more_that_nobody_is_let_to() {
        let others = [
            "0.1.2.3",
            "192.88.99.1",
            "::2",
            "::8.8.8.8",
            "100::1",
            "fec0::1",
            "fd12:3456::1",
            "3fff::1",
            "2001:10::1",
            "2001:20::1",
            "5f00::1",
            "4000::1",
        ];
        assert!(allowed(Reach::Public, &others).iter().all(|allowed| !allowed), "{others:?}");
        assert!(allowed(Reach::Loopback, &others).iter().all(|allowed| !allowed), "{others:?}");
    }
}
