//! When the router is asked.

use std::time::Duration;

use super::Place;
use crate::clock::{Millis, millis};

/// For how long the router is asked to forward: what a node leaves behind that
/// was killed is gone after that.
pub const LEASE: Duration = Duration::from_hours(1);

/// It is asked again after half of what it granted, but not sooner than this,
/// whatever it granted.
const SOONEST: Duration = Duration::from_secs(5);

/// And not later. A router that was started anew has forgotten everything and
/// tells nobody: asking again is how that is found out, and all it takes to
/// mend it.
const LATEST: Duration = Duration::from_mins(10);

/// After a failure, and at most; each pause is twice the one before.
const PAUSES: [Duration; 2] = [Duration::from_secs(30), Duration::from_hours(1)];

/// Failures in a row after which a router is taken for one that forwards
/// nothing any more, though its time has not run out.
const LOST: u32 = 2;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// This machine is somewhere else than before: what an earlier router was
    /// asked for is of no use.
    pub is_moved: bool,
    /// The router is to be asked.
    pub is_due: bool,
}

/// Times of a clock that nobody sets.
#[derive(Debug, Default)]
pub struct Schedule {
    place: Option<Place>,
    failures: u32,
    due: Millis,
    /// How long the router forwards; `None`: it does not.
    until: Option<Millis>,
}

impl Schedule {
    /// This machine is there now.
    pub fn look(&mut self, place: Option<Place>, now: Millis) -> Look {
        let is_moved = self.place != place;
        if is_moved {
            *self = Self {
                place,
                due: now,
                ..Self::default()
            };
        }
        Look {
            is_moved,
            is_due: place.is_some() && now >= self.due,
        }
    }

    /// The router forwards for so long, the shortest time counting; `None`:
    /// until it is told otherwise.
    pub fn mapped(&mut self, lifetime: Option<Duration>, now: Millis) {
        let lifetime = lifetime.unwrap_or(LEASE);
        self.failures = 0;
        self.until = Some(now.saturating_add(millis(lifetime)));
        self.due = now + millis(renewal(lifetime));
    }

    /// It does not, or says nothing. Answers whether it is taken for one that
    /// forwards nothing.
    pub fn failed(&mut self, now: Millis) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.due = now + millis(pause(self.failures));
        let is_over = self.until.is_none_or(|until| now >= until) || self.failures >= LOST;
        if is_over {
            self.until = None;
        }
        is_over
    }
}

/// When a mapping that is granted for so long is asked for again.
fn renewal(lifetime: Duration) -> Duration {
    (lifetime / 2).clamp(SOONEST, LATEST)
}

fn pause(failures: u32) -> Duration {
    let [shortest, longest] = PAUSES;
    let doublings = failures.saturating_sub(1).min(16);
    (shortest * (1 << doublings)).min(longest)
}

#[cfg(test)]
mod tests;
