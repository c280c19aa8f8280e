//! How many nodes the network has, from how close to each other they are.

use super::id::Distance;

/// Weight of the latest lookup in the moving average.
const WEIGHT: f64 = 0.125;

/// Bits of an id.
const BITS: f64 = 160.0;

/// The estimate, as an exponentially weighted moving average of its log2.
#[derive(Debug, Default, Clone, Copy)]
pub struct NetworkSize {
    log2: Option<f64>,
}

impl NetworkSize {
    /// A lookup ended with these distances of the closest nodes to its target,
    /// all that there are where they are fewer than `wide`.
    pub fn looked_up(&mut self, distances: &[Distance], wide: usize) {
        let Some(farthest) = distances.iter().take(wide).max() else {
            return;
        };
        let log2 = if distances.len() < wide {
            count(distances.len() + 1).log2()
        } else {
            // The nth closest of N evenly spread nodes is n/N of the space
            // away; its logarithm is on average that of n less a little, for
            // the logarithm bends (digamma).
            let n = count(wide);
            let digamma = n.ln() - 1.0 / (2.0 * n) - 1.0 / (12.0 * n * n);
            BITS - farthest.log2() + digamma / std::f64::consts::LN_2
        };
        self.log2 = Some(match self.log2 {
            Some(before) => before + WEIGHT * (log2 - before),
            None => log2,
        });
    }

    /// Nodes in the network, ourselves included; 0 before the first lookup.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn nodes(&self) -> u64 {
        self.log2.map_or(0, |log2| log2.exp2().round() as u64)
    }
}

#[allow(clippy::cast_precision_loss)]
const fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::dht::id::NodeId;

    #[test]
    fn random_ids_are_counted_within_a_fifth() {
        let mut rng = StdRng::seed_from_u64(3);
        for nodes in [100, 1000, 10_000] {
            let ids: Vec<_> = (0..nodes).map(|_| NodeId::random(&mut rng)).collect();
            let mut size = NetworkSize::default();
            for _ in 0..100 {
                let target = NodeId::random(&mut rng);
                let mut distances: Vec<_> = ids.iter().map(|id| id.distance(&target)).collect();
                distances.sort();
                distances.truncate(8);
                size.looked_up(&distances, 8);
            }
            let estimate = size.nodes();
            assert!(
                (nodes * 4 / 5..nodes * 5 / 4).contains(&estimate),
                "{nodes}: {estimate}"
            );
        }
    }

    #[test]
    fn a_few_nodes_are_simply_counted() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut size = NetworkSize::default();
        let distances = [
            NodeId::random(&mut rng).distance(&NodeId::random(&mut rng)),
            NodeId::random(&mut rng).distance(&NodeId::random(&mut rng)),
        ];
        size.looked_up(&distances, 8);
        assert_eq!(size.nodes(), 3);
    }
}
