//! The networks that this machine is on.

use std::net::{IpAddr, SocketAddr};

use if_addrs::{IfAddr, Interface};
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

/// Where a service is told of.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    listening: Vec<IpAddr>,
    served: Option<Vec<IpNet>>,
}

impl Reach {
    /// A service that listens there and serves clients of these networks alone;
    /// `None`: of all.
    pub(super) fn new(listening: &[SocketAddr], served: Option<&[IpNet]>) -> Self {
        Self {
            listening: listening.iter().map(SocketAddr::ip).collect(),
            served: served.map(|nets| IpNet::aggregate(&nets.to_vec())),
        }
    }

    /// Whether those on the link of this address can use the service there.
    pub(super) fn has(&self, interface: &Interface) -> bool {
        net_of(interface).is_some_and(|net| self.covers(net))
    }

    fn covers(&self, net: IpNet) -> bool {
        let ip = net.addr();
        let is_listening = |own: &IpAddr| match own.to_canonical() {
            // It takes IPv4 as well.
            IpAddr::V6(v6) if v6.is_unspecified() => true,
            IpAddr::V4(v4) if v4.is_unspecified() => ip.is_ipv4(),
            own => own == ip,
        };
        let mut served = self.served.iter().flatten();
        let is_served = self.served.is_none() || served.any(|all| all.contains(&net.trunc()));
        is_served && self.listening.iter().any(is_listening)
    }
}

/// Whether an address is of no use on a link: that of the own loop, or one that
/// needs an interface beside it, which is none that HTTP knows. Who tells of
/// such a one is taken for known by it, and not asked for another.
fn is_unusable(ip: IpAddr) -> bool {
    ip.is_loopback() || matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Whether an address is one of a network that somebody made for their own
/// machines.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

fn net_of(interface: &Interface) -> Option<IpNet> {
    let prefix = match &interface.addr {
        IfAddr::V4(v4) => v4.prefixlen,
        IfAddr::V6(v6) => v6.prefixlen,
    };
    IpNet::new(interface.ip(), prefix).ok()
}

/// Whether an address of this machine is one to speak from. `links` are looked
/// at only where the address alone does not tell: this is asked of each every
/// few seconds.
pub(super) fn is_spoken_from(interface: &Interface, links: impl FnOnce() -> Links) -> bool {
    let ip = interface.ip();
    let is_beside = |links: Links| links.0.iter().any(|link| link.index == interface.index);
    !is_unusable(ip) && !interface.is_p2p() && (is_private(ip) || is_beside(links()))
}

/// The networks that this machine is on, but for its own loop, tunnels, and
/// links with public addresses alone: who is on those are strangers.
#[derive(Debug, Clone, Default)]
pub struct Links(Vec<Link>);

impl Links {
    /// As the machine has them now.
    #[must_use]
    pub fn now() -> Self {
        Self::of(&if_addrs::get_if_addrs().unwrap_or_default())
    }

    /// Those of these interfaces.
    pub(super) fn of(interfaces: &[Interface]) -> Self {
        let others = interfaces
            .iter()
            .filter(|found| !found.is_loopback() && !found.is_p2p());
        let link = |interface: &Interface| {
            Some(Link {
                index: interface.index,
                net: net_of(interface)?,
            })
        };
        let mut links: Vec<_> = others.filter_map(link).collect();
        let private = links.iter().filter(|link| is_private(link.net.addr()));
        let homes: Vec<_> = private.map(|link| link.index).collect();
        links.retain(|link| homes.contains(&link.index));
        Self(links)
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
pub(crate) mod tests {
    use super::*;
    use if_addrs::{IfOperStatus, Ifv4Addr, Ifv6Addr};

    /// An interface with this number, address and network.
    pub(in super::super) fn interface(index: u32, net: &str) -> Interface {
        let net = net.parse().unwrap();
        let addr = match net {
            IpNet::V4(v4) => IfAddr::V4(Ifv4Addr {
                ip: v4.addr(),
                netmask: v4.netmask(),
                prefixlen: v4.prefix_len(),
                broadcast: None,
            }),
            IpNet::V6(v6) => IfAddr::V6(Ifv6Addr {
                ip: v6.addr(),
                netmask: v6.netmask(),
                prefixlen: v6.prefix_len(),
                broadcast: None,
            }),
        };
        Interface {
            name: format!("eth{index}"),
            addr,
            index: Some(index),
            oper_status: IfOperStatus::Up,
            is_p2p: false,
        }
    }

    /// Links of such interfaces.
    pub(crate) fn links_of(all: &[(u32, &str)]) -> Links {
        let all: Vec<_> = all
            .iter()
            .map(|(index, net)| interface(*index, net))
            .collect();
        Links::of(&all)
    }

    fn links() -> Links {
        links_of(&[
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
    fn who_is_on_a_public_network_alone_or_in_a_tunnel_is_a_stranger() {
        let mut tunnel = interface(4, "10.8.0.2/24");
        tunnel.is_p2p = true;
        let all = [
            interface(1, "127.0.0.1/8"),
            interface(2, "203.0.113.5/24"),
            interface(2, "2001:db8:1::5/64"),
            interface(2, "fe80::5/64"),
            interface(3, "fd00:7::5/64"),
            interface(3, "2001:db8:3::5/64"),
            tunnel,
        ];
        let links = Links::of(&all);
        let have = |ip: &str, on: u32| links.are_of(ip.parse().unwrap(), &[on]);
        assert!(have("fd00:7::9", 3));
        assert!(have("2001:db8:3::9", 3), "it is beside a private one");
        for (ip, on) in [("203.0.113.9", 2), ("2001:db8:1::9", 2), ("10.8.0.1", 4)] {
            assert!(!have(ip, on), "{ip}");
        }
        let is_spoken_from = |one: &Interface| is_spoken_from(one, || links.clone());
        let told: Vec<_> = all.iter().map(is_spoken_from).collect();
        assert_eq!(told, [false, false, false, false, true, true, false]);
        assert!(!is_spoken_from(&interface(3, "fe80::5/64")));
        assert!(is_spoken_from(&interface(9, "169.254.3.4/16")));
    }

    #[test]
    fn a_service_is_told_of_where_it_listens_and_serves() {
        let cases: [(&str, &[&str], &str, bool); 12] = [
            ("0.0.0.0:1", &["10.0.0.0/8"], "10.0.0.5/24", true),
            ("0.0.0.0:1", &["127.0.0.0/8"], "10.0.0.5/24", false),
            ("0.0.0.0:1", &[], "10.0.0.5/24", false),
            ("0.0.0.0:1", &["10.0.0.0/25"], "10.0.0.5/24", false),
            (
                "0.0.0.0:1",
                &["10.0.0.0/25", "10.0.0.128/25"],
                "10.0.0.5/24",
                true,
            ),
            ("0.0.0.0:1", &["10.0.0.5/32"], "10.0.0.5/24", false),
            ("0.0.0.0:1", &["fd00::/8"], "fd00::5/64", false),
            ("[::]:1", &["fd00::/8"], "fd00::5/64", true),
            ("[::]:1", &["10.0.0.0/8"], "10.0.0.5/24", true),
            ("10.0.0.5:1", &["10.0.0.0/8"], "10.0.0.5/24", true),
            ("10.0.0.6:1", &["10.0.0.0/8"], "10.0.0.5/24", false),
            ("[::ffff:10.0.0.5]:1", &["10.0.0.0/8"], "10.0.0.5/24", true),
        ];
        for (listening, served, net, expected) in cases {
            let nets: Vec<IpNet> = served.iter().map(|net| net.parse().unwrap()).collect();
            let listening = [listening.parse().unwrap()];
            let has = |served| Reach::new(&listening, served).has(&interface(2, net));
            assert_eq!(has(Some(&nets)), expected, "{listening:?} {served:?} {net}");
            assert!(has(None) || !expected, "{listening:?} {net}");
        }
    }
}
