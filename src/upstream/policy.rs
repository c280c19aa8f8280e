//! Which origins may be asked.
//!
//! A proxy that fetches whatever it is told to is a door into its own
//! network. So: public addresses on ports 80 and 443, and beyond that what
//! `upstream.allow` and the configured mirrors name. Addresses are checked
//! after name resolution and again on every redirect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::config::UpstreamAllow;
use crate::debian::url::RepoUrl;

/// An origin that may not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Its address is private.
    #[error(
        "{host} is at {address}, which is not a public address: to fetch from it, add \"{host}\" to upstream.allow"
    )]
    Private {
        /// As it was asked for.
        host: String,
        /// What the name resolved to.
        address: IpAddr,
    },
    /// Its port is unusual.
    #[error(
        "port {port} of {host} is neither 80 nor 443: to fetch from it, add \"{host}:{port}\" to upstream.allow"
    )]
    Port {
        /// As it was asked for.
        host: String,
        /// As it was asked for.
        port: u16,
    },
}

/// The rules.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Vec<UpstreamAllow>,
}

impl Policy {
    /// The rules of the configuration; a configured mirror is allowed by being named.
    #[must_use]
    pub fn new(allow: &[UpstreamAllow], mirrors: &[RepoUrl]) -> Self {
        let named = mirrors.iter().map(|mirror| {
            UpstreamAllow::HostPort(unbracketed(mirror.host()).to_owned(), mirror.port())
        });
        Self {
            allow: allow.iter().cloned().chain(named).collect(),
        }
    }

    /// Whether a host may be asked whatever its address.
    fn names(&self, host: &str, port: u16) -> bool {
        self.allow.iter().any(|allowed| match allowed {
            UpstreamAllow::Host(name) => name == host,
            UpstreamAllow::HostPort(name, number) => name == host && *number == port,
            UpstreamAllow::Net(_) => false,
        })
    }

    /// Whether a host (in lower case, IPv6 with or without brackets) that
    /// resolved to this address may be asked.
    ///
    /// # Errors
    /// [`Denied`], with the key to change.
    pub fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Denied> {
        let name = unbracketed(host);
        let address = address.to_canonical();
        if self.names(name, port) || self.in_nets(address) {
            return Ok(());
        }
        if !matches!(port, 80 | 443) {
            let host = host.to_owned();
            return Err(Denied::Port { host, port });
        }
        if !is_public(address) {
            let host = name.to_owned();
            return Err(Denied::Private { host, address });
        }
        Ok(())
    }

    /// Whether it is worth resolving a name: false where no address could
    /// make this port allowed.
    ///
    /// # Errors
    /// [`Denied::Port`].
    pub fn check_name(&self, host: &str, port: u16) -> Result<(), Denied> {
        let by_net = self
            .allow
            .iter()
            .any(|allowed| matches!(allowed, UpstreamAllow::Net(_)));
        if matches!(port, 80 | 443) || by_net || self.names(unbracketed(host), port) {
            return Ok(());
        }
        let host = host.to_owned();
        Err(Denied::Port { host, port })
    }

    fn in_nets(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|allowed| match allowed {
            UpstreamAllow::Net(net) => contains(net, address),
            _ => false,
        })
    }
}

fn contains(net: &IpNet, address: IpAddr) -> bool {
    net.contains(&address)
}

/// An IPv6 address without the brackets that it has in a URL.
#[must_use]
pub fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| is_public_v6(v6), is_public_v4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b); // RFC 6598, carrier-grade NAT
    let this_network = a == 0;
    let reserved = a >= 224; // multicast, RFC 1112 class E, broadcast
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || shared
        || this_network
        || reserved)
}

const fn is_public_v6(address: Ipv6Addr) -> bool {
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local())
}

/// The IPv4 address behind NAT64 (RFC 6052) and 6to4 (RFC 3056), so that a
/// private one is not reached through them.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = if octets[..12] == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0] {
        12
    } else if octets[..2] == [0x20, 0x02] {
        2
    } else {
        return None;
    };
    Some(Ipv4Addr::new(
        octets[at],
        octets[at + 1],
        octets[at + 2],
        octets[at + 3],
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(allow: &[UpstreamAllow]) -> Policy {
        Policy::new(allow, &[])
    }

    fn allowed(policy: &Policy, host: &str, port: u16, address: &str) -> bool {
        policy.check(host, port, address.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_public_addresses_on_the_usual_ports() {
        let policy = policy(&[]);
        assert!(allowed(&policy, "mirror.example", 80, "93.184.216.34"));
        assert!(allowed(&policy, "mirror.example", 443, "2606:2800::1"));
        assert!(!allowed(&policy, "mirror.example", 8080, "93.184.216.34"));
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:0a00:0001::1",
        ] {
            assert!(
                !allowed(&policy, "mirror.example", 80, private),
                "{private}"
            );
        }
    }

    #[test]
    fn what_is_named_may_be_asked() {
        let by_net = policy(&[UpstreamAllow::Net("10.0.0.0/8".parse().unwrap())]);
        assert!(allowed(&by_net, "any.example", 9999, "10.2.3.4"));
        assert!(allowed(&by_net, "any.example", 80, "::ffff:10.2.3.4"));
        assert!(!allowed(&by_net, "any.example", 9999, "93.184.216.34"));
        let by_name = policy(&[UpstreamAllow::Host("repo.lan".into())]);
        assert!(allowed(&by_name, "repo.lan", 8080, "192.168.0.2"));
        assert!(!allowed(&by_name, "other.lan", 80, "192.168.0.2"));
        let by_port = policy(&[UpstreamAllow::HostPort("::1".into(), 8080)]);
        assert!(allowed(&by_port, "[::1]", 8080, "::1"));
        assert!(!allowed(&by_port, "[::1]", 80, "::1"));
    }

    #[test]
    fn a_configured_mirror_is_allowed_by_being_named() {
        let mirror = RepoUrl::parse("http://10.0.0.5:8080/debian").unwrap();
        let policy = Policy::new(&[], &[mirror]);
        assert!(allowed(&policy, "10.0.0.5", 8080, "10.0.0.5"));
        assert!(!allowed(&policy, "10.0.0.5", 80, "10.0.0.5"));
    }

    #[test]
    fn refusals_name_the_key_to_change() {
        let policy = policy(&[]);
        let private = policy
            .check("repo.lan", 80, [10, 0, 0, 1].into())
            .unwrap_err()
            .to_string();
        assert!(
            private.contains("\"repo.lan\" to upstream.allow"),
            "{private}"
        );
        let port = policy.check_name("repo.lan", 8080).unwrap_err().to_string();
        assert!(
            port.contains("\"repo.lan:8080\" to upstream.allow"),
            "{port}"
        );
    }
}
