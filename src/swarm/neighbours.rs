//! The nodes on one link with this one.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::dht::id::NodeId;

/// Neighbours remembered. Whoever is on the link can make up as many as they
/// like: those that were there before stay.
pub const MOST: usize = 256;

/// Addresses of one neighbour.
pub const MOST_ADDRESSES: usize = 4;

/// A node on one link with this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Who it is.
    pub node_id: NodeId,
    /// Where it is reached over HTTP, all on a link of ours.
    pub addresses: Vec<SocketAddr>,
    /// Its UDP port in the DHT, where it has one.
    pub dht: Option<u16>,
}

/// The nodes on one link with this one.
#[derive(Debug, Default)]
pub struct Neighbours {
    nodes: HashMap<NodeId, Neighbour>,
    /// Whether others are listened to.
    pub are_sought: bool,
}

impl Neighbours {
    /// A neighbour is there. Whether that changes what is known.
    pub fn here(&mut self, mut neighbour: Neighbour) -> bool {
        let is_full = self.nodes.len() >= MOST && !self.nodes.contains_key(&neighbour.node_id);
        if is_full || neighbour.addresses.is_empty() {
            return false;
        }
        neighbour.addresses.truncate(MOST_ADDRESSES);
        let before = self.nodes.insert(neighbour.node_id, neighbour.clone());
        before.is_none_or(|before| before != neighbour)
    }

    /// A neighbour left. Whether it was there.
    pub fn gone(&mut self, node_id: &NodeId) -> bool {
        self.nodes.remove(node_id).is_some()
    }

    /// Where a neighbour is reached over HTTP.
    #[must_use]
    pub fn addresses(&self, node_id: &NodeId) -> &[SocketAddr] {
        self.nodes
            .get(node_id)
            .map_or(&[], |known| &known.addresses)
    }

    /// Who asks from this address and says that it is this neighbour: whether
    /// that may be so.
    #[must_use]
    pub fn is(&self, node_id: &NodeId, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.addresses(node_id).iter().any(|at| at.ip() == from)
    }

    /// Everybody with all of their addresses.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, SocketAddr)> + '_ {
        let of = |known: &Neighbour| known.addresses.clone();
        self.nodes
            .iter()
            .flat_map(move |(id, known)| of(known).into_iter().map(|address| (*id, address)))
    }

    /// Where they are in the DHT, one address of each.
    #[must_use]
    pub fn in_dht(&self) -> Vec<SocketAddr> {
        let place =
            |known: &Neighbour| Some(SocketAddr::new(known.addresses.first()?.ip(), known.dht?));
        let mut places: Vec<_> = self.nodes.values().filter_map(place).collect();
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(number: u32, addresses: &[&str]) -> Neighbour {
        Neighbour {
            node_id: NodeId::of_hash(&number.to_be_bytes()),
            addresses: addresses.iter().map(|at| at.parse().unwrap()).collect(),
            dht: Some(7),
        }
    }

    #[test]
    fn who_is_there_is_known_until_it_leaves() {
        let mut neighbours = Neighbours::default();
        let one = neighbour(1, &["10.0.0.1:9977", "[fd00::1]:9977"]);
        assert!(neighbours.here(one.clone()));
        assert!(!neighbours.here(one.clone()), "that is nothing new");
        assert_eq!(neighbours.addresses(&one.node_id), one.addresses);
        assert_eq!(neighbours.in_dht(), ["10.0.0.1:7".parse().unwrap()]);
        let is = |from: &str| neighbours.is(&one.node_id, from.parse().unwrap());
        assert!(is("10.0.0.1") && is("::ffff:10.0.0.1") && is("fd00::1"));
        assert!(!is("10.0.0.2"));
        assert!(!neighbours.is(&NodeId([9; 20]), "10.0.0.1".parse().unwrap()));
        assert!(neighbours.gone(&one.node_id));
        assert!(!neighbours.gone(&one.node_id));
        assert_eq!(neighbours.all().count(), 0);
    }

    #[test]
    fn who_moves_is_known_at_its_new_place_alone() {
        let mut neighbours = Neighbours::default();
        neighbours.here(neighbour(1, &["10.0.0.1:1"]));
        neighbours.here(neighbour(1, &["10.0.0.2:2"]));
        let all: Vec<_> = neighbours.all().map(|(_, address)| address).collect();
        assert_eq!(all, ["10.0.0.2:2".parse().unwrap()]);
        assert!(!neighbours.here(neighbour(2, &[])));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_who_was_there_stays() {
        let mut neighbours = Neighbours::default();
        let many = ["10.0.0.1:1"; 100];
        for number in 0..1000 {
            neighbours.here(neighbour(number, &many));
        }
        assert_eq!(neighbours.all().count(), MOST * MOST_ADDRESSES);
        assert!(!neighbours.addresses(&neighbour(0, &[]).node_id).is_empty());
        assert!(neighbours.here(neighbour(0, &["10.0.0.3:1"])));
    }
}
