//! Nodes on one link find each other by mDNS, and apt clients find this one.

pub mod links;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mdns_sd::{
    DaemonEvent, DaemonStatus, IfKind, IfPredicate, Receiver, ResolvedService, ScopedIp,
    ServiceDaemon, ServiceEvent, ServiceInfo,
};
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use tokio::time::{Instant, sleep_until};

use self::links::Links;
use crate::clock::jittered;
use crate::debian::naming::{from_hex, to_hex};
use crate::dht::id::NodeId;
use crate::swarm::neighbours::{MOST, MOST_ADDRESSES, Neighbour};

/// What nodes look for.
const NODES: &str = "_aptmesh._tcp.local.";

/// What apt clients look for.
const PROXIES: &str = "_apt_proxy._tcp.local.";

/// What this release says of itself, for later ones.
const VERSION: &str = "1";

/// How often the library is told to look as if it began: by itself it asks
/// more and more seldom, once an hour in the end, and a word may get lost.
const AGAIN: Duration = Duration::from_mins(10);

/// How long after it got an address others may be expected to hear us: who
/// comes to a link at the same time has told its names by then.
const SETTLED: Duration = Duration::from_millis(1500);

/// How often it is looked whether this machine has other addresses, in seconds.
const IP_CHECK: u32 = 2;

/// Why nobody can be found.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// Something else has the port of mDNS for itself.
    #[error("UDP port {port} can't be used: {0}", port = mdns_sd::MDNS_PORT)]
    Port(io::Error),
    /// The library refuses.
    #[error(transparent)]
    Mdns(#[from] mdns_sd::Error),
}

/// What others are told of this node.
#[derive(Debug, Clone)]
pub struct Told {
    /// Who it is.
    pub node_id: NodeId,
    /// Where it serves other nodes; `None`: it has nothing to do with any.
    pub peer: Option<SocketAddr>,
    /// Its UDP port in the DHT, where it has one.
    pub dht: Option<u16>,
    /// Where it serves apt, if others may come there.
    pub apt: Option<SocketAddr>,
}

/// What happened on the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A node is there, or somewhere else than before.
    Here(Neighbour),
    /// A node left.
    Gone(NodeId),
}

/// This node's voice and ear on its links.
pub struct Discovery {
    daemon: ServiceDaemon,
    /// What is heard of other nodes, where that is of interest.
    events: Option<Receiver<ServiceEvent>>,
    /// What becomes of this machine's own addresses.
    changes: Receiver<DaemonEvent>,
    /// When others are to be asked for anew.
    again: Instant,
    known: Known,
}

/// Whom was heard of.
struct Known {
    own: NodeId,
    /// Who stands behind a service's name.
    names: HashMap<String, NodeId>,
}

impl Discovery {
    /// Tells others of this node and listens to them.
    ///
    /// # Errors
    /// [`DiscoveryError`]. That no link takes multicast is no error: there may
    /// be another one soon.
    pub fn open(told: &Told) -> Result<Self, DiscoveryError> {
        // The library says in its log alone that it got no socket.
        try_port().map_err(DiscoveryError::Port)?;
        let daemon = ServiceDaemon::new()?;
        let unusable = IfPredicate::new(|interface| links::is_unusable(interface.ip()));
        daemon.disable_interface(IfKind::Predicate(unusable))?;
        daemon.set_ip_check_interval(IP_CHECK)?;
        let name = format!("aptmesh-{}", &to_hex(&told.node_id.0)[..12]);
        if let Some(address) = told.peer {
            let mut texts = vec![("id", told.node_id.to_string()), ("v", VERSION.to_owned())];
            texts.extend(told.dht.map(|port| ("dht", port.to_string())));
            daemon.register(service(NODES, &name, address, &texts)?)?;
        }
        if let Some(address) = told.apt {
            daemon.register(service(PROXIES, &name, address, &[])?)?;
        }
        let events = told.peer.map(|_| daemon.browse(NODES)).transpose()?;
        Ok(Self {
            changes: daemon.monitor()?,
            daemon,
            events,
            again: Instant::now() + AGAIN,
            known: Known {
                own: told.node_id,
                names: HashMap::new(),
            },
        })
    }

    /// What happens next. Never comes back where nobody is listened to.
    pub async fn next(&mut self) -> News {
        loop {
            let Some(events) = &self.events else {
                return std::future::pending().await;
            };
            let event = tokio::select! {
                event = events.recv_async() => event,
                Ok(change) = self.changes.recv_async() => {
                    if matches!(change, DaemonEvent::IpAdd(_)) {
                        self.again = self.again.min(Instant::now() + SETTLED);
                    }
                    continue;
                }
                () = sleep_until(self.again) => {
                    self.again = Instant::now() + jittered(AGAIN);
                    self.events = self.daemon.browse(NODES).ok();
                    continue;
                }
            };
            match event {
                Ok(ServiceEvent::ServiceResolved(service)) => {
                    if let Some(news) = self.known.resolved(&service, &Links::now()) {
                        return news;
                    }
                }
                Ok(ServiceEvent::ServiceRemoved(_, name)) => {
                    if let Some(id) = self.known.removed(&name) {
                        return News::Gone(id);
                    }
                }
                Ok(_) => {}
                // So much was heard that something was missed.
                Err(_) => self.events = self.daemon.browse(NODES).ok(),
            }
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        if let Ok(done) = self.daemon.shutdown() {
            let _: Result<DaemonStatus, _> = done.recv_async().await;
        }
    }
}

impl Known {
    fn resolved(&mut self, service: &ResolvedService, links: &Links) -> Option<News> {
        let text = |name| service.txt_properties.get_property_val_str(name);
        let node_id = NodeId(from_hex(text("id")?)?);
        let is_known = self.names.contains_key(&service.fullname);
        if node_id == self.own || (!is_known && self.names.len() >= MOST) {
            return None;
        }
        let mut addresses: Vec<_> = (service.addresses.iter())
            .filter(|scoped| links.have(scoped))
            .map(|scoped| SocketAddr::new(scoped.to_ip_addr(), service.port))
            .collect();
        if addresses.is_empty() || service.port == 0 {
            return self.removed(&service.fullname).map(News::Gone);
        }
        // IPv4 first: it is what works on most links.
        addresses.sort_unstable();
        addresses.truncate(MOST_ADDRESSES);
        self.names.insert(service.fullname.clone(), node_id);
        Some(News::Here(Neighbour {
            node_id,
            addresses,
            dht: text("dht")
                .and_then(|port| port.parse().ok())
                .filter(|port| *port != 0),
        }))
    }

    /// Who is gone with a service of this name.
    fn removed(&mut self, name: &str) -> Option<NodeId> {
        let id = self.names.remove(name)?;
        // It may have come back under another name.
        (!self.names.values().any(|other| *other == id)).then_some(id)
    }
}

fn service(
    kind: &str,
    name: &str,
    address: SocketAddr,
    texts: &[(&str, String)],
) -> mdns_sd::Result<ServiceInfo> {
    let host = format!("{name}.local.");
    let port = address.port();
    if address.ip().is_unspecified() {
        let info = ServiceInfo::new(kind, name, &host, (), port, texts)?;
        return Ok(info.enable_addr_auto());
    }
    ServiceInfo::new(kind, name, &host, address.ip().to_canonical(), port, texts)
}

/// Whether the port of mDNS can be shared with whoever else uses it.
fn try_port() -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    set_socket_reuseaddr(&socket, true)?;
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), mdns_sd::MDNS_PORT);
    Ok(bind(&socket, &any)?)
}

/// The interfaces that an address was heard of on; none: it is not known.
fn heard_on(scoped: &ScopedIp) -> Vec<u32> {
    match scoped {
        ScopedIp::V4(ip) => ip.interface_ids().iter().map(|id| id.index).collect(),
        ScopedIp::V6(ip) => vec![ip.scope_id().index],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
