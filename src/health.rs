//! Which origins failed lately, and until when they are spared.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Millis, millis};

/// The first pause after a failure; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long an origin that kept somebody waiting is not waited for again.
const SLOW_PAUSE: Duration = Duration::from_secs(10);

/// An origin that is spared for a while: a row of the `mirror` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// `scheme://host[:port]`
    pub origin: String,
    /// Failures in a row.
    pub failures: u32,
    /// Not asked again earlier, unless there is no other way.
    pub not_before: Millis,
    /// What went wrong last, for people.
    pub last_error: String,
    /// When the row of failures began.
    pub failing_since: Millis,
}

/// The pause after so many failures in a row.
#[must_use]
pub fn pause(failures: u32, longest: Duration) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(longest)
}

/// What is known of origins. Rebuilt from rows at a start.
#[derive(Debug, Default)]
pub struct Health {
    failing: Mutex<HashMap<String, Failing>>,
    slow: Mutex<HashMap<String, Millis>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// Takes what rows say.
    #[must_use]
    pub fn from_rows(rows: Vec<Failing>) -> Self {
        let failing = rows
            .into_iter()
            .map(|row| (row.origin.clone(), row))
            .collect();
        Self {
            failing: Mutex::new(failing),
            slow: Mutex::default(),
        }
    }

    /// Whether waiting for this origin is likely in vain.
    #[must_use]
    pub fn is_down(&self, origin: &str, now: Millis) -> bool {
        let failing = lock(&self.failing)
            .get(origin)
            .is_some_and(|row| now < row.not_before);
        failing
            || lock(&self.slow)
                .get(origin)
                .is_some_and(|until| now < *until)
    }

    /// Somebody waited for this origin in vain; it may yet answer.
    pub fn slow(&self, origin: &str, now: Millis) {
        let mut slow = lock(&self.slow);
        slow.retain(|_, until| now < *until);
        slow.insert(origin.to_owned(), now + millis(SLOW_PAUSE));
    }

    /// An origin failed. Answers the row to write.
    pub fn failed(&self, origin: &str, error: &str, now: Millis) -> Failing {
        let mut failing = lock(&self.failing);
        let row = failing.entry(origin.to_owned()).or_insert_with(|| Failing {
            origin: origin.to_owned(),
            failures: 0,
            not_before: now,
            last_error: String::new(),
            failing_since: now,
        });
        // Requests that were under way together fail together: that is one failure.
        if now >= row.not_before {
            row.failures = row.failures.saturating_add(1);
            row.not_before = now + millis(pause(row.failures, LONGEST_PAUSE));
        }
        error.clone_into(&mut row.last_error);
        row.clone()
    }

    /// An origin answered. Answers whether that is news, so that the row goes.
    pub fn answered(&self, origin: &str) -> bool {
        lock(&self.slow).remove(origin);
        lock(&self.failing).remove(origin).is_some()
    }

    /// Forgets origins that nobody asked since they were to be asked again, if
    /// that was before `since`: nobody may ever ask them again.
    pub fn forget(&self, since: Millis) {
        lock(&self.failing).retain(|_, row| row.not_before >= since);
    }

    /// Every origin that is failing, longest first.
    #[must_use]
    pub fn failing(&self) -> Vec<Failing> {
        let mut rows: Vec<_> = lock(&self.failing).values().cloned().collect();
        rows.sort_by_key(|row| row.failing_since);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let pauses: Vec<_> = [1, 2, 3, 6, 7, 90]
            .map(|n| pause(n, LONGEST_PAUSE).as_secs())
            .into();
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60]);
    }

    #[test]
    fn failures_that_come_together_count_once() {
        let health = Health::default();
        assert_eq!(health.failed("http://o", "refused", 0).failures, 1);
        assert_eq!(health.failed("http://o", "refused", 10).failures, 1);
        assert!(health.is_down("http://o", 999));
        assert!(!health.is_down("http://o", 1000));
        assert_eq!(health.failed("http://o", "refused", 1000).not_before, 3000);
        assert!(health.answered("http://o"));
        assert!(!health.answered("http://o"));
        assert!(!health.is_down("http://o", 1001));
    }

    #[test]
    fn who_is_not_asked_any_more_is_forgotten() {
        let health = Health::default();
        assert_eq!(health.failed("http://o", "refused", 0).not_before, 1000);
        health.forget(1000);
        assert_eq!(health.failing().len(), 1);
        health.forget(1001);
        assert_eq!(health.failing(), []);
    }

    #[test]
    fn a_slow_origin_is_not_waited_for_until_it_answers() {
        let health = Health::default();
        health.slow("http://o", 0);
        assert!(health.is_down("http://o", 9_999));
        health.answered("http://o");
        assert!(!health.is_down("http://o", 1));
    }
}
