//! Claims, and the orders in which they are looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Millis;
use crate::dht::id::Key;

/// Where a claim lies.
pub(super) type Slot = u32;

/// That a publisher wants a value kept.
#[derive(Debug)]
pub(super) struct Claim {
    pub key: Key,
    /// Shared by all claims to it.
    pub value: Arc<[u8]>,
    /// All claims to this value under this key have this number, and no
    /// others.
    number: u64,
    pub publisher: IpAddr,
    pub expires: Millis,
}

/// What a publisher has here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    pub claims: usize,
    /// How much room they take.
    pub weight: usize,
}

/// All claims. Each stands in every order as its slot says.
#[derive(Debug)]
pub(super) struct Claims {
    slots: Vec<Option<Claim>>,
    free: Vec<Slot>,
    by_key: BTreeSet<(Key, u64, Slot)>,
    by_expiry: BTreeSet<(Millis, Slot)>,
    by_publisher: BTreeSet<(IpAddr, Millis, Slot)>,
    loads: BTreeMap<IpAddr, Load>,
    by_weight: BTreeSet<(usize, IpAddr)>,
    /// What a claim weighs beside the bytes of its value.
    weight: usize,
    last_number: u64,
    keys: usize,
    values: usize,
    bytes: usize,
}

impl Claims {
    /// None; each will weigh so much beside its bytes.
    pub const fn new(weight: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            by_publisher: BTreeSet::new(),
            loads: BTreeMap::new(),
            by_weight: BTreeSet::new(),
            weight,
            last_number: 0,
            keys: 0,
            values: 0,
            bytes: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.by_expiry.len()
    }

    pub const fn keys(&self) -> usize {
        self.keys
    }

    /// Different values, each key's for itself.
    pub const fn values(&self) -> usize {
        self.values
    }

    /// Of all claims, those to the same value each counted.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn get(&self, slot: Slot) -> Option<&Claim> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// All claims under a key, those to the same value side by side.
    pub fn of_key(&self, key: &Key) -> impl Iterator<Item = (Slot, &Claim)> {
        let range = (*key, 0, 0)..=(*key, u64::MAX, Slot::MAX);
        let slots = self.by_key.range(range).map(|(_, _, slot)| *slot);
        slots.filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    pub fn len_of(&self, key: &Key) -> usize {
        let range = (*key, 0, 0)..=(*key, u64::MAX, Slot::MAX);
        self.by_key.range(range).count()
    }

    /// All claims to a value.
    pub fn of_value(&self, key: &Key, value: &[u8]) -> impl Iterator<Item = (Slot, &Claim)> {
        let claims = self.of_key(key);
        claims.filter(move |(_, claim)| *claim.value == *value)
    }

    /// The values of a key that are claimed now, each once.
    pub fn values_of(&self, key: &Key, now: Millis) -> impl Iterator<Item = &Arc<[u8]>> {
        let mut last = 0;
        self.of_key(key).filter_map(move |(_, claim)| {
            let is_new = claim.expires > now && claim.number != last;
            if is_new {
                last = claim.number;
            }
            is_new.then_some(&claim.value)
        })
    }

    pub fn load(&self, publisher: &IpAddr) -> Load {
        self.loads.get(publisher).copied().unwrap_or_default()
    }

    /// Who takes most of the room, and how much.
    pub fn heaviest(&self) -> Option<(usize, IpAddr)> {
        self.by_weight.last().copied()
    }

    /// The claim of a publisher that ends first.
    pub fn first_of(&self, publisher: IpAddr) -> Option<Slot> {
        let range = (publisher, Millis::MIN, 0)..=(publisher, Millis::MAX, Slot::MAX);
        self.by_publisher.range(range).next().map(|first| first.2)
    }

    /// The claim that ends first, and when.
    pub fn first(&self) -> Option<(Millis, Slot)> {
        self.by_expiry.first().copied()
    }

    /// Adds a claim of somebody who has none to this value. `None`: as many
    /// claims as slots can be told apart.
    pub fn insert(
        &mut self,
        key: Key,
        value: Arc<[u8]>,
        publisher: IpAddr,
        expires: Millis,
    ) -> Option<Slot> {
        let slot = self
            .free
            .pop()
            .or_else(|| Slot::try_from(self.slots.len()).ok())?;
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        let standing = self.of_value(&key, &value).next();
        let standing = standing.map(|(_, claim)| (claim.number, Arc::clone(&claim.value)));
        let (number, value) = standing.unwrap_or_else(|| {
            self.last_number += 1;
            self.values += 1;
            self.keys += usize::from(!self.has_key(&key));
            (self.last_number, value)
        });
        let claim = Claim {
            key,
            value,
            number,
            publisher,
            expires,
        };
        self.by_key.insert((key, number, slot));
        self.by_expiry.insert((expires, slot));
        self.by_publisher.insert((publisher, expires, slot));
        let load = self.load(&publisher);
        let load = Load {
            claims: load.claims + 1,
            weight: load.weight + self.weight_of(&claim),
        };
        self.set_load(publisher, load);
        self.bytes += claim.value.len();
        *self.slots.get_mut(slot as usize)? = Some(claim);
        Some(slot)
    }

    /// Moves the end of a claim.
    pub fn renew(&mut self, slot: Slot, expires: Millis) {
        let claim = self.slots.get_mut(slot as usize).and_then(Option::as_mut);
        let Some(claim) = claim else {
            return;
        };
        let before = std::mem::replace(&mut claim.expires, expires);
        self.by_expiry.remove(&(before, slot));
        self.by_expiry.insert((expires, slot));
        self.by_publisher.remove(&(claim.publisher, before, slot));
        self.by_publisher.insert((claim.publisher, expires, slot));
    }

    /// Ends a claim, and the value with it if it was the last.
    pub fn remove(&mut self, slot: Slot) -> Option<Claim> {
        let claim = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        let Claim {
            key,
            number,
            publisher,
            expires,
            ..
        } = claim;
        self.by_key.remove(&(key, number, slot));
        self.by_expiry.remove(&(expires, slot));
        self.by_publisher.remove(&(publisher, expires, slot));
        let load = self.load(&publisher);
        let load = Load {
            claims: load.claims.saturating_sub(1),
            weight: load.weight.saturating_sub(self.weight_of(&claim)),
        };
        self.set_load(publisher, load);
        self.bytes -= claim.value.len();
        let others = (key, number, 0)..=(key, number, Slot::MAX);
        if self.by_key.range(others).next().is_none() {
            self.values -= 1;
            self.keys -= usize::from(!self.has_key(&key));
        }
        Some(claim)
    }

    fn has_key(&self, key: &Key) -> bool {
        self.of_key(key).next().is_some()
    }

    fn weight_of(&self, claim: &Claim) -> usize {
        self.weight.saturating_add(claim.value.len())
    }

    fn set_load(&mut self, publisher: IpAddr, load: Load) {
        self.by_weight
            .remove(&(self.load(&publisher).weight, publisher));
        if load.claims == 0 {
            self.loads.remove(&publisher);
        } else {
            self.loads.insert(publisher, load);
            self.by_weight.insert((load.weight, publisher));
        }
    }

    /// Counts everything anew, and looks that all orders have the same claims.
    #[cfg(test)]
    pub fn check(&self) {
        let slots = (0..).zip(&self.slots);
        let claims = slots.filter_map(|(slot, claim)| Some((slot, claim.as_ref()?)));
        let claims: Vec<(Slot, &Claim)> = claims.collect();
        assert_eq!(claims.len() + self.free.len(), self.slots.len());
        let mut loads: BTreeMap<IpAddr, Load> = BTreeMap::new();
        for (_, claim) in &claims {
            let load = loads.entry(claim.publisher).or_default();
            load.claims += 1;
            load.weight += self.weight_of(claim);
        }
        let weights = loads.iter().map(|(by, load)| (load.weight, *by));
        assert_eq!(self.by_weight, weights.collect());
        assert_eq!(self.loads, loads);
        let of = |claim: &Claim| (claim.key, claim.number, claim.publisher, claim.expires);
        let all = || claims.iter().map(|(slot, claim)| (*slot, of(claim)));
        let by_key = all().map(|(slot, (key, number, ..))| (key, number, slot));
        assert_eq!(self.by_key, by_key.collect());
        let by_expiry = all().map(|(slot, (.., expires))| (expires, slot));
        assert_eq!(self.by_expiry, by_expiry.collect());
        let by_publisher = all().map(|(slot, (.., by, expires))| (by, expires, slot));
        assert_eq!(self.by_publisher, by_publisher.collect());
        let keys: BTreeSet<_> = claims.iter().map(|(_, claim)| claim.key).collect();
        let values = claims.iter().map(|(_, claim)| (claim.key, &claim.value));
        let values: BTreeSet<_> = values.collect();
        let numbers = all().map(|(_, (key, number, ..))| (key, number));
        assert_eq!(self.keys, keys.len());
        assert_eq!(self.values, values.len());
        assert_eq!(values.len(), numbers.collect::<BTreeSet<_>>().len());
        let bytes = claims.iter().map(|(_, claim)| claim.value.len());
        assert_eq!(self.bytes, bytes.sum::<usize>());
    }
}
