//! The node's place in the DHT: a UDP socket, and the engine behind it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::{Millis, jittered, millis};
use crate::dht::contact::{Family, canonical};
use crate::dht::engine::{ActionId, Changes, Engine, Event, Snapshot};
use crate::dht::id::Key;
use crate::dht::krpc::MAX_PACKET;
use crate::router::Way;

/// Packets taken in a row before their answers go out.
const BATCH: usize = 32;

/// Longest sleep.
const NAP: Duration = Duration::from_secs(20);

/// After a socket error.
const RECOVER: Duration = Duration::from_millis(100);

/// Names of nodes for bootstrapping are resolved again after so long.
const RESOLVE_AGAIN: Duration = Duration::from_hours(1);

/// And after so long where one could not be; the pause doubles.
const RESOLVE_SOON: Duration = Duration::from_secs(5);

/// As whom the node publishes that it has a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// The address that most other nodes see, with this port, or the one of a
    /// router that leads there ([`Overlay::set_way`]).
    Seen {
        /// Of the peer face.
        port: u16,
    },
    /// The operator says.
    Fixed(SocketAddr),
}

/// The node's place in the DHT; clones are the same place.
#[derive(Clone)]
pub struct Overlay(Arc<Shared>);

struct Shared {
    socket: UdpSocket,
    address: SocketAddr,
    contact: Contact,
    /// The time at the start. From then on the time is what has passed since:
    /// a clock that is set would stop timers, or fire them all.
    started: (Millis, Instant),
    state: Mutex<State>,
    /// Rung when the engine may have to be woken earlier than it was known.
    changed: Notify,
}

struct State {
    engine: Engine,
    /// By which port others come to the peer face.
    way: Way,
    /// Nodes for bootstrapping: that the operator named, and that are near.
    bootstrap: [Vec<SocketAddr>; 2],
    finds: HashMap<ActionId, mpsc::UnboundedSender<Vec<Vec<u8>>>>,
    announcements: HashMap<ActionId, oneshot::Sender<usize>>,
}

impl State {
    /// Tells who waits; that nobody waits any more harms nothing.
    fn tell(&mut self, event: Event) {
        match event {
            Event::Values { action, values } => {
                if let Some(find) = self.finds.get(&action) {
                    let _ = find.send(values);
                }
            }
            Event::Found { action, .. } => drop(self.finds.remove(&action)),
            Event::Stored { action, nodes } => {
                if let Some(tell) = self.announcements.remove(&action) {
                    let _ = tell.send(nodes);
                }
            }
        }
    }
}

/// Values of a key, as they come.
#[derive(Debug)]
pub struct Finding(mpsc::UnboundedReceiver<Vec<Vec<u8>>>);

impl Finding {
    /// The next values, each of them once; `None` when all nodes that matter
    /// have answered.
    pub async fn next(&mut self) -> Option<Vec<Vec<u8>>> {
        self.0.recv().await
    }
}

/// Binds the socket. An unspecified IPv6 address means IPv4 as well; where the
/// machine has no IPv6, it means IPv4 alone.
///
/// # Errors
/// Where the address can't be bound.
pub fn listen(address: SocketAddr) -> io::Result<UdpSocket> {
    let has_no_ipv6 =
        |error: &io::Error| matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT));
    match bound(address) {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && has_no_ipv6(&error) => {
            let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            bound(SocketAddr::new(any, address.port()))
        }
        result => result,
    }
}

fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    bind(&socket, &address)?;
    UdpSocket::from_std(socket.into())
}

/// What a socket of [`listen`] sends to.
///
/// # Errors
/// Where the socket does not know its address.
pub fn families(socket: &UdpSocket) -> io::Result<Vec<Family>> {
    Ok(match socket.local_addr()?.ip() {
        IpAddr::V4(_) => vec![Family::V4],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![Family::V4, Family::V6],
        IpAddr::V6(_) => vec![Family::V6],
    })
}

impl Overlay {
    /// Takes the place of an engine that was made `now`; [`Overlay::run`] brings
    /// it to life.
    ///
    /// # Errors
    /// Where the socket does not know its address.
    pub fn open(
        socket: UdpSocket,
        contact: Contact,
        now: Millis,
        engine: Engine,
    ) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            address: socket.local_addr()?,
            socket,
            contact,
            started: (now, Instant::now()),
            state: Mutex::new(State {
                engine,
                way: Way::default(),
                bootstrap: Default::default(),
                finds: HashMap::new(),
                announcements: HashMap::new(),
            }),
            changed: Notify::new(),
        })))
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes packets, does what is due, until cancelled.
    pub async fn run(self, bootstrap: Vec<String>, stop: CancellationToken) {
        // Of a new socket the runtime does not know yet that it takes packets.
        let _ = self.0.socket.writable().await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.take_packets() => {}
            () = self.keep_resolving(bootstrap) => {}
        }
    }

    async fn take_packets(&self) {
        // One byte more than allowed, so that what is cut is dropped as too long.
        let mut packet = [0; MAX_PACKET + 1];
        loop {
            let pause = {
                let wake = self.state().engine.next_wake() - self.now();
                Duration::from_millis(u64::try_from(wake).unwrap_or(0)).min(NAP)
            };
            let received = tokio::select! {
                received = self.0.socket.recv_from(&mut packet) => Some(received),
                () = tokio::time::sleep(pause) => None,
                () = self.0.changed.notified() => None,
            };
            let mut next = received;
            for taken in 1..=BATCH {
                match next {
                    None => break,
                    Some(Ok((len, from))) => {
                        let now = self.now();
                        self.state().engine.receive(from, &packet[..len], now);
                    }
                    Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "a packet can't be received");
                        tokio::time::sleep(RECOVER).await;
                        break;
                    }
                }
                // What is taken out of the socket is looked at.
                next = (taken < BATCH).then(|| self.0.socket.try_recv_from(&mut packet));
            }
            self.state().engine.advance(self.now());
            self.deliver();
        }
    }

    /// Sends what is to be sent, and tells who waits.
    fn deliver(&self) {
        let packets = {
            // Under one lock, or the end of a find could overtake its values.
            let mut state = self.state();
            for event in state.engine.take_events() {
                state.tell(event);
            }
            state.engine.take_outbox()
        };
        for (to, packet) in packets {
            // Where the socket has no room the packet is lost, as the network
            // may lose any.
            if let Err(error) = self.0.socket.try_send_to(&packet, self.mapped(to)) {
                tracing::trace!(peer = %to, %error, "a packet is lost");
            }
        }
    }

    /// As a socket of our family takes the address.
    fn mapped(&self, to: SocketAddr) -> SocketAddr {
        match (self.0.address.ip(), to.ip()) {
            (IpAddr::V6(_), IpAddr::V4(ip)) => {
                SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), to.port())
            }
            _ => to,
        }
    }

    /// Keeps the engine told where the nodes for bootstrapping are.
    async fn keep_resolving(&self, names: Vec<String>) {
        // A name that can't be resolved now keeps the addresses that it had.
        let mut known: HashMap<&str, Vec<SocketAddr>> = HashMap::new();
        let (mut told, mut soon) = (Vec::new(), RESOLVE_SOON);
        loop {
            let mut is_complete = true;
            for name in &names {
                match tokio::net::lookup_host(name).await {
                    Ok(found) => drop(known.insert(name, found.map(canonical).collect())),
                    Err(error) => {
                        is_complete = false;
                        tracing::warn!(host = name, %error, "this node for bootstrapping can't be found (dht.bootstrap)");
                    }
                }
            }
            let mut found: Vec<_> = known.values().flatten().copied().collect();
            found.sort_unstable();
            found.dedup();
            if found != told {
                self.warn_of_private(&found);
                told.clone_from(&found);
                self.bootstrap(|bootstrap| bootstrap[0] = found);
            }
            let pause = if is_complete { RESOLVE_AGAIN } else { soon };
            soon = if is_complete {
                RESOLVE_SOON
            } else {
                (soon * 2).min(RESOLVE_AGAIN)
            };
            tokio::time::sleep(jittered(pause)).await;
        }
    }

    /// Nodes that are near are as good for bootstrapping as those that were
    /// named; they take the place of those of the last call.
    pub fn bootstrap_through(&self, near: Vec<SocketAddr>) {
        if self.state().bootstrap[1] != near {
            self.bootstrap(|bootstrap| bootstrap[1] = near);
        }
    }

    fn bootstrap(&self, change: impl FnOnce(&mut [Vec<SocketAddr>; 2])) {
        {
            let mut state = self.state();
            change(&mut state.bootstrap);
            let all = state.bootstrap.concat();
            state.engine.bootstrap(all, self.now());
        }
        self.deliver();
        self.0.changed.notify_one();
    }

    fn warn_of_private(&self, addresses: &[SocketAddr]) {
        for address in addresses {
            let is_private = {
                let engine = &self.state().engine;
                engine.sends_to(address) && !engine.may_know(address)
            };
            if is_private {
                tracing::warn!(
                    peer = %address,
                    "this node for bootstrapping has an address that does not count: set peer.allow_private = true where nodes are on a private network"
                );
            }
        }
    }

    /// Finds the values of a key.
    #[must_use]
    pub fn find(&self, key: Key) -> Finding {
        let (tell, finding) = mpsc::unbounded_channel();
        {
            let mut state = self.state();
            let action = state.engine.find(key, self.now());
            state.finds.insert(action, tell);
        }
        self.deliver();
        self.0.changed.notify_one();
        Finding(finding)
    }

    /// Stores a value at the nodes closest to its key. Answers how many took it.
    pub async fn announce(&self, key: Key, value: Vec<u8>) -> usize {
        let (tell, told) = oneshot::channel();
        {
            let mut state = self.state();
            let action = state.engine.announce(key, value, self.now());
            state.announcements.insert(action, tell);
        }
        self.deliver();
        self.0.changed.notify_one();
        told.await.unwrap_or(0)
    }

    /// Others come to the peer face by this way from now on. What was announced
    /// under another address is announced again by the worker that keeps
    /// announcements in step with [`Overlay::contact`].
    pub fn set_way(&self, way: Way) {
        self.state().way = way;
    }

    /// As whom the node publishes that it has a file; `None` before others
    /// have told how they see it, or the router by which port they come.
    #[must_use]
    pub fn contact(&self) -> Option<SocketAddr> {
        match self.0.contact {
            Contact::Fixed(address) => Some(address),
            Contact::Seen { port } => {
                let state = self.state();
                let ip = [Family::V4, Family::V6]
                    .into_iter()
                    .find_map(|family| state.engine.external(family))?;
                Some(SocketAddr::new(ip, state.way.port(ip, port)?))
            }
        }
    }

    /// For how long nodes keep what is stored at them, in milliseconds.
    #[must_use]
    pub fn key_expire(&self) -> Millis {
        self.state().engine.key_expire()
    }

    /// Whether any other node is known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state().engine.knows_anybody()
    }

    /// Rows to be written.
    #[must_use]
    pub fn take_changes(&self) -> Changes {
        self.state().engine.take_changes()
    }

    /// How the node is.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.state().engine.snapshot(self.now())
    }

    fn now(&self) -> Millis {
        let (at_start, since) = self.0.started;
        at_start + millis(since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_sends_to_the_families_that_it_listens_for() {
        let of = |address: &str| families(&listen(address.parse().unwrap()).unwrap()).unwrap();
        assert_eq!(of("127.0.0.1:0"), [Family::V4]);
        assert_eq!(of("0.0.0.0:0"), [Family::V4]);
        // Without IPv6 on the machine, it is IPv4 alone.
        let any = of("[::]:0");
        assert!(any == [Family::V4, Family::V6] || any == [Family::V4]);
    }
}
