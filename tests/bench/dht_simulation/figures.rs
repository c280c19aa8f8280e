//! What one network gave.

use std::time::Duration;

use crate::lookups::{Costs, Lookup, Times};
use crate::network::{Count, Fate, Message, Reach};
use crate::probes::Survival;
use crate::traffic::Rates;

/// Of a network of `nodes`.
pub struct Figures {
    pub nodes: usize,
    /// Questions of all who had been there for a while,
    pub settled: Times,
    /// of those of them that can be reached,
    pub open: Times,
    /// and of those behind NATs.
    pub natted: Times,
    /// Questions of those who had been there for a minute.
    pub fresh: Times,
    pub survival: Survival,
    pub rates: Rates,
    pub details: Details,
}

/// Where the figures come from.
pub struct Details {
    pub settled: Costs,
    pub fresh: Costs,
    /// Packets and bytes while the network idled, a second and node, by what they are and what became of them.
    pub traffic: Vec<(Message, Fate, Count)>,
    pub idle_seconds: f64,
    /// Announcements that ended while the network idled, and at how many nodes they were stored.
    pub announcements: usize,
    pub copies: f64,
    /// Nodes that were known and confirmed, and values kept, at the end, on average.
    pub known: f64,
    pub confirmed: f64,
    pub values: f64,
    pub estimated: f64,
    pub restless: u64,
    pub longest: usize,
    pub took: Duration,
}

/// Times and costs of the lookups of a kind.
pub fn times(lookups: &[Lookup], reach: Option<Reach>, is_fresh: bool) -> Times {
    Times::of(lookups.iter().filter(|lookup| {
        lookup.asker.is_fresh == is_fresh && reach.is_none_or(|reach| lookup.asker.reach == reach)
    }))
}

pub fn costs(lookups: &[Lookup], is_fresh: bool) -> Costs {
    Costs::of(
        lookups
            .iter()
            .filter(|lookup| lookup.asker.is_fresh == is_fresh),
    )
}
