//! How much may be stored, and who has to wait for room.
//!
//! Invariant: bytes of finished bodies and bytes promised to bodies on their
//! way in never come to more than `max_size` together.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// How often a download asks for room before it goes on without the store.
const TRIES: usize = 4;

/// No room: the body passes through uncached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room in the cache and nothing left to evict")]
pub struct NoRoom;

/// The account of the store's bytes.
#[derive(Debug)]
pub struct Budget {
    max_size: u64,
    min_free: u64,
    dir: PathBuf,
    state: Mutex<State>,
    pressure: Notify,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    promised: u64,
    waiting: Vec<(u64, oneshot::Sender<()>)>,
}

impl State {
    fn with(&self, more: u64) -> u64 {
        self.used.saturating_add(self.promised).saturating_add(more)
    }
}

impl Budget {
    /// An account with `used` bytes of finished bodies below `dir`.
    #[must_use]
    pub fn new(max_size: u64, min_free: u64, dir: PathBuf, used: u64) -> Arc<Self> {
        Arc::new(Self {
            max_size,
            min_free,
            dir,
            state: Mutex::new(State {
                used,
                ..State::default()
            }),
            pressure: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of finished bodies.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn max_size(&self) -> u64 {
        self.max_size
    }

    /// Bytes that are to stay free on the disk.
    #[must_use]
    pub const fn min_free(&self) -> u64 {
        self.min_free
    }

    /// Bytes that are free on the disk; `None` where it does not say.
    #[must_use]
    pub fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.dir).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Bytes that must go before `more` bytes fit.
    #[must_use]
    pub fn shortfall(&self, more: u64) -> u64 {
        let state = self.state();
        let above_max = state.with(more).saturating_sub(self.max_size);
        let free = self.free().unwrap_or(u64::MAX);
        let below_free = self.min_free.saturating_add(more).saturating_sub(free);
        above_max.max(below_free)
    }

    fn try_promise(self: &Arc<Self>, size: u64) -> Option<Room> {
        if self.shortfall(size) > 0 {
            return None;
        }
        let mut state = self.state();
        if state.with(size) > self.max_size {
            return None;
        }
        state.promised += size;
        Some(Room {
            budget: Arc::clone(self),
            size,
        })
    }

    /// Room for `size` bytes; waits while the evict worker makes some.
    ///
    /// # Errors
    /// [`NoRoom`] where none can be made.
    pub async fn promise(self: &Arc<Self>, size: u64) -> Result<Room, NoRoom> {
        for _ in 0..TRIES {
            if let Some(room) = self.try_promise(size) {
                return Ok(room);
            }
            if size > self.max_size {
                break;
            }
            let (tried, answer) = oneshot::channel();
            self.state().waiting.push((size, tried));
            self.pressure.notify_one();
            if answer.await.is_err() {
                break;
            }
        }
        Err(NoRoom)
    }

    /// Waits until someone waits for room.
    pub async fn pressed(&self) {
        self.pressure.notified().await;
    }

    /// Who waits for how many bytes. Each is to be told when something was
    /// evicted; dropping the sender tells that nothing could be.
    #[must_use]
    pub fn take_waiting(&self) -> Vec<(u64, oneshot::Sender<()>)> {
        std::mem::take(&mut self.state().waiting)
    }

    /// A finished body was removed.
    pub fn removed(&self, size: u64) {
        let mut state = self.state();
        state.used = state.used.saturating_sub(size);
    }
}

/// Room promised to a body on its way in; given back when dropped.
#[derive(Debug)]
pub struct Room {
    budget: Arc<Budget>,
    size: u64,
}

impl Room {
    /// Bytes promised.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes over more room for the same body.
    pub fn absorb(&mut self, mut more: Self) {
        self.size += std::mem::take(&mut more.size);
    }

    /// The body is finished and takes `size` bytes from now on.
    pub fn keep(mut self, size: u64) {
        let mut state = self.budget.state();
        state.promised = state.promised.saturating_sub(self.size);
        state.used += size;
        drop(state);
        self.size = 0;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.promised = state.promised.saturating_sub(self.size);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn budget(max_size: u64, used: u64) -> Arc<Budget> {
        Budget::new(max_size, 0, std::env::temp_dir(), used)
    }

    #[tokio::test]
    async fn promises_and_bodies_never_exceed_the_limit() {
        let budget = budget(100, 40);
        let first = budget.promise(50).await.unwrap();
        assert!(budget.try_promise(11).is_none());
        let second = budget.try_promise(10).unwrap();
        first.keep(50);
        assert_eq!(budget.used(), 90);
        assert!(budget.try_promise(1).is_none());
        drop(second);
        assert!(budget.try_promise(10).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_when_something_was_evicted() {
        let budget = budget(100, 100);
        let waiter = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.promise(30).await.map(|room| room.size()) }
        });
        budget.pressed().await;
        let waiting = budget.take_waiting();
        assert_eq!(budget.shortfall(waiting[0].0), 30);
        budget.removed(30);
        for (_, tell) in waiting {
            tell.send(()).unwrap();
        }
        assert_eq!(waiter.await.unwrap(), Ok(30));
    }

    #[tokio::test]
    async fn nothing_left_to_evict_is_no_room() {
        let budget = budget(100, 100);
        let waiter = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.promise(30).await.map(|_| ()) }
        });
        budget.pressed().await;
        drop(budget.take_waiting());
        assert_eq!(waiter.await.unwrap(), Err(NoRoom));
    }

    #[tokio::test]
    async fn what_can_never_fit_is_refused_at_once() {
        assert_eq!(budget(100, 0).promise(101).await.map(|_| ()), Err(NoRoom));
    }

    #[test]
    fn free_space_is_kept() {
        let budget = Budget::new(u64::MAX / 4, u64::MAX / 2, std::env::temp_dir(), 0);
        assert!(budget.try_promise(1).is_none());
    }
}
