//! Who has a place in which bucket, and who waits for one.

use std::net::SocketAddr;

use super::bucket::{Bucket, Entry, Waiting};
use super::nearness::level;
use super::neighbourhood::{self, Neighbourhood};
use super::{Entered, RoutingTable};
use crate::clock::Millis;
use crate::dht::contact::Contact;
use crate::dht::id::NodeId;

/// Who waited for longer has to answer anew before it counts as confirmed.
const FRESH: Millis = 15 * 60 * 1000;

impl RoutingTable {
    /// Gives a newcomer a place, or has it wait. It is not in the table.
    pub(super) fn enter(&mut self, entry: Entry) -> Entered {
        let Contact { id, addr } = entry.node.contact;
        let index = self.index_of(&id);
        let bucket = &self.buckets[index];
        let neighbourhood = Neighbourhood::of(&addr);
        let is_full = bucket.entries.len() >= self.k;
        let level = is_full.then(|| self.split_level(index, &id)).flatten();
        let worst = |of| bucket.worst(of).filter(|_| entry.node.is_good());
        let has_place = !is_full || level.is_some() || worst(None).is_some();
        if neighbourhood.is_some_and(|it| self.is_crowded(it, index, has_place)) {
            return match worst(neighbourhood) {
                Some(position) => self.replace(index, position, entry),
                None => Entered::Refused,
            };
        }
        if let Some(level) = level {
            self.split(level);
            self.insert(self.index_of(&id), entry);
            return Entered::Added;
        }
        if !is_full {
            self.insert(index, entry);
            return Entered::Added;
        }
        if let Some(position) = worst(None) {
            return self.replace(index, position, entry);
        }
        let oldest = bucket.entries.iter().min_by_key(|it| it.node.last_answer);
        let Some(oldest) = oldest.map(|it| it.node.contact) else {
            return Entered::Refused;
        };
        self.note_addr(&addr);
        self.buckets[index].wait(&entry.node, self.k);
        Entered::Waits { oldest }
    }

    fn replace(&mut self, index: usize, position: usize, entry: Entry) -> Entered {
        let id = entry.node.contact.id;
        self.take_out(index, position);
        self.insert(index, entry);
        self.settle(&id);
        Entered::Added
    }

    fn insert(&mut self, index: usize, mut entry: Entry) {
        let id = entry.node.contact.id;
        if let Some(position) = self.gone.iter().position(|gone| *gone == id) {
            self.gone.swap_remove(position);
            entry.has_row = true;
        }
        entry.has_row |= self.lost.found(&id);
        if !entry.node.is_good() {
            self.due_at = Millis::MIN;
        }
        self.note_addr(&entry.node.contact.addr);
        self.buckets[index].entries.push(entry);
    }

    /// Takes a node out; [`RoutingTable::settle`] has to follow where nobody
    /// takes its place.
    pub(super) fn take_out(&mut self, index: usize, position: usize) {
        let entry = self.buckets[index].entries.swap_remove(position);
        // A node without a row needs none deleted, so that this list is never
        // longer than there are rows, whether or not anybody takes changes.
        if entry.has_row {
            self.gone.push(entry.node.contact.id);
        }
    }

    /// Takes out whoever has this address under another id: one address is one
    /// node, and it has changed. Returns the id of a node whose place is free.
    pub(super) fn take_out_addr(&mut self, contact: &Contact) -> Option<NodeId> {
        if !self.prints.may_have(&contact.addr) {
            return None;
        }
        for index in 0..self.buckets.len() {
            let bucket = &mut self.buckets[index];
            let has_addr = |it: &Contact| it.addr == contact.addr;
            let position = bucket
                .entries
                .iter()
                .position(|it| has_addr(&it.node.contact));
            if let Some(position) = position {
                let id = bucket.entries[position].node.contact.id;
                self.take_out(index, position);
                return Some(id);
            }
            if let Some(position) = bucket.waiting.iter().position(|it| has_addr(&it.contact)) {
                bucket.waiting.remove(position);
                return None;
            }
        }
        None
    }

    fn note_addr(&mut self, addr: &SocketAddr) {
        let buckets = &self.buckets;
        let all = || buckets.iter().flat_map(Bucket::all_addrs);
        self.prints.add(addr, all);
    }

    /// Gives free places of a bucket to those that wait, and merges the last
    /// two buckets as long as one has room for both.
    pub(super) fn settle(&mut self, id: &NodeId) {
        self.fill(self.index_of(id));
        while self.merge() {
            self.fill(self.buckets.len() - 1);
        }
    }

    fn fill(&mut self, index: usize) {
        while self.buckets[index].entries.len() < self.k {
            let waiting = &self.buckets[index].waiting;
            let has_room = |it: &Waiting| {
                let of = Neighbourhood::of(&it.contact.addr);
                of.is_none_or(|of| !self.is_crowded(of, index, true))
            };
            let newest = |confirmed| {
                let is_next = |it: &Waiting| it.confirmed == confirmed && has_room(it);
                waiting.iter().rposition(is_next)
            };
            let Some(position) = newest(true).or_else(|| newest(false)) else {
                return;
            };
            let waiting = self.buckets[index].waiting.remove(position);
            let is_fresh = self.latest.saturating_sub(waiting.answered) <= FRESH;
            let confirmed = waiting.confirmed && is_fresh;
            let entry = Entry::new(waiting.contact, confirmed, waiting.answered);
            self.insert(index, entry);
        }
    }

    /// The number of leading bits at which the full last bucket has to be
    /// split to make room for an id; `None` where no split would.
    pub(super) fn split_level(&self, index: usize, id: &NodeId) -> Option<usize> {
        if index + 1 < self.buckets.len() {
            return None;
        }
        let wanted = level(&self.own, id);
        let entries = self.buckets[index].entries.iter();
        let levels = || {
            entries
                .clone()
                .map(|it| level(&self.own, &it.node.contact.id))
        };
        if levels().all(|level| level == wanted) {
            return None;
        }
        levels().chain([wanted]).min()
    }

    /// Splits the last bucket until one of its own holds those that share
    /// exactly `to` bits with us.
    fn split(&mut self, to: usize) {
        for index in self.buckets.len() - 1..=to {
            let own = self.own;
            let deeper = self.buckets[index].split_off(|id| level(&own, id) > index);
            self.buckets.push(deeper);
        }
    }

    fn merge(&mut self) -> bool {
        let [.., above, last] = self.buckets.as_slice() else {
            return false;
        };
        let fits = above.entries.len() + last.entries.len() <= self.k
            && neighbourhood::may_share_bucket(&above.addrs().chain(last.addrs()));
        if fits && let Some(last) = self.buckets.pop() {
            let above = self.buckets.len() - 1;
            self.buckets[above].absorb(last, self.k);
        }
        fits
    }

    /// Whether there are enough of this neighbourhood already, in the bucket
    /// or, for one that would have a place, in the whole table.
    pub(super) fn is_crowded(
        &self,
        neighbourhood: Neighbourhood,
        index: usize,
        has_place: bool,
    ) -> bool {
        let count = |bucket: &Bucket| neighbourhood.count(bucket.addrs());
        let in_table = || self.buckets.iter().map(count).sum::<usize>();
        count(&self.buckets[index]) >= neighbourhood::IN_BUCKET
            || has_place && in_table() >= neighbourhood::IN_TABLE
    }
}
