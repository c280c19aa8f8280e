//! What a home router forwards to this node.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::db::port_mapping::{PortMappingRow, RouterRow};
use crate::router::{Means, Protocol, State};

/// How it stands with the router.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortMapping {
    /// The whole of it in a word.
    pub state: State,
    /// The router's address on this machine's link; `null` where there is none.
    pub gateway: Option<Ipv4Addr>,
    /// How it was asked; `null` where it does not forward.
    pub means: Option<Means>,
    /// Its address outside; `null` where it does not say that.
    pub external_ip: Option<Ipv4Addr>,
    /// Why it does not forward, or not everything; `null` where it does.
    pub error: Option<String>,
    /// When it came to stand so, in milliseconds since 1970.
    pub since: Millis,
    /// What it forwards.
    pub ports: Vec<MappedPort>,
}

/// A port that the router forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedPort {
    /// `tcp`: to the peer face; `udp`: to the DHT.
    pub protocol: Protocol,
    /// This node's port.
    pub internal_port: u16,
    /// The router's.
    pub external_port: u16,
    /// When the router ends it, unless it is asked again, which it is long
    /// before; `null`: when it is told to.
    pub expires_at: Option<Millis>,
}

impl PortMapping {
    /// As rows have it.
    #[must_use]
    pub fn of(router: RouterRow, rows: Vec<PortMappingRow>) -> Self {
        let port = |row: PortMappingRow| MappedPort {
            protocol: row.protocol,
            internal_port: row.internal_port,
            external_port: row.external_port,
            expires_at: row.expires_at,
        };
        let rows = rows.into_iter();
        // Others are those that will be asked for again.
        let rows = rows.filter(|_| router.state.is_mapped());
        Self {
            state: router.state,
            gateway: router.gateway,
            means: router.means,
            external_ip: router.external_ip,
            error: router.error,
            since: router.since,
            ports: rows.map(port).collect(),
        }
    }

    /// In words, as they follow "Router: ".
    #[must_use]
    pub fn told(&self) -> String {
        let gateway = self.gateway.map_or_else(String::new, |ip| ip.to_string());
        let means = self.means.map_or_else(String::new, |it| it.to_string());
        let forwards = || {
            let port = |port: &MappedPort| {
                let (of, at) = (port.protocol, port.external_port);
                if at == port.internal_port {
                    format!("{of} {at}")
                } else {
                    format!("{of} {at} to {}", port.internal_port)
                }
            };
            let ports: Vec<_> = self.ports.iter().map(port).collect();
            let error = self.error.as_ref();
            let error = error.map_or_else(String::new, |error| format!(", but not all: {error}"));
            format!(
                "{gateway} forwards {} ({means}){error}",
                ports.join(" and ")
            )
        };
        match self.state {
            State::Off => "not asked to forward ports".to_owned(),
            State::Searching => "being asked to forward ports".to_owned(),
            State::NoGateway => "none that leads out by IPv4".to_owned(),
            State::Unneeded => "none needed, this machine has a public address".to_owned(),
            State::Unanswered => {
                format!("{gateway} answers neither PCP and NAT-PMP nor UPnP")
            }
            State::Refused => {
                let error = self.error.as_deref().unwrap_or("no reason given");
                format!("{gateway} refuses to forward ports: {error}")
            }
            State::Mapped => forwards(),
            State::DoubleNat => {
                let own = self
                    .external_ip
                    .map_or_else(String::new, |ip| ip.to_string());
                let forwards = forwards();
                format!(
                    "{forwards}, but another router stands before it: its own address {own} is private"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_told_in_words() {
        let router = |state, external_port| PortMapping {
            state,
            gateway: Some([192, 168, 1, 1].into()),
            means: Some(Means::NatPmp),
            external_ip: Some([100, 64, 0, 9].into()),
            error: Some("UPnP: error 501".to_owned()),
            since: 0,
            ports: [Protocol::Tcp, Protocol::Udp]
                .map(|protocol| MappedPort {
                    protocol,
                    internal_port: 9977,
                    external_port,
                    expires_at: None,
                })
                .to_vec(),
        };
        let told = |state, port| router(state, port).told();
        let whole = |state, port| {
            let mut router = router(state, port);
            router.error = None;
            router.told()
        };
        assert_eq!(
            whole(State::Mapped, 9977),
            "192.168.1.1 forwards TCP 9977 and UDP 9977 (NAT-PMP)"
        );
        let part = told(State::Mapped, 9977);
        assert!(
            part.ends_with("(NAT-PMP), but not all: UPnP: error 501"),
            "{part}"
        );
        let double = told(State::DoubleNat, 4001);
        assert!(
            double.starts_with("192.168.1.1 forwards TCP 4001 to 9977 and UDP 4001 to 9977"),
            "{double}"
        );
        assert!(double.contains("100.64.0.9 is private"), "{double}");
        assert!(told(State::Refused, 1).ends_with(": UPnP: error 501"));
        assert!(told(State::Unanswered, 1).starts_with("192.168.1.1 answers neither"));
        assert!(told(State::Unneeded, 1).contains("public address"));
        assert_eq!(PortMapping::default().told(), "not asked to forward ports");
    }

    #[test]
    fn what_will_be_asked_for_again_is_not_what_is_forwarded() {
        let row = PortMappingRow {
            protocol: Protocol::Tcp,
            internal_port: 9977,
            external_port: 9977,
            expires_at: None,
        };
        let of = |state| {
            let router = RouterRow {
                state,
                ..RouterRow::default()
            };
            PortMapping::of(router, vec![row]).ports.len()
        };
        assert_eq!(of(State::Mapped), 1);
        assert_eq!(of(State::DoubleNat), 1);
        assert_eq!(of(State::Unanswered), 0);
        assert_eq!(of(State::Searching), 0);
    }
}
