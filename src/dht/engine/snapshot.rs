//! How the node is, for the status.

use std::net::IpAddr;

use super::Engine;
use crate::clock::Millis;
use crate::dht::contact::Family;
use crate::dht::routing::RoutingTable;

/// How the node is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Nodes in the routing table.
    pub nodes: usize,
    /// Those of them that are certainly reached from outside.
    pub confirmed_nodes: usize,
    /// Keys that values are kept for.
    pub keys: usize,
    /// Values kept for others.
    pub values: usize,
    /// Nodes of the network, as estimated.
    pub estimated_nodes: u64,
    /// As whom others see us.
    pub external: Vec<IpAddr>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes a second in the last minute, both ways.
    pub bytes_per_second: u64,
    /// Finds and announcements under way.
    pub lookups: usize,
    /// From the question to the first values, the median of the latest finds,
    /// in milliseconds.
    pub first_values_ms: Option<Millis>,
    /// From the question to the complete answer, likewise.
    pub complete_ms: Option<Millis>,
    /// The routing tables' k-buckets of each family of addresses, the farthest
    /// from this node first.
    pub buckets: Vec<Bucket>,
    /// Whether strangers reach this node; `None` where that can't be told yet.
    pub reachable: Option<bool>,
}

/// A k-bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// How its nodes are reached.
    pub family: Family,
    /// Leading bits that its nodes' ids share with our own, at least.
    pub shared_bits: usize,
    /// Nodes in it.
    pub nodes: usize,
    /// Those of them that are certainly reached from outside.
    pub confirmed: usize,
}

impl Engine {
    /// How the node is.
    #[must_use]
    pub fn snapshot(&self, now: Millis) -> Snapshot {
        let nodes = || self.tables.iter().flat_map(RoutingTable::nodes);
        Snapshot {
            nodes: nodes().count(),
            confirmed_nodes: nodes().filter(|node| node.confirmed).count(),
            keys: self.values.keys(),
            values: self.values.len(),
            estimated_nodes: self.size.nodes(),
            external: [Family::V4, Family::V6]
                .into_iter()
                .filter_map(|family| self.external(family))
                .collect(),
            bytes_in: self.received.total(),
            bytes_out: self.sent.total(),
            bytes_per_second: self.received.rate(now) + self.sent.rate(now),
            lookups: self.lookups() + self.waiting.len(),
            first_values_ms: self.first_values.median(),
            complete_ms: self.complete.median(),
            buckets: self.buckets(),
            reachable: self.reach.verdict(nodes().count(), self.size.nodes(), now),
        }
    }

    /// Of families of which somebody is known.
    fn buckets(&self) -> Vec<Bucket> {
        let families = [Family::V4, Family::V6].into_iter();
        let known = families.filter(|family| !self.tables[*family as usize].is_empty());
        known
            .flat_map(|family| {
                let sizes = self.tables[family as usize].bucket_sizes();
                sizes.map(move |(shared_bits, nodes, confirmed)| Bucket {
                    family,
                    shared_bits,
                    nodes,
                    confirmed,
                })
            })
            .collect()
    }
}
