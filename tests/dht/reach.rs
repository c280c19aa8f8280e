//! Whether a node knows that others reach it.

use aptmesh::dht::engine::Bucket;

use crate::network::{Conditions, HOUR, Kind, Reach};
use crate::village::Village;

/// What nodes that are up think of themselves: open ones and those behind NATs, each `(yes, no, can't tell)`.
fn opinions(village: &Village) -> [(usize, usize, usize); 2] {
    let mut opinions = [(0, 0, 0); 2];
    let now = village.network.now();
    for host in &village.nodes {
        let thinks = village.network.engine(*host).snapshot(now).reachable;
        let of = &mut opinions[usize::from(village.network.reach(*host) == Reach::Natted)];
        match thinks {
            Some(true) => of.0 += 1,
            Some(false) => of.1 += 1,
            None => of.2 += 1,
        }
    }
    opinions
}

#[test]
fn open_nodes_learn_that_they_are_reached_and_those_behind_nats_that_they_are_not() {
    let mut village = Village::new(91, Conditions::default());
    village.grow(100, Kind::OPEN);
    village.grow(60, Kind::NATTED);
    village.publish(20);
    for _ in 0..6 {
        village.network.run_for(HOUR / 2);
        let [open, natted] = opinions(&village);
        assert_eq!(
            (open.1, natted.0),
            (0, 0),
            "open {open:?}, behind NATs {natted:?}"
        );
    }
    let [open, natted] = opinions(&village);
    assert!(open.0 >= 95, "{open:?}");
    assert!(natted.1 >= 54, "{natted:?}");
    // Who starts again is let in through the holes of the run before, and does not take that for proof.
    let inside = village.nodes[130];
    village.network.stop(inside);
    village.network.start(inside, &[]);
    for _ in 0..4 {
        village.network.run_for(HOUR / 4);
        let now = village.network.now();
        let thinks = village.network.engine(inside).snapshot(now).reachable;
        assert_ne!(thinks, Some(true));
    }
}

#[test]
fn the_buckets_hold_all_nodes_the_farthest_first() {
    let village = Village::calm(92, 60);
    for host in &village.nodes {
        let snapshot = village
            .network
            .engine(*host)
            .snapshot(village.network.now());
        let buckets = &snapshot.buckets;
        let bits: Vec<_> = buckets.iter().map(|bucket| bucket.shared_bits).collect();
        assert_eq!(bits, (0..buckets.len()).collect::<Vec<_>>());
        assert!(buckets.len() > 2, "{buckets:?}");
        let sum = |of: fn(&Bucket) -> usize| buckets.iter().map(of).sum::<usize>();
        assert_eq!(sum(|bucket| bucket.nodes), snapshot.nodes);
        assert_eq!(sum(|bucket| bucket.confirmed), snapshot.confirmed_nodes);
        assert!(buckets.iter().all(|bucket| bucket.nodes <= 8));
    }
}
