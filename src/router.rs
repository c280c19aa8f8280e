//! What a home router is asked to forward to this node, when, and what its
//! answer is worth. Without IO, and without a clock: times are handed in.

pub mod igd;
pub mod route;
pub mod schedule;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::config::{Advertise, Config};
use crate::dht::contact::usable;

/// What a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Other nodes take files by it.
    Tcp,
    /// The DHT's.
    Udp,
}

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// What a router understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Means {
    /// Port Control Protocol, RFC 6887.
    Pcp,
    /// NAT Port Mapping Protocol, RFC 6886.
    NatPmp,
    /// `UPnP` Internet Gateway Device.
    Upnp,
}

impl Display for Means {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// How it stands with the router.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is asked for: the configuration says so, or leaves nothing that
    /// others could come to.
    #[default]
    Off,
    /// It is being asked.
    Searching,
    /// This machine has no way out by IPv4.
    NoGateway,
    /// This machine has a public address itself.
    Unneeded,
    /// It says nothing.
    Unanswered,
    /// It says no.
    Refused,
    /// It forwards.
    Mapped,
    /// It forwards, but its own address is a private one: others come no
    /// farther than to whatever stands before it.
    DoubleNat,
}

impl State {
    /// Whether the router forwards.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        matches!(self, Self::Mapped | Self::DoubleNat)
    }
}

/// Where this machine is: a router, and its own address as that one sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The router.
    pub gateway: Ipv4Addr,
    /// This machine.
    pub own: Ipv4Addr,
}

/// A port that the router is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// What it belongs to.
    pub protocol: Protocol,
    /// Where this node listens.
    pub internal: NonZeroU16,
    /// Where others would best come to.
    pub external: NonZeroU16,
}

/// Where this node listens, as far as others may be sent there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    tcp: Option<SocketAddr>,
    udp: Option<SocketAddr>,
}

impl Wanted {
    /// What to ask a router for. `peer`: where other nodes are served, who are
    /// told the port of the first; `dht`: where the DHT listens, without which
    /// nobody hears of this node.
    ///
    /// Whoever fixed `peer.advertise` has seen to the ports as well.
    #[must_use]
    pub fn of(config: &Config, peer: &[SocketAddr], dht: Option<SocketAddr>) -> Self {
        let is_asked = config.peer.map_ports && config.peer.advertise == Advertise::Auto;
        let open = |address: &SocketAddr| {
            let ip = address.ip().to_canonical();
            let is_v4 = ip.is_ipv4() || ip.is_unspecified();
            is_v4 && !ip.is_loopback() && address.port() != 0
        };
        let Some(dht) = dht.filter(|_| is_asked).filter(open) else {
            return Self::default();
        };
        Self {
            tcp: peer.first().copied().filter(open),
            udp: Some(dht),
        }
    }

    /// Whether there is nothing to ask for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tcp.is_none() && self.udp.is_none()
    }

    /// The ports that take what comes for this machine's address `own`.
    /// `last`: where others came before, which is asked for again.
    #[must_use]
    pub fn at(&self, own: Ipv4Addr, last: &[(Protocol, u16)]) -> Vec<Wish> {
        let wish = |protocol, listening: Option<SocketAddr>| {
            let listening = listening?;
            let ip = listening.ip().to_canonical();
            let internal = NonZeroU16::new(listening.port())?;
            let mut last = last.iter().filter(|(of, _)| *of == protocol);
            let external = last.find_map(|(_, port)| NonZeroU16::new(*port));
            (ip.is_unspecified() || ip == own).then_some(Wish {
                protocol,
                internal,
                external: external.unwrap_or(internal),
            })
        };
        let both = [(Protocol::Tcp, self.tcp), (Protocol::Udp, self.udp)];
        let wishes = both.into_iter();
        wishes.filter_map(|(of, at)| wish(of, at)).collect()
    }
}

/// Whether others can come to an address from anywhere.
#[must_use]
pub fn is_public(ip: Ipv4Addr) -> bool {
    // DS-Lite's own (RFC 6333), and for measurements (RFC 2544).
    let is_special = matches!(ip.octets(), [192, 0, 0, _] | [198, 18 | 19, ..]);
    !is_special && usable(&SocketAddr::new(IpAddr::V4(ip), 1), false)
}

/// What it is worth that a router forwards that says that its own address is
/// this one; `None`: it does not say.
#[must_use]
pub fn verdict(external: Option<Ipv4Addr>) -> State {
    match external {
        Some(ip) if !is_public(ip) => State::DoubleNat,
        _ => State::Mapped,
    }
}

/// Which port of the peer face leads others to this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// The one that it listens on.
    #[default]
    Direct,
    /// The router is being asked: nobody knows yet.
    Unknown,
    /// One at the router.
    Forwarded {
        /// The router's own address, where it says that.
        external: Option<Ipv4Addr>,
        /// Which leads to the peer face.
        port: u16,
    },
}

impl Way {
    /// The port for those who see this node at `seen`, the peer face being at
    /// `own`; `None` where that is not known yet.
    ///
    /// What the router forwards is of no use to those who don't come by it:
    /// over IPv6, on the same link, or by another way out than the router's.
    #[must_use]
    pub fn port(self, seen: IpAddr, own: u16) -> Option<u16> {
        let (IpAddr::V4(seen), way) = (seen.to_canonical(), self) else {
            return Some(own);
        };
        match way {
            Self::Direct => Some(own),
            Self::Unknown => None,
            Self::Forwarded { external, port } => {
                let comes_by_it = match external {
                    Some(ip) if ip == seen || is_public(ip) => ip == seen,
                    // Another router stands before it, or nobody knows.
                    _ => is_public(seen),
                };
                Some(if comes_by_it { port } else { own })
            }
        }
    }
}
