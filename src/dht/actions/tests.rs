use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::dht::contact::Contact;
use crate::dht::id::NodeId;
use crate::dht::krpc::{Answer, Method};

const K: usize = 8;

/// The node with that number; its id is as far from zero as that.
fn node(number: u16) -> Contact {
    let mut id = [0; 20];
    id[..2].copy_from_slice(&number.to_be_bytes());
    let addr = format!("10.0.{}.{}:9977", number >> 8, number & 255);
    Contact::new(NodeId(id), addr.parse().unwrap())
}

fn zero() -> NodeId {
    NodeId([0; 20])
}

fn answer(from: &Contact, nodes: &[u16]) -> Answer {
    Answer {
        id: from.id,
        nodes: nodes.iter().map(|number| node(*number)).collect(),
        token: Some(vec![7; 20]),
        num: None,
        values: None,
        seen: None,
    }
}

fn asked(asks: &[Ask]) -> Vec<u16> {
    let number = |ask: &Ask| {
        let id = ask.id.unwrap().0;
        u16::from_be_bytes([id[0], id[1]])
    };
    asks.iter().map(number).collect()
}

fn lookup(wide: usize, in_flight: usize, seeds: &[u16]) -> Recurring {
    let mut crowd = Crowd::new(zero(), wide, in_flight);
    for seed in seeds {
        crowd.add(node(*seed), None);
    }
    Recurring::new(Search::Node, crowd)
}

fn take(lookup: &mut Recurring, from: u16, nodes: &[u16]) {
    let from = node(from);
    lookup.answered(&from, &mut answer(&from, nodes), |_| true);
}

#[test]
fn a_lookup_asks_the_closest_and_goes_nearer() {
    let mut lookup = lookup(K, 2, &[300, 100, 200]);
    assert_eq!(asked(&lookup.take_asks()), [100, 200]);
    assert_eq!(asked(&lookup.take_asks()), [0; 0]);
    take(&mut lookup, 100, &[50, 60]);
    assert_eq!(asked(&lookup.take_asks()), [50]);
    assert!(!lookup.crowd().is_over());
}

#[test]
fn who_is_no_longer_among_the_closest_gives_its_place_away() {
    let mut lookup = lookup(2, 2, &[100, 200]);
    assert_eq!(asked(&lookup.take_asks()), [100, 200]);
    take(&mut lookup, 100, &[10, 20]);
    // 200 has not answered, and nobody waits for it any more.
    assert_eq!(asked(&lookup.take_asks()), [10, 20]);
    take(&mut lookup, 10, &[]);
    take(&mut lookup, 20, &[]);
    assert!(lookup.crowd().is_over());
}

#[test]
fn who_stalls_gives_its_place_away_and_may_still_answer() {
    let mut lookup = lookup(2, 2, &[10, 20, 30]);
    assert_eq!(asked(&lookup.take_asks()), [10, 20]);
    lookup.crowd_mut().stalled(&node(10));
    assert_eq!(asked(&lookup.take_asks()), [30]);
    take(&mut lookup, 20, &[]);
    take(&mut lookup, 10, &[5]);
    // 10 is back, so 30 does not count; 5 is new and among the closest.
    assert_eq!(asked(&lookup.take_asks()), [5]);
    take(&mut lookup, 5, &[]);
    assert!(lookup.crowd().is_over());
}

#[test]
fn where_all_stall_one_is_waited_for() {
    let mut lookup = lookup(K, K, &[10, 20]);
    lookup.take_asks();
    lookup.crowd_mut().stalled(&node(10));
    lookup.crowd_mut().stalled(&node(20));
    assert!(!lookup.crowd().is_over());
    lookup.crowd_mut().failed(&node(10));
    assert!(!lookup.crowd().is_over());
    lookup.crowd_mut().failed(&node(20));
    assert!(lookup.crowd().is_over());
}

#[test]
fn a_lookup_among_nobody_is_over() {
    let mut lookup = lookup(K, K, &[]);
    assert!(lookup.take_asks().is_empty());
    assert!(lookup.crowd().is_over());
}

#[test]
fn each_address_family_has_its_own_closest() {
    let mut crowd = Crowd::new(zero(), 1, K);
    crowd.add(node(10), None);
    crowd.add(node(20), None);
    let addr = "[2001:4860::1]:9977".parse().unwrap();
    crowd.add(Contact::new(node(30).id, addr), None);
    let asked: Vec<_> = crowd.take_next().iter().map(|(c, _)| c.addr).collect();
    assert_eq!(asked, [node(10).addr, addr]);
    // One that is reached over both is asked over both.
    let addr = "[2001:4860::2]:9977".parse().unwrap();
    crowd.add(Contact::new(node(10).id, addr), None);
    assert_eq!(crowd.take_next().len(), 1);
}

#[test]
fn a_wrong_pair_of_id_and_address_keeps_the_right_one_not_out() {
    let mut crowd = Crowd::new(zero(), K, K);
    crowd.add(Contact::new(node(10).id, node(99).addr), None);
    crowd.add(Contact::new(node(98).id, node(10).addr), None);
    crowd.add(node(10), None);
    crowd.add(node(10), None);
    let asked: Vec<_> = crowd.take_next().iter().map(|(c, _)| *c).collect();
    assert_eq!(asked.len(), 3);
    assert!(asked.contains(&node(10)));
    crowd.failed(&Contact::new(node(10).id, node(99).addr));
    crowd.answered(&node(10), None);
    let answered: Vec<_> = crowd.those_who_answered().map(|(c, _)| *c).collect();
    assert_eq!(answered, [node(10)]);
}

#[test]
fn few_nodes_of_one_network_are_believed() {
    let mut crowd = Crowd::new(zero(), K, K);
    for number in 1..20 {
        let addr = format!("8.8.8.{number}:9977").parse().unwrap();
        crowd.add(Contact::new(node(number).id, addr), None);
    }
    crowd.add(node(100), None);
    assert_eq!(crowd.take_next().len(), 5);
    // And of one address, or one id, however many there are.
    let mut crowd = Crowd::new(zero(), K, K);
    for number in 1..20 {
        crowd.add(Contact::new(node(number).id, node(1).addr), None);
        crowd.add(Contact::new(node(100).id, node(number).addr), None);
    }
    assert!(crowd.take_next().len() <= 4);
}

#[test]
fn junk_of_one_node_leaves_room_for_the_values_of_others() {
    let mut crowd = Crowd::new(zero(), K, K);
    crowd.add(node(10), None);
    let mut task = Task::find(crowd);
    let from = node(10);
    let mut junk = answer(&from, &[]);
    junk.values = Some((0..500_u16).map(|n| n.to_be_bytes().to_vec()).collect());
    let new = task.answered(&from, Method::GetValue, &mut junk, |_| true);
    assert!(new.len() < 100, "{}", new.len());
}

#[test]
fn a_lookup_among_liars_ends() {
    let mut lookup = lookup(K, K, &[60_000]);
    let (mut next, mut queries) = (59_999, 0);
    loop {
        let asks = lookup.take_asks();
        if asks.is_empty() {
            break;
        }
        for from in asked(&asks) {
            queries += 1;
            // Each names nodes that are closer still.
            let closer: Vec<u16> = (0..8)
                .map(|_| {
                    next -= 1;
                    next
                })
                .collect();
            take(&mut lookup, from, &closer);
        }
    }
    assert!(lookup.crowd().is_over());
    assert!(queries <= 128, "{queries}");
}

#[test]
fn an_answer_names_no_more_nodes_than_an_honest_one() {
    let mut lookup = lookup(2, 100, &[1000]);
    lookup.take_asks();
    let many: Vec<u16> = (1..60).rev().collect();
    take(&mut lookup, 1000, &many);
    assert_eq!(asked(&lookup.take_asks()), [58, 59]);
}

#[test]
fn values_are_asked_for_as_soon_as_a_node_has_some() {
    let mut crowd = Crowd::new(zero(), K, 1);
    crowd.add(node(10), None);
    crowd.add(node(20), None);
    let mut task = Task::find(crowd);
    assert_eq!(asked(&task.take_asks()), [10]);
    let from = node(10);
    let mut first = answer(&from, &[]);
    first.num = Some(3);
    task.answered(&from, Method::FindValue, &mut first, |_| true);
    let asks = task.take_asks();
    let methods: BTreeSet<_> = asks.iter().map(|ask| ask.query.method().name()).collect();
    assert_eq!(asked(&asks), [20, 10]);
    assert_eq!(methods, ["find_value", "get_value"].into());

    let mut values = answer(&from, &[]);
    values.values = Some(vec![b"a".to_vec(), b"b".to_vec(), b"a".to_vec()]);
    let new = task.answered(&from, Method::GetValue, &mut values, |_| true);
    assert_eq!(new, [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(task.outcome(), None);
    task.failed(Some(&node(20)), Method::FindValue);
    let closest = vec![from];
    assert_eq!(task.outcome(), Some(Outcome::Found { values: 2, closest }));
}

#[test]
fn who_says_that_it_has_values_and_keeps_them_is_not_waited_for_to_the_end() {
    let mut crowd = Crowd::new(zero(), K, K);
    crowd.add(node(10), None);
    let mut task = Task::find(crowd);
    task.take_asks();
    let from = node(10);
    let mut first = answer(&from, &[]);
    first.num = Some(1);
    task.answered(&from, Method::FindValue, &mut first, |_| true);
    assert_eq!(asked(&task.take_asks()), [10]);
    task.stalled(Some(&from), Method::GetValue);
    assert_eq!(task.outcome(), None);
    task.overdue(Some(&from), Method::GetValue);
    let closest = vec![from];
    assert_eq!(task.outcome(), Some(Outcome::Found { values: 0, closest }));
    // Who is late is heard while the task is there.
    let mut late = answer(&from, &[]);
    late.values = Some(vec![b"late".to_vec()]);
    let new = task.answered(&from, Method::GetValue, &mut late, |_| true);
    assert_eq!(new, [b"late".to_vec()]);
}

#[test]
fn the_search_and_the_store_wait_for_who_is_overdue_where_nobody_answers() {
    let mut crowd = Crowd::new(zero(), K, K);
    crowd.add(node(10), None);
    for mut task in [
        Task::find(crowd.clone()),
        Task::announce(crowd.clone(), b"v".to_vec(), 2),
    ] {
        let method = task.take_asks()[0].query.method();
        task.stalled(Some(&node(10)), method);
        task.overdue(Some(&node(10)), method);
        assert_eq!(task.outcome(), None);
    }
}

#[test]
fn a_value_is_stored_at_the_closest_and_others_stand_in_for_who_fails() {
    let mut crowd = Crowd::new(zero(), 4, 4);
    for number in [10, 20, 30, 40] {
        crowd.add(node(number), None);
    }
    let mut task = Task::announce(crowd, b"v".to_vec(), 2);
    for from in asked(&task.take_asks()) {
        let from = node(from);
        task.answered(&from, Method::FindNode, &mut answer(&from, &[]), |_| true);
    }
    let asks = task.take_asks();
    assert_eq!(asked(&asks), [10, 20]);
    assert!(matches!(&asks[0].query, Query::StoreValue { token, .. } if *token == [7; 20]));
    task.failed(Some(&node(10)), Method::StoreValue);
    assert_eq!(asked(&task.take_asks()), [30]);
    for from in [node(20), node(30)] {
        task.answered(&from, Method::StoreValue, &mut answer(&from, &[]), |_| true);
    }
    assert_eq!(task.outcome(), Some(Outcome::Stored { nodes: 2 }));
}

proptest! {
    /// Whatever answers, stalls or fails in whatever order: a lookup ends, asks
    /// no node twice, and has no more in flight than it may among those that
    /// count.
    #[test]
    fn a_lookup_always_ends(seed in any::<u64>(), wide in 1_usize..12, in_flight in 1_usize..12) {
        let mut rng = StdRng::seed_from_u64(seed);
        let seeds: Vec<u16> = (0..rng.random_range(0..20)).map(|_| rng.random()).collect();
        let mut lookup = lookup(wide, in_flight, &seeds);
        let (mut open, mut seen) = (Vec::new(), BTreeSet::new());
        for _ in 0..10_000 {
            let asks = asked(&lookup.take_asks());
            prop_assert!(asks.len() <= in_flight);
            for number in asks {
                prop_assert!(seen.insert(number), "{number} was asked twice");
                open.push(number);
            }
            if open.is_empty() {
                break;
            }
            let at = rng.random_range(0..open.len());
            match rng.random_range(0..4) {
                0 => lookup.crowd_mut().stalled(&node(open[at])),
                1 => lookup.crowd_mut().failed(&node(open.swap_remove(at))),
                _ => {
                    let nodes: Vec<u16> = (0..8).map(|_| rng.random()).collect();
                    take(&mut lookup, open.swap_remove(at), &nodes);
                }
            }
        }
        prop_assert!(open.is_empty() && lookup.crowd().is_over());
    }
}
