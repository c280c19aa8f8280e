//! A file from other nodes, with its mirror where that helps.
//!
//! [`Gather`] runs one download: it finds who has the file, asks for pieces,
//! proves them, and writes them where clients follow. What can be decided
//! without the network stands in [`crate::swarm`].

mod body;
mod ending;
mod event;
mod front;
mod gather;
mod hashes;
mod lan;
mod ledger;
mod pieces;
mod readers;
mod resume;
mod rounds;
mod seek;
mod store;
mod wait;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) use self::gather::{Gather, Gathered};
use self::lan::Lines;
use crate::clock::Millis;
use crate::dht::contact::usable;
use crate::dht::id::{Key, NodeId};
use crate::overlay::{Finding, Overlay};
use crate::swarm::help::HEAD_START;
use crate::swarm::hunch::Hunches;
use crate::swarm::luck::Luck;
use crate::swarm::torrent::PIECE;
use crate::swarm::value::FileValue;
use crate::upstream::peer::{Peers, Wanted};

/// Origins whose speed is remembered.
const ORIGINS: usize = 1000;

/// What all downloads from peers share.
pub struct Swarm {
    /// The DHT, where this node is in it.
    overlay: Option<Overlay>,
    /// Who this node is.
    own: NodeId,
    peers: Peers,
    /// Questions to neighbours.
    lines: Lines,
    /// With fewer peers than this the mirror helps from the start.
    min_peers: usize,
    /// Whether peers may have private addresses.
    allow_private: bool,
    luck: Mutex<Luck>,
    hunches: Mutex<Hunches>,
    /// Bytes a second that origins lately brought.
    rates: Mutex<HashMap<String, f64>>,
}

impl Swarm {
    /// As the configuration has it (`peer.min_peers`, `peer.allow_private`).
    #[must_use]
    pub fn new(
        own: NodeId,
        overlay: Option<Overlay>,
        min_peers: usize,
        allow_private: bool,
    ) -> Self {
        Self {
            overlay,
            own,
            peers: Peers::default(),
            lines: Lines::default(),
            min_peers,
            allow_private,
            luck: Mutex::default(),
            hunches: Mutex::default(),
            rates: Mutex::default(),
        }
    }

    /// Asks the DHT who has a file; `None` where it can't be asked.
    fn find(&self, key: Key) -> Option<Finding> {
        let overlay = self.overlay.as_ref().filter(|it| it.is_ready());
        overlay.map(|overlay| overlay.find(key))
    }

    /// What a stored value says, where its contact is one that may be asked.
    fn read(&self, value: &[u8]) -> Option<FileValue> {
        let value = FileValue::decode(value).ok()?;
        let contact = self.overlay.as_ref().and_then(Overlay::contact);
        let is_own = contact == Some(value.contact);
        (!is_own && self.may_ask(&value.contact)).then_some(value)
    }

    /// Whether an address is one that may be asked though nobody saw it on a
    /// link of ours.
    fn may_ask(&self, contact: &SocketAddr) -> bool {
        usable(contact, self.allow_private)
    }

    /// How long a download waits for the first peer before it asks its mirror.
    fn head_start(&self) -> Duration {
        let luck = self.luck.lock().unwrap_or_else(PoisonError::into_inner);
        luck.share_of(Duration::from_millis(HEAD_START.unsigned_abs()))
    }

    /// Whether peers were found while a download waited for them.
    fn was_found(&self, found: bool) {
        let mut luck = self.luck.lock().unwrap_or_else(PoisonError::into_inner);
        luck.note(found);
    }

    fn hunches(&self) -> MutexGuard<'_, Hunches> {
        self.hunches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Peers that may have another file of an origin.
    fn likely(&self, origin: &str, now: Millis) -> Vec<SocketAddr> {
        self.hunches().of(origin, now)
    }

    fn is_likely(&self, origin: &str, peer: SocketAddr, now: Millis) {
        self.hunches().right(origin, peer, now);
    }

    fn is_unlikely(&self, origin: &str, peer: SocketAddr) {
        self.hunches().wrong(origin, peer);
    }

    fn rate_of(&self, origin: &str) -> Option<f64> {
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.get(origin).copied()
    }

    fn set_rate(&self, origin: &str, rate: f64) {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= ORIGINS {
            rates.clear();
        }
        rates.insert(origin.to_owned(), rate);
    }
}

/// A file that is wanted, by what it must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub sha256: [u8; 32],
    pub size: u64,
}

impl Target {
    /// Whether it is one piece.
    const fn is_small(&self) -> bool {
        self.size <= PIECE
    }

    /// First byte of a piece, and the one behind its last.
    fn range_of(&self, piece: usize) -> (u64, u64) {
        let from = piece as u64 * PIECE;
        (from, (from + PIECE).min(self.size))
    }

    fn part(&self, piece: usize) -> Wanted {
        let (from, to) = self.range_of(piece);
        Wanted {
            sha256: self.sha256,
            size: self.size,
            from,
            to,
        }
    }
}

/// Somebody who says that they have the file.
#[derive(Debug, Clone, Copy)]
struct Holder {
    contact: SocketAddr,
    /// Whether it said so itself, on the same link.
    is_near: bool,
}
