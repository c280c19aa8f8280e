//! What a node has written: all that is left of it when it goes without a word.

use std::collections::BTreeMap;

use aptmesh::dht::engine::{Changes, Saved};
use aptmesh::dht::id::{Key, NodeId};
use aptmesh::dht::routing::{Node, NodeChange};
use aptmesh::dht::token::Secret;
use aptmesh::dht::values::{self, ValueChange};

/// Rows, as a database would hold them.
#[derive(Default)]
pub struct Disk {
    nodes: BTreeMap<NodeId, Node>,
    values: BTreeMap<(Key, Vec<u8>), values::Saved>,
    secrets: Vec<Secret>,
    /// How many rows were ever written or removed.
    pub writes: u64,
}

impl Disk {
    pub fn write(&mut self, changes: Changes) {
        self.writes += (changes.nodes.len() + changes.values.len()) as u64;
        for (_, change) in changes.nodes {
            match change {
                NodeChange::Put(node) => {
                    self.nodes.insert(node.contact.id, node);
                }
                NodeChange::Gone(id) => {
                    self.nodes.remove(&id);
                }
            }
        }
        for change in changes.values {
            match change {
                ValueChange::Put(saved) => {
                    self.values.insert((saved.key, saved.value.clone()), saved);
                }
                ValueChange::Gone { key, value } => {
                    self.values.remove(&(key, value));
                }
            }
        }
        if let Some(secrets) = changes.secrets {
            self.writes += 1;
            self.secrets = secrets;
        }
    }

    pub fn read(&self) -> Saved {
        Saved {
            nodes: self.nodes.values().cloned().collect(),
            values: self.values.values().cloned().collect(),
            secrets: self.secrets.clone(),
        }
    }

    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub fn values(&self) -> usize {
        self.values.len()
    }
}
