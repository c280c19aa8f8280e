//! How far this machine's clock is from what origins say the time is.
//!
//! Kept is what the origins' clocks said when the machine had been up for so
//! long. That clock stands still while a virtual machine is paused, and what
//! was heard before is forgotten when the machine's own clock is set: what
//! origins say from then on is compared with the right one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Millis, millis};

/// Origins remembered.
const KEPT: usize = 64;

/// What an origin said counts for so long. For as long the latest time that it
/// told stands against others: a cache on the way that does not say how old
/// its answer is only ever makes it earlier.
const FRESH: Millis = 24 * 3600 * 1000;

/// An answer that caches held for longer, in seconds, tells nothing: some keep
/// its `Date`, others make it that of the moment at which they hand it on.
const OLDEST: u64 = 60;

/// The machine's clock was set where it goes so far from the time since the
/// machine came up; NTP's steady hand takes hours for it.
const STEP: Millis = 60 * 1000;

/// What an origin's clock said.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// The time that its clock showed when the machine came up.
    at_boot: Millis,
    /// How long the machine was up then.
    uptime: Millis,
}

#[derive(Debug, Default)]
struct Heard {
    told: HashMap<String, Told>,
    /// The time that the machine's clock showed when it came up, as seen last.
    own_at_boot: Millis,
}

/// What is known of origins' clocks.
#[derive(Debug, Default)]
pub struct Skew(Mutex<Heard>);

impl Skew {
    /// What was heard since the machine's clock, which says `now`, was set.
    fn heard_since_set(&self, now: Millis, uptime: Millis) -> MutexGuard<'_, Heard> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own_at_boot = now.saturating_sub(uptime);
        if own_at_boot.abs_diff(heard.own_at_boot) > STEP.unsigned_abs() {
            heard.told.clear();
        }
        heard.own_at_boot = own_at_boot;
        heard
    }

    /// An answer came from an origin, with these values of the fields `Date`
    /// and `Age`: the time at which it was made (RFC 9110 §6.6.1), and how
    /// many seconds ago that is where caches handed it on (RFC 9111 §5.1).
    /// The machine's clock says `now`, and it has been up for `uptime`,
    /// suspensions included.
    pub fn heard(
        &self,
        origin: &str,
        (date, age): (&str, Option<&str>),
        now: Millis,
        uptime: Millis,
    ) {
        let is_fresh = |age: &str| age.trim().parse().is_ok_and(|age: u64| age <= OLDEST);
        let Ok(date) = httpdate::parse_http_date(date) else {
            return;
        };
        if !age.is_none_or(is_fresh) {
            return;
        }
        // The field tells whole seconds: half of one is cut off on average.
        let new = Told {
            at_boot: crate::clock::to_millis(date) + 500 - uptime,
            uptime,
        };
        let told = &mut self.heard_since_set(now, uptime).told;
        if let Some(before) = told.get_mut(origin) {
            if new.at_boot >= before.at_boot || uptime - before.uptime > FRESH {
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
    /// milliseconds, less than 0 where it is behind: the median, and of two in
    /// the middle the one that speaks for it. `None` where no origin told the
    /// time in the last day and since the clock was set.
    #[must_use]
    pub fn ahead(&self, now: Millis, uptime: Millis) -> Option<Millis> {
        let heard = self.heard_since_set(now, uptime);
        let told = heard.told.values();
        let fresh = told.filter(|told| uptime - told.uptime < FRESH);
        let mut ahead: Vec<_> = fresh.map(|told| now - uptime - told.at_boot).collect();
        ahead.sort_unstable();
        let high = *ahead.get(ahead.len() / 2)?;
        let low = *ahead.get((ahead.len() - 1) / 2)?;
        Some(if low.unsigned_abs() < high.unsigned_abs() {
            low
        } else {
            high
        })
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

    /// Sun, 06 Nov 1994 08:49:37 GMT, and the half second that it stands for.
    const THEN: Millis = 784_111_777_500;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEXT_DAY: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    /// Heard by a machine whose clock is so far ahead of the time `THEN` and
    /// that came up right then.
    fn hear(skew: &Skew, origin: &str, date: &str, ahead: Millis) {
        skew.heard(origin, (date, None), THEN + ahead, 0);
    }

    #[test]
    fn the_clock_is_compared_with_date() {
        for ahead in [0, HOUR, -HOUR] {
            let skew = Skew::default();
            assert_eq!(skew.ahead(THEN + ahead, 0), None);
            hear(&skew, "http://o", DATE, ahead);
            assert_eq!(skew.ahead(THEN + ahead, 0), Some(ahead));
            assert_eq!(skew.ahead(THEN + ahead + 7, 7), Some(ahead));
        }
    }

    #[test]
    fn what_caches_held_for_long_tells_nothing() {
        let skew = Skew::default();
        // One cache makes the date that of the moment, another one keeps it.
        skew.heard("http://o", (DATE, Some("885814")), THEN, 0);
        skew.heard("http://p", (DATE, Some(" 61")), THEN + 61_000, 61_000);
        assert_eq!(skew.ahead(THEN + 61_000, 61_000), None);
        skew.heard("http://o", (DATE, Some(" 60")), THEN, 0);
        assert_eq!(skew.ahead(THEN, 0), Some(0));
    }

    #[test]
    fn what_was_heard_before_the_clock_was_set_is_forgotten() {
        let skew = Skew::default();
        hear(&skew, "http://o", DATE, HOUR);
        hear(&skew, "http://p", DATE, HOUR);
        // Ten minutes later.
        let (now, uptime) = (THEN + 600_000, 600_000);
        assert_eq!(skew.ahead(now + HOUR, uptime), Some(HOUR));
        assert_eq!(skew.ahead(now, uptime), None);
        // And set wrong again.
        assert_eq!(skew.ahead(now + HOUR, uptime), None);
    }

    #[test]
    fn a_pause_of_the_machine_makes_no_clock_wrong() {
        let skew = Skew::default();
        for origin in ["http://o", "http://p", "http://q"] {
            hear(&skew, origin, DATE, 0);
        }
        // A day later the machine has been up for a second.
        let day = 24 * HOUR;
        skew.heard("http://r", (NEXT_DAY, None), THEN + day, 1000);
        let ahead = skew.ahead(THEN + day, 1000);
        assert_eq!(ahead, Some(0));
    }

    #[test]
    fn a_clock_that_is_led_slowly_was_not_set() {
        let skew = Skew::default();
        hear(&skew, "http://o", DATE, 0);
        for step in 1..=10 {
            let (by, uptime) = (step * STEP, step * HOUR);
            assert_eq!(skew.ahead(THEN + uptime + by, uptime), Some(by));
        }
    }

    #[test]
    fn a_cache_that_hides_its_age_makes_no_clock_wrong() {
        let skew = Skew::default();
        hear(&skew, "http://o", DATE, 0);
        let hear = |uptime| skew.heard("http://o", (DATE, None), THEN + uptime, uptime);
        hear(HOUR);
        hear(FRESH - 1);
        assert_eq!(skew.ahead(THEN + FRESH - 1, FRESH - 1), Some(0));
        // But the origin's own clock may have been set back.
        hear(FRESH + 1);
        assert_eq!(skew.ahead(THEN + FRESH + 1, FRESH + 1), Some(FRESH + 1));
    }

    #[test]
    fn one_origin_that_is_wrong_is_outvoted_and_forgotten() {
        let skew = Skew::default();
        hear(&skew, "http://o", DATE, 0);
        hear(&skew, "http://liar", NEXT_DAY, 0);
        assert_eq!(skew.ahead(THEN, 0), Some(0), "of two");
        hear(&skew, "http://p", DATE, 0);
        assert_eq!(skew.ahead(THEN, 0), Some(0));
        hear(&skew, "http://old", "Sat, 05 Nov 1994 08:49:37 GMT", 0);
        assert_eq!(skew.ahead(THEN, 0), Some(0), "of four");
        assert_eq!(skew.ahead(THEN + FRESH, FRESH), None);
        for name in 0..1000 {
            skew.heard(&format!("http://{name}"), (DATE, None), THEN + 1, 1);
        }
        assert_eq!(skew.0.lock().unwrap().told.len(), KEPT);
    }

    #[test]
    fn what_is_no_date_says_nothing() {
        let skew = Skew::default();
        hear(&skew, "http://o", "yesterday", 0);
        for age in ["-1", "18446744073709551615", "18446744073709551616"] {
            skew.heard("http://o", (DATE, Some(age)), THEN, 0);
        }
        assert_eq!(skew.ahead(THEN, 0), None);
    }

    #[test]
    fn five_minutes_are_tolerated() {
        assert!(!is_wrong(300_000) && !is_wrong(-300_000));
        assert!(is_wrong(300_001) && is_wrong(-300_001) && is_wrong(Millis::MIN));
    }
}
