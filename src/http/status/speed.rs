//! How fast downloads come in: what whoever looked before saw is remembered,
//! so that all who look see the speed of the last seconds.

use std::collections::{HashMap, VecDeque};

use crate::clock::Millis;

/// Between two samples of a download.
const EVERY: Millis = 1000;

/// The speed is that of so long a time, where there are samples of it.
const SPAN: Millis = 5000;

/// Samples of before tell nothing of the speed now.
const STALE: Millis = 2 * SPAN;

/// A download under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Its address.
    pub path: &'a str,
    /// When it began. Times are milliseconds of a clock that nobody sets.
    pub opened: Millis,
    /// Bytes that are here.
    pub done: u64,
}

#[derive(Debug)]
struct Seen {
    opened: Millis,
    /// When, and how much was here; the earliest first.
    samples: VecDeque<(Millis, u64)>,
}

/// What was seen of downloads under way.
#[derive(Debug, Default)]
pub struct Speeds(HashMap<String, Seen>);

impl Speeds {
    /// How fast these downloads, which are all there are, come in at `now`, in
    /// bytes a second. Where nobody looked in the last seconds it is the average
    /// since they began.
    pub fn look(&mut self, downloads: &[Progress<'_>], now: Millis) -> Vec<u64> {
        let mut before = std::mem::take(&mut self.0);
        downloads
            .iter()
            .map(|download| {
                let is_same = |seen: &Seen| seen.opened == download.opened;
                let seen = before.remove(download.path).filter(is_same);
                let mut seen = seen.unwrap_or_else(|| Seen {
                    opened: download.opened,
                    samples: VecDeque::from([(now, download.done)]),
                });
                let speed = seen.look(download.done, now);
                self.0.insert(download.path.to_owned(), seen);
                speed
            })
            .collect()
    }
}

impl Seen {
    fn look(&mut self, done: u64, now: Millis) -> u64 {
        while self.samples.front().is_some_and(|(at, _)| at + STALE < now) {
            self.samples.pop_front();
        }
        let second = |seen: &Self| seen.samples.get(1).map(|(at, _)| *at);
        while second(self).is_some_and(|at| at + SPAN <= now) {
            self.samples.pop_front();
        }
        let speed = match self.samples.front() {
            Some((at, before)) if at + EVERY <= now => rate(done.saturating_sub(*before), now - at),
            _ => rate(done, now - self.opened),
        };
        if self.samples.back().is_none_or(|(at, _)| at + EVERY <= now) {
            self.samples.push_back((now, done));
        }
        speed
    }
}

fn rate(bytes: u64, time: Millis) -> u64 {
    let time = u64::try_from(time).unwrap_or(0).max(1);
    bytes.saturating_mul(1000) / time
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(speeds: &mut Speeds, opened: Millis, done: u64, now: Millis) -> u64 {
        let path = "http://o/a.deb";
        speeds.look(&[Progress { path, opened, done }], now)[0]
    }

    #[test]
    fn first_it_is_the_average_and_then_the_speed_of_the_last_seconds() {
        let mut speeds = Speeds::default();
        assert_eq!(look(&mut speeds, 0, 0, 0), 0);
        assert_eq!(look(&mut speeds, 0, 500, 500), 1000);
        assert_eq!(look(&mut speeds, 0, 1000, 1000), 1000);
        // From here on ten times as fast.
        let mut speed = 0;
        for second in 2..20_u64 {
            speed = look(
                &mut speeds,
                0,
                1000 + (second - 1) * 10_000,
                1000 * second.cast_signed(),
            );
        }
        assert_eq!(speed, 10_000);
        // It stalls.
        let stalled = (20..30).map(|second| look(&mut speeds, 0, 181_000, 1000 * second));
        assert_eq!(stalled.last(), Some(0));
    }

    #[test]
    fn who_looks_often_sees_what_who_looks_seldom_sees() {
        let mut speeds = Speeds::default();
        for at in 0..200_i64 {
            assert_eq!(
                look(&mut speeds, -100, 2 * at.cast_unsigned() + 200, at),
                2000
            );
        }
        assert_eq!(look(&mut speeds, -100, 60_200, 30_000), 2000);
    }

    #[test]
    fn another_download_of_the_same_address_starts_anew() {
        let mut speeds = Speeds::default();
        look(&mut speeds, 0, 1_000_000, 1000);
        assert_eq!(look(&mut speeds, 2000, 1000, 3000), 1000);
        assert!(speeds.look(&[], 3000).is_empty());
        assert!(speeds.0.is_empty());
    }

    #[test]
    fn what_was_seen_long_ago_does_not_slow_the_speed_of_now() {
        let mut speeds = Speeds::default();
        let hour = 3_600_000;
        assert_eq!(look(&mut speeds, 0, 0, 1000), 0);
        // Nothing came for an hour, and nobody looked. Then it comes in.
        look(&mut speeds, 0, 0, hour);
        assert_eq!(look(&mut speeds, 0, 50_000, hour + 1000), 50_000);
    }

    #[test]
    fn who_knows_less_of_a_download_is_told_of_the_same_one() {
        let mut speeds = Speeds::default();
        for second in 0..=5 {
            let done = 1_000_000 + 1000 * i64::cast_unsigned(second);
            look(&mut speeds, 0, done, 1000 * second);
        }
        look(&mut speeds, 0, 1_004_990, 5001);
        assert_eq!(look(&mut speeds, 0, 1_006_000, 6000), 1000);
    }

    proptest! {
        #[test]
        fn a_steady_download_has_one_speed_however_it_is_looked_at(
            pauses in proptest::collection::vec(1..4000_i64, 1..50)
        ) {
            let (mut speeds, mut now) = (Speeds::default(), 0);
            for pause in pauses {
                now += pause;
                let done = u64::try_from(now * 7).unwrap();
                prop_assert_eq!(look(&mut speeds, 0, done, now), 7000);
                prop_assert!(speeds.0.values().all(|seen| seen.samples.len() < 8));
            }
        }
    }
}
