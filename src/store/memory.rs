//! What was made of rows, kept in memory until one of them may have gone.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;

/// Values by key, bounded by what they weigh.
pub struct Memory<K, V> {
    kept: Cache<K, Arc<V>>,
    forgettings: AtomicU64,
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Room for values that `weigh` as much as `capacity` together, in bytes.
    #[must_use]
    pub fn new(capacity: u64, weigh: fn(&K, &V) -> usize) -> Self {
        let weigher =
            move |key: &K, value: &Arc<V>| u32::try_from(weigh(key, value)).unwrap_or(u32::MAX);
        Self {
            kept: Cache::builder()
                .max_capacity(capacity)
                .weigher(weigher)
                .build(),
            forgettings: AtomicU64::new(0),
        }
    }

    /// The value for a key.
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.kept.get(key)
    }

    /// How often anything was forgotten: to be read before the row that a
    /// value is made of, and given to [`Memory::put`].
    #[must_use]
    pub fn forgettings(&self) -> u64 {
        self.forgettings.load(Ordering::SeqCst)
    }

    /// Keeps a value, unless something was forgotten since its row was read:
    /// it might be the very thing.
    pub fn put(&self, key: &K, value: &Arc<V>, forgettings: u64)
    where
        K: Clone,
    {
        if self.forgettings() != forgettings {
            return;
        }
        self.kept.insert(key.clone(), Arc::clone(value));
        // What was forgotten between the look above and the insertion.
        if self.forgettings() != forgettings {
            self.kept.invalidate(key);
        }
    }

    /// Forgets a key.
    pub fn forget<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.forgettings.fetch_add(1, Ordering::SeqCst);
        self.kept.invalidate(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.forgettings.fetch_add(1, Ordering::SeqCst);
        self.kept.invalidate_all();
    }
}
