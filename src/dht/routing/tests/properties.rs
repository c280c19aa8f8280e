//! What is always true of the table, under random operations that nodes, true
//! and false, may cause.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::neighbourhood::{self, IN_BUCKET, IN_TABLE, Neighbourhood};
use super::super::*;

const NODES: usize = 64;
const ADDRS: usize = 64;
const INTERVAL: Millis = 15 * 60 * 1000;

#[derive(Debug, Clone)]
enum Op {
    Answered(usize, usize, bool),
    /// As it is in the table.
    AnsweredAgain(usize, bool),
    Failed(usize, usize),
    FailedKnown(usize),
    /// While nobody answers.
    Lost(usize),
    ForgetLost,
    Remove(usize),
    LookedUp(usize),
    Pass(Millis),
    Due,
    TakeChanges,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let (node, addr) = (0..NODES, 0..ADDRS);
    let op = prop_oneof![
        // Most nodes have an address of their own.
        12 => (node.clone(), any::<bool>()).prop_map(|(n, it)| Op::Answered(n, n % ADDRS, it)),
        4 => (node.clone(), addr.clone(), any::<bool>())
            .prop_map(|(node, addr, it)| Op::Answered(node, addr, it)),
        4 => (node.clone(), any::<bool>()).prop_map(|(node, it)| Op::AnsweredAgain(node, it)),
        1 => (node.clone(), addr).prop_map(|(node, addr)| Op::Failed(node, addr)),
        6 => node.clone().prop_map(Op::FailedKnown),
        4 => node.clone().prop_map(Op::Lost),
        2 => node.clone().prop_map(Op::Remove),
        1 => node.prop_map(Op::LookedUp),
        2 => (0..20 * 60_000_i64).prop_map(Op::Pass),
        1 => Just(Op::Due),
        1 => Just(Op::ForgetLost),
        1 => Just(Op::TakeChanges),
    ];
    proptest::collection::vec(op, 1..250)
}

/// Nodes as an attacker would have them: many near our id, many in few
/// networks.
struct World {
    own: NodeId,
    ids: Vec<NodeId>,
    addrs: Vec<SocketAddr>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let own = NodeId::random(&mut rng);
        let deepest = rng.random_range(1..80);
        let ids = (0..NODES)
            .map(|_| own.random_with_prefix(rng.random_range(0..deepest), &mut rng))
            .collect();
        let addrs = (0..ADDRS)
            .map(|_| {
                let (network, host) = (rng.random_range(0..4_u8), rng.random());
                let ip = match rng.random_range(0..4) {
                    0 => Ipv4Addr::new(93, 184, network, host).into(),
                    1 => {
                        let segments = [0x2a01, 4, network.into(), host.into(), 0, 0, 0, 1];
                        Ipv6Addr::from(segments).into()
                    }
                    2 => Ipv4Addr::from(rng.random::<[u8; 4]>()).into(),
                    _ => Ipv4Addr::new(10, 0, 0, 1).into(),
                };
                SocketAddr::new(ip, rng.random())
            })
            .collect();
        Self { own, ids, addrs }
    }

    fn contact(&self, node: usize, addr: usize) -> Contact {
        Contact::new(self.ids[node], self.addrs[addr])
    }
}

fn check_places(table: &RoutingTable) {
    let mut ids = HashSet::new();
    let mut addrs = HashSet::new();
    let last = table.buckets.len() - 1;
    for (index, bucket) in table.buckets.iter().enumerate() {
        assert!(bucket.entries.len() <= table.k && bucket.waiting.len() <= table.k);
        let entries = bucket.entries.iter().map(|entry| &entry.node.contact);
        for contact in entries.chain(bucket.waiting.iter().map(|it| &it.contact)) {
            let shared = table.own.common_prefix(&contact.id) as usize;
            assert!(shared == index || shared > index && index == last);
            assert!(contact.id != table.own);
            assert!(ids.insert(contact.id) && addrs.insert(contact.addr));
            assert!(table.prints.may_have(&contact.addr));
            let of = Neighbourhood::of(&contact.addr);
            assert!(of.is_none_or(|of| of.count(bucket.addrs()) <= IN_BUCKET));
        }
    }
    for node in table.nodes() {
        let all = table.nodes().map(|node| &node.contact.addr);
        let of = Neighbourhood::of(&node.contact.addr);
        assert!(of.is_none_or(|of| of.count(all) <= IN_TABLE));
    }
    if let [.., above, last] = table.buckets.as_slice() {
        let both = above.addrs().chain(last.addrs());
        let is_one = above.entries.len() + last.entries.len() <= table.k;
        assert!(
            !is_one || !neighbourhood::may_share_bucket(&both),
            "not merged"
        );
    }
}

/// The rule without the tree.
fn brute_force(table: &RoutingTable, target: &NodeId, n: usize) -> Vec<Contact> {
    let kind = |node: &Node| match (node.failures, node.confirmed) {
        (0, true) => 0,
        (0, false) => 1,
        _ => 2,
    };
    let mut nodes: Vec<_> = table.nodes().collect();
    nodes.sort_by_key(|node| (kind(node), node.contact.id.distance(target)));
    nodes.truncate(n);
    nodes.sort_by_key(|node| node.contact.id.distance(target));
    nodes.into_iter().map(|node| node.contact).collect()
}

/// What somebody who writes rows has.
#[derive(Default)]
struct Rows(BTreeMap<NodeId, Node>);

impl Rows {
    fn write(&mut self, table: &mut RoutingTable) {
        let mut ids = HashSet::new();
        for change in table.take_changes() {
            match change {
                NodeChange::Put(node) => {
                    assert!(ids.insert(node.contact.id));
                    self.0.insert(node.contact.id, node);
                }
                NodeChange::Gone(id) => {
                    assert!(ids.insert(id));
                    assert!(self.0.remove(&id).is_some(), "there was no row");
                }
            }
        }
        let lost: Vec<_> = table.lost.rows().collect();
        assert_eq!(self.0.len(), table.len() + lost.len());
        for contact in lost {
            assert!(table.get(&contact.id).is_none() && self.0.contains_key(&contact.id));
        }
        for node in table.nodes() {
            let row = &self.0[&node.contact.id];
            assert_eq!(row.contact, node.contact);
            assert_eq!(
                (row.confirmed, row.failures),
                (node.confirmed, node.failures)
            );
            assert!(node.last_answer - row.last_answer <= ROW_LAG);
        }
    }
}

fn run(world: &World, table: &mut RoutingTable, op: &Op, now: &mut Millis, rows: &mut Rows) {
    let known = |table: &RoutingTable, node: usize| {
        let node = table.get(&world.ids[node]);
        node.map(|node| node.contact)
    };
    match *op {
        Op::Answered(node, addr, confirmed) => {
            let contact = world.contact(node, addr);
            let entered = table.answered(contact, confirmed, *now);
            let place = table.get(&contact.id).map(|node| node.contact);
            match entered {
                Entered::Added | Entered::Known => assert_eq!(place, Some(contact)),
                Entered::Waits { oldest } => {
                    assert_eq!(place, None);
                    let bucket = &table.buckets[table.index_of(&contact.id)];
                    assert_eq!(bucket.entries.len(), table.k);
                    let last_answer = table.get(&oldest.id).unwrap().last_answer;
                    let all = bucket.entries.iter().map(|it| it.node.last_answer);
                    assert_eq!(all.min(), Some(last_answer));
                    assert_eq!(bucket.waiting.last().map(|it| it.contact), Some(contact));
                }
                Entered::Refused => assert_ne!(place, Some(contact)),
            }
        }
        Op::AnsweredAgain(node, confirmed) => {
            if let Some(contact) = known(table, node) {
                let was = table.get(&contact.id).unwrap().confirmed;
                assert_eq!(table.answered(contact, confirmed, *now), Entered::Known);
                let node = table.get(&contact.id).unwrap();
                assert_eq!(node.confirmed, was || confirmed);
                assert_eq!((node.failures, node.last_answer), (0, *now));
            }
        }
        Op::Failed(node, addr) => {
            let contact = world.contact(node, addr);
            let before = known(table, node);
            let is_gone = table.failed(&contact, *now);
            assert!(!is_gone || before == Some(contact));
            assert_eq!(is_gone, before.is_some() && known(table, node).is_none());
        }
        Op::FailedKnown(node) => {
            if let Some(contact) = known(table, node) {
                let failures = table.get(&contact.id).unwrap().failures;
                let is_gone = table.failed(&contact, *now);
                let after = table.get(&contact.id).map(|node| node.failures);
                assert_eq!(after, (!is_gone).then_some(failures + 1));
            }
        }
        Op::Lost(node) => {
            if let Some(contact) = known(table, node)
                && table.failed(&contact, *now)
            {
                table.lose(contact);
            }
        }
        Op::ForgetLost => {
            table.forget_lost();
            assert_eq!(table.lost().count(), 0);
        }
        Op::Remove(node) => {
            if let Some(contact) = known(table, node) {
                table.remove(&contact);
            }
            assert_eq!(known(table, node), None);
        }
        Op::LookedUp(node) => table.looked_up(&world.ids[node], *now),
        Op::Pass(millis) => *now += millis,
        Op::Due => {
            let due = table.due(*now, INTERVAL);
            assert!(due.len() <= AT_ONCE);
            for contact in due {
                let node = table.get(&contact.id).unwrap();
                assert!(!node.is_good() && node.last_try == *now);
            }
        }
        Op::TakeChanges => rows.write(table),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_operations_keep_the_table_whole(
        seed: u64,
        k in 1..5_usize,
        targets in proptest::collection::vec((0..NODES, 0..160_u32, 0..12_usize), 1..8),
        ops in ops(),
    ) {
        let world = World::new(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut now = super::START;
        let mut table = RoutingTable::new(world.own, k, 3, now);
        let mut rows = Rows::default();
        for op in &ops {
            run(&world, &mut table, op, &mut now, &mut rows);
            check_places(&table);
            for node in table.nodes() {
                prop_assert!(node.ping_at(INTERVAL).is_none_or(|at| at.max(now) >= table.due_at));
                prop_assert!(node.failures < 3);
            }
        }
        for (node, bits, n) in targets {
            let target = world.ids[node].random_with_prefix(bits, &mut rng);
            prop_assert_eq!(table.closest(&target, n), brute_force(&table, &target, n));
        }
        prop_assert_eq!(table.len(), table.nodes().count());
        rows.write(&mut table);
        // What is restored from rows is the same table, as far as the order of
        // rows lets it.
        let mut restored = RoutingTable::new(world.own, k, 3, now);
        for node in rows.0.values() {
            restored.restore(node.clone());
        }
        check_places(&restored);
        Rows(rows.0.clone()).write(&mut restored);
    }

    #[test]
    fn wanted_is_who_would_get_in(
        seed: u64,
        ops in ops(),
        asks in proptest::collection::vec((0..NODES, 0..ADDRS), 1..20),
    ) {
        let world = World::new(seed);
        let mut now = super::START;
        let mut table = RoutingTable::new(world.own, 3, 3, now);
        for op in &ops {
            run(&world, &mut table, op, &mut now, &mut Rows::default());
            if matches!(op, Op::TakeChanges) {
                break;
            }
        }
        for (node, addr) in asks {
            let contact = world.contact(node, addr);
            let is_wanted = table.wants(&contact);
            let bucket = &table.buckets[table.index_of(&contact.id)];
            let is_known = bucket.position(&contact.id).is_some();
            let has_waited = bucket.waiting.iter().any(|it| it.contact.id == contact.id);
            let is_queue_full = bucket.waiting.len() == table.k;
            let all = || table.buckets.iter().flat_map(Bucket::all_addrs);
            let is_new = !is_known && !has_waited && all().all(|it| *it != contact.addr);
            let entered = table.answered(contact, true, now);
            if is_wanted {
                prop_assert!(!matches!(entered, Entered::Known | Entered::Refused));
            } else if is_new {
                let waits = matches!(entered, Entered::Waits { .. });
                prop_assert!(entered == Entered::Refused || waits && is_queue_full);
            }
        }
    }

    #[test]
    fn a_refresh_goes_through_the_stale_bucket(seed: u64, ops in ops()) {
        let world = World::new(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut now = super::START;
        let mut table = RoutingTable::new(world.own, 3, 3, now);
        for op in &ops {
            if !matches!(op, Op::TakeChanges) {
                run(&world, &mut table, op, &mut now, &mut Rows::default());
            }
        }
        let oldest = table.buckets.iter().map(|it| it.looked_up).min();
        let target = table.stale(now + 2, now + 1 - oldest.unwrap(), &mut rng).unwrap();
        prop_assert_eq!(oldest, Some(table.buckets[table.index_of(&target)].looked_up));
        let mut left = table.buckets.len();
        now += 2 * INTERVAL;
        while let Some(target) = table.stale(now, INTERVAL, &mut rng) {
            table.looked_up(&target, now);
            left -= 1;
        }
        prop_assert_eq!(left, 0);
    }
}
