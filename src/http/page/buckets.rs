//! The routing tables' k-buckets as a plot: how near to itself a node knows
//! others. Units as in [`super::chart`].

use crate::http::status::shape::Bucket;

/// Height of the part with bars in pixels.
pub const HEIGHT: f64 = 72.0;

/// The least number of nodes that the upright axis has room for: a full bucket.
const ROOM: u64 = 8;

/// Share of a bucket's width that stays free.
const GAP: f64 = 0.2;

/// Buckets between two labels, at least.
const LABELS: usize = 12;

/// One version of IP's table.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// 4 or 6.
    pub family: u8,
    /// Nodes in it.
    pub nodes: u64,
    /// Those that are certainly reached from outside.
    pub confirmed: u64,
    /// The farthest from this node first.
    pub bars: Vec<Bar>,
    /// Nodes at the top of the upright axis.
    pub top: u64,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Left end in hundredths.
    pub x: f64,
    /// Width in hundredths.
    pub width: f64,
    /// Upper end of all nodes in pixels.
    pub y: f64,
    /// Their height in pixels.
    pub height: f64,
    /// Upper end of the confirmed ones in pixels.
    pub confirmed_y: f64,
    /// Their height in pixels.
    pub confirmed_height: f64,
    /// Leading bits shared, where there is room to say so.
    pub label: Option<u16>,
    /// What a pointing device shows.
    pub title: String,
}

impl Bar {
    /// Its middle in hundredths.
    pub fn middle(&self) -> f64 {
        self.x + self.width / 2.0
    }
}

/// A plot for each version of IP that has buckets.
pub fn sides(buckets: &[Bucket]) -> Vec<Side> {
    let sides = [4, 6].into_iter().map(|family| {
        let mine = buckets.iter().filter(|bucket| bucket.family == family);
        side(family, &mine.collect::<Vec<_>>())
    });
    sides.filter(|side| !side.bars.is_empty()).collect()
}

fn side(family: u8, buckets: &[&Bucket]) -> Side {
    let most = buckets.iter().map(|bucket| bucket.nodes).max();
    let top = most.unwrap_or(0).max(ROOM);
    let every = buckets.len().div_ceil(LABELS).max(1);
    let bars = buckets.iter().enumerate();
    let sum = |of: fn(&Bucket) -> u64| {
        let numbers = buckets.iter().map(|bucket| of(bucket));
        numbers.fold(0_u64, u64::saturating_add)
    };
    Side {
        family,
        nodes: sum(|bucket| bucket.nodes),
        confirmed: sum(|bucket| bucket.confirmed),
        bars: bars
            .map(|(at, bucket)| bar(at, buckets.len(), bucket, top, at.is_multiple_of(every)))
            .collect(),
        top,
    }
}

#[allow(clippy::cast_precision_loss)]
fn bar(at: usize, of: usize, bucket: &Bucket, top: u64, labelled: bool) -> Bar {
    let slot = 100.0 / of as f64;
    let rounded = |number: f64| (number * 100.0).round() / 100.0;
    let height = |nodes: u64| rounded(nodes as f64 / top as f64 * HEIGHT);
    let all = height(bucket.nodes);
    let confirmed = height(bucket.confirmed.min(bucket.nodes));
    Bar {
        x: rounded((at as f64 + GAP / 2.0) * slot),
        width: rounded(slot * (1.0 - GAP)),
        y: HEIGHT - all,
        height: all,
        confirmed_y: HEIGHT - confirmed,
        confirmed_height: confirmed,
        label: labelled.then_some(bucket.shared_bits),
        title: format!(
            "{} shared bits: {} nodes, {} of them confirmed",
            bucket.shared_bits, bucket.nodes, bucket.confirmed
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_bucket() -> impl Strategy<Value = Bucket> {
        let family = prop_oneof![Just(4_u8), Just(6)];
        (family, any::<u16>(), any::<u64>(), any::<u64>()).prop_map(
            |(family, shared_bits, nodes, confirmed)| Bucket {
                family,
                shared_bits,
                nodes,
                confirmed,
            },
        )
    }

    #[test]
    fn a_table_is_a_plot_of_its_own() {
        let bucket = |family, nodes, confirmed| Bucket {
            family,
            nodes,
            confirmed,
            ..Bucket::default()
        };
        let sides = sides(&[bucket(6, 2, 2), bucket(4, 8, 4), bucket(4, 1, 0)]);
        let told: Vec<_> = sides
            .iter()
            .map(|side| (side.family, side.nodes, side.confirmed, side.bars.len()))
            .collect();
        assert_eq!(told, [(4, 9, 4, 2), (6, 2, 2, 1)]);
        assert!((sides[0].bars[0].height - HEIGHT).abs() < 0.01);
        assert!((sides[0].bars[0].confirmed_height - HEIGHT / 2.0).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn every_bar_stays_inside(buckets in prop::collection::vec(any_bucket(), 0..200)) {
            for bar in sides(&buckets).into_iter().flat_map(|side| side.bars) {
                prop_assert!(bar.x >= 0.0 && bar.x + bar.width <= 100.01);
                prop_assert!(bar.y >= -0.01 && bar.height <= HEIGHT + 0.01);
                prop_assert!(bar.confirmed_height <= bar.height);
            }
        }
    }
}
