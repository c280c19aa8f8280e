//! A network of engines in virtual time: one queue of events, seeded chance, and nothing of the real world.
//!
//! Round trips are constant for a pair of hosts but for a little jitter, packets get lost, half of the hosts may
//! stand behind NATs, and hosts come and go without a word. Two runs with the same seed are the same to the packet.
//!
//! Two crates include this, and neither uses all of it.
#![allow(dead_code, unused_imports)]

mod address;
mod air;
mod dice;
mod disk;
mod host;
mod meter;
mod nat;
mod queue;

use std::net::SocketAddr;

use aptmesh::clock::Millis;
use aptmesh::dht::engine::{ActionId, Engine, Event, Saved, Settings};
use aptmesh::dht::id::{Key, NodeId};

pub use address::{Addresses, Families, Map};
pub use dice::{Dice, mix};
pub use disk::Disk;
pub use host::{Air, HostId, Kind, Raw, Reach, Traffic};
pub use meter::{Count, Fate, Kind as Message, Meter, Trace};
pub use nat::HOLE;

use host::{Host, Occupant};
use nat::Nat;
use queue::{Due, Queue};

/// When virtual time starts: far from 0, as the real clock is.
pub const START: Millis = 1_750_000_000_000;
pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;

/// How the air is.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Share of the packets that are lost.
    pub loss: f64,
    /// The shortest and the longest round trip; pairs of hosts are spread evenly between.
    pub round_trip: (Millis, Millis),
    /// By what share of it a packet's time differs from its pair's.
    pub jitter: f64,
    /// How often a node writes what it would need after a restart.
    pub flush_every: Millis,
    /// Whether that is kept: no node starts again with its past where it is not.
    pub disks: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            loss: 0.01,
            round_trip: (20, 300),
            jitter: 0.03,
            flush_every: 30 * SECOND,
            disks: true,
        }
    }
}

/// An event of a node's engine.
#[derive(Clone, Debug)]
pub struct Happening {
    pub at: Millis,
    pub host: HostId,
    pub event: Event,
}

pub struct Network {
    now: Millis,
    queue: Queue,
    hosts: Vec<Host>,
    by_address: Map<SocketAddr, u32>,
    conditions: Conditions,
    settings: Settings,
    happened: Vec<Happening>,
    pub dice: Dice,
    pub meter: Meter,
}

impl Network {
    pub fn new(seed: u64, conditions: Conditions, settings: Settings) -> Self {
        Self {
            now: START,
            queue: Queue::default(),
            hosts: Vec::new(),
            by_address: Map::default(),
            conditions,
            settings,
            happened: Vec::new(),
            dice: Dice::new(seed),
            meter: Meter::default(),
        }
    }

    pub const fn now(&self) -> Millis {
        self.now
    }

    /// For the packets that are sent from now on.
    pub const fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// A new host with an address and an id of its own, where nobody lives yet.
    pub fn add(&mut self, kind: Kind) -> HostId {
        let addresses = Addresses::fresh(kind.families, &mut self.dice, &self.by_address);
        self.add_at(addresses, kind.reach)
    }

    /// The same with chosen addresses.
    pub fn add_at(&mut self, addresses: Addresses, reach: Reach) -> HostId {
        let index = u32::try_from(self.hosts.len()).unwrap();
        for addr in addresses.all() {
            assert!(
                self.by_address.insert(addr, index).is_none(),
                "{addr} is taken"
            );
        }
        self.hosts.push(Host {
            id: NodeId(self.dice.bytes()),
            addresses,
            nat: (reach == Reach::Natted).then(Nat::default),
            occupant: Occupant::Nobody,
            wake: Millis::MAX,
            place: self.dice.number(),
            side: 0,
            traffic: Traffic::default(),
            disk: Disk::default(),
            flush_at: 0,
        });
        HostId(index)
    }

    /// A node comes up, with what its disk holds.
    pub fn start(&mut self, host: HostId, bootstrap: &[SocketAddr]) {
        let saved = self.hosts[host.index()].disk.read();
        self.start_with(host, saved, bootstrap);
    }

    /// The same with another past than its own.
    pub fn start_with(&mut self, host: HostId, saved: Saved, bootstrap: &[SocketAddr]) {
        let seed = self.dice.number();
        let node = &mut self.hosts[host.index()];
        let settings = Settings {
            families: node.addresses.families().collect(),
            ..self.settings.clone()
        };
        let mut engine = Engine::new(node.id, settings, saved, seed, self.now);
        if !bootstrap.is_empty() {
            engine.bootstrap(bootstrap.to_vec(), self.now);
        }
        node.occupant = Occupant::Engine(Box::new(engine));
        node.flush_at = self.now + self.conditions.flush_every;
        self.settle(host.0, self.now);
    }

    /// Somebody who writes packets by hand moves in.
    pub fn start_raw(&mut self, host: HostId, raw: impl Raw + 'static) {
        self.hosts[host.index()].occupant = Occupant::Raw(Box::new(raw));
        self.raw(host.0, |raw, air| raw.wake(air));
    }

    /// Whoever lives there is gone at once, without a word and without a last write.
    pub fn stop(&mut self, host: HostId) {
        let host = &mut self.hosts[host.index()];
        host.occupant = Occupant::Nobody;
        host.wake = Millis::MAX;
    }

    /// Another id from the same address.
    pub fn change_id(&mut self, host: HostId) {
        self.hosts[host.index()].id = NodeId(self.dice.bytes());
    }

    /// The disk is lost.
    pub fn wipe(&mut self, host: HostId) {
        self.hosts[host.index()].disk = Disk::default();
    }

    /// From now on only hosts on the same side hear each other.
    pub fn set_side(&mut self, host: HostId, side: u8) {
        self.hosts[host.index()].side = side;
    }

    pub fn is_up(&self, host: HostId) -> bool {
        !matches!(self.hosts[host.index()].occupant, Occupant::Nobody)
    }

    pub fn id(&self, host: HostId) -> NodeId {
        self.hosts[host.index()].id
    }

    pub fn addresses(&self, host: HostId) -> Addresses {
        self.hosts[host.index()].addresses
    }

    pub fn reach(&self, host: HostId) -> Reach {
        match self.hosts[host.index()].nat {
            Some(_) => Reach::Natted,
            None => Reach::Open,
        }
    }

    pub fn traffic(&self, host: HostId) -> Traffic {
        self.hosts[host.index()].traffic
    }

    pub fn disk(&self, host: HostId) -> &Disk {
        &self.hosts[host.index()].disk
    }

    pub fn host_at(&self, addr: &SocketAddr) -> Option<HostId> {
        self.by_address.get(addr).copied().map(HostId)
    }

    /// The engine of a node that is up.
    pub fn engine(&self, host: HostId) -> &Engine {
        match &self.hosts[host.index()].occupant {
            Occupant::Engine(engine) => engine,
            _ => panic!("no node is up there"),
        }
    }

    pub fn find(&mut self, host: HostId, key: Key) -> ActionId {
        let now = self.now;
        self.with_engine(host, |engine| engine.find(key, now))
    }

    pub fn announce(&mut self, host: HostId, key: Key, value: Vec<u8>) -> ActionId {
        let now = self.now;
        self.with_engine(host, |engine| engine.announce(key, value, now))
    }

    /// What a raw host is; panics where it is another.
    pub fn raw_mut<R: Raw + 'static>(&mut self, host: HostId) -> &mut R {
        match &mut self.hosts[host.index()].occupant {
            Occupant::Raw(raw) => raw.as_any().downcast_mut().unwrap(),
            _ => panic!("no raw host lives there"),
        }
    }

    /// A raw host sends.
    pub fn send(&mut self, host: HostId, to: SocketAddr, bytes: Vec<u8>) {
        self.transmit(host.0, None, to, bytes);
    }

    /// What the engines said since the last call.
    pub fn take_happened(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happened)
    }

    pub fn run_for(&mut self, time: Millis) {
        self.run_until(self.now + time);
    }

    pub fn run_until(&mut self, end: Millis) {
        while let Some((at, due)) = self.queue.next(end) {
            self.now = at;
            match due {
                Due::Wake { host } => self.wake(host),
                Due::Arrival { host, packet } => self.arrive(host, &packet),
            }
        }
        self.now = end;
    }

    fn with_engine<T>(&mut self, host: HostId, act: impl FnOnce(&mut Engine) -> T) -> T {
        let Occupant::Engine(engine) = &mut self.hosts[host.index()].occupant else {
            panic!("no node is up there")
        };
        let result = act(engine);
        self.settle(host.0, self.now);
        result
    }
}
