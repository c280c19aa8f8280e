//! Addresses of which clients got bytes that turned out wrong.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;

/// Addresses that are remembered; then all are forgotten.
const MOST: usize = 1000;

/// What clients were told of such files, until right ones are in the store: who
/// has a part of the wrong one must not take the right one for the rest of it.
#[derive(Debug, Default)]
pub struct Spoilt(Mutex<HashMap<String, Millis>>);

impl Spoilt {
    /// Clients got wrong bytes of this address, dated so.
    pub fn note(&self, url: &str, told: Millis) {
        let mut spoilt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spoilt.len() >= MOST {
            spoilt.clear();
        }
        let latest = spoilt.entry(url.to_owned()).or_insert(told);
        *latest = told.max(*latest);
    }

    /// What clients that have wrong bytes of it were told.
    #[must_use]
    pub fn told(&self, url: &str) -> Option<Millis> {
        let spoilt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spoilt.get(url).copied()
    }

    /// It is in the store, under another date.
    pub fn is_mended(&self, url: &str) {
        let mut spoilt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spoilt.remove(url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_date_that_was_told_is_remembered_until_it_is_mended() {
        let spoilt = Spoilt::default();
        assert_eq!(spoilt.told("a"), None);
        spoilt.note("a", 2000);
        spoilt.note("a", 1000);
        assert_eq!(spoilt.told("a"), Some(2000));
        spoilt.is_mended("a");
        assert_eq!(spoilt.told("a"), None);
        for url in 0..3000 {
            spoilt.note(&url.to_string(), 0);
        }
        assert!(spoilt.0.lock().unwrap().len() <= MOST);
    }
}
