//! A bounded memory of who did something, and when.

use std::collections::HashMap;
use std::hash::Hash;

use crate::clock::Millis;

/// Who did something lately, to the second.
#[derive(Debug)]
pub(super) struct Recent<K> {
    seconds: HashMap<K, u32>,
    lasts: u32,
    at_most: usize,
}

impl<K: Hash + Eq> Recent<K> {
    /// For at most so many, each remembered for `lasts`.
    pub fn new(at_most: usize, lasts: Millis) -> Self {
        Self {
            seconds: HashMap::new(),
            lasts: seconds(lasts),
            at_most,
        }
    }

    pub fn note(&mut self, who: K, now: Millis) {
        let now = seconds(now);
        if let Some(at) = self.seconds.get_mut(&who) {
            *at = now;
            return;
        }
        let lasts = self.lasts;
        make_room(&mut self.seconds, self.at_most, |at| {
            is_recent(*at, now, lasts)
        });
        if self.seconds.len() >= self.at_most {
            self.forget_a_quarter();
        }
        self.seconds.insert(who, now);
    }

    /// Whether this one is known to have done it lately.
    #[inline]
    pub fn has(&self, who: &K, now: Millis) -> bool {
        let at = self.seconds.get(who);
        at.is_some_and(|at| is_recent(*at, seconds(now), self.lasts))
    }

    /// Forgets those whose time is longest ago, many at once, since finding
    /// them takes a look at all.
    fn forget_a_quarter(&mut self) {
        let mut times: Vec<u32> = self.seconds.values().copied().collect();
        let (_, until, _) = times.select_nth_unstable(self.seconds.len() / 4);
        let until = *until;
        self.seconds.retain(|_, at| *at > until);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.seconds.len()
    }
}

/// A second later is still recent, and so is what is to come by a clock that
/// was set back.
#[inline]
fn is_recent(at: u32, now: u32, lasts: u32) -> bool {
    now.abs_diff(at) <= lasts
}

#[inline]
fn seconds(now: Millis) -> u32 {
    u32::try_from(now / 1000).unwrap_or(0)
}

/// Before a map of at most so many grows, what it need not keep goes. It grows
/// while a quarter is yet free, so that this is not done for every entry.
pub(super) fn make_room<K: Hash + Eq, V>(
    map: &mut HashMap<K, V>,
    at_most: usize,
    is_kept: impl Fn(&V) -> bool,
) {
    let room = map.capacity().min(at_most);
    if map.len() >= room {
        map.retain(|_, value| is_kept(value));
        if room < at_most && map.len() > room / 4 * 3 {
            map.reserve(room - map.len() + 1);
        }
    }
}
