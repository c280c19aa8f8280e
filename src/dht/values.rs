//! Values that this node keeps for others.
//!
//! What is kept are *claims*: this publisher wants this value under this key
//! until then. A value stands as long as one of its claims does, so that nobody
//! ends another's claim by storing the same value. Where there is no room, it
//! is made among the claims of whoever takes most of it, so that nobody's claims
//! make room for those of somebody who has as many.

mod claims;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use self::claims::{Claims, Slot};
use super::contact::network_of;
use super::id::Key;
use crate::clock::Millis;

/// Claims to one value: what everybody publishes alike outlasts some of them,
/// and is not paid for a thousand times.
const CLAIMS_OF_VALUE: usize = 8;

/// How much is kept. Claims are what is counted, and the bytes of a value for
/// each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Of a key.
    pub values_per_key: usize,
    /// Of a publisher's network.
    pub values_per_publisher: usize,
    /// In all.
    pub values: usize,
    /// Bytes of all values together, without their keys.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            values_per_key: 256,
            values_per_publisher: 25_000,
            values: 100_000,
            bytes: 32 << 20,
        }
    }
}

/// What became of a value to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It was not there.
    New,
    /// It was there.
    Renewed,
    /// There is no room for it.
    Refused,
}

/// A row of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its key.
    pub key: Key,
    /// Itself.
    pub value: Vec<u8>,
    /// Of several publishers' networks (see [`network_of`]) the one whose claim
    /// lasts longest.
    pub publisher: IpAddr,
    /// When that ends.
    pub expires: Millis,
}

/// A row to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueChange {
    /// Insert or replace.
    Put(Saved),
    /// Delete; there was a `Put` of it, or it was restored.
    Gone {
        /// Its key.
        key: Key,
        /// Itself.
        value: Vec<u8>,
    },
}

/// What a value's row needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Insert,
    Update,
    Delete,
}

/// Keys and values.
#[derive(Debug)]
pub struct Values {
    bounds: Bounds,
    claims: Claims,
    changes: BTreeMap<(Key, Arc<[u8]>), Change>,
}

impl Default for Values {
    fn default() -> Self {
        Self::with_bounds(Bounds::default())
    }
}

impl Values {
    /// None yet, and never more than these.
    #[must_use]
    pub fn with_bounds(bounds: Bounds) -> Self {
        // So that half of all values and half of all bytes weigh the same.
        let weight = bounds.bytes / bounds.values.max(1);
        Self {
            bounds,
            claims: Claims::new(weight),
            changes: BTreeMap::new(),
        }
    }

    /// Takes up a row of an earlier run. One that has no place here any more
    /// comes back as [`ValueChange::Gone`].
    pub fn restore(&mut self, saved: Saved, now: Millis) {
        let row = (saved.key, Arc::from(saved.value.as_slice()));
        if saved.expires > now {
            self.store(saved.key, saved.value, saved.publisher, saved.expires);
        }
        // The row is there, so that a new value needs none and no value at all
        // needs it gone.
        if self.changes.remove(&row) != Some(Change::Insert) {
            self.changes.insert(row, Change::Delete);
        }
    }

    /// Stores a value, or renews it, until `expires`. `publisher` is where it
    /// came from, an address for all of its network.
    pub fn store(
        &mut self,
        key: Key,
        value: Vec<u8>,
        publisher: IpAddr,
        expires: Millis,
    ) -> Stored {
        if value.len() > self.bounds.bytes {
            return Stored::Refused;
        }
        let publisher = network_of(publisher);
        let value: Arc<[u8]> = value.into();
        let standing = self.claims.of_value(&key, &value);
        let standing: Vec<_> = standing
            .map(|(slot, claim)| (claim.expires, slot, claim.publisher))
            .collect();
        if let Some((_, slot, _)) = standing.iter().find(|(.., by)| *by == publisher) {
            self.claims.renew(*slot, expires);
            self.note(&key, &value, Change::Update);
            return Stored::Renewed;
        }
        if standing.len() >= CLAIMS_OF_VALUE
            && let Some((_, slot, _)) = standing.iter().min()
        {
            self.end(*slot);
        }
        let inserted = self
            .claims
            .insert(key, Arc::clone(&value), publisher, expires);
        let (change, stored) = if standing.is_empty() {
            (Change::Insert, Stored::New)
        } else {
            (Change::Update, Stored::Renewed)
        };
        if inserted.is_some() {
            self.note(&key, &value, change);
            self.make_room(&key, publisher);
        }
        // The new claim itself may be what had to go.
        let is_there = self.claims.of_value(&key, &value).next().is_some();
        if is_there { stored } else { Stored::Refused }
    }

    /// The values of a key, each once.
    pub fn get(&self, key: &Key, now: Millis) -> impl Iterator<Item = &Arc<[u8]>> {
        self.claims.values_of(key, now)
    }

    /// How many values a key has.
    #[must_use]
    pub fn count(&self, key: &Key, now: Millis) -> u32 {
        u32::try_from(self.get(key, now).count()).unwrap_or(u32::MAX)
    }

    /// Forgets what is not wanted any more.
    pub fn expire(&mut self, now: Millis) {
        while let Some((expires, slot)) = self.claims.first()
            && expires <= now
        {
            self.end(slot);
        }
    }

    /// When the next claim ends.
    #[cfg(test)]
    #[must_use]
    pub fn next_expiry(&self) -> Option<Millis> {
        self.claims.first().map(|(expires, _)| expires)
    }

    /// How many keys have values.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.claims.keys()
    }

    /// How many values there are, each key's for itself.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.claims.values()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes count against [`Bounds::bytes`].
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.claims.bytes()
    }

    /// Rows to be written since the last call, at most one a value.
    pub fn take_changes(&mut self) -> Vec<ValueChange> {
        let rows = std::mem::take(&mut self.changes).into_keys();
        rows.map(|(key, value)| {
            let claims = self.claims.of_value(&key, &value);
            let ends = claims.map(|(_, claim)| (claim.expires, claim.publisher));
            let value = value.to_vec();
            match ends.max() {
                Some((expires, publisher)) => ValueChange::Put(Saved {
                    key,
                    value,
                    publisher,
                    expires,
                }),
                None => ValueChange::Gone { key, value },
            }
        })
        .collect()
    }

    /// Ends claims until all bounds hold, after `publisher` stored under `key`.
    fn make_room(&mut self, key: &Key, publisher: IpAddr) {
        while self.claims.load(&publisher).claims > self.bounds.values_per_publisher
            && let Some(slot) = self.claims.first_of(publisher)
        {
            self.end(slot);
        }
        while self.claims.len_of(key) > self.bounds.values_per_key
            && let Some(slot) = self.one_too_many(key, publisher)
        {
            self.end(slot);
        }
        while (self.claims.len() > self.bounds.values || self.bytes() > self.bounds.bytes)
            && let Some((most, heaviest)) = self.claims.heaviest()
        {
            let is_heaviest = self.claims.load(&publisher).weight >= most;
            let loser = if is_heaviest { publisher } else { heaviest };
            let Some(slot) = self.claims.first_of(loser) else {
                break;
            };
            self.end(slot);
        }
    }

    /// Of whoever has most claims under a key, the storer if that is as many,
    /// the claim that ends first.
    fn one_too_many(&self, key: &Key, storer: IpAddr) -> Option<Slot> {
        let claims = self.claims.of_key(key);
        let mut claims: Vec<_> = claims
            .map(|(slot, claim)| (claim.publisher, claim.expires, slot))
            .collect();
        claims.sort_unstable();
        let by_publisher = || claims.chunk_by(|a, b| a.0 == b.0);
        let most = by_publisher().map(<[_]>::len).max()?;
        let heaviest = by_publisher().filter(|claims| claims.len() == most);
        let firsts = heaviest.filter_map(|claims| claims.first());
        // Of those with as many, the storer loses; else whose claim ends first.
        let loser = firsts.min_by_key(|(by, expires, _)| (*by != storer, *expires));
        loser.map(|(.., slot)| *slot)
    }

    fn end(&mut self, slot: Slot) {
        if let Some(claim) = self.claims.remove(slot) {
            let others = self.claims.of_value(&claim.key, &claim.value).next();
            let change = others.map_or(Change::Delete, |_| Change::Update);
            self.note(&claim.key, &claim.value, change);
        }
    }

    fn note(&mut self, key: &Key, value: &Arc<[u8]>, change: Change) {
        let row = (*key, Arc::clone(value));
        let change = match (self.changes.get(&row), change) {
            // Nobody has heard of it, so that what is noted is never more than
            // there is and there are rows.
            (Some(Change::Insert), Change::Delete) => {
                self.changes.remove(&row);
                return;
            }
            (Some(Change::Insert), _) => Change::Insert,
            (Some(Change::Delete), Change::Insert) => Change::Update,
            (_, change) => change,
        };
        self.changes.insert(row, change);
    }
}
