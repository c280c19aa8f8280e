//! Asks a home router to forward ports to this machine: by PCP or NAT-PMP, else
//! as a `UPnP` gateway. A router is a stranger like any other: what it sends
//! costs a bounded time and a bounded room, and nothing that it names is asked
//! but itself.

#[cfg(test)]
mod tests;
mod udp;
mod upnp;

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::task::AbortOnDropHandle;

use self::upnp::Igd;
use crate::router::route::default_gateway;
use crate::router::{Means, Place, Wish, is_public};

/// This machine's IPv4 routes.
const ROUTES: &str = "/proc/self/net/route";

/// So much of them is read, in bytes: the routes to everywhere come first.
const MOST_ROUTES: u64 = 64 * 1024;

/// Why a router forwards nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortmapError {
    /// It says nothing.
    #[error("the router does not answer, neither to PCP and NAT-PMP nor to UPnP")]
    Silent,
    /// It says no, or something that can't be read. In words of ours: its own
    /// may be many.
    #[error("{0}")]
    Refused(String),
}

impl PortmapError {
    /// Many routers forward nothing while another stands before them.
    fn behind_another(own: Ipv4Addr) -> Self {
        Self::Refused(format!(
            "its own address {own} is private, another router stands before it"
        ))
    }

    /// Others say no address at all then.
    fn without_address(self) -> Self {
        match self {
            Self::Refused(why) => Self::Refused(format!(
                "{why}; it names no address of its own, another router may stand before it"
            )),
            Self::Silent => Self::Silent,
        }
    }

    /// That of the two that says more, rather this one.
    fn or(self, other: Self) -> Self {
        if self == Self::Silent { other } else { self }
    }
}

/// A port that the router forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// What was asked for; with the port at the router that was granted.
    pub wish: Wish,
    /// For how long it was granted; `None`: until it is told otherwise.
    pub lifetime: Option<Duration>,
}

/// What a router granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// How it was asked.
    pub means: Means,
    /// Its own address, where it says that.
    pub external: Option<Ipv4Addr>,
    /// What it forwards; at least one.
    pub mappings: Vec<Mapping>,
    /// Why it does not forward the rest.
    pub refused: Option<PortmapError>,
}

/// Where this machine is; `None`: it has no router that it knows of.
///
/// # Errors
/// Where routes can't be read.
pub fn place() -> io::Result<Option<Place>> {
    let mut table = String::new();
    File::open(ROUTES)?
        .take(MOST_ROUTES)
        .read_to_string(&mut table)?;
    let Some(gateway) = default_gateway(&table) else {
        return Ok(None);
    };
    Ok(own_address(gateway).map(|own| Place { gateway, own }))
}

/// The address that this machine sends from to the router: nothing is sent.
fn own_address(gateway: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((gateway, crab_nat::GATEWAY_PORT)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(own) => Some(own),
        IpAddr::V6(_) => None,
    }
}

/// How a router is spoken to that answered.
#[derive(Debug, Clone)]
enum Tongue {
    Pcp,
    NatPmp,
    Upnp(Box<Igd>),
}

/// A router, and what it forwards to this node.
#[derive(Debug)]
pub struct Router {
    place: Place,
    /// Who asks, as PCP wants to be told: whoever asks as somebody else may not
    /// change what there is.
    nonce: [u32; 3],
    tongue: Option<Tongue>,
    /// What it may forward now. Kept as it is granted, so that nothing is left
    /// behind by who stops in the middle.
    mappings: Vec<Mapping>,
}

impl Router {
    /// A router that was asked for nothing yet.
    #[must_use]
    pub const fn new(place: Place, nonce: [u32; 3]) -> Self {
        Self {
            place,
            nonce,
            tongue: None,
            mappings: Vec::new(),
        }
    }

    /// Asks for these ports, or once more for them.
    ///
    /// # Errors
    /// Where it forwards none of them.
    pub async fn map(&mut self, wishes: &[Wish]) -> Result<Granted, PortmapError> {
        if let Some(tongue) = self.tongue.clone()
            && let Ok(granted) = self.map_by(tongue, wishes).await
        {
            return Ok(granted);
        }
        // Looking for a UPnP gateway takes seconds, and changes nothing.
        let search = AbortOnDropHandle::new(tokio::spawn(upnp::search(self.place)));
        let refused = match self.map_by_udp(wishes).await {
            Ok(granted) => return Ok(granted),
            Err(refused) => refused,
        };
        let Ok(Some(igd)) = search.await else {
            return Err(refused);
        };
        let tongue = Tongue::Upnp(Box::new(igd.clone()));
        let error = match self.map_by(tongue, wishes).await {
            Ok(granted) => return Ok(granted),
            Err(error) => error,
        };
        // The usual reason, for which there is no number.
        Err(match igd.external_address().await {
            Some(ip) if !is_public(ip) => PortmapError::behind_another(ip),
            Some(_) => refused.or(error),
            None => refused.or(error.without_address()),
        })
    }

    /// By PCP, or by NAT-PMP that it came from.
    async fn map_by_udp(&mut self, wishes: &[Wish]) -> Result<Granted, PortmapError> {
        let Some(&first) = wishes.first() else {
            return Err(PortmapError::Silent);
        };
        // Whether it knows NAT-PMP is found out by a question for its address:
        // asked for a port by both, a router may hold that twice.
        let (pcp, address) = tokio::join!(
            udp::map_by_pcp(self.place, self.nonce, first),
            udp::external_address(self.place.gateway)
        );
        let refused = match pcp {
            Ok((mapping, _)) => {
                self.keep(mapping, &Tongue::Pcp);
                return self.map_by(Tongue::Pcp, wishes).await;
            }
            Err(refused) => refused,
        };
        match address {
            Ok(external) => {
                let granted = self.map_by(Tongue::NatPmp, wishes).await;
                granted.map_err(|error| match external.filter(|ip| !is_public(*ip)) {
                    Some(ip) => PortmapError::behind_another(ip),
                    None => refused.or(error),
                })
            }
            // A router that knows both names the reason here, where it has no
            // public address, and there that it lacks resources.
            Err(error) => Err(error.or(refused)),
        }
    }

    async fn map_by(
        &mut self,
        mut tongue: Tongue,
        wishes: &[Wish],
    ) -> Result<Granted, PortmapError> {
        let (mut mappings, mut external, mut refused) = (Vec::new(), None, None);
        for &wish in wishes {
            let asked = match &mut tongue {
                Tongue::Pcp => {
                    let asked = udp::map_by_pcp(self.place, self.nonce, wish).await;
                    asked.map(|(mapping, ip)| {
                        external = ip;
                        mapping
                    })
                }
                Tongue::NatPmp => udp::map_by_nat_pmp(self.place.gateway, wish).await,
                Tongue::Upnp(igd) => igd.map(wish).await,
            };
            match asked {
                Ok(mapping) => {
                    self.keep(mapping, &tongue);
                    mappings.push(mapping);
                }
                // Who says nothing once is not asked once more.
                Err(error @ PortmapError::Silent) => {
                    refused = Some(error);
                    break;
                }
                Err(error) => refused = Some(error),
            }
        }
        if mappings.is_empty() {
            return Err(refused.unwrap_or(PortmapError::Silent));
        }
        let means = match &tongue {
            Tongue::Pcp => Means::Pcp,
            Tongue::NatPmp => {
                let asked = udp::external_address(self.place.gateway).await;
                external = asked.ok().flatten();
                Means::NatPmp
            }
            Tongue::Upnp(igd) => {
                external = igd.external_address().await;
                Means::Upnp
            }
        };
        Ok(Granted {
            means,
            external,
            mappings,
            refused,
        })
    }

    /// In the place of what was granted for the same port before.
    fn keep(&mut self, mapping: Mapping, tongue: &Tongue) {
        let of = mapping.wish.protocol;
        self.mappings.retain(|old| old.wish.protocol != of);
        self.mappings.push(mapping);
        self.tongue = Some(tongue.clone());
    }

    /// Asks it to forward nothing any more, as far as it listens.
    pub async fn unmap(&mut self) {
        let mappings = std::mem::take(&mut self.mappings);
        let Self { place, nonce, .. } = *self;
        let Some(tongue) = self.tongue.take() else {
            return;
        };
        let wishes = mappings.into_iter().map(|mapping| mapping.wish);
        let ends = wishes.map(async |wish| match &tongue {
            Tongue::Pcp => udp::unmap_by_pcp(place, nonce, wish).await,
            Tongue::NatPmp => udp::unmap_by_nat_pmp(place.gateway, wish).await,
            Tongue::Upnp(igd) => igd.unmap(wish).await,
        });
        join_all(ends).await;
    }
}
