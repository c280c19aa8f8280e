//! Tests of what is kept for others: rules one by one, and under random
//! publishers that nothing grows beyond its bounds, that rows follow, and that
//! nobody loses a value to who has more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const HOUR: Millis = 60 * 60 * 1000;
const EXPIRE: Millis = 3 * HOUR;

fn key(n: u8) -> Key {
    Key::of_hash(&[n])
}

fn ip(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

fn value(n: u32) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

fn of_key(values: &Values, n: u8, now: Millis) -> BTreeSet<Vec<u8>> {
    let all: Vec<_> = values
        .get(&key(n), now)
        .map(|value| value.to_vec())
        .collect();
    assert_eq!(all.len(), values.count(&key(n), now) as usize);
    let set: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(set.len(), all.len());
    set
}

fn small() -> Values {
    Values::with_bounds(Bounds {
        values_per_key: 6,
        values_per_publisher: 10,
        values: 20,
        bytes: 160,
    })
}

#[test]
fn a_value_is_kept_until_it_expires() {
    let mut values = Values::default();
    assert_eq!(values.next_expiry(), None);
    assert!(values.is_empty());
    let stored = values.store(key(1), value(1), ip(1), EXPIRE);
    assert_eq!(stored, Stored::New);
    values.store(key(1), value(2), ip(1), EXPIRE + HOUR);
    values.store(key(2), value(1), ip(1), EXPIRE + HOUR);
    assert_eq!((values.keys(), values.len(), values.bytes()), (2, 3, 12));
    assert_eq!(of_key(&values, 1, EXPIRE - 1).len(), 2);
    // Nobody sees it from then on, even before it is gone.
    assert_eq!(of_key(&values, 1, EXPIRE), BTreeSet::from([value(2)]));
    assert_eq!(values.next_expiry(), Some(EXPIRE));
    values.expire(EXPIRE - 1);
    assert_eq!(values.len(), 3);
    values.expire(EXPIRE);
    assert_eq!((values.keys(), values.len(), values.bytes()), (2, 2, 8));
    values.expire(EXPIRE + HOUR);
    assert_eq!((values.keys(), values.len(), values.bytes()), (0, 0, 0));
    assert_eq!(values.next_expiry(), None);
}

#[test]
fn storing_again_renews() {
    let mut values = Values::default();
    values.store(key(1), value(1), ip(1), EXPIRE);
    let stored = values.store(key(1), value(1), ip(1), EXPIRE + HOUR);
    assert_eq!(stored, Stored::Renewed);
    assert_eq!((values.len(), values.bytes()), (1, 4));
    values.expire(EXPIRE);
    assert_eq!(values.len(), 1);
    // By somebody else, too.
    let stored = values.store(key(1), value(1), ip(2), EXPIRE + 2 * HOUR);
    assert_eq!(stored, Stored::Renewed);
    assert_eq!(values.len(), 1);
    values.expire(EXPIRE + HOUR);
    assert_eq!(of_key(&values, 1, EXPIRE + HOUR).len(), 1);
    values.expire(EXPIRE + 2 * HOUR);
    assert!(values.is_empty());
}

#[test]
fn an_ipv6_network_is_one_publisher() {
    let mut values = small();
    for host in 0..20 {
        let ip = [0x2a01, 1, 2, host, 0, 0, 0, host].into();
        values.store(key(1), value(host.into()), ip, EXPIRE);
    }
    values.store(key(1), value(99), ip(1), EXPIRE);
    assert_eq!(of_key(&values, 1, 0).len(), 6);
    assert!(of_key(&values, 1, 0).contains(&value(99)));
    assert_eq!(
        values
            .claims
            .load(&network_of([0x2a01, 1, 2, 3, 0, 0, 0, 9].into()))
            .claims,
        5
    );
}

#[test]
fn what_everybody_publishes_is_stored_once() {
    let mut values = Values::default();
    for publisher in 0..1000 {
        let expires = EXPIRE + Millis::from(publisher);
        values.store(key(1), value(1), ip(publisher), expires);
    }
    assert_eq!(values.len(), 1);
    assert!(values.bytes() <= 4 * CLAIMS_OF_VALUE);
    // Until three hours after the last store, whoever that was.
    assert_eq!(of_key(&values, 1, EXPIRE + 998).len(), 1);
    values.store(key(1), value(1), ip(2000), EXPIRE + HOUR);
    assert_eq!(of_key(&values, 1, EXPIRE + HOUR - 1).len(), 1);
}

#[test]
fn a_publisher_has_so_many_values() {
    let mut values = small();
    for n in 0..30 {
        let key = key(u8::try_from(n).unwrap());
        values.store(key, value(n), ip(1), EXPIRE + Millis::from(n));
        assert!(values.len() <= 10);
    }
    // The newest.
    assert_eq!(of_key(&values, 20, 0).len(), 1);
    assert_eq!(of_key(&values, 19, 0).len(), 0);
}

#[test]
fn a_full_key_is_shared() {
    let mut values = small();
    values.store(key(1), value(100), ip(2), EXPIRE);
    values.store(key(1), value(101), ip(3), EXPIRE);
    values.store(key(1), value(102), ip(3), EXPIRE + 1);
    for n in 0..50 {
        values.store(key(1), value(n), ip(1), EXPIRE + HOUR + Millis::from(n));
    }
    let kept: BTreeSet<_> = [100, 101, 102, 47, 48, 49].map(value).into();
    assert_eq!(of_key(&values, 1, 0), kept);
    // Others take of whoever has most, its oldest first.
    assert_eq!(values.store(key(1), value(200), ip(4), EXPIRE), Stored::New);
    let kept: BTreeSet<_> = [100, 101, 102, 200, 48, 49].map(value).into();
    assert_eq!(of_key(&values, 1, 0), kept);
    // Until nobody has more than who comes would have.
    assert_eq!(values.store(key(1), value(201), ip(5), EXPIRE), Stored::New);
    assert_eq!(values.store(key(1), value(202), ip(6), EXPIRE), Stored::New);
    let kept: BTreeSet<_> = [100, 102, 200, 201, 202, 49].map(value).into();
    assert_eq!(of_key(&values, 1, 0), kept);
    assert_eq!(
        values.store(key(1), value(203), ip(7), EXPIRE),
        Stored::Refused
    );
    assert_eq!(of_key(&values, 1, 0), kept);
    // Who has one may have another in its place.
    assert_eq!(
        values.store(key(1), value(204), ip(6), EXPIRE + 1),
        Stored::New
    );
    let kept: BTreeSet<_> = [100, 102, 200, 201, 204, 49].map(value).into();
    assert_eq!(of_key(&values, 1, 0), kept);
}

#[test]
fn a_full_store_is_shared() {
    let mut values = small();
    values.store(key(1), value(1), ip(1), EXPIRE);
    values.store(key(2), vec![7; 60], ip(2), EXPIRE);
    for n in 0..100_u8 {
        let n_th = EXPIRE + HOUR + Millis::from(n);
        values.store(key(n), value(n.into()), ip(3 + u32::from(n % 3)), n_th);
    }
    assert!(of_key(&values, 1, 0).contains(&value(1)));
    assert!(of_key(&values, 2, 0).contains(&vec![7; 60]));
    assert_eq!(values.len(), 20);
    // What is large weighs more than what is small.
    for n in 0..5 {
        values.store(key(n), vec![n; 60], ip(9), EXPIRE + HOUR);
        assert!(values.bytes() <= 160);
    }
    assert!(of_key(&values, 1, 0).contains(&value(1)));
    assert!(of_key(&values, 2, 0).contains(&vec![7; 60]));
    assert_eq!(
        values.store(key(1), vec![0; 161], ip(10), EXPIRE),
        Stored::Refused
    );
}

#[test]
fn nobody_ends_what_another_wants_by_wanting_it_too() {
    let mut values = small();
    let (honest, flood) = (ip(1), ip(2));
    values.store(key(1), value(1), honest, EXPIRE);
    // Beforehand and afterwards.
    values.store(key(1), value(1), flood, EXPIRE);
    values.store(key(1), value(2), flood, EXPIRE);
    values.store(key(1), value(2), honest, EXPIRE);
    for n in 100..200 {
        let expires = EXPIRE + HOUR + Millis::from(n);
        values.store(key(1), value(n), flood, expires);
    }
    assert!(of_key(&values, 1, 0).is_superset(&[1, 2].map(value).into()));
    assert_eq!(values.claims.load(&flood).claims, 4);
}

#[test]
fn rows_follow_and_are_restored() {
    let mut values = Values::default();
    let saved = |n, publisher, expires| Saved {
        key: key(1),
        value: value(n),
        publisher: ip(publisher),
        expires,
    };
    let put = |n, publisher, expires| ValueChange::Put(saved(n, publisher, expires));
    let gone = |n| ValueChange::Gone {
        key: key(1),
        value: value(n),
    };
    values.store(key(1), value(1), ip(1), EXPIRE);
    values.store(key(1), value(1), ip(1), EXPIRE + 1);
    assert_eq!(values.take_changes(), [put(1, 1, EXPIRE + 1)]);
    assert_eq!(values.take_changes(), []);
    // The row has the claim that lasts longest.
    values.store(key(1), value(1), ip(2), EXPIRE);
    assert_eq!(values.take_changes(), [put(1, 1, EXPIRE + 1)]);
    values.store(key(1), value(1), ip(2), EXPIRE + 2);
    assert_eq!(values.take_changes(), [put(1, 2, EXPIRE + 2)]);
    // What nobody heard of needs no row.
    values.store(key(1), value(2), ip(2), HOUR);
    values.expire(HOUR);
    assert_eq!(values.take_changes(), []);
    values.expire(EXPIRE + 2);
    assert_eq!(values.take_changes(), [gone(1)]);
    values.store(key(1), value(1), ip(1), EXPIRE);
    values.take_changes();
    values.expire(EXPIRE);
    values.store(key(1), value(1), ip(3), 2 * EXPIRE);
    assert_eq!(values.take_changes(), [put(1, 3, 2 * EXPIRE)]);

    let mut restored = Values::default();
    restored.restore(saved(1, 1, EXPIRE), HOUR);
    restored.restore(saved(2, 1, HOUR), HOUR);
    assert_eq!(of_key(&restored, 1, 0), [value(1)].into());
    assert_eq!(restored.take_changes(), [gone(2)]);
    restored.expire(EXPIRE);
    assert_eq!(restored.take_changes(), [gone(1)]);
}

#[derive(Debug, Clone)]
enum Op {
    Store {
        key: u8,
        value: u8,
        len: usize,
        by: u32,
        expires: Millis,
    },
    Pass(Millis),
    Expire,
    TakeChanges,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let store = (0..5_u8, 0..12_u8, 0..24_usize, 0..6_u32, 1..100_i64);
    let store = store.prop_map(|(key, value, len, by, expires)| Op::Store {
        key,
        value,
        len,
        by,
        expires,
    });
    let op = prop_oneof![
        30 => store,
        2 => (0..20_i64).prop_map(Op::Pass),
        1 => Just(Op::Expire),
        1 => Just(Op::TakeChanges),
    ];
    proptest::collection::vec(op, 0..300)
}

type Rows = BTreeMap<(Key, Vec<u8>), (Millis, IpAddr)>;

fn write(rows: &mut Rows, values: &mut Values) {
    let mut seen = BTreeSet::new();
    for change in values.take_changes() {
        match change {
            ValueChange::Put(saved) => {
                assert!(seen.insert((saved.key, saved.value.clone())));
                rows.insert((saved.key, saved.value), (saved.expires, saved.publisher));
            }
            ValueChange::Gone { key, value } => {
                assert!(seen.insert((key, value.clone())));
                assert!(rows.remove(&(key, value)).is_some(), "there was no row");
            }
        }
    }
    let mut longest = Rows::new();
    for n in 0..5 {
        for (_, claim) in values.claims.of_key(&key(n)) {
            let row = longest.entry((key(n), claim.value.to_vec()));
            let claim = (claim.expires, claim.publisher);
            let row = row.or_insert(claim);
            *row = claim.max(*row);
        }
    }
    assert_eq!(*rows, longest);
}

/// Who claims which value.
fn claims(values: &Values) -> BTreeMap<(Key, Vec<u8>), BTreeSet<IpAddr>> {
    let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for n in 0..5 {
        for (_, claim) in values.claims.of_key(&key(n)) {
            let by = all.entry((key(n), claim.value.to_vec())).or_default();
            assert!(by.insert(claim.publisher), "twice");
        }
    }
    all
}

fn claims_of(values: &Values, key: &Key, by: IpAddr) -> usize {
    let all = values.claims.of_key(key);
    all.filter(|(_, claim)| claim.publisher == by).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_publishers_keep_to_the_bounds(ops in ops()) {
        let mut values = small();
        let bounds = values.bounds.clone();
        let mut rows = Rows::new();
        let mut now = 0;
        for op in ops {
            match op {
                Op::Store { key: at, value, len, by, expires } => {
                    let (key, by, value) = (key(at), ip(by), vec![value; len]);
                    let before = claims(&values);
                    let in_key = |by| claims_of(&values, &key, by);
                    let all: Vec<_> = (0..6).map(ip).collect();
                    let had: BTreeMap<_, _> = all
                        .iter()
                        .map(|by| (*by, (in_key(*by), values.claims.load(by).weight)))
                        .collect();
                    let stored = values.store(key, value.clone(), by, now + expires);
                    let after = claims(&values);
                    let row = (key, value);
                    prop_assert_eq!(stored == Stored::Refused, !after.contains_key(&row));
                    prop_assert!(stored != Stored::Renewed || before.contains_key(&row));
                    prop_assert!(stored != Stored::New || !before.contains_key(&row));
                    // Whoever lost its last claim to a value had more than who stored.
                    let own = (claims_of(&values, &key, by), values.claims.load(&by).weight);
                    let lost = before.iter().filter(|(row, _)| !after.contains_key(row));
                    for loser in lost.flat_map(|(_, by)| by).filter(|loser| **loser != by) {
                        prop_assert!(had[loser].0 > own.0 || had[loser].1 > own.1);
                    }
                }
                Op::Pass(millis) => now += millis,
                Op::Expire => {
                    values.expire(now);
                    prop_assert!(values.next_expiry().is_none_or(|at| at > now));
                }
                Op::TakeChanges => write(&mut rows, &mut values),
            }
            values.claims.check();
            prop_assert!(values.claims.len() <= bounds.values);
            prop_assert!(values.bytes() <= bounds.bytes);
            for n in 0..6 {
                let load = values.claims.load(&ip(n));
                prop_assert!(load.claims <= bounds.values_per_publisher);
            }
            for n in 0..5 {
                prop_assert!(values.claims.len_of(&key(n)) <= bounds.values_per_key);
                of_key(&values, n, now);
            }
        }
        write(&mut rows, &mut values);
        let mut restored = small();
        for ((key, value), (expires, publisher)) in rows.clone() {
            restored.restore(Saved { key, value, publisher, expires }, now);
        }
        restored.claims.check();
        write(&mut rows, &mut restored);
    }

    #[test]
    fn a_flood_never_displaces_the_values_of_the_quiet(
        quiet in proptest::collection::vec((0..5_u8, 0..8_usize, 0..100_i64), 0..4),
        flood in proptest::collection::vec(
            (0..8_u8, 0..200_u8, 0..40_usize, 0..3_u32, 0..500_i64),
            0..400,
        ),
    ) {
        let mut values = small();
        // Four with a value each; three that store whatever they like, those
        // values included.
        let mut kept = BTreeSet::new();
        for (n, (at, len, expires)) in (0..).zip(quiet) {
            let value = vec![n; len];
            values.store(key(at), value.clone(), ip(n.into()), EXPIRE + expires);
            kept.insert((at, value));
        }
        for (at, n, len, by, expires) in flood {
            let value = vec![n % 20; len];
            values.store(key(at), value, ip(10 + by), EXPIRE + expires);
            for (at, value) in &kept {
                prop_assert!(of_key(&values, *at, 0).contains(value));
            }
        }
    }
}
