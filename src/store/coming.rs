//! What is on its way in, by its hash: for other nodes that want the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::flight::{Flight, State};
use crate::clock::millis;
use crate::dht::id::NodeId;
use crate::swarm::lead::{Progress, Stage};

/// Other nodes that are remembered to want one file.
const RIVALS: usize = 32;

/// How often it is looked whether a file stalls.
const LOOK: Duration = Duration::from_millis(100);

/// Nobody waits for a file of which nothing came for so long.
const STALLED: Duration = Duration::from_millis(500);

/// A file on its way in, of which the hash is known.
#[derive(Debug)]
pub struct Arrival {
    flight: Arc<Flight>,
    size: u64,
    begun: Instant,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    stage: Stage,
    /// Who asked for it while it was not decided what to do.
    rivals: Vec<NodeId>,
    /// Bytes that were here when it was last looked, and since when.
    done: (u64, Instant),
}

impl Arrival {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is, for another node that wants it as well.
    #[must_use]
    pub fn asked_by(&self, node: NodeId) -> Progress {
        let mut known = self.known();
        let is_new = known.stage == Stage::Asking && !known.rivals.contains(&node);
        if is_new && known.rivals.len() < RIVALS {
            known.rivals.push(node);
        }
        self.progress(&mut known)
    }

    fn progress(&self, known: &mut Known) -> Progress {
        let done = match self.flight.state() {
            State::Streaming(growing) => growing.written(),
            _ => 0,
        };
        if done != known.done.0 {
            known.done = (done, Instant::now());
        }
        Progress {
            stage: known.stage,
            done: done.min(self.size),
            size: self.size,
            elapsed: millis(self.begun.elapsed()),
            idle: millis(known.done.1.elapsed()),
        }
    }

    /// Decides what to do, knowing who asked so far: whoever asks later hears
    /// what was decided. Who fetches already goes on, for others may wait for it.
    pub fn decide<T>(&self, choose: impl FnOnce(&[NodeId]) -> Option<T>) -> Option<T> {
        let mut known = self.known();
        if known.stage == Stage::Fetching {
            return None;
        }
        let led = choose(&known.rivals);
        known.stage = match led {
            Some(_) => Stage::Waiting,
            None => Stage::Fetching,
        };
        led
    }

    /// It is fetched now, whatever others do.
    pub fn fetch(&self) {
        self.known().stage = Stage::Fetching;
    }

    /// Waits until it is here, is given up, or stalls.
    pub async fn settled(&self) {
        let mut state = self.flight.watch();
        let landed = state.wait_for(|state| !matches!(state, State::Waiting | State::Streaming(_)));
        let stalled = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let progress = self.progress(&mut self.known());
                if progress.done > 0 && progress.idle >= millis(STALLED) {
                    return;
                }
            }
        };
        tokio::select! {
            _ = landed => {}
            () = stalled => {}
        }
    }
}

/// What is on its way in, by SHA-256.
#[derive(Debug, Default)]
pub struct Coming(Mutex<HashMap<[u8; 32], Arc<Arrival>>>);

impl Coming {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Arrival>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file is wanted, until the answer is dropped. Of two addresses with
    /// the same file, the first is told of.
    #[must_use]
    pub fn begin(&self, sha256: [u8; 32], size: u64, flight: &Arc<Flight>) -> Underway<'_> {
        let now = Instant::now();
        let arrival = Arc::new(Arrival {
            flight: Arc::clone(flight),
            size,
            begun: now,
            known: Mutex::new(Known {
                stage: Stage::Asking,
                rivals: Vec::new(),
                done: (0, now),
            }),
        });
        let mut lock = self.lock();
        lock.entry(sha256).or_insert_with(|| Arc::clone(&arrival));
        Underway {
            coming: self,
            sha256,
            arrival,
        }
    }

    /// How a file comes, where it does.
    #[must_use]
    pub fn get(&self, sha256: &[u8; 32]) -> Option<Arc<Arrival>> {
        self.lock().get(sha256).cloned()
    }
}

/// A file that is on its way in for as long as this is kept.
#[derive(Debug)]
pub struct Underway<'a> {
    coming: &'a Coming,
    sha256: [u8; 32],
    /// How it comes.
    pub arrival: Arc<Arrival>,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let mut lock = self.coming.lock();
        if lock
            .get(&self.sha256)
            .is_some_and(|known| Arc::ptr_eq(known, &self.arrival))
        {
            lock.remove(&self.sha256);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::flight::{Flights, Refusal};

    const FILE: [u8; 32] = [7; 32];

    fn node(first: u8) -> NodeId {
        NodeId([first; 20])
    }

    #[test]
    fn who_asks_before_the_decision_is_known_to_it() {
        let (flights, coming) = (Flights::default(), Coming::default());
        let (flight, _) = flights.join("a");
        let underway = coming.begin(FILE, 100, &flight);
        let arrival = coming.get(&FILE).unwrap();
        for _ in 0..2 {
            assert_eq!(arrival.asked_by(node(1)).stage, Stage::Asking);
        }
        let led = arrival.decide(|rivals| rivals.first().copied());
        assert_eq!(led, Some(node(1)));
        assert_eq!(arrival.asked_by(node(2)).stage, Stage::Waiting);
        arrival.fetch();
        assert_eq!(arrival.asked_by(node(2)).stage, Stage::Fetching);
        assert_eq!(arrival.decide(|_| Some(())), None, "others wait for it");
        assert_eq!(arrival.asked_by(node(2)).stage, Stage::Fetching);
        assert_eq!(arrival.known().rivals, [node(1)]);
        for first in 0..=255 {
            let _ = coming
                .begin([8; 32], 1, &flight)
                .arrival
                .asked_by(node(first));
        }
        drop(underway);
        assert!(coming.get(&FILE).is_none());
    }

    #[test]
    fn of_two_addresses_with_one_file_the_first_is_told_of() {
        let (flights, coming) = (Flights::default(), Coming::default());
        let [one, other] = ["a", "b"].map(|key| flights.join(key).0);
        let first = coming.begin(FILE, 100, &one);
        drop(coming.begin(FILE, 100, &other));
        let known = coming.get(&FILE).unwrap();
        assert!(Arc::ptr_eq(&known, &first.arrival));
    }

    #[tokio::test]
    async fn who_waits_hears_of_the_end() {
        let (flights, coming) = (Flights::default(), Coming::default());
        let (flight, _) = flights.join("a");
        let underway = coming.begin(FILE, 100, &flight);
        let arrival = Arc::clone(&underway.arrival);
        let waits = tokio::spawn(async move { arrival.settled().await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        flights.land(&flight, State::Refused(Refusal::own_fault("x")));
        waits.await.unwrap();
    }
}
