//! How fast bytes come.

use std::collections::VecDeque;

use crate::clock::Millis;

/// The time that a rate is of, in milliseconds.
const SPAN: Millis = 1000;

/// Bytes a second over the last second.
#[derive(Debug, Clone)]
pub struct Pace {
    /// When how many had come in all, at most one a `STEP`.
    seen: VecDeque<(Millis, u64)>,
}

/// Between two of these, in milliseconds.
const STEP: Millis = 20;

impl Pace {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self {
            seen: VecDeque::from([(now, 0)]),
        }
    }

    /// So many bytes have come by now, in all.
    pub fn note(&mut self, bytes: u64, now: Millis) {
        if self.seen.back().is_some_and(|(at, _)| now - at < STEP) {
            return;
        }
        self.seen.push_back((now, bytes));
        // One stays that is older, or there would be no whole second.
        while self.seen.get(1).is_some_and(|(at, _)| now - at >= SPAN) {
            self.seen.pop_front();
        }
    }

    /// For how long it is known, in milliseconds; a second at most.
    #[must_use]
    pub fn span(&self, now: Millis) -> Millis {
        self.seen.front().map_or(0, |(at, _)| (now - at).min(SPAN))
    }

    /// Bytes a second.
    #[must_use]
    pub fn rate(&self, now: Millis) -> f64 {
        let (Some((since, before)), Some((_, bytes))) = (self.seen.front(), self.seen.back())
        else {
            return 0.0;
        };
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let rate = bytes.saturating_sub(*before) as f64 * 1000.0 / (now - since).max(1) as f64;
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let mut pace = Pace::new(0);
        assert!(pace.rate(0) < 1.0);
        for at in 1..=100_i64 {
            pace.note(at.unsigned_abs() * 500, at * 50);
        }
        assert!(
            (pace.rate(5000) - 10_000.0).abs() < 600.0,
            "{}",
            pace.rate(5000)
        );
        assert_eq!(pace.span(5000), SPAN);
        // Then nothing comes any more.
        pace.note(50_000, 5900);
        assert!(pace.rate(5900) < 2000.0, "{}", pace.rate(5900));
    }
}
