//! `peer.upload_limit`: held for the sum of all uploads, and shared alike among
//! the addresses that want something, however many connections each has.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most that goes at once, in bytes: the others' wait for their turn.
const MOST: u64 = 64 * 1024;

/// Frames a second where that makes frames of fewer bytes than [`MOST`].
const FRAMES: u64 = 10;

/// What was not sent for so long may be made up for at once.
const BURST: Duration = Duration::from_millis(100);

/// The place of one address in the line: its connections take it one after
/// the other, so that it never waits for two frames at once.
#[derive(Debug, Default)]
pub struct Turn(tokio::sync::Mutex<()>);

/// When the next bytes may go. Who asks first goes first.
#[derive(Debug)]
struct Pace {
    /// Bytes a second.
    rate: u64,
    next: Instant,
}

impl Pace {
    /// How long these bytes take.
    fn time_of(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.rate)
    }

    /// From when these bytes may go.
    fn reserve(&mut self, now: Instant, bytes: u64) -> Instant {
        let from = self.next.max(now.checked_sub(BURST).unwrap_or(now));
        self.next = from + self.time_of(bytes);
        from
    }

    /// These bytes will not go: who comes later comes earlier.
    fn give_back(&mut self, bytes: u64) {
        self.next = self
            .next
            .checked_sub(self.time_of(bytes))
            .unwrap_or(self.next);
    }
}

/// The limit.
#[derive(Debug)]
pub struct UploadLimit {
    frame: u64,
    pace: Mutex<Pace>,
}

impl UploadLimit {
    /// So many bytes a second; `None` for 0, which is no limit.
    pub fn new(rate: u64) -> Option<Self> {
        let pace = Pace {
            rate,
            next: Instant::now(),
        };
        (rate > 0).then(|| Self {
            frame: (rate / FRAMES).clamp(1, MOST),
            pace: Mutex::new(pace),
        })
    }

    /// The most that passes at once, in bytes.
    pub const fn frame(&self) -> u64 {
        self.frame
    }

    /// Waits until these bytes, at most [`UploadLimit::frame`], may go to the
    /// address whose turn this is.
    pub async fn pass(&self, turn: &Turn, bytes: u64) {
        let _turn = turn.0.lock().await;
        let mut slot = self.reserve(bytes);
        let wait = slot.from.saturating_duration_since(Instant::now());
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
        slot.used = true;
    }

    fn reserve(&self, bytes: u64) -> Slot<'_> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        Slot {
            from: pace.reserve(Instant::now(), bytes),
            limit: self,
            bytes,
            used: false,
        }
    }
}

/// A reservation. A peer that leaves before its time gives it back: else
/// those who only come and go would use up the limit.
struct Slot<'a> {
    limit: &'a UploadLimit,
    from: Instant,
    bytes: u64,
    used: bool,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.used {
            let pace = self.limit.pace.lock();
            pace.unwrap_or_else(PoisonError::into_inner)
                .give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::timeout;

    use super::*;

    const RATE: u64 = 1_000_000;

    fn pace(start: Instant) -> Pace {
        Pace {
            rate: RATE,
            next: start,
        }
    }

    #[test]
    fn zero_is_no_limit_and_every_other_has_frames() {
        assert!(UploadLimit::new(0).is_none());
        for (rate, frame) in [(1, 1), (1000, 100), (u64::MAX, MOST)] {
            assert_eq!(UploadLimit::new(rate).unwrap().frame(), frame);
        }
    }

    #[test]
    fn the_sum_is_held_whatever_the_sizes() {
        let start = Instant::now();
        let (mut pace, mut now, mut sum) = (pace(start), start, 0);
        for step in 0..10_000_u64 {
            let bytes = 1 + step * 7919 % MOST;
            now = now.max(pace.reserve(now, bytes));
            sum += bytes;
            let allowed = u64::try_from(((now - start) + BURST).as_micros()).unwrap();
            assert!(sum <= allowed * RATE / 1_000_000 + MOST, "after {step}");
        }
        // And nothing is left unused.
        let took = u64::try_from((now - start).as_micros()).unwrap();
        assert!(sum + MOST >= took * RATE / 1_000_000);
    }

    #[test]
    fn a_pause_is_made_up_for_by_no_more_than_the_burst() {
        let start = Instant::now();
        let mut pace = pace(start);
        let later = start + Duration::from_hours(1);
        let mut at_once = 0;
        while pace.reserve(later, 1000) <= later {
            at_once += 1000;
        }
        assert!((100_000..=101_000).contains(&at_once), "{at_once}");
    }

    #[test]
    fn what_is_given_back_is_there_for_others() {
        let start = Instant::now();
        let mut pace = pace(start);
        for _ in 0..100_000 {
            pace.reserve(start, MOST);
            pace.give_back(MOST);
        }
        assert!(pace.reserve(start, 1) <= start);
    }

    /// Uploads of so many connections of each address, for half a second;
    /// answers what each address got.
    async fn uploads(limit: &Arc<UploadLimit>, connections: &[usize]) -> Vec<u64> {
        let (mut got, mut tasks) = (Vec::new(), Vec::new());
        for count in connections {
            let (turn, sent) = (Arc::new(Turn::default()), Arc::new(AtomicU64::new(0)));
            for _ in 0..*count {
                let (limit, turn, sent) = (Arc::clone(limit), Arc::clone(&turn), Arc::clone(&sent));
                tasks.push(tokio::spawn(async move {
                    loop {
                        limit.pass(&turn, limit.frame()).await;
                        sent.fetch_add(limit.frame(), Ordering::Relaxed);
                    }
                }));
            }
            got.push(sent);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        got.iter()
            .map(|sent| sent.load(Ordering::Relaxed))
            .collect()
    }

    #[tokio::test]
    async fn every_address_gets_as_much_whatever_its_connections() {
        let limit = Arc::new(UploadLimit::new(4 * RATE).unwrap());
        let got = uploads(&limit, &[1, 10, 3]).await;
        let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
        assert!(most - least <= 2 * limit.frame(), "{got:?}");
        assert!(got.iter().sum::<u64>() < 4 * RATE, "{got:?}");
    }

    #[tokio::test]
    async fn one_that_is_alone_gets_everything() {
        let limit = Arc::new(UploadLimit::new(4 * RATE).unwrap());
        let began = Instant::now();
        let got = uploads(&limit, &[1]).await[0];
        let took = u64::try_from(began.elapsed().as_millis()).unwrap();
        let allowed = took * 4 * RATE / 1000;
        assert!(
            got > allowed * 6 / 10 && got < allowed * 3 / 2,
            "{got} of {allowed}"
        );
    }

    #[tokio::test]
    async fn those_who_leave_in_the_line_do_not_slow_the_others() {
        let limit = UploadLimit::new(RATE).unwrap();
        let frame = limit.frame();
        let (leaver, stayer) = (Turn::default(), Turn::default());
        for _ in 0..100 {
            let left = timeout(Duration::ZERO, limit.pass(&leaver, frame));
            let _ = left.await;
        }
        let soon = timeout(Duration::from_secs(2), limit.pass(&stayer, frame));
        assert!(soon.await.is_ok());
    }
}
