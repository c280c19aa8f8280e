//! Bytes and times, for the status.

use std::collections::VecDeque;

use crate::clock::Millis;

/// Over how long bytes a second are averaged.
const WINDOW: Millis = 60_000;

/// Into how many parts that is cut.
const SLOTS: Millis = 12;

/// Lookups remembered.
const LOOKUPS: usize = 64;

/// Bytes of one direction: all, and lately.
#[derive(Debug, Default)]
pub struct Meter {
    total: u64,
    since: Option<Millis>,
    slots: VecDeque<(Millis, u64)>,
}

impl Meter {
    /// Counts bytes.
    pub fn count(&mut self, bytes: usize, now: Millis) {
        let (bytes, slot) = (bytes as u64, now / (WINDOW / SLOTS));
        self.total += bytes;
        self.since.get_or_insert(now);
        match self.slots.back_mut() {
            Some((last, sum)) if *last == slot => *sum += bytes,
            _ => self.slots.push_back((slot, bytes)),
        }
        while self
            .slots
            .front()
            .is_some_and(|(first, _)| *first <= slot - SLOTS)
        {
            self.slots.pop_front();
        }
    }

    /// All bytes so far.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Bytes a second in the last minute.
    #[must_use]
    pub fn rate(&self, now: Millis) -> u64 {
        let slot = now / (WINDOW / SLOTS);
        let lately = self.slots.iter().filter(|(at, _)| *at > slot - SLOTS);
        let sum: u64 = lately.map(|(_, sum)| sum).sum();
        let span = (now - self.since.unwrap_or(now)).clamp(1000, WINDOW);
        sum * 1000 / span.unsigned_abs()
    }
}

/// The latest of some durations, in milliseconds.
#[derive(Debug, Default)]
pub struct Durations(VecDeque<Millis>);

impl Durations {
    /// Adds one.
    pub fn add(&mut self, duration: Millis) {
        if self.0.len() == LOOKUPS {
            self.0.pop_front();
        }
        self.0.push_back(duration);
    }

    /// The one in the middle; `None` before the first.
    #[must_use]
    pub fn median(&self) -> Option<Millis> {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_minute() {
        let mut meter = Meter::default();
        meter.count(6000, 0);
        assert_eq!(meter.rate(10_000), 600);
        assert_eq!(meter.rate(120_000), 0);
        meter.count(600, 121_000);
        assert_eq!(meter.rate(121_500), 10);
        assert_eq!(meter.total(), 6600);
    }

    #[test]
    fn the_median_is_of_the_latest() {
        let mut durations = Durations::default();
        assert_eq!(durations.median(), None);
        for duration in 0..1000 {
            durations.add(duration);
        }
        assert_eq!(durations.median(), Some(968));
    }
}
