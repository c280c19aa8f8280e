//! `UPnP` Internet Gateway Devices.
//!
//! The library takes no answer of more than 1 MiB and no tree of more than 64
//! levels. What it leaves to others is done here: only the router itself is
//! listened to, every question has a time, and what it says is told to nobody.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, RequestError, SearchOptions};
use rustix::net::sockopt::set_ip_multicast_if;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Mapping, PortmapError};
use crate::router::schedule::LEASE;
use crate::router::{Place, Protocol, Wish};

/// Where gateways listen for questions, SSDP.
const SSDP: (Ipv4Addr, u16) = (Ipv4Addr::new(239, 255, 255, 250), 1900);

/// Until a gateway is found, with all that has to be read of it.
const SEARCH: Duration = Duration::from_secs(4);

/// Until it answers a question.
const ANSWER: Duration = Duration::from_secs(3);

/// Ports that are tried where those before are taken.
const OTHERS: usize = 6;

/// They are drawn from these.
const RANGE: std::ops::Range<u16> = 20_000..60_000;

/// Longest SSDP packet that is passed on, in bytes.
const PACKET: usize = 1500;

/// As what the router shows its owner the ports.
const NAME: &str = "aptmesh";

/// What a gateway is asked to do, and has to say itself that it can.
const ACTIONS: [&str; 2] = ["AddPortMapping", "DeletePortMapping"];

/// What it is told of a port, and what the library has words for: any
/// other would be a line in the log, however many there are.
const ARGUMENTS: [&str; 8] = [
    "NewRemoteHost",
    "NewExternalPort",
    "NewProtocol",
    "NewInternalPort",
    "NewInternalClient",
    "NewEnabled",
    "NewPortMappingDescription",
    "NewLeaseDuration",
];

/// A gateway that was found.
#[derive(Debug, Clone)]
pub(super) struct Igd {
    gateway: Gateway<Tokio>,
    own: Ipv4Addr,
    /// It knows no end of a mapping.
    is_permanent: bool,
}

/// Looks whether the router is a `UPnP` gateway.
pub(super) async fn search(place: Place) -> Option<Igd> {
    let found = timeout(SEARCH, search_by_relay(place)).await.ok()?;
    let mut gateway = found
        .inspect_err(|error| tracing::debug!(%error, "no UPnP gateway can be looked for"))
        .ok()??;
    let schema = &mut gateway.control_schema;
    schema.retain(|name, _| ACTIONS.contains(&name.as_str()));
    for arguments in schema.values_mut() {
        let mut seen = HashSet::new();
        arguments.retain(|name| ARGUMENTS.contains(&name.as_str()) && seen.insert(name.clone()));
    }
    Some(Igd {
        gateway,
        own: place.own,
        is_permanent: false,
    })
}

/// The library follows whoever answers to where he says that he is, and senders
/// of packets are easily made up: so it looks on this machine's own loop, where
/// it takes no address but the router's, and a relay between the two lets
/// nothing in but what the router sent.
async fn search_by_relay(place: Place) -> io::Result<Option<Gateway<Tokio>>> {
    let outside = UdpSocket::bind((place.own, 0)).await?;
    set_ip_multicast_if(&outside, &place.own)?;
    let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    options.broadcast_address = inside.local_addr()?;
    options.timeout = Some(SEARCH);
    options.allowed_gateway_ips = vec![place.gateway.into()];
    tokio::select! {
        found = search_gateway(options) => Ok(found.ok()),
        error = relay(&inside, &outside, place.gateway) => Err(error),
    }
}

/// Passes questions on to the link and to the router itself, which some miss
/// that are sent to all, and the router's answers back. Ends where a socket is
/// of no use.
pub(super) async fn relay(inside: &UdpSocket, outside: &UdpSocket, gateway: Ipv4Addr) -> io::Error {
    let (mut question, mut answer) = ([0; PACKET], [0; PACKET]);
    let mut library = None;
    loop {
        tokio::select! {
            asked = inside.recv_from(&mut question) => match asked {
                Ok((len, from)) => {
                    library = Some(from);
                    for to in [SSDP, (gateway, SSDP.1)] {
                        if let Err(error) = outside.send_to(&question[..len], to).await {
                            tracing::trace!(%error, "a question for UPnP gateways is lost");
                        }
                    }
                }
                Err(error) => return error,
            },
            heard = outside.recv_from(&mut answer) => match heard {
                Ok((len, from)) => {
                    let library = library.filter(|_| from.ip() == IpAddr::V4(gateway));
                    if let Some(library) = library
                        && let Err(error) = inside.send_to(&answer[..len], library).await
                    {
                        return error;
                    }
                }
                Err(error) => return error,
            },
        }
    }
}

fn protocol(wish: Wish) -> PortMappingProtocol {
    match wish.protocol {
        Protocol::Tcp => PortMappingProtocol::TCP,
        Protocol::Udp => PortMappingProtocol::UDP,
    }
}

/// What a gateway's refusal is called. Its own words, which may be a whole
/// page, are not among them.
fn refusal(error: &AddPortError) -> PortmapError {
    let text = match error {
        AddPortError::RequestError(RequestError::ErrorCode(code, _)) => {
            format!("UPnP: error {code}")
        }
        AddPortError::RequestError(
            RequestError::InvalidResponse(_) | RequestError::Utf8Error(_),
        ) => "UPnP: an answer that can't be read".to_owned(),
        AddPortError::RequestError(RequestError::UnsupportedAction(_)) => {
            "UPnP: it forwards no ports".to_owned()
        }
        AddPortError::RequestError(_) => return PortmapError::Silent,
        AddPortError::ActionNotAuthorized => "UPnP: not authorized".to_owned(),
        AddPortError::PortInUse => "UPnP: every port that was tried is taken".to_owned(),
        other => format!("UPnP: {other}"),
    };
    PortmapError::Refused(text)
}

impl Igd {
    /// Asks for a port: the one that is wished for, then that of this machine,
    /// then any.
    pub(super) async fn map(&mut self, wish: Wish) -> Result<Mapping, PortmapError> {
        let drawn = [(); OTHERS].map(|()| rand::random_range(RANGE));
        let drawn = drawn.into_iter().filter_map(NonZeroU16::new);
        let mut ports = vec![wish.external];
        for port in std::iter::once(wish.internal).chain(drawn) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        let mut refused = PortmapError::Silent;
        for external in ports {
            let wish = Wish { external, ..wish };
            let added = match self.add(wish).await? {
                Err(AddPortError::OnlyPermanentLeasesSupported) if !self.is_permanent => {
                    self.is_permanent = true;
                    self.add(wish).await?
                }
                added => added,
            };
            match added {
                Ok(()) => {
                    let lifetime = Some(LEASE).filter(|_| !self.is_permanent);
                    return Ok(Mapping { wish, lifetime });
                }
                // Another one is as good. It may be one that must be the same.
                Err(error @ (AddPortError::PortInUse | AddPortError::SamePortValuesRequired)) => {
                    refused = refusal(&error);
                }
                Err(error) => return Err(refusal(&error)),
            }
        }
        Err(refused)
    }

    async fn add(&self, wish: Wish) -> Result<Result<(), AddPortError>, PortmapError> {
        let lease = if self.is_permanent {
            0
        } else {
            u32::try_from(LEASE.as_secs()).unwrap_or(u32::MAX)
        };
        let own = SocketAddr::from((self.own, wish.internal.get()));
        let external = wish.external.get();
        let asked = self
            .gateway
            .add_port(protocol(wish), external, own, lease, NAME);
        timeout(ANSWER, asked)
            .await
            .map_err(|_| PortmapError::Silent)
    }

    /// The router's own address, where it says that.
    pub(super) async fn external_address(&self) -> Option<Ipv4Addr> {
        match timeout(ANSWER, self.gateway.get_external_ip()).await {
            Ok(Ok(IpAddr::V4(ip))) if !ip.is_unspecified() => Some(ip),
            _ => None,
        }
    }

    pub(super) async fn unmap(&self, wish: Wish) {
        let asked = self
            .gateway
            .remove_port(protocol(wish), wish.external.get());
        if timeout(ANSWER, asked)
            .await
            .is_ok_and(|ended| ended.is_ok())
        {
            return;
        }
        tracing::debug!("the router keeps a port for a while");
    }
}
