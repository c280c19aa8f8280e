//! As whom others see us: what `join` answers said, by majority.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::contact::{Family, network_of, usable};
use crate::clock::Millis;

/// Votes kept of each family: few, so that a new address is soon the majority's.
const VOTES: usize = 5;

/// Votes that an address needs, where so many nodes are known.
const ENOUGH: usize = 3;

/// A vote counts for so long.
const FRESH: Millis = 150 * 60 * 1000;

#[derive(Debug, Clone, Copy)]
struct Vote {
    voter: Voter,
    seen: SocketAddr,
    at: Millis,
}

/// Who has one vote: a network, for somebody may own all of its addresses. On a
/// private one, each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voter {
    Network(IpAddr),
    Node(SocketAddr),
}

impl Voter {
    fn of(addr: &SocketAddr) -> Self {
        if usable(addr, false) {
            Self::Network(network_of(addr.ip()))
        } else {
            Self::Node(*addr)
        }
    }
}

/// Votes of both address families.
#[derive(Debug, Default)]
pub struct External {
    votes: [VecDeque<Vote>; 2],
}

impl External {
    /// A node answered `join`. A voter's latest vote counts.
    pub fn vote(&mut self, from: &SocketAddr, seen: SocketAddr, now: Millis) {
        let family = Family::of(from);
        if Family::of(&seen) != family {
            return;
        }
        let ballot = &mut self.votes[family as usize];
        let voter = Voter::of(from);
        ballot.retain(|vote| vote.voter != voter);
        ballot.push_back(Vote {
            voter,
            seen,
            at: now,
        });
        if ballot.len() > VOTES {
            ballot.pop_front();
        }
    }

    /// Forgets votes of long ago.
    pub fn forget_old(&mut self, now: Millis) {
        for ballot in &mut self.votes {
            ballot.retain(|vote| vote.at + FRESH > now);
        }
    }

    /// The address that more than half of the voters of a family saw. `known`
    /// nodes of that family could vote: where they are several, the first to
    /// tell does not decide alone.
    #[must_use]
    pub fn address(&self, family: Family, known: usize) -> Option<IpAddr> {
        let ballot = &self.votes[family as usize];
        if ballot.len() < ENOUGH.min(known) {
            return None;
        }
        let seen = ballot.iter().map(|vote| vote.seen.ip());
        seen.clone()
            .find(|ip| seen.clone().filter(|other| other == ip).count() * 2 > ballot.len())
    }

    /// How many more votes are worth asking for.
    #[must_use]
    pub fn wanted_votes(&self, family: Family) -> usize {
        ENOUGH.saturating_sub(self.votes[family as usize].len())
    }

    /// Whether this node, or another of its network, has voted.
    #[must_use]
    pub fn has_vote_of(&self, addr: &SocketAddr) -> bool {
        let voter = Voter::of(addr);
        let mut ballot = self.votes[Family::of(addr) as usize].iter();
        ballot.any(|vote| vote.voter == voter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_liar_is_outvoted_and_has_one_vote() {
        let mut external = External::default();
        assert_eq!(external.address(Family::V4, 9), None);
        external.vote(&addr("8.8.1.1:1"), addr("9.9.9.5:9977"), 0);
        external.vote(&addr("8.8.2.2:1"), addr("9.9.9.5:7"), 0);
        for port in 1..100 {
            let liar = SocketAddr::new("8.8.3.1".parse().unwrap(), port);
            external.vote(&liar, addr("1.1.1.1:9977"), 0);
        }
        let seen = Some("9.9.9.5".parse().unwrap());
        assert_eq!(external.address(Family::V4, 9), seen);
        assert_eq!(external.address(Family::V6, 9), None);
    }

    #[test]
    fn without_a_majority_there_is_no_address() {
        let mut external = External::default();
        external.vote(&addr("8.8.1.1:1"), addr("9.9.9.5:1"), 0);
        external.vote(&addr("8.8.2.2:1"), addr("9.9.9.6:1"), 0);
        assert_eq!(external.address(Family::V4, 2), None);
    }

    #[test]
    fn one_decides_alone_only_where_it_is_the_only_one() {
        let mut external = External::default();
        external.vote(&addr("8.8.1.1:1"), addr("1.1.1.1:1"), 0);
        assert_eq!(external.address(Family::V4, 2), None);
        assert!(external.address(Family::V4, 1).is_some());
        assert_eq!(external.wanted_votes(Family::V4), 2);
        assert!(external.has_vote_of(&addr("8.8.1.1:77")));
        assert!(!external.has_vote_of(&addr("8.8.1.2:77")));
    }

    #[test]
    fn a_new_address_is_believed_after_three_votes() {
        let mut external = External::default();
        for voter in 1..=5 {
            external.vote(&addr(&format!("8.8.{voter}.1:1")), addr("9.9.9.5:1"), 0);
        }
        for voter in 6..=8 {
            external.vote(&addr(&format!("8.8.{voter}.1:1")), addr("9.9.9.6:1"), 9);
        }
        let seen = Some("9.9.9.6".parse().unwrap());
        assert_eq!(external.address(Family::V4, 30), seen);
        external.forget_old(FRESH);
        assert_eq!(external.votes[0].len(), 3);
    }

    #[test]
    fn on_a_private_network_each_node_has_a_vote() {
        let mut external = External::default();
        for port in 1..=3 {
            external.vote(
                &SocketAddr::new("127.0.0.1".parse().unwrap(), port),
                addr("127.0.0.1:9"),
                0,
            );
        }
        assert_eq!(external.wanted_votes(Family::V4), 0);
    }
}
