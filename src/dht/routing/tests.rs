//! Tests of the routing table: rules one by one, then what is always true under
//! any sequence of operations.

mod properties;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand::SeedableRng;

use super::*;

const START: Millis = 1_700_000_000_000;
const MINUTE: Millis = 60_000;
const K: usize = 8;

/// Private, so that as many as wanted may come from one network.
fn addr(n: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), 1000 + n)
}

/// An id that shares exactly so many bits with the own one, all zeros.
fn id(shared: u32, n: u8) -> NodeId {
    let mut id = [0; 20];
    id[shared as usize / 8] = 0x80 >> (shared % 8);
    id[19] ^= n;
    NodeId(id)
}

fn own() -> NodeId {
    NodeId([0; 20])
}

/// The n-th node of the bucket with so many shared bits.
fn contact(shared: u32, n: u8) -> Contact {
    let port = u16::try_from(shared).unwrap() * 256 + u16::from(n);
    Contact::new(id(shared, n), addr(port))
}

fn table() -> RoutingTable {
    RoutingTable::new(own(), K, 3, START)
}

/// With a full bucket of the far half, and nodes in the near one.
fn full_table() -> RoutingTable {
    let mut table = table();
    for n in 0..8 {
        let now = START + Millis::from(n);
        assert_eq!(table.answered(contact(0, n), true, now), Entered::Added);
        assert_eq!(table.answered(contact(3, n), true, now), Entered::Added);
    }
    table
}

fn ids(table: &RoutingTable) -> BTreeSet<NodeId> {
    table.nodes().map(|node| node.contact.id).collect()
}

#[test]
fn only_the_own_bucket_splits() {
    let mut table = full_table();
    assert_eq!(table.len(), 16);
    assert_eq!(table.buckets.len(), 2);
    let entered = table.answered(contact(0, 9), true, START + 20);
    let oldest = contact(0, 0);
    assert_eq!(entered, Entered::Waits { oldest });
    assert_eq!(table.buckets.len(), 2);
    let far = table.answered(contact(40, 0), true, START + 20);
    assert_eq!(far, Entered::Added);
    assert_eq!(table.buckets.len(), 5);
}

#[test]
fn a_network_of_many_nodes_fills_some_buckets() {
    let mut rng = StdRng::seed_from_u64(3);
    let mut table = RoutingTable::new(NodeId::random(&mut rng), K, 3, START);
    for n in 0..10_000 {
        let ip = Ipv4Addr::from_bits(0x1000_0000 + n * 65_521);
        let contact = Contact::new(NodeId::random(&mut rng), (ip, 9977).into());
        table.answered(contact, true, START);
    }
    assert!((80..120).contains(&table.len()), "{}", table.len());
    assert!((10..14).contains(&table.buckets.len()));
}

#[test]
fn made_up_ids_next_to_ours_do_not_split_for_ever() {
    let mut table = table();
    for shared in 0..158 {
        for n in 0..9 {
            table.answered(contact(shared, n), true, START);
        }
    }
    assert_eq!(table.buckets.len(), 49);
}

#[test]
fn halves_merge_when_one_has_room_for_both() {
    let mut table = full_table();
    table.looked_up(&id(0, 0), START + MINUTE);
    for n in 0..8 {
        table.remove(&contact(3, n));
    }
    assert_eq!(table.buckets.len(), 1);
    assert_eq!(table.len(), 8);
    // Half of it is as stale as before.
    assert_eq!(table.next_stale(MINUTE), START + MINUTE);
}

#[test]
fn who_answers_again_is_known_and_stays_confirmed() {
    let mut table = table();
    assert_eq!(table.answered(contact(0, 1), false, START), Entered::Added);
    assert!(!table.get(&id(0, 1)).unwrap().confirmed);
    for confirmed in [true, false] {
        let later = START + MINUTE;
        let entered = table.answered(contact(0, 1), confirmed, later);
        assert_eq!(entered, Entered::Known);
        let node = table.get(&id(0, 1)).unwrap();
        assert!(node.confirmed);
        assert_eq!((node.last_answer, node.last_try), (later, later));
    }
    let us = Contact::new(own(), addr(1));
    assert_eq!(table.answered(us, true, START), Entered::Refused);
    assert_eq!(table.len(), 1);
}

#[test]
fn three_failures_in_a_row_remove() {
    let mut table = table();
    let node = contact(0, 1);
    table.answered(node, true, START);
    assert!(!table.failed(&node, START));
    assert!(!table.failed(&node, START));
    table.answered(node, false, START);
    assert!(!table.failed(&node, START));
    assert!(!table.failed(&node, START));
    assert!(!table.failed(&Contact::new(node.id, addr(9)), START));
    assert!(table.failed(&node, START));
    assert!(!table.failed(&node, START));
    assert!(table.is_empty());
}

#[test]
fn one_failure_removes_who_was_never_confirmed() {
    let mut table = table();
    table.answered(contact(0, 1), false, START);
    assert!(table.failed(&contact(0, 1), START));
    assert!(table.is_empty());
}

#[test]
fn one_failure_gives_the_place_to_the_newest_that_waits() {
    let mut table = full_table();
    for n in 10..30 {
        let entered = table.answered(contact(0, n), n < 28, START + 100);
        let oldest = contact(0, 0);
        assert_eq!(entered, Entered::Waits { oldest });
    }
    assert!(table.get(&id(0, 29)).is_none());
    assert!(table.failed(&contact(0, 0), START + 200));
    // The newest of those that are confirmed.
    let node = table.get(&id(0, 27)).unwrap();
    assert!(node.confirmed);
    assert_eq!(node.last_answer, START + 100);
    for n in 1..8 {
        assert!(table.failed(&contact(0, n), START + 200));
    }
    let kept: Vec<_> = (10..30)
        .filter(|n| table.get(&id(0, *n)).is_some())
        .collect();
    assert_eq!(kept, (22..30).collect::<Vec<_>>());
}

#[test]
fn who_waited_long_has_to_answer_anew() {
    let mut table = full_table();
    table.answered(contact(0, 10), true, START);
    let later = START + 20 * MINUTE;
    table.failed(&contact(0, 0), later);
    assert!(!table.get(&id(0, 10)).unwrap().confirmed);
    assert_eq!(table.due(later, 15 * MINUTE), [contact(0, 10)]);
}

#[test]
fn who_fails_while_it_waits_does_so_no_longer() {
    let mut table = full_table();
    table.answered(contact(0, 10), true, START);
    assert!(!table.wants(&contact(0, 10)));
    assert!(!table.failed(&contact(0, 10), START));
    assert!(table.wants(&contact(0, 10)));
    assert!(!table.failed(&contact(0, 0), START), "nobody waits");
    assert!(table.get(&id(0, 0)).is_some());
}

#[test]
fn a_good_newcomer_replaces_the_worst() {
    let mut table = full_table();
    table.remove(&contact(0, 3));
    table.answered(contact(0, 3), false, START + 50);
    let newcomer = table.answered(contact(0, 10), false, START + 60);
    assert_eq!(
        newcomer,
        Entered::Waits {
            oldest: contact(0, 0)
        }
    );
    // It is known from waiting, and confirmed now.
    let newcomer = table.answered(contact(0, 10), true, START + 60);
    assert_eq!(newcomer, Entered::Added);
    assert!(table.get(&id(0, 3)).is_none());
    table.failed(&contact(0, 5), START + 60);
    table.failed(&contact(0, 6), START + 60);
    table.failed(&contact(0, 6), START + 60);
    let newcomer = table.answered(contact(0, 11), true, START + 60);
    assert_eq!(newcomer, Entered::Added);
    assert!(table.get(&id(0, 6)).is_none());
}

#[test]
fn an_id_moves_only_when_its_old_address_fails() {
    let mut table = table();
    let old = contact(0, 1);
    let new = Contact::new(old.id, addr(500));
    table.answered(old, true, START);
    assert!(!table.wants(&new));
    assert_eq!(table.answered(new, true, START), Entered::Refused);
    assert_eq!(table.get(&old.id).unwrap().contact, old);
    table.failed(&old, START);
    assert!(table.wants(&new));
    assert_eq!(table.answered(new, false, START), Entered::Added);
    let node = table.get(&old.id).unwrap();
    assert_eq!((node.contact, node.confirmed), (new, false));
    assert_eq!(table.len(), 1);
}

#[test]
fn an_address_has_one_id() {
    let mut table = full_table();
    let changed = Contact::new(id(5, 77), contact(0, 1).addr);
    assert_eq!(table.answered(changed, true, START), Entered::Added);
    assert!(table.get(&id(0, 1)).is_none());
    // One that waits is changed, too.
    table.answered(contact(0, 1), true, START);
    table.answered(contact(0, 10), true, START);
    let changed = Contact::new(id(5, 78), contact(0, 10).addr);
    table.answered(changed, true, START);
    assert!(table.wants(&contact(0, 10)));
    assert!(table.buckets[0].waiting.is_empty());
}

#[test]
fn a_public_network_gets_few_places() {
    let v4 = |n: u8| IpAddr::from([93, 184, 216, n]);
    let v6 = |n: u8| IpAddr::from(Ipv6Addr::new(0x2a01, 1, 2, n.into(), 0, 0, 0, 1));
    let networks: [&dyn Fn(u8) -> IpAddr; 2] = [&v4, &v6];
    for network in networks {
        let mut table = table();
        let at =
            |shared: u32, n: u8, host: u8| Contact::new(id(shared, n), (network(host), 9).into());
        // So that there are buckets enough.
        for shared in 0..30 {
            for n in 0..6 {
                table.answered(contact(shared, n), true, START);
            }
        }
        let before = table.len();
        let mut host = 0;
        for shared in 0..20 {
            for n in 100..103 {
                host += 1;
                table.answered(at(shared, n, host), true, START);
            }
            let count = table.len() - before;
            assert_eq!(count, 10.min(2 * (shared as usize + 1)));
        }
        assert!(!table.wants(&at(25, 200, 200)));
        // A good one takes the place of one that fails.
        assert!(!table.failed(&at(0, 100, 1), START));
        assert!(table.wants(&at(0, 200, 200)));
        assert_eq!(
            table.answered(at(0, 200, 200), false, START),
            Entered::Refused
        );
        assert_eq!(table.answered(at(0, 200, 200), true, START), Entered::Added);
        assert_eq!(table.len() - before, 10);
    }
}

#[test]
fn halves_with_too_many_of_a_network_stay_apart() {
    let public = |shared: u32, n: u8| {
        let port = u16::try_from(shared).unwrap() + 1;
        Contact::new(id(shared, n), ([93, 184, 216, n], port).into())
    };
    let mut table = full_table();
    for shared in [0, 3] {
        for n in 0..2 {
            table.remove(&contact(shared, n));
            table.answered(public(shared, 100 + 2 * n), true, START);
        }
    }
    for shared in [0, 3] {
        for n in 2..6 {
            table.remove(&contact(shared, n));
        }
    }
    assert_eq!(table.len(), 8);
    assert_eq!(table.buckets.len(), 2);
    table.remove(&public(3, 100));
    assert_eq!(table.buckets.len(), 2);
    table.remove(&public(3, 102));
    assert_eq!(table.buckets.len(), 1);
}

#[test]
fn a_public_network_does_not_fill_the_waiting_list() {
    let mut table = full_table();
    let public = |n: u8| Contact::new(id(0, 50 + n), ([93, 184, 216, n], 9).into());
    for n in 0..20 {
        table.answered(public(n), true, START);
        table.answered(contact(0, 10 + n % 6), true, START);
    }
    let waiting = table.buckets[0].waiting.iter();
    assert_eq!(waiting.filter(|it| it.contact.addr.port() == 9).count(), 2);
    assert_eq!(table.buckets[0].waiting.len(), 8);
}

#[test]
fn others_hear_of_the_unproven_only_where_there_are_no_better() {
    let mut table = table();
    for n in 0..3 {
        table.answered(contact(0, n), true, START);
        table.answered(contact(1, n), false, START);
    }
    table.answered(contact(2, 0), true, START);
    table.failed(&contact(2, 0), START);
    let target = own();
    let closest = |n| -> Vec<_> { table.closest(&target, n) };
    let good: Vec<_> = (0..3).map(|n| contact(0, n)).collect();
    assert_eq!(closest(3), good);
    assert_eq!(closest(4), [&[contact(1, 0)], good.as_slice()].concat());
    assert_eq!(closest(7).len(), 7);
    assert_eq!(closest(7)[0], contact(2, 0));
    assert_eq!(closest(6)[0], contact(1, 0));
    assert_eq!(closest(100), closest(7));
    assert_eq!(closest(0), []);
    assert_eq!(table.confirmed(), 3);
}

#[test]
fn the_stalest_bucket_is_refreshed() {
    let mut rng = StdRng::seed_from_u64(5);
    let mut table = full_table();
    table.answered(contact(3, 8), true, START);
    table.answered(contact(9, 0), true, START);
    let staleness = 60 * MINUTE;
    assert_eq!(table.next_stale(staleness), START + staleness);
    assert_eq!(table.stale(START + staleness, staleness, &mut rng), None);
    let now = START + staleness + 1;
    let buckets = table.buckets.len();
    assert_eq!(buckets, 5);
    let mut seen = Vec::new();
    while let Some(target) = table.stale(now, staleness, &mut rng) {
        seen.push(own().common_prefix(&target).min(4));
        table.looked_up(&target, now);
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(table.next_stale(staleness), now + staleness);
}

#[test]
fn who_has_to_prove_itself_is_pinged_again() {
    let mut table = table();
    let interval = 15 * MINUTE;
    table.answered(contact(0, 0), true, START);
    assert!(table.due(START + 100 * interval, interval).is_empty());
    table.answered(contact(0, 1), false, START);
    assert!(table.due(START + interval - 1, interval).is_empty());
    assert_eq!(table.due(START + interval, interval), [contact(0, 1)]);
    assert!(table.due(START + 2 * interval - 1, interval).is_empty());
    assert_eq!(table.due(START + 2 * interval, interval), [contact(0, 1)]);
    table.answered(contact(0, 1), true, START + 2 * interval);
    assert!(table.due(START + 9 * interval, interval).is_empty());

    let later = START + 10 * interval;
    table.failed(&contact(0, 0), later);
    assert!(table.due(later + 29_999, interval).is_empty());
    assert_eq!(table.due(later + 30_000, interval), [contact(0, 0)]);
    let later = later + 39_000;
    table.failed(&contact(0, 0), later);
    assert!(table.due(later + 2 * MINUTE - 1, interval).is_empty());
    assert_eq!(table.due(later + 2 * MINUTE, interval), [contact(0, 0)]);
}

#[test]
fn few_are_pinged_at_once() {
    let mut table = table();
    for n in 0..8 {
        table.answered(contact(0, n), false, START + Millis::from(n));
    }
    let now = START + 20 * MINUTE;
    let all: Vec<_> = (0..8).map(|n| contact(0, n)).collect();
    assert_eq!(table.due(now, MINUTE), all[..4]);
    assert_eq!(table.due(now, MINUTE), all[4..]);
    assert!(table.due(now, MINUTE).is_empty());
}

#[test]
fn rows_follow() {
    let mut table = full_table();
    assert_eq!(table.take_changes().len(), 16);
    assert!(table.take_changes().is_empty());
    // It answers again and again: a row every ten minutes.
    table.answered(contact(0, 0), true, START + 10 * MINUTE);
    assert!(table.take_changes().is_empty());
    table.answered(contact(0, 0), true, START + 10 * MINUTE + 1);
    let node = table.get(&id(0, 0)).unwrap().clone();
    assert_eq!(table.take_changes(), [NodeChange::Put(node)]);
    // It fails, and another takes its place.
    table.answered(contact(0, 9), true, START + 11 * MINUTE);
    table.failed(&contact(0, 0), START + 11 * MINUTE);
    let node = table.get(&id(0, 9)).unwrap().clone();
    let changes = [NodeChange::Gone(id(0, 0)), NodeChange::Put(node)];
    assert_eq!(table.take_changes(), changes);
    // It comes and goes before anybody heard of it.
    table.remove(&contact(0, 9));
    table.answered(contact(0, 10), true, START + 11 * MINUTE);
    table.remove(&contact(0, 10));
    assert_eq!(table.take_changes(), [NodeChange::Gone(id(0, 9))]);
    // It goes and comes.
    table.remove(&contact(0, 1));
    table.answered(contact(0, 1), true, START + 11 * MINUTE);
    let node = table.get(&id(0, 1)).unwrap().clone();
    assert_eq!(table.take_changes(), [NodeChange::Put(node)]);
}

#[test]
fn a_table_is_restored_from_its_rows() {
    let mut table = full_table();
    table.failed(&contact(0, 2), START);
    let rows: Vec<_> = table.nodes().cloned().collect();
    let mut restored = self::table();
    for node in rows.iter().rev() {
        restored.restore(node.clone());
    }
    assert!(restored.take_changes().is_empty());
    assert_eq!(ids(&table), ids(&restored));
    assert_eq!(restored.get(&id(0, 2)), table.get(&id(0, 2)));
    assert!(!restored.due(START + MINUTE, MINUTE).is_empty());

    // Whatever stands in a row.
    let mut odd = self::table();
    odd.restore(Node {
        failures: u32::MAX,
        last_answer: Millis::MIN,
        last_try: Millis::MAX,
        ..rows[0].clone()
    });
    assert!(odd.due(START, MINUTE).is_empty());
    assert_eq!(odd.answered(rows[0].contact, true, START), Entered::Known);
    assert_eq!(odd.confirmed(), 1);

    // What has no place any more has no row any more.
    let mut small = RoutingTable::new(own(), 2, 3, START);
    for node in &rows {
        small.restore(node.clone());
    }
    small.restore(Node {
        contact: Contact::new(own(), addr(900)),
        ..rows[0].clone()
    });
    let changes = small.take_changes();
    let is_gone = |change: &NodeChange| matches!(change, NodeChange::Gone(_));
    assert!(changes.iter().all(is_gone));
    assert_eq!(changes.len(), rows.len() + 1 - small.len());
}

#[test]
fn rows_of_the_lost_stay_until_others_are_known() {
    let (mut table, nth) = (table(), |n: u8| contact((n % 10).into(), n));
    for n in 0..40 {
        table.answered(nth(n), true, START);
    }
    assert_eq!(table.take_changes().len(), 40);
    let lose = |table: &mut RoutingTable, n: u8| {
        while !table.failed(&nth(n), START) {}
        table.lose(nth(n));
    };
    lose(&mut table, 0);
    lose(&mut table, 1);
    assert_eq!(table.lost().count(), 2);
    assert!(table.take_changes().is_empty());
    // Who is found again has its row, which goes when it does.
    table.answered(nth(0), true, START);
    assert_eq!(table.lost().count(), 1);
    table.remove(&nth(0));
    assert_eq!(table.take_changes(), [NodeChange::Gone(nth(0).id)]);
    // Not more than so many.
    (2..40).for_each(|n| lose(&mut table, n));
    assert_eq!(table.lost().count(), lost::LOST);
    let changes = table.take_changes();
    let all_gone = |changes: &[NodeChange]| {
        let is_gone = |change: &NodeChange| matches!(change, NodeChange::Gone(_));
        changes.iter().all(is_gone)
    };
    assert_eq!(changes.len(), 39 - lost::LOST);
    assert!(all_gone(&changes));
    table.forget_lost();
    let changes = table.take_changes();
    assert_eq!(changes.len(), lost::LOST);
    assert!(all_gone(&changes));
}
