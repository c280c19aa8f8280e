//! Nodes that answered a lookup of ours not long ago. The routing table has
//! few nodes of the far parts of the network; a node that announces many keys
//! meets many more, and starts the next lookup, and the same one hours later,
//! from those.

use std::collections::{BTreeSet, HashMap};

use super::contact::{Contact, Family};
use super::id::{Distance, NodeId};
use crate::clock::Millis;

/// Nodes remembered.
const KEPT: usize = 768;

/// One that did not answer for so long is forgotten: most of the nodes have
/// left after some hours. Longer than a value's refresh, so that storing again
/// starts where the value is.
const FRESH: Millis = 165 * 60 * 1000;

/// Who: a node of both families is two acquaintances.
type Who = (NodeId, Family);

#[derive(Debug, Clone, Copy)]
struct Met {
    contact: Contact,
    at: Millis,
}

/// The nodes met.
#[derive(Debug, Default)]
pub struct Acquaintances {
    met: HashMap<Who, Met>,
    /// The same, the oldest first.
    by_time: BTreeSet<(Millis, Who)>,
}

impl Acquaintances {
    /// A node answered, and can be reached.
    pub fn answered(&mut self, contact: Contact, now: Millis) {
        let who = key(&contact);
        let met = Met { contact, at: now };
        if let Some(before) = self.met.insert(who, met) {
            self.by_time.remove(&(before.at, who));
        }
        self.by_time.insert((now, who));
        if self.met.len() > KEPT
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.met.remove(&oldest);
        }
    }

    /// A node did not answer.
    pub fn forget(&mut self, contact: &Contact) {
        let who = key(contact);
        if let Some(met) = self.met.get(&who)
            && met.contact == *contact
        {
            self.by_time.remove(&(met.at, who));
            self.met.remove(&who);
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

fn key(contact: &Contact) -> Who {
    (contact.id, contact.family())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn the_order_of_time_has_them_all(
            steps in proptest::collection::vec((0..900_u16, 0..5_i64, any::<bool>()), 0..3000)
        ) {
            let (mut met, mut now) = (Acquaintances::default(), 0);
            for (number, passed, is_gone) in steps {
                now += passed;
                if is_gone && number % 4 == 0 {
                    met.forget(&node(number));
                } else {
                    met.answered(node(number), now);
                }
            }
            prop_assert!(met.met.len() <= KEPT);
            let order = met.met.iter().map(|(who, met)| (met.at, *who)).collect();
            prop_assert_eq!(met.by_time, order);
        }
    }
}
