//! The routing table: nodes that answered us, in k-buckets.
//!
//! Bucket *i* holds the ids that share exactly *i* leading bits with our own,
//! the last one all those that share more: only the bucket of our own id ever
//! splits. Always true: a node stands in the bucket of its range, a bucket
//! has at most k nodes and as many that wait, and no id and no address is there
//! twice, waiting ones included.

mod bucket;
mod lost;
mod nearness;
mod neighbourhood;
mod places;
mod prints;
#[cfg(test)]
mod tests;

use rand::rngs::StdRng;

use self::bucket::{Bucket, Entry, Waiting};
use self::lost::Lost;
use self::nearness::level;
pub(in crate::dht) use self::neighbourhood::Neighbourhood;
use self::prints::Prints;
use super::contact::Contact;
use super::id::NodeId;
use crate::clock::Millis;

/// Nodes to be pinged again that are told of at once.
const AT_ONCE: usize = 4;

/// A failing node is asked again after so long; after four times as long with
/// each further failure.
const RETRY: Millis = 30_000;

/// A row's `last_answer` may lag behind by so much.
const ROW_LAG: Millis = 10 * 60 * 1000;

/// A node that answered us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Who and where.
    pub contact: Contact,
    /// Whether it answered although no query of its own had opened a NAT for
    /// us: others reach it as well.
    pub confirmed: bool,
    /// Failures since its last answer.
    pub failures: u32,
    /// When it answered last.
    pub last_answer: Millis,
    /// When it was last asked: it answered, failed, or was due to be pinged.
    pub last_try: Millis,
}

impl Node {
    /// Whether it is one to tell others of.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.confirmed && self.failures == 0
    }

    /// When it has to be pinged, if it has to prove itself.
    fn ping_at(&self, min_ping_interval: Millis) -> Option<Millis> {
        let pause = match self.failures {
            0 if self.confirmed => return None,
            0 => min_ping_interval,
            failures => RETRY << (2 * (failures - 1).min(8)),
        };
        Some(self.last_try.saturating_add(pause))
    }
}

/// What became of a node that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// It has a place now.
    Added,
    /// It had one.
    Known,
    /// Its bucket is full, and it waits for a place.
    Waits {
        /// The node of the bucket that answered least recently: if it does not
        /// answer a ping, the place is free.
        oldest: Contact,
    },
    /// It is us, its id has another address that answers, or there are too
    /// many of its network already.
    Refused,
}

/// A row to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeChange {
    /// Insert or replace.
    Put(Node),
    /// Delete; there was a `Put` of it, or it was restored.
    Gone(NodeId),
}

/// The nodes that we know.
#[derive(Debug)]
pub struct RoutingTable {
    own: NodeId,
    k: usize,
    max_failures: u32,
    /// Never empty.
    buckets: Vec<Bucket>,
    /// Of all addresses there are, those that wait included.
    prints: Prints,
    /// Deleted, and their rows not yet.
    gone: Vec<NodeId>,
    /// Deleted, and their rows stay.
    lost: Lost,
    /// No node has to be pinged earlier.
    due_at: Millis,
    /// The latest time that we were told.
    latest: Millis,
}

impl RoutingTable {
    /// An empty table. `max_failures` in a row remove a node.
    #[must_use]
    pub fn new(own: NodeId, k: usize, max_failures: u32, now: Millis) -> Self {
        Self {
            own,
            k: k.max(1),
            max_failures,
            buckets: vec![Bucket::new(now)],
            prints: Prints::default(),
            gone: Vec::new(),
            lost: Lost::default(),
            due_at: Millis::MAX,
            latest: now,
        }
    }

    /// Takes up a row of an earlier run. One that has no place here any more
    /// comes back as [`NodeChange::Gone`].
    pub fn restore(&mut self, node: Node) {
        let Contact { id, addr } = node.contact;
        let is_known = self.get(&id).is_some();
        let has_addr = |bucket: &Bucket| bucket.all_addrs().any(|it| *it == addr);
        if is_known || id == self.own || self.buckets.iter().any(has_addr) {
            return self.refuse(id);
        }
        let index = self.index_of(&id);
        self.buckets[index].stop_waiting(&id);
        if self.enter(Entry::restored(node)) != Entered::Added {
            self.gone.push(id);
        }
    }

    /// Refuses a row of an earlier run: it comes back as [`NodeChange::Gone`].
    pub fn refuse(&mut self, id: NodeId) {
        if self.get(&id).is_none() {
            self.gone.push(id);
        }
    }

    /// A node answered a query of ours. `confirmed`: and no hole that its own
    /// query made in a NAT explains that. A confirmed node stays confirmed.
    pub fn answered(&mut self, contact: Contact, confirmed: bool, now: Millis) -> Entered {
        self.latest = now;
        if contact.id == self.own {
            return Entered::Refused;
        }
        let index = self.index_of(&contact.id);
        let bucket = &mut self.buckets[index];
        let known = bucket.position(&contact.id);
        if let Some(entry) = known.and_then(|position| bucket.entries.get_mut(position)) {
            if entry.node.contact.addr == contact.addr {
                entry.answered(confirmed, now);
                return Entered::Known;
            }
            // Whoever takes another's id does not push it out while it is there.
            if entry.node.failures == 0 {
                return Entered::Refused;
            }
        }
        let waited = bucket.stop_waiting(&contact.id);
        let waited = waited.filter(|waiting| waiting.contact.addr == contact.addr);
        let left = match (known, &waited) {
            (Some(position), _) => {
                self.take_out(index, position);
                self.take_out_addr(&contact)
            }
            // Its address is nobody else's: it was told apart when it began to wait.
            (None, Some(_)) => None,
            (None, None) => self.take_out_addr(&contact),
        };
        let confirmed = confirmed || waited.is_some_and(|waiting| waiting.confirmed);
        let entered = self.enter(Entry::new(contact, confirmed, now));
        if known.is_some() {
            self.settle(&contact.id);
        }
        if let Some(left) = left {
            self.settle(&left);
        }
        entered
    }

    /// A query to a node failed. Returns whether that removed it: after
    /// `max_failures` in a row, or at once where it was never confirmed or
    /// another waits for its place.
    pub fn failed(&mut self, contact: &Contact, now: Millis) -> bool {
        self.latest = now;
        let index = self.index_of(&contact.id);
        let bucket = &mut self.buckets[index];
        let Some(position) = bucket.position(&contact.id) else {
            bucket.waiting.retain(|waiting| waiting.contact != *contact);
            return false;
        };
        let is_replaceable = !bucket.waiting.is_empty();
        let entry = &mut bucket.entries[position];
        if entry.node.contact.addr != contact.addr {
            return false;
        }
        entry.failed(now);
        let node = &entry.node;
        if node.confirmed && node.failures < self.max_failures && !is_replaceable {
            self.due_at = Millis::MIN;
            return false;
        }
        self.take_out(index, position);
        self.settle(&contact.id);
        true
    }

    /// Removes a node, for instance because its address answers as another.
    /// Of a node that is known at another address nothing was learnt.
    pub fn remove(&mut self, contact: &Contact) {
        let index = self.index_of(&contact.id);
        let bucket = &mut self.buckets[index];
        bucket.waiting.retain(|waiting| waiting.contact != *contact);
        if let Some(position) = bucket.position(&contact.id)
            && bucket.entries[position].node.contact.addr == contact.addr
        {
            self.take_out(index, position);
            self.settle(&contact.id);
        }
    }

    /// The node with this id.
    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<&Node> {
        let bucket = &self.buckets[self.index_of(id)];
        let position = bucket.position(id)?;
        Some(&bucket.entries[position].node)
    }

    /// Whether a node that we heard of is worth a ping: it is not known, and
    /// its answer would give it a place, or one to wait at.
    #[must_use]
    pub fn wants(&self, contact: &Contact) -> bool {
        let index = self.index_of(&contact.id);
        let bucket = &self.buckets[index];
        if contact.id == self.own {
            return false;
        }
        if let Some(position) = bucket.position(&contact.id) {
            let node = &bucket.entries[position].node;
            return node.failures > 0 && node.contact.addr != contact.addr;
        }
        let is_full = bucket.entries.len() >= self.k;
        let has_place = !is_full
            || bucket.worst(None).is_some()
            || self.split_level(index, &contact.id).is_some();
        let is_waiting = |waiting: &Waiting| waiting.contact.id == contact.id;
        if !has_place && (bucket.waiting.len() >= self.k || bucket.waiting.iter().any(is_waiting)) {
            return false;
        }
        Neighbourhood::of(&contact.addr).is_none_or(|of| {
            !self.is_crowded(of, index, has_place) || bucket.worst(Some(of)).is_some()
        })
    }

    /// Up to `n` nodes to tell others of, the closest to `target` first: good
    /// ones. Only where the whole table has fewer than `n` good ones, the
    /// closest of those that are not confirmed fill up, and then of those that
    /// fail.
    #[must_use]
    pub fn closest(&self, target: &NodeId, n: usize) -> Vec<Contact> {
        let mut found = Vec::with_capacity(n.min(self.len()) + self.k);
        self.collect(target, n, Node::is_good, &mut found);
        if found.len() < n {
            let is_new = |node: &Node| !node.confirmed && node.failures == 0;
            self.collect(target, n, is_new, &mut found);
            self.collect(target, n, |node| node.failures > 0, &mut found);
            nearness::sort(&mut found, target);
        }
        found.into_iter().map(|near| *near.contact).collect()
    }

    /// A random id in the range of the bucket that went longest without a
    /// lookup, if that is longer than `staleness`.
    #[must_use]
    pub fn stale(&self, now: Millis, staleness: Millis, rng: &mut StdRng) -> Option<NodeId> {
        let buckets = self.buckets.iter().enumerate();
        let (index, bucket) = buckets.min_by_key(|(_, bucket)| bucket.looked_up)?;
        if now.saturating_sub(bucket.looked_up) <= staleness {
            return None;
        }
        let bits = u32::try_from(index).unwrap_or(0);
        let mut id = self.own.random_with_prefix(bits, rng);
        if index + 1 < self.buckets.len() {
            let mask = 0x80 >> (index % 8);
            let own = self.own.0[index / 8];
            let byte = &mut id.0[index / 8];
            *byte = *byte & !mask | !own & mask;
        }
        Some(id)
    }

    /// When the next bucket becomes stale.
    #[cfg(test)]
    #[must_use]
    pub fn next_stale(&self, staleness: Millis) -> Millis {
        let looked_up = self.buckets.iter().map(|bucket| bucket.looked_up);
        looked_up
            .min()
            .map_or(Millis::MAX, |at| at.saturating_add(staleness))
    }

    /// A lookup of `target` ended: what it met has split the buckets by then.
    pub fn looked_up(&mut self, target: &NodeId, now: Millis) {
        let index = self.index_of(target);
        self.buckets[index].looked_up = now;
    }

    /// All nodes, without those that wait.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let entries = self.buckets.iter().flat_map(|bucket| &bucket.entries);
        entries.map(|entry| &entry.node)
    }

    /// The buckets, the farthest first: bits that its ids share with our own at
    /// least, nodes, and confirmed ones of them.
    pub fn bucket_sizes(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let buckets = self.buckets.iter().enumerate();
        buckets.map(|(bits, bucket)| {
            let confirmed = bucket.entries.iter().filter(|entry| entry.node.confirmed);
            (bits, bucket.entries.len(), confirmed.count())
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.entries.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.entries.is_empty())
    }

    /// How many are good: confirmed, and not failing.
    #[cfg(test)]
    #[must_use]
    pub fn confirmed(&self) -> usize {
        self.nodes().filter(|node| node.is_good()).count()
    }

    /// Nodes to be pinged now, at most four: failing ones 30 s after the first
    /// failure and four times as long after each further one, unconfirmed ones
    /// `min_ping_interval` after they were last asked. Each counts as asked
    /// with that.
    pub fn due(&mut self, now: Millis, min_ping_interval: Millis) -> Vec<Contact> {
        if now < self.due_at {
            return Vec::new();
        }
        let mut next = Millis::MAX;
        let mut due = Vec::new();
        let entries = self.buckets.iter_mut().flat_map(|it| &mut it.entries);
        for node in entries.map(|entry| &mut entry.node) {
            match node.ping_at(min_ping_interval) {
                Some(at) if at <= now => due.push((at, node)),
                Some(at) => next = next.min(at),
                None => {}
            }
        }
        due.sort_by_key(|(at, _)| *at);
        if due.len() > AT_ONCE {
            due.truncate(AT_ONCE);
            next = now;
        }
        let mut contacts = Vec::with_capacity(due.len());
        for (_, node) in due {
            node.last_try = now;
            next = next.min(node.ping_at(min_ping_interval).unwrap_or(next));
            contacts.push(node.contact);
        }
        self.due_at = next;
        contacts
    }

    /// Rows to be written since the last call, at most one a node. That a node
    /// answered again is only told where its row is 10 minutes behind.
    pub fn take_changes(&mut self) -> Vec<NodeChange> {
        let gone = std::mem::take(&mut self.gone).into_iter();
        let mut changes: Vec<_> = gone.map(NodeChange::Gone).collect();
        let entries = self.buckets.iter_mut().flat_map(|it| &mut it.entries);
        changes.extend(entries.filter_map(Entry::take_change).map(NodeChange::Put));
        changes
    }

    /// The bucket whose range has this id.
    #[inline]
    fn index_of(&self, id: &NodeId) -> usize {
        level(&self.own, id).min(self.buckets.len() - 1)
    }
}
