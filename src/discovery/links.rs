//! The networks that this machine is on.

use std::net::IpAddr;

use if_addrs::IfAddr;
use ipnet::IpNet;
use mdns_sd::ScopedIp;

use super::heard_on;

/// A network at an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    /// The interface's number, where it has one.
    index: Option<u32>,
    net: IpNet,
}

/// Whether an address is of no use on a link: that of the own loop, or one that
/// needs an interface beside it, which is none that HTTP knows. Who tells of
/// such a one is taken for known by it, and not asked for another.
pub(super) fn is_unusable(ip: IpAddr) -> bool {
    ip.is_loopback() || matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The networks that this machine is on, but for its own loop.
#[derive(Debug, Clone, Default)]
pub struct Links(Vec<Link>);

impl Links {
    /// As the machine has them now.
    #[must_use]
    pub fn now() -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let link = |interface: if_addrs::Interface| {
            let prefix = match &interface.addr {
                IfAddr::V4(v4) => v4.prefixlen,
                IfAddr::V6(v6) => v6.prefixlen,
            };
            Some(Link {
                index: interface.index,
                net: IpNet::new(interface.ip(), prefix).ok()?,
            })
        };
        let others = interfaces.into_iter().filter(|found| !found.is_loopback());
        Self(others.filter_map(link).collect())
    }

    /// These interfaces, each with its own address and network.
    #[cfg(test)]
    pub(crate) fn of(links: &[(u32, &str)]) -> Self {
        let link = |(index, net): &(u32, &str)| Link {
            index: Some(*index),
            net: net.parse().unwrap(),
        };
        Self(links.iter().map(link).collect())
    }

    /// Whether an address is on the link on which it was heard of, so that who
    /// is there may be asked.
    pub(super) fn have(&self, scoped: &ScopedIp) -> bool {
        let (ip, heard_on) = (scoped.to_ip_addr(), heard_on(scoped));
        self.are_of(ip, &heard_on)
    }

    /// Whether an address is of a network of this machine, or in the same /64
    /// as one of its own: an interface may hold an address alone (RFC 5942).
    #[must_use]
    pub fn are_near(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let is_near = |link: &Link| match (link.net.addr(), ip) {
            (IpAddr::V6(own), IpAddr::V6(ip)) if own.to_bits() >> 64 == ip.to_bits() >> 64 => true,
            _ => link.net.contains(&ip),
        };
        self.0.iter().any(is_near)
    }

    fn are_of(&self, ip: IpAddr, heard_on: &[u32]) -> bool {
        let is_nobody = ip.is_unspecified() || ip.is_multicast();
        let is_there = |link: &Link| {
            let is_heard = link.index.is_none_or(|index| {
                heard_on.is_empty() || heard_on.contains(&0) || heard_on.contains(&index)
            });
            let is_broadcast = matches!(link.net, IpNet::V4(net)
                if net.prefix_len() < 31 && (ip == net.broadcast() || ip == net.network()));
            is_heard && !is_broadcast && link.net.contains(&ip)
        };
        !is_unusable(ip) && !is_nobody && self.0.iter().any(is_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links::of(&[
            (2, "192.168.1.5/24"),
            (2, "fe80::5/64"),
            (2, "2001:db8:1::5/64"),
            (3, "10.0.0.1/8"),
        ])
    }

    #[test]
    fn only_what_is_on_the_link_where_it_was_heard_is_believed() {
        let links = links();
        let have = |ip: &str, on: &[u32]| links.are_of(ip.parse().unwrap(), on);
        assert!(have("192.168.1.9", &[2]));
        assert!(have("192.168.1.9", &[]));
        assert!(have("2001:db8:1::9", &[2]));
        assert!(have("192.168.1.5", &[2]), "another node on this machine");
        for (ip, on) in [
            ("10.0.0.7", 2),
            ("192.168.1.9", 3),
            ("192.168.2.9", 2),
            ("192.168.1.255", 2),
            ("192.168.1.0", 2),
            ("127.0.0.1", 2),
            ("0.0.0.0", 2),
            ("8.8.8.8", 2),
            ("fe80::9", 2),
            ("224.0.0.251", 2),
            ("::1", 2),
        ] {
            assert!(!have(ip, &[on]), "{ip} on {on}");
        }
    }

    #[test]
    fn a_machine_knows_its_links() {
        let own_loop = "127.0.0.1".parse().unwrap();
        assert!(!Links::now().are_of(own_loop, &[]));
    }
}
