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

use self::upnp::{Igd, Refusal};
use crate::router::route::default_gateway;
use crate::router::{Means, Place, Wish, is_public};

/// This machine's IPv4 routes.
const ROUTES: &str = "/proc/self/net/route";

/// So much of them is read, in bytes: the routes to everywhere come first.
const MOST_ROUTES: u64 = 64 * 1024;

/// So many ports are remembered that a router may forward: more are only those
/// that it answers nothing about.
const MOST_HELD: usize = 8;

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

/// What the router may forward to this node: it granted that, or was asked for
/// it and did not answer in time.
#[derive(Debug, Clone)]
struct Held {
    wish: Wish,
    tongue: Tongue,
}

impl Held {
    /// Whether `other` takes the place of this at the router. PCP is the next
    /// version of NAT-PMP: both know a port by that of this machine, and `UPnP`
    /// by that of the router.
    fn is_like(&self, other: &Self) -> bool {
        let is_upnp = |held: &Self| matches!(held.tongue, Tongue::Upnp(_));
        self.wish.protocol == other.wish.protocol
            && is_upnp(self) == is_upnp(other)
            && (!is_upnp(self) || self.wish.external == other.wish.external)
    }
}

/// A router, and what it forwards to this node.
#[derive(Debug)]
pub struct Router {
    place: Place,
    /// Who asks, as PCP wants to be told: whoever asks as somebody else may not
    /// change what there is.
    nonce: [u32; 3],
    tongue: Option<Tongue>,
    /// Its own address, as it said last.
    external: Option<Ipv4Addr>,
    /// Written before it is asked, so that nothing is left behind by who stops
    /// in the middle. The oldest first.
    held: Vec<Held>,
}

impl Router {
    /// A router that was asked for nothing yet.
    #[must_use]
    pub const fn new(place: Place, nonce: [u32; 3]) -> Self {
        Self {
            place,
            nonce,
            tongue: None,
            external: None,
            held: Vec::new(),
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
            Ok(Some(ip)) if !is_public(ip) => PortmapError::behind_another(ip),
            Ok(Some(_)) => refused.or(error),
            _ => refused.or(error.without_address()),
        })
    }

    /// By PCP, or by NAT-PMP that it came from.
    async fn map_by_udp(&mut self, wishes: &[Wish]) -> Result<Granted, PortmapError> {
        let Some(&first) = wishes.first() else {
            return Err(PortmapError::Silent);
        };
        // Whether it knows NAT-PMP is found out by a question for its address:
        // asked for a port by both, a router may hold that twice.
        let gateway = self.place.gateway;
        let mut tongue = Tongue::Pcp;
        let (pcp, address) = tokio::join!(
            self.map_one(&mut tongue, first),
            udp::external_address(gateway)
        );
        let Err(refused) = pcp else {
            return self.map_by(Tongue::Pcp, wishes).await;
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
        let (mut mappings, mut refused) = (Vec::new(), None);
        for &wish in wishes {
            match self.map_one(&mut tongue, wish).await {
                Ok(mapping) => mappings.push(mapping),
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
        self.tongue = Some(tongue.clone());
        // An answer that is lost says nothing about the address.
        let (means, external) = match &tongue {
            Tongue::Pcp => (Means::Pcp, None),
            Tongue::NatPmp => {
                let asked = udp::external_address(self.place.gateway).await;
                (Means::NatPmp, asked.ok())
            }
            Tongue::Upnp(igd) => (Means::Upnp, igd.external_address().await.ok()),
        };
        self.external = external.unwrap_or(self.external);
        Ok(Granted {
            means,
            external: self.external,
            mappings,
            refused,
        })
    }

    /// Asks for a port; those that were granted for the same before are taken
    /// back.
    async fn map_one(&mut self, tongue: &mut Tongue, wish: Wish) -> Result<Mapping, PortmapError> {
        let mapping = match tongue {
            Tongue::Upnp(igd) => self.map_by_upnp(igd, wish).await?,
            Tongue::Pcp | Tongue::NatPmp => {
                let is_new = self.hold(wish, tongue);
                let asked = if matches!(tongue, Tongue::Pcp) {
                    let asked = udp::map_by_pcp(self.place, self.nonce, wish).await;
                    asked.map(|(mapping, external)| {
                        self.external = external;
                        mapping
                    })
                } else {
                    udp::map_by_nat_pmp(self.place.gateway, wish).await
                };
                // Who never answered anything has granted nothing.
                let is_silent = matches!(asked, Err(PortmapError::Silent));
                if is_new && asked.is_err() && !(is_silent && self.tongue.is_some()) {
                    self.held.pop();
                }
                let mapping = asked?;
                self.hold(mapping.wish, tongue);
                mapping
            }
        };
        self.retire(mapping.wish).await;
        Ok(mapping)
    }

    async fn map_by_upnp(&mut self, igd: &mut Igd, wish: Wish) -> Result<Mapping, PortmapError> {
        let mut refusal = Refusal::Silent;
        for external in Igd::ports(wish) {
            let wish = Wish { external, ..wish };
            let is_new = self.hold(wish, &Tongue::Upnp(Box::new(igd.clone())));
            let mut asked = igd.map(wish).await;
            // Some refuse what this node has itself.
            if !is_new && asked.is_err_and(Refusal::is_of_port) && igd.unmap(wish).await.is_ok() {
                asked = igd.map(wish).await;
            }
            refusal = match asked {
                Ok(mapping) => return Ok(mapping),
                Err(refusal) => refusal,
            };
            if is_new && refusal != Refusal::Silent {
                self.held.pop();
            }
            if !refusal.is_of_port() {
                break;
            }
        }
        Err(refusal.into())
    }

    /// In the place of what was asked for the same before. Answers whether
    /// there was nothing of the kind; then it stands at the end.
    fn hold(&mut self, wish: Wish, tongue: &Tongue) -> bool {
        let held = Held {
            wish,
            tongue: tongue.clone(),
        };
        if let Some(old) = self.held.iter_mut().find(|old| old.is_like(&held)) {
            *old = held;
            return false;
        }
        if self.held.len() == MOST_HELD {
            self.held.remove(0);
        }
        self.held.push(held);
        true
    }

    /// Takes back other ports at the router than this one for the same. The
    /// same port by other means stays until the end: it may be the same thing.
    async fn retire(&mut self, now: Wish) {
        let is_old =
            |held: &Held| held.wish.protocol == now.protocol && held.wish.external != now.external;
        let old = self.held.iter().filter(|held| is_old(held)).cloned();
        self.take_back(old.collect()).await;
    }

    /// Asks it to forward nothing any more, as far as it listens. It is another
    /// one that would be asked where this machine has another address now.
    pub async fn unmap(&mut self) {
        if UdpSocket::bind((self.place.own, 0)).is_ok() {
            self.take_back(self.held.clone()).await;
        }
        self.held.clear();
        self.tongue = None;
    }

    async fn take_back(&mut self, old: Vec<Held>) {
        let Self { place, nonce, .. } = *self;
        let asked = old.into_iter().map(async |held| {
            let ended = match &held.tongue {
                Tongue::Pcp => udp::unmap_by_pcp(place, nonce, held.wish).await,
                Tongue::NatPmp => udp::unmap_by_nat_pmp(place.gateway, held.wish).await,
                Tongue::Upnp(igd) => igd.unmap(held.wish).await.map_err(PortmapError::from),
            };
            (held, ended)
        });
        for (old, ended) in join_all(asked).await {
            match ended {
                // It is asked once more.
                Err(PortmapError::Silent) => {
                    tracing::debug!("the router keeps a port for a while");
                }
                _ => self.held.retain(|held| !held.is_like(&old)),
            }
        }
    }
}
