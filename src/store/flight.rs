//! Who waits for what is being fetched.
//!
//! Any number of clients that need one address answered share one flight, and
//! one flight causes one question to the origin. A flight belongs to nobody:
//! whoever leaves, the first included, changes nothing for the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::growing::{Growing, Whence};
use super::hot::Entry;

/// What is known of the answer.
#[derive(Debug, Clone, Default)]
pub enum State {
    /// Nothing yet.
    #[default]
    Waiting,
    /// It is coming in.
    Streaming(Arc<Growing>),
    /// It was in the store all along.
    Stored(Arc<Entry>),
    /// It came just now, and is in the store.
    Fetched(Arc<Entry>, Whence),
    /// The stored copy is current: the origin said so just now.
    Unchanged(Arc<Entry>),
    /// It can be had, but not be kept: everybody fetches for themselves.
    Uncached,
    /// There is none.
    Refused(Refusal),
}

/// Why an address has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Status code for the client.
    pub status: u16,
    /// One sentence.
    pub reason: String,
    /// Whether a stored copy may stand in: the origin failed, as against
    /// having said that the file is no more.
    pub stale_may_serve: bool,
}

impl Refusal {
    /// For whatever went wrong on our side.
    #[must_use]
    pub fn own_fault(reason: &str) -> Self {
        Self {
            status: 500,
            reason: reason.to_owned(),
            stale_may_serve: true,
        }
    }
}

/// In which order a body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Course {
    /// That can't be told yet.
    #[default]
    Unknown,
    /// From the first byte to the last: who wants some of it waits for all
    /// before.
    InOrder,
    /// In parts, of which those come first that are waited for.
    InParts,
}

/// One question on its way.
#[derive(Debug)]
pub struct Flight<S = State> {
    key: String,
    opened: Instant,
    state: watch::Sender<S>,
    course: watch::Sender<Course>,
    ranges: Mutex<Vec<Range>>,
}

/// First byte of what a client wants, and the one behind the last; `None`: all
/// there are.
pub type Range = (u64, Option<u64>);

/// Ranges of one body that are kept in mind.
const RANGES: usize = 8;

impl<S: Clone> Flight<S> {
    /// What is known now, and what will be.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<S> {
        self.state.subscribe()
    }

    /// What is known now.
    #[must_use]
    pub fn state(&self) -> S {
        self.state.borrow().clone()
    }

    /// The canonical address that is asked for.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// When somebody first asked for it.
    #[must_use]
    pub const fn opened(&self) -> Instant {
        self.opened
    }

    /// More is known.
    pub fn tell(&self, state: S) {
        self.state.send_replace(state);
    }

    /// In which order the body comes, now and from now on.
    #[must_use]
    pub fn course(&self) -> watch::Receiver<Course> {
        self.course.subscribe()
    }

    /// The body comes so.
    pub fn take_course(&self, course: Course) {
        self.course
            .send_if_modified(|before| std::mem::replace(before, course) != course);
    }

    fn lock_ranges(&self) -> MutexGuard<'_, Vec<Range>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client waits for a range that starts beyond what is here. Of too
    /// many, the latest are kept in mind.
    pub fn want(&self, range: Range) {
        let mut ranges = self.lock_ranges();
        ranges.retain(|other| other.0 != range.0);
        if ranges.len() >= RANGES {
            ranges.remove(0);
        }
        ranges.push(range);
    }

    /// What clients wait for beyond what is here.
    #[must_use]
    pub fn wanted(&self) -> Vec<Range> {
        self.lock_ranges().clone()
    }
}

/// All flights, by address.
#[derive(Debug, Default)]
pub struct Flights<S = State> {
    map: Mutex<HashMap<String, Arc<Flight<S>>>>,
    landings: AtomicU64,
}

impl<S: Clone + Default> Flights<S> {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Flight<S>>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many flights have landed. Whoever looked a file up in vain, opened a
    /// flight and finds the count where it was, missed nothing in between.
    #[must_use]
    pub fn landings(&self) -> u64 {
        self.landings.load(Ordering::SeqCst)
    }

    /// The flight for an address, and whether it was opened by this call: then
    /// it is the caller's to see that someone answers it.
    pub fn join(&self, key: &str) -> (Arc<Flight<S>>, bool) {
        let mut map = self.lock();
        if let Some(flight) = map.get(key) {
            return (Arc::clone(flight), false);
        }
        let flight = Arc::new(Flight {
            key: key.to_owned(),
            opened: Instant::now(),
            state: watch::Sender::new(S::default()),
            course: watch::Sender::default(),
            ranges: Mutex::default(),
        });
        map.insert(key.to_owned(), Arc::clone(&flight));
        (flight, true)
    }

    /// What is known of an address that someone waits for.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<S> {
        self.lock().get(key).map(|flight| flight.state())
    }

    /// The last word on a flight. Rows and caches must know it already: who
    /// comes next opens another flight.
    pub fn land(&self, flight: &Flight<S>, state: S) {
        // Counted first: an address that is gone from the map has been counted.
        self.landings.fetch_add(1, Ordering::SeqCst);
        self.forget(flight);
        flight.tell(state);
    }

    /// Nobody joins this flight any more.
    fn forget(&self, flight: &Flight<S>) {
        let mut map = self.lock();
        if map
            .get(&flight.key)
            .is_some_and(|held| std::ptr::eq(Arc::as_ptr(held), flight))
        {
            map.remove(&flight.key);
        }
    }

    /// Every flight there is.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Flight<S>>> {
        self.lock().values().cloned().collect()
    }
}
