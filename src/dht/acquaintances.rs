//! Nodes that answered a lookup of ours not long ago. The routing table has
//! few nodes of the far parts of the network; a node that announces many keys
//! meets many more, and starts the next lookup, and the same one hours later,
//! from those.

use std::collections::HashMap;

use super::contact::{Contact, Family};
use super::id::{Distance, NodeId};
use crate::clock::Millis;

/// Nodes remembered.
const KEPT: usize = 768;

/// One that did not answer for so long is forgotten: most of the nodes have
/// left after some hours. Longer than a value's refresh, so that storing again
/// starts where the value is.
const FRESH: Millis = 165 * 60 * 1000;

#[derive(Debug, Clone, Copy)]
struct Met {
    contact: Contact,
    at: Millis,
}

/// The nodes met.
#[derive(Debug, Default)]
pub struct Acquaintances {
    met: HashMap<(NodeId, Family), Met>,
}

impl Acquaintances {
    /// A node answered, and can be reached.
    pub fn answered(&mut self, contact: Contact, now: Millis) {
        let met = Met { contact, at: now };
        if self.met.insert(key(&contact), met).is_none() && self.met.len() > KEPT {
            let oldest = self.met.values().min_by_key(|met| (met.at, met.contact.id));
            if let Some(oldest) = oldest.map(|met| key(&met.contact)) {
                self.met.remove(&oldest);
            }
        }
    }

    /// A node did not answer.
    pub fn forget(&mut self, contact: &Contact) {
        let key = key(contact);
        if self
            .met
            .get(&key)
            .is_some_and(|met| met.contact == *contact)
        {
            self.met.remove(&key);
        }
    }

    /// The `n` closest to `target`, the closest first.
    #[must_use]
    pub fn closest(&self, target: &NodeId, n: usize, now: Millis) -> Vec<Contact> {
        let mut near: Vec<(Distance, Contact)> = self
            .met
            .values()
            .filter(|met| met.at + FRESH > now)
            .map(|met| (met.contact.id.distance(target), met.contact))
            .collect();
        if near.len() > n {
            near.select_nth_unstable_by_key(n, |(distance, _)| *distance);
            near.truncate(n);
        }
        near.sort_unstable_by_key(|(distance, _)| *distance);
        near.into_iter().map(|(_, contact)| contact).collect()
    }
}

fn key(contact: &Contact) -> (NodeId, Family) {
    (contact.id, contact.family())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u16) -> Contact {
        let mut id = [0; 20];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let addr = format!("10.0.{}.{}:9977", number >> 8, number & 255);
        Contact::new(NodeId(id), addr.parse().unwrap())
    }

    #[test]
    fn the_latest_are_kept_and_the_closest_are_given() {
        let mut met = Acquaintances::default();
        for number in 0..2000 {
            met.answered(node(number), Millis::from(number));
        }
        assert_eq!(met.met.len(), KEPT);
        let closest = met.closest(&NodeId([0; 20]), 2, 2000);
        let oldest_kept = 2000 - u16::try_from(KEPT).unwrap();
        let best = (oldest_kept..2000).map(node);
        let mut best: Vec<_> = best.collect();
        best.sort_by_key(|contact| contact.id);
        assert_eq!(closest, best[..2]);
        met.forget(&best[0]);
        assert_eq!(met.closest(&NodeId([0; 20]), 1, 2000), best[1..2]);
        assert_eq!(met.closest(&NodeId([0; 20]), 1, 2000 + FRESH), []);
    }
}
