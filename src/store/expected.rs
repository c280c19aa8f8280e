//! Addresses that were fetched ahead of their request, until it comes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::growing::Whence;

/// Requests that never came are forgotten, all at once, from this number on:
/// the next client's request then counts as the hit that it is.
const MOST: usize = 4096;

/// Addresses whose next request is a miss although they are in the store.
#[derive(Debug, Default)]
pub struct Expected {
    /// With who sent it, once it is here.
    addresses: Mutex<HashMap<String, Whence>>,
    /// So that a hit need not take the lock.
    len: AtomicUsize,
}

impl Expected {
    /// Notes that an address is fetched ahead.
    pub fn insert(&self, address: String) {
        let mut addresses = self.addresses();
        if addresses.len() >= MOST {
            addresses.clear();
        }
        addresses.insert(address, Whence::default());
        self.len.store(addresses.len(), Ordering::Release);
    }

    /// This is who sent what was fetched, should it have been ahead.
    pub fn came(&self, address: &str, whence: &Whence) {
        if self.len.load(Ordering::Acquire) > 0
            && let Some(known) = self.addresses().get_mut(address)
        {
            known.clone_from(whence);
        }
    }

    /// The request came. Answers who sent the file, where it was expected.
    pub fn take(&self, address: &str) -> Option<Whence> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut addresses = self.addresses();
        let taken = addresses.remove(address);
        self.len.store(addresses.len(), Ordering::Release);
        taken
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<String, Whence>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::growing::Came;

    #[test]
    fn an_expected_address_is_taken_once_and_the_list_is_bounded() {
        let expected = Expected::default();
        expected.insert("a".into());
        let mut whence = Whence::default();
        whence.came = Came::Peers;
        expected.came("a", &whence);
        expected.came("b", &whence);
        assert_eq!(expected.take("a").unwrap().came, Came::Peers);
        assert!(expected.take("a").is_none() && expected.take("b").is_none());
        for n in 0..=MOST {
            expected.insert(n.to_string());
        }
        assert!(expected.take("0").is_none());
        assert!(expected.take(&MOST.to_string()).is_some());
    }
}
