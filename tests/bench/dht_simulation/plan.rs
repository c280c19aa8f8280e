//! What happens when. Times are in virtual milliseconds from the start.

use aptmesh::clock::Millis;

use crate::network::{HOUR, MINUTE};

/// From the last store of a probe to the question for it.
pub const PROBE_AGE: Millis = 2 * HOUR;

/// Values that a node announces.
pub const ANNOUNCEMENTS: usize = 100;

/// After so long it stores them again.
pub const REFRESH: Millis = 150 * MINUTE;

/// How long a newcomer has been there when it asks.
pub const FRESH_AGE: Millis = MINUTE;

/// How long, at least, everybody else has been there who asks.
pub const SETTLED_AGE: Millis = 10 * MINUTE;

/// Questions of each newcomer.
pub const FRESH_QUESTIONS: usize = 2;

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    pub from: Millis,
    pub until: Millis,
}

impl Phase {
    const fn new(from: Millis, until: Millis) -> Self {
        Self { from, until }
    }

    pub fn has(&self, time: Millis) -> bool {
        (self.from..self.until).contains(&time)
    }
}

/// Nodes join during [`Plan::joining`], and spread their first announcements over the time after which they repeat
/// them, so that traffic is in its steady state when that is over. Nothing else is measured while the network idles.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: usize,
    pub seed: u64,
    /// Nodes that others join through, and that never leave.
    pub bootstraps: usize,
    /// Values that are stored once, and looked for [`PROBE_AGE`] later.
    pub probes: usize,
    /// Questions by nodes that have been there for a while, half of them behind NATs.
    pub questions: usize,
    pub joining: Phase,
    pub probing: Phase,
    pub idling: Phase,
    pub asking: Phase,
    pub end: Millis,
}

impl Plan {
    pub fn new(nodes: usize, seed: u64, is_quick: bool) -> Self {
        let share = if is_quick { 4 } else { 1 };
        let probing = Phase::new(100 * MINUTE, 110 * MINUTE);
        let idling = Phase::new(170 * MINUTE, 200 * MINUTE);
        let asking = Phase::new(idling.until, idling.until + 25 * MINUTE);
        Self {
            nodes,
            seed,
            bootstraps: nodes.div_ceil(2500),
            probes: (2 * nodes).max(4000) / share,
            questions: nodes.max(4000) / share,
            joining: Phase::new(0, 20 * MINUTE),
            probing,
            idling,
            asking,
            end: probing.until + PROBE_AGE + 5 * MINUTE,
        }
    }

    /// How long it takes, in virtual minutes.
    pub fn minutes(&self) -> u64 {
        (self.end / MINUTE) as u64
    }
}
