//! Addresses that were fetched ahead of their request, until it comes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Requests that never came are forgotten, all at once, from this number on:
/// the next client's request then counts as the hit that it is.
const MOST: usize = 4096;

/// Addresses whose next request is a miss although they are in the store.
#[derive(Debug, Default)]
pub struct Expected {
    addresses: Mutex<HashSet<String>>,
    /// So that a hit need not take the lock.
    len: AtomicUsize,
}

impl Expected {
    /// Notes that an address is fetched ahead.
    pub fn insert(&self, address: String) {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= MOST {
            addresses.clear();
        }
        addresses.insert(address);
        self.len.store(addresses.len(), Ordering::Release);
    }

    /// The request came. Answers whether it was expected.
    pub fn take(&self, address: &str) -> bool {
        if self.len.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let taken = addresses.remove(address);
        self.len.store(addresses.len(), Ordering::Release);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_address_is_taken_once_and_the_list_is_bounded() {
        let expected = Expected::default();
        expected.insert("a".into());
        assert!(expected.take("a"));
        assert!(!expected.take("a"));
        for n in 0..=MOST {
            expected.insert(n.to_string());
        }
        assert!(!expected.take("0"));
        assert!(expected.take(&MOST.to_string()));
    }
}
