//! Token buckets, each a single number.

use crate::clock::Millis;

/// When a bucket will be full again, in microseconds: all there is to know of
/// it. (The generic cell rate algorithm, ITU-T I.371.)
pub(super) type FullAt = i64;

/// A full one.
pub(super) const FULL: FullAt = i64::MIN;

/// How much a bucket holds, and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// Microseconds from empty to full.
    window: i64,
    /// Microseconds for one more.
    interval: i64,
}

impl Rate {
    pub const fn new(at_once: i64, interval: i64) -> Self {
        Self {
            window: at_once * interval,
            interval,
        }
    }

    /// Whether there is one left in a bucket.
    #[inline]
    pub fn has(self, full_at: &mut FullAt, now: Millis) -> bool {
        let now = micros(now);
        let empty = now.saturating_add(self.window);
        // No bucket is emptier than empty, whatever rate it had before and
        // whatever the clock did.
        *full_at = (*full_at).clamp(now, empty);
        full_at.saturating_add(self.interval) <= empty
    }

    /// The bucket at another rate, with as many taken out.
    pub fn converted(self, full_at: FullAt, to: Self, now: Millis) -> FullAt {
        let now = micros(now);
        let taken = full_at.saturating_sub(now).clamp(0, self.window);
        let taken = (taken + self.interval - 1) / self.interval;
        now.saturating_add(taken.saturating_mul(to.interval))
    }

    /// Takes one out.
    #[inline]
    pub fn take(self, full_at: &mut FullAt) {
        *full_at = full_at.saturating_add(self.interval);
    }
}

pub(super) const fn micros(now: Millis) -> i64 {
    now.saturating_mul(1000)
}
