//! Storing and finding.

use std::collections::BTreeSet;

use crate::network::{Conditions, HOUR, Kind, MINUTE, Message, SECOND};
use crate::village::{CALM, Village};
use aptmesh::dht::krpc::Query;

#[test]
fn what_one_stores_another_finds() {
    let mut village = Village::calm(31, 150);
    let published = village.publish(50);
    let askers = village.nodes.clone();
    assert_eq!(village.count_found(&published, &askers), published.len());
}

#[test]
fn a_value_is_kept_by_six_and_found_in_half_a_second() {
    let mut village = Village::calm(32, 150);
    let mut times = Vec::new();
    for number in 0..50 {
        let (publisher, asker, key) = (village.any(), village.any(), village.key());
        let value = format!("{number}");
        let stored = village.announce(publisher, key, value.as_bytes());
        assert!((5..=8).contains(&stored), "{stored}");
        let found = village.find(asker, key);
        assert_eq!(found.values, [value.as_bytes()]);
        times.push(found.first.unwrap());
    }
    times.sort_unstable();
    assert!(times[25] <= 600, "{times:?}");
}

#[test]
fn a_fifth_of_all_packets_may_be_lost() {
    let lossy = Conditions {
        loss: 0.2,
        ..Conditions::default()
    };
    let mut village = Village::new(33, lossy);
    village.grow(100, Kind::OPEN);
    village.network.run_for(20 * MINUTE);
    let published = village.publish(40);
    let askers = village.nodes.clone();
    let found = village.count_found(&published, &askers);
    assert!(found >= 38, "{found} of 40");
}

#[test]
fn a_value_lives_for_three_hours_after_its_last_store() {
    let mut village = Village::calm(34, 40);
    let (publisher, asker) = (village.nodes[3], village.nodes[30]);
    let (once, twice) = (village.key(), village.key());
    village.announce(publisher, once, b"once");
    village.announce(publisher, twice, b"twice");
    village.network.run_for(2 * HOUR);
    village.announce(publisher, twice, b"twice");
    village.network.run_for(50 * MINUTE);
    assert_eq!(village.find(asker, once).values, [b"once"]);
    village.network.run_for(20 * MINUTE);
    assert!(village.find(asker, once).values.is_empty());
    assert_eq!(village.find(asker, twice).values, [b"twice"]);
    village.network.run_for(2 * HOUR);
    assert!(village.find(asker, twice).values.is_empty());
    let now = village.network.now();
    for host in village.nodes.clone() {
        assert_eq!(village.network.engine(host).snapshot(now).values, 0);
    }
}

#[test]
fn a_key_with_more_values_than_fit_into_a_packet() {
    let mut village = Village::calm(35, 80);
    let key = village.key();
    let mut published = BTreeSet::new();
    for (number, host) in village.nodes.clone().into_iter().take(60).enumerate() {
        let value = format!("{number:0>150}").into_bytes();
        village.announce(host, key, &value);
        published.insert(value);
    }
    let asker = village.nodes[70];
    village.network.meter.longest = 0;
    let found = village.find(asker, key);
    let distinct: BTreeSet<_> = found.values.iter().cloned().collect();
    assert_eq!(distinct.len(), found.values.len());
    assert!(distinct.is_subset(&published));
    // Nine fit, and each of the holders chooses for itself.
    assert!(distinct.len() >= 20, "{}", distinct.len());
    assert!((1300..=1472).contains(&village.network.meter.longest));

    // Who wants three gets three by chance.
    let (by_hand, holder) = (village.asker(Kind::OPEN), found.closest[0].addr);
    let mut told = BTreeSet::new();
    for _ in 0..10 {
        let answer = village.ask(by_hand, holder, &Query::GetValue { key, num: 3 });
        let values: BTreeSet<_> = answer.unwrap().values.unwrap().into_iter().collect();
        assert_eq!(values.len(), 3);
        told.extend(values);
    }
    assert!(
        told.len() >= 15 && told.is_subset(&published),
        "{}",
        told.len()
    );
}

#[test]
fn a_node_keeps_a_bounded_number_of_values_for_a_key() {
    let mut village = Village::calm(36, 8);
    let key = village.key();
    let to = village.addr(village.nodes[5]);
    for number in 0..300 {
        let asker = village.asker(Kind::OPEN);
        let answer = village.ask(asker, to, &Query::FindNode { target: key });
        let token = answer.unwrap().token.unwrap();
        let value = format!("{number}").into_bytes();
        let store = Query::StoreValue { key, value, token };
        // The last ones may be refused: their publishers have as many as any other.
        let _ = village.ask_raw(asker, to, &store);
        village.network.stop(asker);
    }
    let asker = village.asker(Kind::OPEN);
    let answer = village.ask(asker, to, &Query::FindValue { key });
    let num = answer.unwrap().num.unwrap();
    assert!((200..=256).contains(&num), "{num}");
}

#[test]
fn a_value_that_no_packet_can_carry_is_not_sent() {
    let mut village = Village::calm(37, 20);
    let (publisher, key) = (village.nodes[3], village.key());
    assert_eq!(village.announce(publisher, key, &[7; 1400]), 0);
    let sent = village.network.meter.longest;
    assert!(sent <= 1472, "{sent}");
    assert!(village.announce(publisher, key, &[7; 1300]) >= 5);
    let asker = village.nodes[9];
    assert_eq!(village.find(asker, key).values, [[7; 1300]]);
}

#[test]
fn an_idle_network_is_quiet() {
    let mut village = Village::calm(38, 100);
    village.network.run_for(HOUR);
    let before: u64 = village
        .nodes
        .iter()
        .map(|host| village.network.traffic(*host).bytes())
        .sum();
    village.network.run_for(HOUR);
    let after: u64 = village
        .nodes
        .iter()
        .map(|host| village.network.traffic(*host).bytes())
        .sum();
    let rate = (after - before) as f64 / 100.0 / 3600.0;
    assert!(rate < 30.0, "{rate} bytes/s a node");
}

#[test]
fn equal_values_of_many_publishers_are_told_once() {
    let mut village = Village::new(39, CALM);
    village.grow(30, Kind::OPEN);
    village.network.run_for(20 * MINUTE);
    let key = village.key();
    for host in village.nodes.clone().into_iter().take(10) {
        village.announce(host, key, b"the same");
        village.network.run_for(SECOND);
    }
    let asker = village.nodes[20];
    assert_eq!(village.find(asker, key).values, [b"the same"]);
    let errors = Message::Error;
    let refused = village
        .network
        .meter
        .count(errors, crate::network::Fate::Delivered);
    assert_eq!(refused.packets, 0);
}
