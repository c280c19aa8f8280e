//! Whom this node was told of, and by which name.

use std::collections::HashMap;
use std::net::SocketAddr;

use mdns_sd::ResolvedService;

use super::News;
use super::links::Links;
use crate::debian::naming::from_hex;
use crate::dht::id::NodeId;
use crate::swarm::neighbours::{MOST, MOST_ADDRESSES, Neighbour};

/// Whom was heard of.
pub(super) struct Known {
    own: NodeId,
    names: HashMap<String, Claim>,
    /// Claims so far.
    count: u64,
}

/// What is said under one name. Anybody on the link can say that they are
/// anybody, so that what one name says does not displace what another does.
struct Claim {
    /// Its place among all.
    number: u64,
    says: Neighbour,
}

impl Known {
    pub(super) fn new(own: NodeId) -> Self {
        Self {
            own,
            names: HashMap::new(),
            count: 0,
        }
    }

    /// What becomes of neighbours by what a name says now.
    pub(super) fn resolved(&mut self, service: &ResolvedService, links: &Links) -> Vec<News> {
        let name = &service.fullname;
        let Some(says) = self.read(service, links) else {
            return self.removed(name).into_iter().collect();
        };
        let before = self.names.get(name);
        if before.is_none() && self.names.len() >= MOST {
            return Vec::new();
        }
        let id = says.node_id;
        let before = before.map(|claim| (claim.number, claim.says.node_id));
        let number = match before {
            Some((number, same)) if same == id => number,
            _ => {
                self.count += 1;
                self.count
            }
        };
        self.names.insert(name.clone(), Claim { number, says });
        let left = before.filter(|(_, other)| *other != id);
        let left = left.map(|(_, other)| self.news_of(other));
        left.into_iter().chain([self.news_of(id)]).collect()
    }

    /// What becomes of a neighbour when a name is gone.
    pub(super) fn removed(&mut self, name: &str) -> Option<News> {
        let claim = self.names.remove(name)?;
        Some(self.news_of(claim.says.node_id))
    }

    /// The neighbour that a service is, if it is one of use.
    fn read(&self, service: &ResolvedService, links: &Links) -> Option<Neighbour> {
        let text = |name| service.txt_properties.get_property_val_str(name);
        let node_id = NodeId(from_hex(text("id")?)?);
        let mut addresses: Vec<_> = (service.addresses.iter())
            .filter(|scoped| links.have(scoped))
            .map(|scoped| SocketAddr::new(scoped.to_ip_addr(), service.port))
            .collect();
        if node_id == self.own || addresses.is_empty() || service.port == 0 {
            return None;
        }
        // IPv4 first: it is what works on most links.
        addresses.sort_unstable();
        addresses.truncate(MOST_ADDRESSES);
        Some(Neighbour {
            node_id,
            addresses,
            dht: text("dht")
                .and_then(|port| port.parse().ok())
                .filter(|port| *port != 0),
        })
    }

    /// What all names together say of a node: one address of each in turn, who
    /// came first first.
    fn news_of(&self, id: NodeId) -> News {
        let all = self.names.values().filter(|claim| claim.says.node_id == id);
        let mut claims: Vec<_> = all.collect();
        claims.sort_unstable_by_key(|claim| claim.number);
        let Some(first) = claims.first() else {
            return News::Gone(id);
        };
        let mut addresses = Vec::new();
        for turn in 0..MOST_ADDRESSES {
            for address in claims.iter().filter_map(|it| it.says.addresses.get(turn)) {
                if !addresses.contains(address) {
                    addresses.push(*address);
                }
            }
        }
        addresses.truncate(MOST_ADDRESSES);
        News::Here(Neighbour {
            node_id: id,
            addresses,
            dht: first.says.dht,
        })
    }
}

#[cfg(test)]
mod tests;
