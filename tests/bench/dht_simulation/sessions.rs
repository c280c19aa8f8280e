//! How long nodes stay.

use aptmesh::clock::Millis;

use crate::network::{Dice, HOUR};

/// Half of the sessions are longer than this,
const HALF: Millis = 5 * HOUR;

/// and a fifth longer than this.
const FIFTH: Millis = 10 * HOUR;

/// The Weibull distribution with these two quantiles: shape 1.22, scale 6.8 h, mean 6.3 h. A log-normal one with the
/// same quantiles has fewer short sessions and a longer mean; this is the harder of the two.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    shape: f64,
    scale: f64,
}

impl Sessions {
    pub fn new() -> Self {
        // A share of exp(-(t / scale) ^ shape) is longer than t.
        let (half, fifth) = (2.0_f64.ln(), 5.0_f64.ln());
        let shape = (fifth / half).ln() / (FIFTH as f64 / HALF as f64).ln();
        let scale = HALF as f64 / half.powf(1.0 / shape);
        Self { shape, scale }
    }

    /// The length of a new session.
    pub fn whole(&self, dice: &mut Dice) -> Millis {
        let left = 1.0 - dice.unit();
        (self.scale * (-left.ln()).powf(1.0 / self.shape)) as Millis
    }

    /// What is left of a session that is met at any time: that of one place where one session has followed the other
    /// for two weeks.
    pub fn rest(&self, dice: &mut Dice) -> Millis {
        let mut time = -14 * 24 * HOUR;
        while time <= 0 {
            time += self.whole(dice);
        }
        time
    }
}
