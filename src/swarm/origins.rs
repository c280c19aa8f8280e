//! What origins take, so that it can be told what a file would take alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lead::Alone;
use crate::clock::Millis;

/// Origins that are remembered.
const MOST: usize = 1000;

/// A body of fewer bytes does not tell how fast an origin is.
const TELLING: u64 = 64 * 1024;

/// A file of so many bytes takes hardly longer than the first byte of it.
const SHORT: u64 = 128 * 1024;

/// The longest lag, in milliseconds, that is told apart.
const LONGEST_LAG: Millis = 60_000;

#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// Milliseconds from a question to the head of the latest answer.
    lag: Option<Millis>,
    /// Bytes a second that it brought last.
    rate: Option<f64>,
}

/// What origins took lately.
#[derive(Debug, Default)]
pub struct Origins(Mutex<HashMap<String, Known>>);

impl Origins {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, origin: &str, note: impl FnOnce(&mut Known)) {
        let mut all = self.lock();
        if all.len() >= MOST && !all.contains_key(origin) {
            all.clear();
        }
        note(all.entry(origin.to_owned()).or_default());
    }

    /// An origin answered after `lag` milliseconds.
    pub fn answered(&self, origin: &str, lag: Millis) {
        let lag = lag.clamp(0, LONGEST_LAG);
        self.note(origin, |known| {
            known.lag = Some(lag);
        });
    }

    /// So many bytes of a body came in so many milliseconds.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn brought(&self, origin: &str, bytes: u64, took: Millis) {
        if bytes < TELLING {
            return;
        }
        let rate = bytes as f64 * 1000.0 / took.max(1) as f64;
        self.note(origin, |known| known.rate = Some(rate));
    }

    /// What a file of this size takes from an origin; `None` where that is not
    /// known.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an estimate"
    )]
    pub fn alone(&self, origin: &str, size: u64) -> Option<Alone> {
        let known = self.lock().get(origin).copied()?;
        let body = match known.rate {
            Some(rate) => (size as f64 * 1000.0 / rate.max(1.0)) as Millis,
            None if size <= SHORT => 0,
            None => return None,
        };
        let lag = known.lag?;
        Some(Alone { lag, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_takes_is_its_lag_and_its_bytes() {
        let origins = Origins::default();
        assert_eq!(origins.alone("a", 1), None);
        origins.answered("a", 200);
        assert_eq!(origins.alone("a", SHORT), Some(Alone { lag: 200, body: 0 }));
        assert_eq!(origins.alone("a", SHORT + 1), None, "it may be a slow one");
        origins.brought("a", TELLING - 1, 1);
        assert_eq!(origins.alone("a", SHORT + 1), None, "too few to tell");
        origins.brought("a", 1_000_000, 500);
        let alone = origins.alone("a", 4_000_000).unwrap();
        assert_eq!((alone.lag, alone.body), (200, 2000));
        origins.answered("a", 600);
        assert_eq!(origins.alone("a", 0).unwrap().lag, 600);
        origins.answered("a", Millis::MAX);
        origins.brought("a", u64::MAX, Millis::MIN);
        assert!(origins.alone("a", u64::MAX).is_some());
        assert_eq!(origins.alone("b", 1), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let origins = Origins::default();
        for number in 0..5000 {
            origins.answered(&number.to_string(), 1);
        }
        assert!(origins.lock().len() <= MOST);
        assert!(origins.alone("4999", 1).is_some());
    }
}
