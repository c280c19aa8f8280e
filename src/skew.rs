//! How far this machine's clock is from what origins say the time is.
//!
//! Kept is what the origins' clocks said when the machine had been up for so
//! long, so that the answer is right again at the moment that somebody sets the
//! clock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Millis, millis};

/// Origins remembered.
const KEPT: usize = 64;

/// What an origin said counts for so long.
const FRESH: Millis = 24 * 3600 * 1000;

/// For so long the latest time that an origin told stands against earlier ones:
/// a cache on the way that does not say how old its answer is only ever makes
/// it earlier.
const BEST: Millis = 3600 * 1000;

/// An answer that is older, in seconds, tells nothing.
const OLDEST: u64 = 365 * 24 * 3600;

/// What an origin's clock said.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// The time that its clock showed when the machine came up.
    at_boot: Millis,
    /// How long the machine was up then.
    uptime: Millis,
}

/// What is known of origins' clocks.
#[derive(Debug, Default)]
pub struct Skew(Mutex<HashMap<String, Told>>);

impl Skew {
    fn told(&self) -> MutexGuard<'_, HashMap<String, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer came from an origin, with these values of the fields `Date`
    /// and `Age`: the time at which it was made (RFC 9110 §6.6.1), and how
    /// many seconds ago that is where caches handed it on (RFC 9111 §5.1).
    /// `uptime` is the time since the machine came up, suspensions included.
    pub fn heard(&self, origin: &str, date: &str, age: Option<&str>, uptime: Millis) {
        let Ok(date) = httpdate::parse_http_date(date) else {
            return;
        };
        let age = age.map_or(Some(0), |age| age.trim().parse().ok());
        let age = age.filter(|age| *age <= OLDEST).map(Duration::from_secs);
        let Some(time) = age.and_then(|age| date.checked_add(age)) else {
            return;
        };
        // The field tells whole seconds: half of one is cut off on average.
        let new = Told {
            at_boot: crate::clock::to_millis(time) + 500 - uptime,
            uptime,
        };
        let mut told = self.told();
        if let Some(before) = told.get_mut(origin) {
            if new.at_boot >= before.at_boot || uptime - before.uptime > BEST {
                *before = new;
            }
            return;
        }
        if told.len() >= KEPT {
            let oldest = told.iter().min_by_key(|(_, told)| told.uptime);
            if let Some(oldest) = oldest.map(|(origin, _)| origin.clone()) {
                told.remove(&oldest);
            }
        }
        told.insert(origin.to_owned(), new);
    }

    /// How far the clock that says `now` is ahead of those of the origins, in
    /// milliseconds, less than 0 where it is behind: the median. `None` where
    /// no origin told the time in the last day.
    #[must_use]
    pub fn ahead(&self, now: Millis, uptime: Millis) -> Option<Millis> {
        let told = self.told();
        let fresh = told.values().filter(|told| uptime - told.uptime < FRESH);
        let mut ahead: Vec<_> = fresh.map(|told| now - uptime - told.at_boot).collect();
        ahead.sort_unstable();
        let middle = ahead.len() / 2;
        let high = *ahead.get(middle)?;
        let low = *ahead.get((ahead.len() - 1) / 2)?;
        Some(low + (high - low) / 2)
    }
}

/// A clock that is wrong by less is right enough: nobody's Release is of so
/// short a life.
pub const TOLERATED: Duration = Duration::from_mins(5);

/// Whether a clock that is so far ahead, or behind, is wrong.
#[must_use]
pub fn is_wrong(ahead: Millis) -> bool {
    ahead.unsigned_abs() > millis(TOLERATED).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = 3600 * 1000;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const THEN: Millis = 784_111_777_000;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn the_clock_is_compared_with_date_and_age() {
        let skew = Skew::default();
        assert_eq!(skew.ahead(THEN, 0), None);
        skew.heard("http://o", DATE, None, 1000);
        assert_eq!(skew.ahead(THEN + 500, 1000), Some(0));
        assert_eq!(skew.ahead(THEN + 500 + HOUR, 1000), Some(HOUR));
        assert_eq!(skew.ahead(THEN + 500 - HOUR, 1000), Some(-HOUR));
        skew.heard("http://p", DATE, Some("3600"), 1000);
        skew.heard("http://q", DATE, Some(" 3600"), 1000);
        assert_eq!(skew.ahead(THEN + 500 + HOUR, 1000), Some(0));
    }

    #[test]
    fn a_clock_that_is_set_right_is_right_at_once() {
        let skew = Skew::default();
        skew.heard("http://o", DATE, None, 1000);
        // Ten minutes later.
        let uptime = 1000 + 600_000;
        assert_eq!(skew.ahead(THEN + 500 + HOUR, uptime), Some(HOUR - 600_000));
        assert_eq!(skew.ahead(THEN + 500 + 600_000, uptime), Some(0));
    }

    #[test]
    fn a_cache_that_hides_its_age_makes_no_clock_wrong() {
        let skew = Skew::default();
        skew.heard("http://o", DATE, None, 0);
        skew.heard("http://o", DATE, None, HOUR);
        assert_eq!(skew.ahead(THEN + 500 + HOUR, HOUR), Some(0));
        // But the origin's own clock may have been set back.
        skew.heard("http://o", DATE, None, HOUR + 1);
        assert_eq!(skew.ahead(THEN + 500 + HOUR + 1, HOUR + 1), Some(HOUR + 1));
    }

    #[test]
    fn one_origin_that_is_wrong_is_outvoted_and_forgotten() {
        let skew = Skew::default();
        skew.heard("http://liar", "Mon, 07 Nov 1994 08:49:37 GMT", None, 0);
        skew.heard("http://o", DATE, None, 0);
        skew.heard("http://p", DATE, None, 0);
        assert_eq!(skew.ahead(THEN + 500, 0), Some(0));
        assert_eq!(skew.ahead(THEN + 500 + FRESH, FRESH), None);
        for name in 0..1000 {
            skew.heard(&format!("http://{name}"), DATE, None, 1);
        }
        assert_eq!(skew.told().len(), KEPT);
    }

    #[test]
    fn what_is_no_date_says_nothing() {
        let skew = Skew::default();
        skew.heard("http://o", "yesterday", None, 0);
        skew.heard("http://o", DATE, Some("-1"), 0);
        skew.heard("http://o", DATE, Some("18446744073709551615"), 0);
        assert_eq!(skew.ahead(THEN, 0), None);
    }

    #[test]
    fn five_minutes_are_tolerated() {
        assert!(!is_wrong(300_000) && !is_wrong(-300_000));
        assert!(is_wrong(300_001) && is_wrong(-300_001) && is_wrong(Millis::MIN));
    }
}
