//! Counters that requests add to and a worker writes to rows, and the sums of
//! what it wrote.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;

/// Hours of which sums are kept apart: 30 days, of which the first began up to
/// a day earlier.
const HOURS: usize = 31 * 24;

/// An hour in milliseconds.
pub const HOUR: Millis = 3_600_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of bodies from origins.
    FromMirrors,
    /// Bytes of bodies from other nodes.
    FromPeers,
    /// Bytes of bodies to other nodes.
    ToPeers,
    /// Bytes to apt clients that were stored before they were asked for.
    ClientsFromCache,
    /// Bytes to apt clients that other nodes sent for this.
    ClientsFromPeers,
    /// Bytes to apt clients that origins sent for this.
    ClientsFromMirrors,
    /// Requests answered from the cache.
    Hits,
    /// Requests that somebody else had to answer.
    Misses,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 8] = [
        Self::FromMirrors,
        Self::FromPeers,
        Self::ToPeers,
        Self::ClientsFromCache,
        Self::ClientsFromPeers,
        Self::ClientsFromMirrors,
        Self::Hits,
        Self::Misses,
    ];

    /// The kind as rows spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FromMirrors => "from_mirrors",
            Self::FromPeers => "from_peers",
            Self::ToPeers => "to_peers",
            Self::ClientsFromCache => "clients_from_cache",
            Self::ClientsFromPeers => "clients_from_peers",
            Self::ClientsFromMirrors => "clients_from_mirrors",
            Self::Hits => "hits",
            Self::Misses => "misses",
        }
    }

    /// The kind that rows spell so.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An amount of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts([u64; Kind::ALL.len()]);

impl Amounts {
    /// That of a kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Adds to one kind.
    pub const fn add(&mut self, kind: Kind, amount: u64) {
        self.0[kind as usize] = self.of(kind).saturating_add(amount);
    }

    /// Adds to all kinds.
    pub fn add_all(&mut self, other: &Self) {
        for kind in Kind::ALL {
            self.add(kind, other.of(kind));
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The hour of a time: hours since 1970.
#[must_use]
pub const fn hour_of(at: Millis) -> i64 {
    at.div_euclid(HOUR)
}

/// Sums, of all time and by the hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Since the database was made.
    pub all: Amounts,
    /// The latest hours in which anything was counted, in hours since 1970.
    pub hours: BTreeMap<i64, Amounts>,
}

impl Sums {
    /// So much was counted in that hour.
    pub fn add(&mut self, hour: i64, amounts: &Amounts) {
        if amounts.is_nothing() {
            return;
        }
        self.all.add_all(amounts);
        self.hours.entry(hour).or_default().add_all(amounts);
        // Not by the clock, which may be wrong for a while.
        while self.hours.len() > HOURS {
            self.hours.pop_first();
        }
    }

    /// What was counted from that hour on, up to before the other.
    #[must_use]
    pub fn between(&self, from: i64, to: i64) -> Amounts {
        let mut sum = Amounts::default();
        if from < to {
            for (_, amounts) in self.hours.range(from..to) {
                sum.add_all(amounts);
            }
        }
        sum
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Meters {
    /// Since it was last written to rows.
    pending: [AtomicU64; Kind::ALL.len()],
    /// What rows have. Amounts move here from `pending` under this lock, so
    /// that whoever reads both misses nothing and counts nothing twice.
    written: Mutex<Sums>,
}

impl Meters {
    /// Takes the sums of rows as they are at the start.
    pub fn load(&self, sums: Sums) {
        *self.rows() = sums;
    }

    /// Adds to a counter.
    pub fn add(&self, kind: Kind, amount: u64) {
        self.pending[kind as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// What waits to be written.
    #[must_use]
    pub fn pending(&self) -> Amounts {
        let mut amounts = Amounts::default();
        for kind in Kind::ALL {
            amounts.add(kind, self.pending[kind as usize].load(Ordering::Relaxed));
        }
        amounts
    }

    /// Notes that these amounts are in rows of that hour now.
    pub fn written(&self, hour: i64, amounts: &Amounts) {
        let mut rows = self.rows();
        rows.add(hour, amounts);
        for kind in Kind::ALL {
            self.pending[kind as usize].fetch_sub(amounts.of(kind), Ordering::Relaxed);
        }
    }

    /// What rows have: a restart goes on from here, however the process ends.
    #[must_use]
    pub fn in_rows(&self) -> Amounts {
        self.rows().all
    }

    /// All that was counted; what waits to be written counts to `hour`.
    #[must_use]
    pub fn sums(&self, hour: i64) -> Sums {
        let rows = self.rows();
        let mut sums = rows.clone();
        sums.add(hour, &self.pending());
        drop(rows);
        sums
    }

    fn rows(&self) -> MutexGuard<'_, Sums> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_moves_and_is_never_counted_twice() {
        let meters = Meters::default();
        meters.add(Kind::Hits, 3);
        let pending = meters.pending();
        meters.add(Kind::Hits, 4);
        let before = meters.sums(10);
        meters.written(9, &pending);
        let after = meters.sums(10);
        assert_eq!(
            (before.all.of(Kind::Hits), after.all.of(Kind::Hits)),
            (7, 7)
        );
        assert_eq!(after.hours[&9].of(Kind::Hits), 3);
        assert_eq!(after.hours[&10].of(Kind::Hits), 4);
        assert_eq!(meters.pending().of(Kind::Hits), 4);
    }

    #[test]
    fn what_a_kill_would_lose_is_not_in_rows() {
        let meters = Meters::default();
        meters.add(Kind::Hits, 3);
        assert_eq!(meters.in_rows(), Amounts::default());
        let pending = meters.pending();
        meters.add(Kind::Hits, 4);
        meters.written(9, &pending);
        assert_eq!(meters.in_rows(), pending);
    }

    #[test]
    fn figures_never_go_back_while_they_are_written() {
        let meters = Meters::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2000 {
                    meters.add(Kind::ToPeers, 1);
                    meters.written(1, &meters.pending());
                }
            });
            let mut last = 0;
            while last < 2000 {
                let now = meters.sums(1).all.of(Kind::ToPeers);
                assert!((last..=2000).contains(&now), "{now} after {last}");
                last = now;
            }
        });
    }

    #[test]
    fn hours_of_long_ago_count_to_the_whole_only() {
        let (mut sums, mut one) = (Sums::default(), Amounts::default());
        one.add(Kind::Misses, 1);
        let hours = i64::try_from(HOURS).unwrap() + 100;
        (0..hours).for_each(|hour| sums.add(hour, &one));
        assert_eq!(sums.hours.len(), HOURS);
        assert_eq!(sums.all.of(Kind::Misses), hours.unsigned_abs());
        assert_eq!(sums.between(hours - 24, hours).of(Kind::Misses), 24);
        assert_eq!(sums.between(hours, hours - 24), Amounts::default());
    }

    #[test]
    fn rows_spell_each_kind_in_one_way() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::of("to_clients"), None);
    }
}
