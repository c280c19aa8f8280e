//! What has to be done from time to time, asked or not.

use std::collections::HashMap;
use std::net::SocketAddr;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;

use super::{Engine, Task, UNHURRIED};
use crate::clock::Millis;
use crate::dht::actions::{Crowd, Single};
use crate::dht::contact::{Contact, Family, canonical};
use crate::dht::id::NodeId;
use crate::dht::routing::RoutingTable;

/// Between two rounds of upkeep.
const ROUND: Millis = 15_000;

/// Between two pings of the same address that nobody asked for.
const PROBE_AGAIN: Millis = 10 * 60 * 1000;

/// Parts of the network that a newcomer looks at, however large it seems.
const PARTS: u32 = 24;

/// Addresses of such pings that are remembered.
const PROBED: usize = 512;

/// Of the nodes that were given up while nobody answered, how many are asked in
/// an attempt to join.
const LOST_ASKED: usize = 8;

/// Pause after the first attempt to join that found nobody; it doubles.
const JOIN_AGAIN: Millis = 2000;

/// The longest such pause.
const JOIN_AT_LEAST: Millis = 10 * 60 * 1000;

/// Between two joins through nodes for bootstrapping although others are
/// known: a network that fell in two grows together again so.
const JOIN_ANYWAY: Millis = 60 * 60 * 1000;

/// Between two turns of asking how others see us.
const VOTE_AGAIN: Millis = 60 * 60 * 1000;

/// Nodes asked in such a turn while few have told.
const VOTES_ASKED: usize = 6;

/// Before such a turn where a node contradicts the others.
const VOTE_SOON: Millis = 30_000;

/// When what is due.
#[derive(Debug)]
pub(super) struct Upkeep {
    round: Millis,
    join: Millis,
    join_pause: Millis,
    vote: Millis,
    votes_asked: usize,
    /// Whether the neighbourhood was looked at since somebody of an address
    /// family was first known.
    is_settled: [bool; 2],
    /// How many bits the next part of the network to look at has in common
    /// with our own, while the network is explored.
    explore: Option<u32>,
    bootstrap: Vec<SocketAddr>,
    /// Addresses that were pinged because they asked.
    probed: HashMap<SocketAddr, Millis>,
    /// Addresses that were pinged because others want their place: a flood of
    /// the former must not end that.
    probed_oldest: HashMap<SocketAddr, Millis>,
}

impl Upkeep {
    pub(super) fn new(now: Millis, rng: &mut StdRng) -> Self {
        Self {
            round: now + rng.random_range(0..1000),
            join: now,
            join_pause: JOIN_AGAIN,
            vote: now,
            votes_asked: 0,
            is_settled: [false; 2],
            explore: None,
            bootstrap: Vec::new(),
            probed: HashMap::new(),
            probed_oldest: HashMap::new(),
        }
    }

    pub(super) fn due(&self) -> Millis {
        self.round.min(self.join)
    }

    /// Nobody is known any more.
    pub(super) fn join_soon(&mut self, now: Millis) {
        self.join_pause = JOIN_AGAIN;
        self.join = self.join.min(now + JOIN_AGAIN);
    }

    /// Whether this address, which asked, was not pinged lately; it is now.
    pub(super) fn may_probe(&mut self, addr: SocketAddr, now: Millis) -> bool {
        may_probe(&mut self.probed, addr, now)
    }

    /// The same for one whose place in a bucket others want.
    pub(super) fn may_probe_oldest(&mut self, addr: SocketAddr, now: Millis) -> bool {
        may_probe(&mut self.probed_oldest, addr, now)
    }
}

fn may_probe(probed: &mut HashMap<SocketAddr, Millis>, addr: SocketAddr, now: Millis) -> bool {
    if probed.len() >= PROBED {
        probed.retain(|_, at| *at + PROBE_AGAIN > now);
    }
    let may = match probed.get(&addr) {
        Some(at) => *at + PROBE_AGAIN <= now,
        None => probed.len() < PROBED,
    };
    if may {
        probed.insert(addr, now);
    }
    may
}

impl Engine {
    /// Nodes to join the network through, for now and for later.
    pub fn bootstrap(&mut self, addresses: Vec<SocketAddr>, now: Millis) {
        let addresses = addresses.into_iter().map(canonical);
        self.upkeep.bootstrap = addresses.filter(|addr| self.sends_to(addr)).collect();
        self.upkeep.join_pause = JOIN_AGAIN;
        self.join(now);
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Millis) {
        self.advance_transactions(now);
        if self.upkeep.join <= now {
            self.join(now);
        }
        if self.upkeep.round > now {
            return;
        }
        self.upkeep.round = now + self.rng.random_range(ROUND * 9 / 10..ROUND * 11 / 10);
        self.values.expire(now);
        if self.tokens.due() <= now {
            self.tokens.rotate(now, &mut self.rng);
            self.secrets_changed = true;
        }
        self.settle(now);
        self.ping_again(now);
        self.refresh(now);
        self.ask_how_seen(now);
    }

    /// Joins the network through the nodes for bootstrapping, and looks for
    /// neighbours: until enough others are known, with growing pauses, and once
    /// in a while after.
    fn join(&mut self, now: Millis) {
        let known: usize = self.tables.iter().map(RoutingTable::len).sum();
        let is_poor = known < self.settings.k;
        let pause = if is_poor {
            let pause = self.upkeep.join_pause;
            self.upkeep.join_pause = (pause * 2).min(JOIN_AT_LEAST);
            pause
        } else {
            self.upkeep.join_pause = JOIN_AGAIN;
            JOIN_ANYWAY
        };
        let spread = self.rng.random_range(pause * 9 / 10..=pause * 11 / 10);
        self.upkeep.join = now + spread;
        for addr in self.upkeep.bootstrap.clone() {
            self.start_own(Task::Single(Single::join(addr, None)), now);
        }
        if is_poor {
            let lost = self.tables.iter().flat_map(RoutingTable::lost).copied();
            for node in lost.sample(&mut self.rng, LOST_ASKED) {
                let join = Single::join(node.addr, Some(node.id));
                self.start_own(Task::Single(join), now);
            }
        } else {
            self.tables.iter_mut().for_each(RoutingTable::forget_lost);
        }
        if is_poor && known > 0 {
            // The first look around may have met nobody but lost packets.
            self.look_around(self.own, now);
        }
    }

    /// Looks at the own neighbourhood as soon as anybody is known.
    pub(super) fn settle(&mut self, now: Millis) {
        let is_known = [Family::V4, Family::V6].map(|of| !self.tables[of as usize].is_empty());
        let before = std::mem::replace(&mut self.upkeep.is_settled, is_known);
        if (0..2).any(|family| is_known[family] && !before[family]) {
            self.upkeep.explore = Some(0);
            self.look_around(self.own, now);
        }
    }

    /// After the own neighbourhood, a newcomer looks at every part of the
    /// network that is farther away, one after the other. Without it whoever
    /// has few nodes keeps to them.
    pub(super) fn explore(&mut self, now: Millis) {
        let Some(bits) = self.upkeep.explore else {
            return;
        };
        self.ask_how_seen(now);
        let buckets = self.size.nodes() / self.settings.k.max(1) as u64;
        self.upkeep.explore = (bits < buckets.max(1).ilog2().min(PARTS)).then_some(bits + 1);
        let mut far = self.own;
        far.0[bits as usize / 8] ^= 0x80 >> (bits % 8);
        let target = far.random_with_prefix(bits + 1, &mut self.rng);
        self.look_around(target, now);
    }

    /// A node for bootstrapping that was not known answered: what it knows may
    /// be another part of a network that fell apart. So it is asked first,
    /// though it is far, and our own neighbours are not.
    pub(super) fn look_beyond(&mut self, introducer: Contact, now: Millis) {
        self.upkeep.is_settled[introducer.family() as usize] = true;
        self.upkeep.explore = Some(0);
        let mut crowd = Crowd::new(self.own, self.settings.k, UNHURRIED);
        crowd.add(introducer, None);
        self.start_own(Task::refresh(crowd), now);
    }

    fn look_around(&mut self, target: NodeId, now: Millis) {
        let crowd = self.crowd(target, UNHURRIED, now);
        self.start_own(Task::refresh(crowd), now);
    }

    /// Pings nodes that failed, and those that are not confirmed yet.
    fn ping_again(&mut self, now: Millis) {
        let interval = self.settings.min_ping_interval;
        let due: Vec<Contact> = self
            .tables
            .iter_mut()
            .flat_map(|table| table.due(now, interval))
            .collect();
        for contact in due {
            self.probe(contact, now);
        }
    }

    /// Refreshes one bucket that no lookup went through for long.
    fn refresh(&mut self, now: Millis) {
        let is_refreshing = |task: &Task| matches!(task, Task::Refresh(_));
        if self
            .running
            .values()
            .any(|running| is_refreshing(&running.task))
        {
            return;
        }
        let staleness = self.settings.bucket_staleness;
        for family in [Family::V4, Family::V6] {
            let table = &mut self.tables[family as usize];
            if let Some(target) = table.stale(now, staleness, &mut self.rng) {
                return self.look_around(target, now);
            }
        }
    }

    /// Asks nodes how they see us: one in a while, several at once while too
    /// few have told or one contradicts the others.
    pub(super) fn ask_how_seen(&mut self, now: Millis) {
        if self.upkeep.vote <= now && self.knows_anybody() {
            self.upkeep.vote = now + VOTE_AGAIN;
            self.upkeep.votes_asked = 0;
            self.external.forget_old(now);
        }
        for family in [Family::V4, Family::V6] {
            let asked = self.upkeep.votes_asked;
            let wanted = match self.external.wanted_votes(family) {
                0 if asked == 0 => 1,
                wanted => wanted.min(VOTES_ASKED.saturating_sub(asked)),
            };
            let nodes = self.tables[family as usize].nodes();
            let voters: Vec<_> = nodes
                .filter(|node| node.failures == 0 && !self.external.has_vote_of(&node.contact.addr))
                .map(|node| node.contact)
                .sample(&mut self.rng, wanted);
            for contact in voters {
                self.upkeep.votes_asked += 1;
                let join = Single::join(contact.addr, Some(contact.id));
                self.start_own(Task::Single(join), now);
            }
        }
    }

    /// A node told how it sees us.
    pub(super) fn take_vote(&mut self, from: &SocketAddr, seen: SocketAddr, now: Millis) {
        let before = self.external.address(Family::of(from), 1);
        self.external.vote(from, seen, now);
        if before.is_some_and(|before| before != seen.ip()) {
            // A liar, or our address has changed: the others are asked soon.
            self.upkeep.vote = self.upkeep.vote.min(now + VOTE_SOON);
        }
    }
}
