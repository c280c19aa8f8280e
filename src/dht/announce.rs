//! When a publisher stores its values again.

use rand::{Rng, RngExt};

use crate::clock::Millis;

/// When what was stored now is to be stored again: within the last tenth
/// before `key_refresh` is over, so that what was stored in a row spreads out
/// with every round.
pub fn next_time(now: Millis, key_refresh: Millis, rng: &mut impl Rng) -> Millis {
    let spread = (key_refresh / 10).max(1);
    now + key_refresh - rng.random_range(0..spread)
}
