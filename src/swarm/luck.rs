//! How often waiting for peers was worth it.

use std::time::Duration;

/// How much of the past each new case replaces.
const WEIGHT: f64 = 0.3;

/// Below this it is not waited at all.
const LEAST: f64 = 0.1;

/// The share of cases, smoothed, in which peers were found in time. Where they
/// never are, nobody waits for them.
#[derive(Debug, Clone)]
pub struct Luck(f64);

impl Default for Luck {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Luck {
    /// Peers were found, or were not.
    pub fn note(&mut self, found: bool) {
        self.0 += WEIGHT * (f64::from(u8::from(found)) - self.0);
    }

    /// So much of a pause as is worth it.
    #[must_use]
    pub fn share_of(&self, pause: Duration) -> Duration {
        if self.0 < LEAST {
            return Duration::ZERO;
        }
        pause.mul_f64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_never_found_is_not_waited_for_and_who_is_again_is() {
        let (mut luck, pause) = (Luck::default(), Duration::from_millis(100));
        assert_eq!(luck.share_of(pause), pause);
        let mut waited = Duration::ZERO;
        for _ in 0..200 {
            waited += luck.share_of(pause);
            luck.note(false);
        }
        assert!(waited < 4 * pause, "{waited:?}");
        assert_eq!(luck.share_of(pause), Duration::ZERO);
        luck.note(true);
        assert!(luck.share_of(pause) > pause / 4);
    }
}
