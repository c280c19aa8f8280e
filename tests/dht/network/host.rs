//! Who lives at an address.

use std::net::SocketAddr;

use aptmesh::clock::Millis;
use aptmesh::dht::engine::Engine;
use aptmesh::dht::id::NodeId;

use super::address::{Addresses, Families};
use super::dice::Dice;
use super::disk::Disk;
use super::nat::Nat;

/// The place of a host in the network; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(super) u32);

impl HostId {
    /// Hosts are numbered in the order in which they were added.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whether a host hears what it did not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Open,
    /// See [`Nat`].
    Natted,
}

/// What a host is like.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub reach: Reach,
    pub families: Families,
}

impl Kind {
    pub const OPEN: Self = Self {
        reach: Reach::Open,
        families: Families::V4,
    };
    pub const NATTED: Self = Self {
        reach: Reach::Natted,
        families: Families::V4,
    };

    pub const fn with(self, families: Families) -> Self {
        Self { families, ..self }
    }
}

/// Somebody who writes packets by hand.
pub trait Raw {
    /// A packet came.
    fn hear(&mut self, from: SocketAddr, packet: &[u8], air: &mut Air);

    /// The time that was asked for by [`Air::wake_at`] has come; also once at the start.
    fn wake(&mut self, air: &mut Air) {
        let _ = air;
    }

    /// So that a test sees what it heard.
    fn as_any(&mut self) -> &mut dyn std::any::Any;
}

/// What a [`Raw`] host can do.
pub struct Air<'a> {
    pub now: Millis,
    pub own: Addresses,
    pub dice: &'a mut Dice,
    pub(super) sent: Vec<Sent>,
    pub(super) wake: Millis,
}

pub(super) struct Sent {
    /// `None`: the host's own.
    pub from: Option<SocketAddr>,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Air<'_> {
    pub fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.sent.push(Sent {
            from: None,
            to,
            bytes,
        });
    }

    /// With a forged source.
    pub fn send_as(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.sent.push(Sent {
            from: Some(from),
            to,
            bytes,
        });
    }

    pub fn wake_at(&mut self, at: Millis) {
        self.wake = at;
    }
}

pub(super) enum Occupant {
    Nobody,
    Engine(Box<Engine>),
    Raw(Box<dyn Raw>),
}

/// UDP payload that a host sent and heard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub sent: u64,
    pub heard: u64,
}

impl Traffic {
    pub const fn bytes(&self) -> u64 {
        self.sent + self.heard
    }
}

pub(super) struct Host {
    pub id: NodeId,
    pub addresses: Addresses,
    pub nat: Option<Nat>,
    pub occupant: Occupant,
    /// The one wake event in the queue that counts; others of this host are stale.
    pub wake: Millis,
    /// What round trips are derived from.
    pub place: u64,
    /// Hosts on different sides do not hear each other.
    pub side: u8,
    pub traffic: Traffic,
    pub disk: Disk,
    pub flush_at: Millis,
}
