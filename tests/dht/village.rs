//! A small network with what a scenario asks of it.

use std::any::Any;
use std::net::SocketAddr;

use aptmesh::clock::Millis;
use aptmesh::dht::contact::Contact;
use aptmesh::dht::engine::{ActionId, Event, Settings};
use aptmesh::dht::id::{Key, NodeId};
use aptmesh::dht::krpc::{self, Answer, Incoming, MAX_PACKET, Query, TransactionId};

use crate::network::{
    Air, Conditions, Happening, HostId, Kind, MINUTE, Network, Raw, Reach, SECOND,
};

/// Air without loss.
pub const CALM: Conditions = Conditions {
    loss: 0.0,
    round_trip: (20, 300),
    jitter: 0.03,
    flush_every: 30 * SECOND,
    disks: true,
};

/// Any lookup is over by then.
const PATIENCE: Millis = 2 * MINUTE;

/// What a find came to.
#[derive(Debug)]
pub struct Found {
    pub values: Vec<Vec<u8>>,
    pub closest: Vec<Contact>,
    /// From the question, in milliseconds.
    pub first: Option<Millis>,
    pub complete: Millis,
}

/// A network whose nodes join through its first one. When it is dropped, no packet may have been too long and no
/// engine may have been restless.
pub struct Village {
    pub network: Network,
    pub nodes: Vec<HostId>,
}

impl Village {
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            network: Network::new(seed, conditions, Settings::default()),
            nodes: Vec::new(),
        }
    }

    /// `count` nodes in calm air, acquainted.
    pub fn calm(seed: u64, count: usize) -> Self {
        let mut village = Self::new(seed, CALM);
        village.grow(count, Kind::OPEN);
        village.network.run_for(20 * MINUTE);
        village
    }

    /// Adds nodes, one a second.
    pub fn grow(&mut self, count: usize, kind: Kind) {
        for _ in 0..count {
            self.join(kind);
            self.network.run_for(SECOND);
        }
    }

    /// Adds one node.
    pub fn join(&mut self, kind: Kind) -> HostId {
        let host = self.network.add(kind);
        let bootstrap: Vec<_> = self.bootstrap().collect();
        self.network.start(host, &bootstrap);
        self.nodes.push(host);
        host
    }

    /// Where newcomers ask first: at the first node.
    pub fn bootstrap(&self) -> impl Iterator<Item = SocketAddr> {
        let first = self.nodes.first().copied();
        first
            .into_iter()
            .flat_map(|host| self.network.addresses(host).all().collect::<Vec<_>>())
    }

    pub fn addr(&self, host: HostId) -> SocketAddr {
        self.network.addresses(host).main()
    }

    pub fn key(&mut self) -> Key {
        NodeId(self.network.dice.bytes())
    }

    pub fn any(&mut self) -> HostId {
        *self.network.dice.one_of(&self.nodes)
    }

    /// Asks, and waits until the answer is complete.
    pub fn find(&mut self, host: HostId, key: Key) -> Found {
        let since = self.network.now();
        let action = self.network.find(host, key);
        let mut found = Found {
            values: Vec::new(),
            closest: Vec::new(),
            first: None,
            complete: 0,
        };
        self.wait(host, |at, event| match event {
            Event::Values { action: of, values } if *of == action => {
                found.first.get_or_insert(at - since);
                found.values.extend(values.iter().cloned());
                false
            }
            Event::Found {
                action: of,
                values,
                closest,
            } if *of == action => {
                assert_eq!(*values, found.values.len(), "each value is told once");
                found.closest.clone_from(closest);
                found.complete = at - since;
                true
            }
            _ => false,
        });
        found
    }

    /// Stores, and waits until that is done: at how many nodes.
    pub fn announce(&mut self, host: HostId, key: Key, value: &[u8]) -> usize {
        let action = self.network.announce(host, key, value.to_vec());
        self.stored(host, action)
    }

    pub fn stored(&mut self, host: HostId, action: ActionId) -> usize {
        let mut stored = 0;
        self.wait(host, |_, event| match event {
            Event::Stored { action: of, nodes } if *of == action => {
                stored = *nodes;
                true
            }
            _ => false,
        });
        stored
    }

    /// Publishes `count` values, each under a key of its own, from nodes all over the place.
    pub fn publish(&mut self, count: usize) -> Vec<(Key, Vec<u8>)> {
        (0..count)
            .map(|number| {
                let (host, key) = (self.any(), self.key());
                let value = format!("value {number}").into_bytes();
                let stored = self.announce(host, key, &value);
                assert!(stored > 0, "value {number} was stored nowhere");
                (key, value)
            })
            .collect()
    }

    /// How many of these are found by nodes of `askers`.
    pub fn count_found(&mut self, published: &[(Key, Vec<u8>)], askers: &[HostId]) -> usize {
        published
            .iter()
            .filter(|(key, value)| {
                let asker = *self.network.dice.one_of(askers);
                self.find(asker, *key).values.contains(value)
            })
            .count()
    }

    fn wait(&mut self, host: HostId, mut is_over: impl FnMut(Millis, &Event) -> bool) {
        let end = self.network.now() + PATIENCE;
        loop {
            let happened = self.network.take_happened();
            let of_host = happened.iter().filter(|happening| happening.host == host);
            for Happening { at, event, .. } in of_host {
                if is_over(*at, event) {
                    return;
                }
            }
            assert!(self.network.now() < end, "a lookup never ended");
            self.network.run_for(20);
        }
    }

    /// A raw host that asks.
    pub fn asker(&mut self, kind: Kind) -> HostId {
        let host = self.network.add(kind);
        let id = self.network.id(host);
        self.network.start_raw(host, Asker::new(id));
        host
    }

    /// Asks `to` by hand; `None` where nothing comes within two seconds.
    pub fn ask(&mut self, asker: HostId, to: SocketAddr, query: &Query) -> Option<Answer> {
        match self.ask_raw(asker, to, query)? {
            Incoming::Answer { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// The same with errors.
    pub fn ask_raw(&mut self, asker: HostId, to: SocketAddr, query: &Query) -> Option<Incoming> {
        let t: TransactionId = self.network.dice.bytes();
        let id = self.network.raw_mut::<Asker>(asker).id;
        let packet = krpc::query(&t, &id, query).unwrap();
        self.network.send(asker, to, packet);
        for _ in 0..100 {
            self.network.run_for(20);
            let heard = &self.network.raw_mut::<Asker>(asker).heard;
            let mut decoded = heard.iter().filter_map(|packet| krpc::decode(packet));
            let answer = decoded.find(|incoming| match incoming {
                Incoming::Answer { t: of, .. } | Incoming::Error { t: of, .. } => *of == t,
                _ => false,
            });
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    /// Of the nodes that all nodes that are up hand out for chance targets: how many of them fulfil `is_bad`, and
    /// how many there are.
    pub fn handed_out(&mut self, is_bad: impl Fn(&Network, &Contact) -> bool) -> (usize, usize) {
        let (mut bad, mut all) = (0, 0);
        let open =
            self.nodes.clone().into_iter().filter(|host| {
                self.network.is_up(*host) && self.network.reach(*host) == Reach::Open
            });
        for host in open.collect::<Vec<_>>() {
            let asker = self.asker(Kind::OPEN);
            let (to, target) = (self.addr(host), self.key());
            let answer = self.ask(asker, to, &Query::FindNode { target }).unwrap();
            all += answer.nodes.len();
            bad += answer
                .nodes
                .iter()
                .filter(|contact| is_bad(&self.network, contact))
                .count();
            // It does not answer pings: nobody takes it for a node.
            self.network.stop(asker);
        }
        (bad, all)
    }
}

impl Drop for Village {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.network.meter.longest <= MAX_PACKET);
            assert_eq!(self.network.meter.restless, 0);
        }
    }
}

/// Asks by hand, keeps what it hears, and answers nothing.
pub struct Asker {
    pub id: NodeId,
    pub heard: Vec<Vec<u8>>,
}

impl Asker {
    pub const fn new(id: NodeId) -> Self {
        Self {
            id,
            heard: Vec::new(),
        }
    }
}

impl Raw for Asker {
    fn hear(&mut self, _from: SocketAddr, packet: &[u8], _air: &mut Air) {
        self.heard.push(packet.to_vec());
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
