//! Questions for published values, and how long their answers take.

use aptmesh::clock::Millis;
use aptmesh::dht::id::Key;

use crate::network::{Fate, Reach, Trace};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    pub reach: Reach,
    /// It joined a minute ago.
    pub is_fresh: bool,
}

/// One question.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub asker: Asker,
    pub key: Key,
    pub value: Vec<u8>,
    pub since: Millis,
    /// When the value was in hand, after so long.
    pub first: Option<Millis>,
    pub complete: Option<Millis>,
    pub trace: Trace,
}

impl Lookup {
    pub fn new(asker: Asker, key: Key, value: Vec<u8>, since: Millis) -> Self {
        Self {
            asker,
            key,
            value,
            since,
            first: None,
            complete: None,
            trace: Trace::default(),
        }
    }

    pub fn values(&mut self, values: &[Vec<u8>], at: Millis) {
        if self.first.is_none() && values.contains(&self.value) {
            self.first = Some(at - self.since);
        }
    }
}

/// Of some lookups, how long they took in milliseconds. One that found nothing counts as endless.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub count: usize,
    /// Share of them that found what was published.
    pub found: f64,
    pub first_median: f64,
    pub first_p99: f64,
    pub complete_median: f64,
    pub complete_p99: f64,
}

fn quantile(times: &mut [Option<Millis>], share: f64) -> f64 {
    times.sort_by_key(|time| time.unwrap_or(Millis::MAX));
    let at = (times.len() as f64 * share) as usize;
    times.get(at).map_or(f64::NAN, |time| {
        time.map_or(f64::INFINITY, |time| time as f64)
    })
}

impl Times {
    pub fn of<'a>(lookups: impl Iterator<Item = &'a Lookup>) -> Self {
        let (mut first, mut complete): (Vec<_>, Vec<_>) = lookups
            .map(|lookup| (lookup.first, lookup.complete))
            .unzip();
        let found = first.iter().filter(|time| time.is_some()).count();
        Self {
            count: first.len(),
            found: found as f64 / first.len() as f64,
            first_median: quantile(&mut first, 0.5),
            first_p99: quantile(&mut first, 0.99),
            complete_median: quantile(&mut complete, 0.5),
            complete_p99: quantile(&mut complete, 0.99),
        }
    }
}

/// What lookups cost, a lookup.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    pub queries: f64,
    pub packets: f64,
    /// Share of the packets that came to nobody.
    pub to_nobody: f64,
    /// Share of the packets that a NAT dropped.
    pub filtered: f64,
}

impl Costs {
    pub fn of<'a>(lookups: impl Iterator<Item = &'a Lookup>) -> Self {
        let (mut count, mut queries, mut packets) = (0, 0, [0; 4]);
        for Lookup { trace, .. } in lookups {
            count += 1;
            queries += trace.queries();
            for fate in Fate::ALL {
                packets[fate as usize] += trace.packets(fate);
            }
        }
        let (count, all) = (f64::from(count), packets.iter().sum::<u64>() as f64);
        Self {
            queries: queries as f64 / count,
            packets: all / count,
            to_nobody: packets[Fate::Nobody as usize] as f64 / all,
            filtered: packets[Fate::Filtered as usize] as f64 / all,
        }
    }
}
