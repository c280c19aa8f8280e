//! How much is to be expected of a peer, from 0 to 1.

use crate::clock::Millis;

/// Hash errors within 24 hours that make a score 0.
pub(super) const MOST_HASH_ERRORS: u64 = 3;

/// Lag that makes a score 0.
const LONGEST_LAG: Millis = 15_000;

/// Requests under way that make a score 0.
const MOST_PENDING: f64 = 10.0;

/// What speed and lag count that nobody measured: less than the best, so that
/// a stranger does not go before who proved good.
const UNMEASURED: f64 = 0.5;

/// What a peer without an open connection counts.
const UNCONNECTED: f64 = 0.9;

/// The five properties that a score is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties {
    /// Times that its bytes were wrong in the last 24 hours.
    pub hash_errors: u64,
    /// Recent speed in bytes a second; `None` where it was not measured.
    pub speed: Option<u64>,
    /// Recent speed of the fastest of the known peers, in bytes a second.
    pub fastest: u64,
    /// Milliseconds from request to first byte; `None` where it was not measured.
    pub lag: Option<Millis>,
    /// Requests under way.
    pub pending: u32,
    /// Whether a connection is open.
    pub connected: bool,
}

impl Properties {
    /// The product of the five.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.factors().into_iter().product()
    }

    /// What each of the five counts, from 0 to 1 and linear between its ends:
    /// hash errors, speed, lag, pending, connection.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn factors(&self) -> [f64; 5] {
        let speed = self.speed.map_or(UNMEASURED, |speed| {
            speed as f64 / self.fastest.max(speed).max(1) as f64
        });
        let lag = self
            .lag
            .map_or(UNMEASURED, |lag| falling(lag as f64, LONGEST_LAG as f64));
        [
            falling(self.hash_errors as f64, MOST_HASH_ERRORS as f64),
            speed,
            lag,
            falling(f64::from(self.pending), MOST_PENDING),
            if self.connected { 1.0 } else { UNCONNECTED },
        ]
    }
}

/// 1 at 0, 0 from `end` on.
fn falling(value: f64, end: f64) -> f64 {
    (1.0 - value / end).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEST: Properties = Properties {
        hash_errors: 0,
        speed: Some(1000),
        fastest: 1000,
        lag: Some(0),
        pending: 0,
        connected: true,
    };

    type Change = fn(&mut Properties);

    fn any_properties() -> impl Strategy<Value = Properties> {
        let speed = prop_oneof![Just(None), any::<u64>().prop_map(Some)];
        let lag = prop_oneof![
            Just(None),
            (-9..20_000_i64).prop_map(Some),
            any::<i64>().prop_map(Some)
        ];
        (0..5_u64, speed, any::<u64>(), lag, 0..13_u32, any::<bool>()).prop_map(
            |(hash_errors, speed, fastest, lag, pending, connected)| Properties {
                hash_errors,
                speed,
                fastest,
                lag,
                pending,
                connected,
            },
        )
    }

    #[test]
    fn each_property_alone_counts_as_the_table_says() {
        let cases: [(Change, f64); 16] = [
            (|_| {}, 1.0),
            (|it| it.hash_errors = 1, 2.0 / 3.0),
            (|it| it.hash_errors = 3, 0.0),
            (|it| it.hash_errors = 9, 0.0),
            (|it| it.speed = Some(250), 0.25),
            (|it| it.speed = Some(0), 0.0),
            (|it| (it.speed, it.fastest) = (Some(0), 0), 0.0),
            (|it| it.speed = Some(5000), 1.0),
            (|it| it.lag = Some(7500), 0.5),
            (|it| it.lag = Some(15_000), 0.0),
            (|it| it.lag = Some(90_000), 0.0),
            (|it| it.pending = 4, 0.6),
            (|it| it.pending = 10, 0.0),
            (|it| it.connected = false, 0.9),
            (|it| it.speed = None, 0.5),
            (|it| it.lag = None, 0.5),
        ];
        for (change, expected) in cases {
            let mut properties = BEST;
            change(&mut properties);
            let score = properties.score();
            assert!((score - expected).abs() < 1e-9, "{score} {properties:?}");
        }
    }

    proptest! {
        #[test]
        fn a_score_lies_between_0_and_1(properties in any_properties()) {
            prop_assert!((0.0..=1.0).contains(&properties.score()));
        }

        #[test]
        fn whoever_is_worse_in_something_scores_no_better(
            one in any_properties(), errors in 0..3_u64, slower: u64, lag: u32, pending in 0..9_u32
        ) {
            let score = one.score();
            for worse in [
                Properties { hash_errors: one.hash_errors + errors, ..one },
                Properties { speed: one.speed.map(|speed| speed.min(slower)), ..one },
                Properties { fastest: one.fastest.max(slower), ..one },
                Properties { lag: one.lag.map(|before| before.saturating_add(lag.into())), ..one },
                Properties { pending: one.pending + pending, ..one },
                Properties { connected: false, ..one },
            ] {
                prop_assert!(worse.score() <= score, "{:?}", worse);
            }
        }
    }
}
