//! The node as one state machine: packets and the time come in, packets,
//! events and rows to write come out.
//!
//! Whoever drives it calls [`Engine::advance`] when [`Engine::next_wake`] has
//! come, and after any call takes what is in [`Engine::take_outbox`] and
//! [`Engine::take_events`].

mod ask;
mod serve;
mod snapshot;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use self::snapshot::{Bucket, Snapshot};
use self::upkeep::Upkeep;
use super::acquaintances::Acquaintances;
use super::actions::{Crowd, Outcome, Task};
use super::budget::Budget;
use super::contact::{Contact, Family, usable};
use super::external::External;
use super::id::{Key, NodeId};
use super::network_size::NetworkSize;
use super::reach::Reach;
use super::routing::{self, NodeChange, RoutingTable};
use super::token::{Secret, Tokens};
use super::traffic::{Durations, Meter};
use super::transactions::{Patience, Transactions};
use super::values::{self, ValueChange, Values};
use crate::clock::Millis;

/// Lookups that run at the same time; later ones wait.
const LOOKUPS: usize = 32;

/// Lookups that wait; one more ends at once with nothing.
const WAITING: usize = 4096;

/// Queries in flight for a lookup that nobody waits for.
const UNHURRIED: usize = 3;

/// Khashmir's constants; times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Nodes in a k-bucket, and in an answer.
    pub k: usize,
    /// Queries in flight for a lookup.
    pub concurrent_requests: usize,
    /// Nodes that a value is stored at.
    pub store_redundancy: usize,
    /// Failures in a row that remove a node.
    pub max_failures: u32,
    /// After so long a node that asked us is pinged again.
    pub min_ping_interval: Millis,
    /// A bucket without a lookup for so long is refreshed.
    pub bucket_staleness: Millis,
    /// Values are kept for so long.
    pub key_expire: Millis,
    /// A query fails after so long.
    pub krpc_timeout: Millis,
    /// A query is sent again after so long, and after three times as long.
    pub krpc_initial_delay: Millis,
    /// Whether private addresses enter routing table and values.
    pub allow_private: bool,
    /// What our socket sends to; nodes of another family are not known.
    pub families: Vec<Family>,
}

impl Settings {
    fn may_know(&self, addr: &SocketAddr) -> bool {
        self.families.contains(&Family::of(addr)) && usable(addr, self.allow_private)
    }
}

impl Default for Settings {
    fn default() -> Self {
        const MINUTE: Millis = 60 * 1000;
        Self {
            k: 8,
            concurrent_requests: 8,
            store_redundancy: 6,
            max_failures: 3,
            min_ping_interval: 15 * MINUTE,
            bucket_staleness: 60 * MINUTE,
            key_expire: 180 * MINUTE,
            krpc_timeout: 9000,
            krpc_initial_delay: 2000,
            allow_private: false,
            families: vec![Family::V4, Family::V6],
        }
    }
}

/// What an earlier run left in rows.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// The routing table.
    pub nodes: Vec<routing::Node>,
    /// Values kept for others.
    pub values: Vec<values::Saved>,
    /// Secrets of tokens.
    pub secrets: Vec<Secret>,
}

/// What rows are to be written.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Of the routing table.
    pub nodes: Vec<(Family, NodeChange)>,
    /// Of values kept for others.
    pub values: Vec<ValueChange>,
    /// All secrets, where they changed.
    pub secrets: Option<Vec<Secret>>,
}

impl Changes {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.values.is_empty() && self.secrets.is_none()
    }
}

/// The number of a find or an announcement.
pub type ActionId = u64;

/// What a find or an announcement came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Values of a find, as they come, each of them once.
    Values {
        /// Which find.
        action: ActionId,
        /// At least one.
        values: Vec<Vec<u8>>,
    },
    /// The closest nodes of a find have answered, and all that had values.
    Found {
        /// Which find.
        action: ActionId,
        /// How many different values there were.
        values: usize,
        /// The closest first.
        closest: Vec<Contact>,
    },
    /// An announcement ended.
    Stored {
        /// Which announcement.
        action: ActionId,
        /// How many nodes took it.
        nodes: usize,
    },
}

#[derive(Debug)]
struct Running {
    task: Task,
    since: Millis,
    has_values: bool,
}

/// The node.
#[derive(Debug)]
pub struct Engine {
    own: NodeId,
    settings: Settings,
    rng: StdRng,
    tables: [RoutingTable; 2],
    acquaintances: Acquaintances,
    values: Values,
    tokens: Tokens,
    secrets_changed: bool,
    budget: Budget,
    transactions: Transactions,
    running: BTreeMap<ActionId, Running>,
    waiting: VecDeque<(ActionId, Wanted)>,
    last_action: ActionId,
    upkeep: Upkeep,
    external: External,
    size: NetworkSize,
    reach: Reach,
    received: Meter,
    sent: Meter,
    first_values: Durations,
    complete: Durations,
    /// When a node last answered us.
    heard: Millis,
    outbox: Vec<(SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
}

/// A lookup that waits for its turn.
#[derive(Debug)]
enum Wanted {
    Find(Key, Millis),
    Announce(Key, Vec<u8>),
}

impl Engine {
    /// A node with what an earlier run left. Where that has nodes, the engine
    /// looks for its neighbours from them, and needs no bootstrap.
    #[must_use]
    pub fn new(own: NodeId, settings: Settings, saved: Saved, seed: u64, now: Millis) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let table = || RoutingTable::new(own, settings.k, settings.max_failures, now);
        let mut tables = [table(), table()];
        for node in saved.nodes {
            let family = Family::of(&node.contact.addr);
            if settings.may_know(&node.contact.addr) {
                tables[family as usize].restore(node);
            } else {
                tables[family as usize].refuse(node.contact.id);
            }
        }
        let mut values = Values::default();
        for mut value in saved.values {
            // The clock may have been ahead when it was stored.
            value.expires = value.expires.min(now + settings.key_expire);
            values.restore(value, now);
        }
        let tokens = Tokens::restore(saved.secrets, now, &mut rng);
        let upkeep = Upkeep::new(now, &mut rng);
        let mut secret = [0; 16];
        rng.fill_bytes(&mut secret);
        Self {
            own,
            tables,
            acquaintances: Acquaintances::default(),
            values,
            tokens,
            secrets_changed: true,
            budget: Budget::new(secret),
            transactions: Transactions::new(Patience {
                delay: settings.krpc_initial_delay,
                timeout: settings.krpc_timeout,
            }),
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            last_action: 0,
            upkeep,
            external: External::default(),
            size: NetworkSize::default(),
            reach: Reach::new(secret, now),
            received: Meter::default(),
            sent: Meter::default(),
            first_values: Durations::default(),
            complete: Durations::default(),
            heard: Millis::MIN,
            outbox: Vec::new(),
            events: Vec::new(),
            settings,
            rng,
        }
    }

    /// Who we are.
    #[must_use]
    pub const fn own(&self) -> &NodeId {
        &self.own
    }

    /// For how long nodes keep what is stored at them.
    #[must_use]
    pub const fn key_expire(&self) -> Millis {
        self.settings.key_expire
    }

    /// Whether anybody is known.
    #[must_use]
    pub fn knows_anybody(&self) -> bool {
        self.tables.iter().any(|table| !table.is_empty())
    }

    /// Finds the values of a key: [`Event::Values`] as they come, and
    /// [`Event::Found`] at the end.
    pub fn find(&mut self, key: Key, now: Millis) -> ActionId {
        self.enqueue(Wanted::Find(key, now), now)
    }

    /// Stores a value at the nodes closest to its key: ends with
    /// [`Event::Stored`].
    pub fn announce(&mut self, key: Key, value: Vec<u8>, now: Millis) -> ActionId {
        self.enqueue(Wanted::Announce(key, value), now)
    }

    fn enqueue(&mut self, wanted: Wanted, now: Millis) -> ActionId {
        self.last_action += 1;
        let action = self.last_action;
        if self.waiting.len() < WAITING {
            self.waiting.push_back((action, wanted));
            self.start_waiting(now);
        } else {
            self.events.push(match wanted {
                Wanted::Find(..) => Event::Found {
                    action,
                    values: 0,
                    closest: Vec::new(),
                },
                Wanted::Announce(..) => Event::Stored { action, nodes: 0 },
            });
        }
        action
    }

    fn start_waiting(&mut self, now: Millis) {
        while self.lookups() < LOOKUPS
            && let Some((action, wanted)) = self.waiting.pop_front()
        {
            match wanted {
                Wanted::Find(key, since) => {
                    let crowd = self.crowd(key, self.settings.concurrent_requests, now);
                    self.start(action, Task::find(crowd), since);
                    self.tell_own_values(action, &key, now);
                }
                Wanted::Announce(key, value) => {
                    let crowd = self.crowd(key, UNHURRIED, now);
                    let copies = self.settings.store_redundancy;
                    self.start(action, Task::announce(crowd, value, copies), now);
                }
            }
            self.drive(action, now);
        }
    }

    /// What this node keeps itself is found, too.
    fn tell_own_values(&mut self, action: ActionId, key: &Key, now: Millis) {
        let kept: Vec<_> = self
            .values
            .get(key, now)
            .map(|value| value.to_vec())
            .collect();
        if kept.is_empty() {
            return;
        }
        if let Some(Running {
            task: Task::Find { seen, .. },
            has_values,
            ..
        }) = self.running.get_mut(&action)
        {
            seen.extend(kept.iter().cloned());
            *has_values = true;
            self.first_values.add(0);
            self.events.push(Event::Values {
                action,
                values: kept,
            });
        }
    }

    fn lookups(&self) -> usize {
        let is_lookup =
            |running: &&Running| matches!(running.task, Task::Find { .. } | Task::Announce { .. });
        self.running.values().filter(is_lookup).count()
    }

    /// The nodes that a lookup starts from.
    fn crowd(&self, target: Key, in_flight: usize, now: Millis) -> Crowd {
        let k = self.settings.k;
        let in_flight = in_flight.min(self.settings.concurrent_requests);
        let mut crowd = Crowd::new(target, k, in_flight);
        for table in &self.tables {
            for contact in table.closest(&target, k) {
                crowd.add(contact, None);
            }
        }
        for contact in self.acquaintances.closest(&target, k, now) {
            crowd.add(contact, None);
        }
        crowd
    }

    fn start(&mut self, action: ActionId, task: Task, since: Millis) {
        let running = Running {
            task,
            since,
            has_values: false,
        };
        self.running.insert(action, running);
    }

    /// Starts what nobody waits for.
    fn start_own(&mut self, task: Task, now: Millis) {
        self.last_action += 1;
        self.start(self.last_action, task, now);
        self.drive(self.last_action, now);
    }

    /// Sends what an action wants sent, and ends it if it is over.
    fn drive(&mut self, action: ActionId, now: Millis) {
        loop {
            let Some(running) = self.running.get_mut(&action) else {
                return;
            };
            let asks = running.task.take_asks();
            if asks.is_empty() {
                break;
            }
            for ask in asks {
                self.ask(action, ask, now);
            }
        }
        let outcome = self
            .running
            .get(&action)
            .and_then(|running| running.task.outcome());
        if let Some(outcome) = outcome
            && let Some(running) = self.running.remove(&action)
        {
            self.end(action, &running, outcome, now);
        }
    }

    fn end(&mut self, action: ActionId, running: &Running, outcome: Outcome, now: Millis) {
        if let Some(search) = running.task.search() {
            let target = search.crowd().target();
            for family in [Family::V4, Family::V6] {
                // At the end, for the answers have split the buckets.
                self.tables[family as usize].looked_up(target, now);
                let answered = search.crowd().those_who_answered();
                let of_family = answered.filter(|(contact, _)| Family::of(&contact.addr) == family);
                let distances: Vec<_> = of_family
                    .map(|(contact, _)| contact.id.distance(target))
                    .collect();
                let [here, there] = [family as usize, 1 - family as usize];
                let [here, there] =
                    [&self.tables[here], &self.tables[there]].map(RoutingTable::len);
                // The larger of the two networks is the one to tell of. That few
                // answer although more are known says nothing of its size.
                let is_telling = distances.len() >= self.settings.k.min(here);
                if here >= there && is_telling {
                    self.size.looked_up(&distances, self.settings.k);
                }
            }
        }
        match outcome {
            Outcome::Found { values, closest } => {
                self.complete.add(now - running.since);
                self.events.push(Event::Found {
                    action,
                    values,
                    closest,
                });
                self.start_waiting(now);
            }
            Outcome::Stored { nodes } => {
                self.events.push(Event::Stored { action, nodes });
                self.start_waiting(now);
            }
            Outcome::Done if matches!(running.task, Task::Refresh(_)) => self.explore(now),
            Outcome::Done => {}
        }
    }

    /// When [`Engine::advance`] has something to do next.
    #[must_use]
    pub fn next_wake(&mut self) -> Millis {
        let upkeep = self.upkeep.due();
        self.transactions
            .wake()
            .map_or(upkeep, |due| due.min(upkeep))
    }

    /// Packets to be sent, each at most [`super::krpc::MAX_PACKET`] bytes long.
    pub fn take_outbox(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        std::mem::take(&mut self.outbox)
    }

    /// What finds and announcements came to.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Rows to be written; what is not taken yet stays.
    pub fn take_changes(&mut self) -> Changes {
        let mut nodes = Vec::new();
        for family in [Family::V4, Family::V6] {
            let changes = self.tables[family as usize].take_changes();
            nodes.extend(changes.into_iter().map(|change| (family, change)));
        }
        Changes {
            nodes,
            values: self.values.take_changes(),
            secrets: std::mem::take(&mut self.secrets_changed).then(|| self.tokens.secrets()),
        }
    }

    /// As whom most others see us; `None` before enough of those who are known
    /// have told.
    #[must_use]
    pub fn external(&self, family: Family) -> Option<IpAddr> {
        let known = self.tables[family as usize].len();
        self.external.address(family, known)
    }

    /// Whether a node at this address may be known.
    #[must_use]
    pub fn may_know(&self, addr: &SocketAddr) -> bool {
        self.settings.may_know(addr)
    }

    /// Whether our socket sends to addresses of this family.
    #[must_use]
    pub fn sends_to(&self, addr: &SocketAddr) -> bool {
        self.settings.families.contains(&Family::of(addr))
    }

    fn random(&mut self) -> [u8; 20] {
        let mut bytes = [0; 20];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn is_welcome(&self, contact: &Contact) -> bool {
        contact.id != self.own && self.may_know(&contact.addr)
    }
}
