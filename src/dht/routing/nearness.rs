//! Which nodes are nearest to an id, without looking at all of them.

use super::{Node, RoutingTable};
use crate::dht::contact::Contact;
use crate::dht::id::NodeId;

/// Ids that share more bits than these with ours are not told apart, so that
/// nobody who makes up ids next to ours has us keep and refresh buckets for
/// them. The last bucket of a network of 2⁴⁸ nodes is as deep.
const DEEPEST: usize = 48;

impl RoutingTable {
    /// Appends the closest nodes of a kind until there are `n`.
    pub(super) fn collect<'a>(
        &'a self,
        target: &NodeId,
        n: usize,
        is_wanted: impl Fn(&Node) -> bool,
        found: &mut Vec<Near<'a>>,
    ) {
        for index in self.by_distance(target) {
            let start = found.len();
            if start >= n {
                break;
            }
            let nodes = self.buckets[index].entries.iter().map(|entry| &entry.node);
            let nodes = nodes.filter(|node| is_wanted(node));
            found.extend(nodes.map(|node| Near::to(target, &node.contact)));
            if let Some(added) = found.get_mut(start..) {
                sort(added, target);
            }
        }
        found.truncate(n);
    }

    /// All buckets, in the order of their nodes' distances from `target`: the
    /// ranges of two buckets never interleave.
    ///
    /// With *f* the first bit in which `target` and our own id differ, all of
    /// bucket *f* is nearer than what is deeper, and that nearer than what is
    /// not as deep. Among the deeper ones, bucket *i* is nearer than all those
    /// below it exactly where bit *i* of `target` is not ours.
    fn by_distance(&self, target: &NodeId) -> impl Iterator<Item = usize> {
        let last = self.buckets.len() - 1;
        let apart = leading(&self.own) ^ leading(target);
        let first = level(&self.own, target).min(last);
        let differs = move |index: &usize| apart >> (63 - index) & 1 == 1;
        std::iter::once(first)
            .chain((first + 1..last).filter(differs))
            .chain((first < last).then_some(last))
            .chain((first + 1..last).rev().filter(move |it| !differs(it)))
            .chain((0..first).rev())
    }
}

/// The first 64 bits of an id.
#[inline]
fn leading(id: &NodeId) -> u64 {
    id.0.first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The leading bits in common, as far as buckets tell them apart.
#[inline]
pub(super) fn level(own: &NodeId, id: &NodeId) -> usize {
    let bits = (leading(own) ^ leading(id)).leading_zeros();
    (bits as usize).min(DEEPEST)
}

/// A node and the first 64 bits of its distance, which tell nearly all nodes
/// apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near<'a> {
    distance: u64,
    pub contact: &'a Contact,
}

impl<'a> Near<'a> {
    fn to(target: &NodeId, contact: &'a Contact) -> Self {
        Self {
            distance: leading(target) ^ leading(&contact.id),
            contact,
        }
    }
}

/// The nearest first.
pub(super) fn sort(nodes: &mut [Near], target: &NodeId) {
    nodes.sort_unstable_by(|a, b| {
        let rest = || {
            let [a, b] = [a, b].map(|node| node.contact.id.distance(target));
            a.cmp(&b)
        };
        a.distance.cmp(&b.distance).then_with(rest)
    });
}
