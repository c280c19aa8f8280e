//! Time as a value that a test can hold still.
//!
//! What goes into rows is timed by a [`Clock`], so that a node can be built
//! under a manual one. Chance decides nothing here that a test would have to
//! foresee: names, lease tokens and the jitter of pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 00:00 UTC: the unit of every time in a row.
pub type Millis = i64;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Millis;
}

/// A clock shared by all parts of a node.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        to_millis(SystemTime::now())
    }
}

/// A clock that stands until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: Millis) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(start)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
}

/// How long the machine has been up, in milliseconds, suspensions included:
/// nobody sets this clock.
#[must_use]
pub fn uptime() -> Millis {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    up.tv_sec
        .saturating_mul(1000)
        .saturating_add(up.tv_nsec / 1_000_000)
}

/// A duration in milliseconds, saturating.
#[must_use]
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// A point in time as milliseconds since 1970; times before that count as 0.
#[must_use]
pub fn to_millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Milliseconds since 1970 as a point in time, cut to the whole second that
/// HTTP dates can tell (RFC 9110 §5.6.7).
#[must_use]
pub fn to_http_time(at: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(at / 1000).unwrap_or(0))
}

/// A fifth more or less than `duration`, so that many nodes or rows that start
/// together do not stay together.
#[must_use]
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::random_range(0.8..1.2))
}
