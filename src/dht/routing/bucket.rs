//! A bucket: the nodes of a range of ids, and those that wait for a place.

use std::net::SocketAddr;

use super::neighbourhood::{IN_BUCKET, Neighbourhood};
use super::{Node, ROW_LAG};
use crate::clock::Millis;
use crate::dht::contact::Contact;
use crate::dht::id::NodeId;

/// A node with a place.
#[derive(Debug)]
pub(super) struct Entry {
    pub node: Node,
    /// Whether there is a row of it.
    pub has_row: bool,
    /// Whether a row has to be written at once.
    is_changed: bool,
    /// The `last_answer` of the row.
    row_answer: Millis,
}

impl Entry {
    pub fn new(contact: Contact, confirmed: bool, answered: Millis) -> Self {
        Self {
            node: Node {
                contact,
                confirmed,
                failures: 0,
                last_answer: answered,
                last_try: answered,
            },
            has_row: false,
            is_changed: true,
            row_answer: answered,
        }
    }

    pub fn restored(node: Node) -> Self {
        Self {
            has_row: true,
            is_changed: false,
            row_answer: node.last_answer,
            node,
        }
    }

    pub fn answered(&mut self, confirmed: bool, now: Millis) {
        let node = &mut self.node;
        self.is_changed |= node.failures > 0 || confirmed && !node.confirmed;
        node.confirmed |= confirmed;
        node.failures = 0;
        node.last_answer = now;
        node.last_try = now;
    }

    pub fn failed(&mut self, now: Millis) {
        self.is_changed = true;
        self.node.failures = self.node.failures.saturating_add(1);
        self.node.last_try = now;
    }

    /// The node, if its row has to be written.
    pub fn take_change(&mut self) -> Option<Node> {
        let lag = self.node.last_answer.saturating_sub(self.row_answer);
        if !self.is_changed && lag <= ROW_LAG {
            return None;
        }
        self.has_row = true;
        self.is_changed = false;
        self.row_answer = self.node.last_answer;
        Some(self.node.clone())
    }
}

/// A node without a place.
#[derive(Debug)]
pub(super) struct Waiting {
    pub contact: Contact,
    pub confirmed: bool,
    pub answered: Millis,
}

#[derive(Debug)]
pub(super) struct Bucket {
    /// In no order.
    pub entries: Vec<Entry>,
    /// The replacement cache, the newest last.
    pub waiting: Vec<Waiting>,
    /// When a lookup last went through it.
    pub looked_up: Millis,
}

impl Bucket {
    pub const fn new(looked_up: Millis) -> Self {
        Self {
            entries: Vec::new(),
            waiting: Vec::new(),
            looked_up,
        }
    }

    #[inline]
    pub fn position(&self, id: &NodeId) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.node.contact.id == *id)
    }

    /// The addresses of nodes with a place.
    pub fn addrs(&self) -> impl Iterator<Item = &SocketAddr> + Clone {
        self.entries.iter().map(|entry| &entry.node.contact.addr)
    }

    /// All addresses.
    pub fn all_addrs(&self) -> impl Iterator<Item = &SocketAddr> {
        let waiting = self.waiting.iter().map(|it| &it.contact.addr);
        self.addrs().chain(waiting)
    }

    /// The node that a good newcomer replaces: the one with the most failures,
    /// else the unconfirmed one that answered least recently. With a
    /// neighbourhood, only one of that.
    pub fn worst(&self, of: Option<Neighbourhood>) -> Option<usize> {
        let entries = self.entries.iter().map(|entry| &entry.node).enumerate();
        let replaceable = entries
            .filter(|(_, node)| !node.is_good() && of.is_none_or(|it| it.has(&node.contact.addr)));
        replaceable
            .min_by_key(|(_, node)| (u32::MAX - node.failures, node.last_answer))
            .map(|(position, _)| position)
    }

    /// Has a node wait. Where there are more than `k` then, or too many of its
    /// neighbourhood, the one that has waited longest does so no longer.
    pub fn wait(&mut self, node: &Node, k: usize) {
        if let Some(of) = Neighbourhood::of(&node.contact.addr) {
            let like_it = |waiting: &Waiting| of.has(&waiting.contact.addr);
            if self.waiting.iter().filter(|it| like_it(it)).count() >= IN_BUCKET
                && let Some(position) = self.waiting.iter().position(like_it)
            {
                self.waiting.remove(position);
            }
        }
        if self.waiting.len() >= k {
            self.waiting.remove(0);
        }
        self.waiting.push(Waiting {
            contact: node.contact,
            confirmed: node.confirmed,
            answered: node.last_answer,
        });
    }

    pub fn stop_waiting(&mut self, id: &NodeId) -> Option<Waiting> {
        let position = self.waiting.iter().position(|it| it.contact.id == *id)?;
        Some(self.waiting.remove(position))
    }

    /// The bucket of those whose ids are of the deeper range.
    pub fn split_off(&mut self, is_deeper: impl Fn(&NodeId) -> bool) -> Self {
        let entries = std::mem::take(&mut self.entries).into_iter();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let mut deeper = Self::new(self.looked_up);
        (deeper.entries, self.entries) = entries.partition(|it| is_deeper(&it.node.contact.id));
        (deeper.waiting, self.waiting) = waiting.partition(|it| is_deeper(&it.contact.id));
        deeper
    }

    /// Takes in the other half; of those that wait, the newest `k` stay.
    pub fn absorb(&mut self, mut other: Self, k: usize) {
        self.entries.append(&mut other.entries);
        self.waiting.append(&mut other.waiting);
        self.waiting.sort_by_key(|it| it.answered);
        let too_many = self.waiting.len().saturating_sub(k);
        self.waiting.drain(..too_many);
        self.looked_up = self.looked_up.min(other.looked_up);
    }
}
