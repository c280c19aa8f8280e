//! As whom others see us: what `join` answers said, by majority.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::contact::{Family, network_of};

/// Votes kept of each family.
const VOTES: usize = 16;

/// Votes after which no more are asked for in haste.
const ENOUGH: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Vote {
    voter: IpAddr,
    seen: SocketAddr,
}

/// Votes of one address family.
#[derive(Debug, Default)]
pub struct External {
    votes: [VecDeque<Vote>; 2],
}

impl External {
    /// A node answered `join`. A network has one vote, its latest.
    pub fn vote(&mut self, from: &SocketAddr, seen: SocketAddr) {
        let family = Family::of(from);
        if Family::of(&seen) != family {
            return;
        }
        let ballot = &mut self.votes[family as usize];
        let voter = network_of(from.ip());
        ballot.retain(|vote| vote.voter != voter);
        ballot.push_back(Vote { voter, seen });
        if ballot.len() > VOTES {
            ballot.pop_front();
        }
    }

    /// The address that more than half of the voters of a family saw.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        let votes = &self.votes[family as usize];
        let seen = votes.iter().map(|vote| vote.seen.ip());
        seen.clone()
            .find(|ip| seen.clone().filter(|other| other == ip).count() * 2 > votes.len())
    }

    /// Whether a few more votes are worth asking for.
    #[must_use]
    pub fn wants_votes(&self, family: Family) -> bool {
        self.votes[family as usize].len() < ENOUGH
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
        assert_eq!(external.address(Family::V4), None);
        external.vote(&addr("192.0.2.1:1"), addr("203.0.113.5:9977"));
        external.vote(&addr("192.0.2.2:1"), addr("203.0.113.5:7"));
        for port in 1..100 {
            let liar = SocketAddr::new("198.51.100.1".parse().unwrap(), port);
            external.vote(&liar, addr("198.51.100.99:9977"));
        }
        assert_eq!(
            external.address(Family::V4),
            Some("203.0.113.5".parse().unwrap())
        );
        assert_eq!(external.address(Family::V6), None);
    }

    #[test]
    fn without_a_majority_there_is_no_address() {
        let mut external = External::default();
        external.vote(&addr("192.0.2.1:1"), addr("203.0.113.5:1"));
        external.vote(&addr("192.0.2.2:1"), addr("203.0.113.6:1"));
        assert_eq!(external.address(Family::V4), None);
    }
}
