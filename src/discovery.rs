//! Nodes on one link find each other by mDNS, and apt clients find this one.

mod known;
pub mod links;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use mdns_sd::{
    DaemonEvent, DaemonStatus, IfKind, IfPredicate, Receiver, ScopedIp, ServiceDaemon,
    ServiceEvent, ServiceInfo,
};
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use tokio::time::{Instant, sleep_until};

use self::known::Known;
use self::links::{Links, Reach, is_spoken_from};
use crate::clock::jittered;
use crate::debian::naming::to_hex;
use crate::dht::id::NodeId;
use crate::swarm::neighbours::Neighbour;

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

/// How long until the library is asked again where it refused.
const SOON: Duration = Duration::from_secs(1);

/// How long what is known of this machine's links is used.
const LINKS_KEPT: Duration = Duration::from_secs(1);

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
    /// Where it serves other nodes, on one port; none: it has nothing to do
    /// with any.
    pub peer: Vec<SocketAddr>,
    /// Its UDP port in the DHT, where it has one.
    pub dht: Option<u16>,
    /// Where it serves apt, on one port.
    pub apt: Vec<SocketAddr>,
    /// Networks whose apt clients are served.
    pub clients: Vec<IpNet>,
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
    ear: Option<Ear>,
    /// What becomes of this machine's own addresses.
    changes: Receiver<DaemonEvent>,
    /// This machine's links, and until when they are taken for that.
    links: (Links, Instant),
    known: Known,
    /// What is still to be told.
    news: VecDeque<News>,
}

/// What is heard of other nodes.
struct Ear {
    /// None: the library does not tell any more.
    events: Option<Receiver<ServiceEvent>>,
    /// When others are to be asked for anew.
    again: Instant,
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
        let unusable = IfPredicate::new(|interface| !is_spoken_from(interface, Links::now));
        daemon.disable_interface(IfKind::Predicate(unusable))?;
        daemon.set_ip_check_interval(IP_CHECK)?;
        let name = format!("aptmesh-{}", &to_hex(&told.node_id.0)[..12]);
        if let Some(address) = told.peer.first() {
            let mut texts = vec![("id", told.node_id.to_string()), ("v", VERSION.to_owned())];
            texts.extend(told.dht.map(|port| ("dht", port.to_string())));
            let reach = Reach::new(&told.peer, None);
            daemon.register(service(NODES, &name, address.port(), &texts, reach)?)?;
        }
        if let Some(address) = told.apt.first() {
            let reach = Reach::new(&told.apt, Some(&told.clients));
            daemon.register(service(PROXIES, &name, address.port(), &[], reach)?)?;
        }
        let is_listening = !told.peer.is_empty();
        let ear = is_listening.then(|| daemon.browse(NODES)).transpose()?;
        let now = Instant::now();
        Ok(Self {
            changes: daemon.monitor()?,
            daemon,
            ear: ear.map(|events| Ear {
                events: Some(events),
                again: now + AGAIN,
            }),
            links: (Links::default(), now),
            known: Known::new(told.node_id),
            news: VecDeque::new(),
        })
    }

    /// What happens next. Never comes back where nobody is listened to.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.news.pop_front() {
                return news;
            }
            let Some(ear) = &mut self.ear else {
                return std::future::pending().await;
            };
            tokio::select! {
                event = hear(ear.events.as_ref()) => match event {
                    Some(event) => self.heard(event),
                    // So much was heard that something was missed.
                    None => ear.take(self.daemon.browse(NODES)),
                },
                Ok(change) = self.changes.recv_async() => {
                    self.links.1 = Instant::now();
                    if matches!(change, DaemonEvent::IpAdd(_)) {
                        ear.again = ear.again.min(Instant::now() + SETTLED);
                    }
                }
                () = sleep_until(ear.again) => ear.take(self.daemon.browse(NODES)),
            }
        }
    }

    fn heard(&mut self, event: ServiceEvent) {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let (links, until) = &mut self.links;
                let now = Instant::now();
                if *until <= now {
                    (*links, *until) = (Links::now(), now + LINKS_KEPT);
                }
                self.news.extend(self.known.resolved(&service, links));
            }
            ServiceEvent::ServiceRemoved(_, name) => self.news.extend(self.known.removed(&name)),
            _ => {}
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        if let Ok(done) = self.daemon.shutdown() {
            let _: Result<DaemonStatus, _> = done.recv_async().await;
        }
    }
}

impl Ear {
    /// What came of asking for others anew. The library refuses when it has too
    /// much to do; what it told until then it still tells.
    fn take(&mut self, browsed: mdns_sd::Result<Receiver<ServiceEvent>>) {
        let gone = |events: &Receiver<_>| events.is_disconnected() && events.is_empty();
        let pause = if let Ok(events) = browsed {
            self.events = Some(events);
            jittered(AGAIN)
        } else {
            self.events = self.events.take().filter(|events| !gone(events));
            SOON
        };
        self.again = Instant::now() + pause;
    }
}

/// What is heard next; `None`: nothing any more. Waits where nothing is told.
async fn hear(events: Option<&Receiver<ServiceEvent>>) -> Option<ServiceEvent> {
    match events {
        Some(events) => events.recv_async().await.ok(),
        None => std::future::pending().await,
    }
}

/// A service that is told of wherever `reach` has it. Each has a host name of
/// its own: addresses of one would be taken for those of the other.
fn service(
    kind: &str,
    name: &str,
    port: u16,
    texts: &[(&str, String)],
    reach: Reach,
) -> mdns_sd::Result<ServiceInfo> {
    let what = kind.trim_start_matches('_').split('.').next();
    let host = format!(
        "{name}-{}.local.",
        what.unwrap_or_default().replace('_', "-")
    );
    let mut info = ServiceInfo::new(kind, name, &host, (), port, texts)?.enable_addr_auto();
    let reached = IfPredicate::new(move |interface| reach.has(interface));
    info.set_interfaces(vec![IfKind::Predicate(reached)]);
    Ok(info)
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
