//! Many packets.

use super::{asker, friend, joined, lone};
use crate::kit::krpc::{Id, fresh_id, fresh_t};
use crate::kit::{Node, Peer, noise, until};
use std::time::{Duration, Instant};

const KEY: Id = *b"a key of that length";

/// Queries that nobody waits for.
fn flood(peer: &Peer, node: &Node, count: u64) {
    for number in 0..count {
        let packet = match number % 3 {
            0 => peer.query(&fresh_t(), "find_node", &[("target", fresh_id().into())]),
            1 => peer.query(&fresh_t(), "find_value", &[("key", KEY.into())]),
            _ => peer.query(&fresh_t(), "ping", &[]),
        };
        peer.send(node.dht_addr(), &packet);
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn who_never_answers_gets_few_answers() {
    let node = lone();
    let (flooder, known) = (asker(), friend(&node));
    flooder.ask_node(&node, "ping", &[]);
    for _ in 0..10 {
        flood(&flooder, &node, 200);
        // Who answers is served all the while.
        let asked = Instant::now();
        for _ in 0..5 {
            known.ask_node(&node, "find_node", &[("target", KEY.into())]);
        }
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(2), "five answers took {took:?}");
    }
    let drawn = flooder.answers().len();
    assert!((1..=100).contains(&drawn), "2,000 queries drew {drawn}");
    let bytes: usize = flooder.answers().iter().map(|it| it.bytes.len()).sum();
    assert!(bytes < 30_000, "2,000 queries drew {bytes} bytes");
}

#[test]
fn a_flood_of_broken_queries_gets_few_answers() {
    let (node, flooder) = (lone(), asker());
    for number in 0..2000 {
        let packet = flooder.query(&fresh_t(), "no_such_method", &[]);
        flooder.send(node.dht_addr(), &packet);
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    asker().ask_node(&node, "ping", &[]);
    let drawn = flooder.answers().len();
    assert!((1..=100).contains(&drawn), "2,000 queries drew {drawn}");
}

#[test]
fn strangers_are_served_during_a_flood_of_others() {
    let (node, flooder) = (lone(), asker());
    flood(&flooder, &node, 2000);
    for _ in 0..10 {
        asker().ask_node(&node, "find_node", &[("target", KEY.into())]);
    }
}

#[test]
fn who_answers_gets_a_hundred_answers_in_short_order() {
    let peer = Peer::new();
    let node = joined(&[&peer]);
    for _ in 0..100 {
        peer.ask_node(&node, "find_node", &[("target", KEY.into())]);
    }
}

#[test]
fn another_port_of_a_silent_address_has_no_budget_of_its_own() {
    let (node, flooder) = (lone(), asker());
    flood(&flooder, &node, 500);
    let others: Vec<_> = (0..20).map(|_| super::beside(&flooder)).collect();
    for other in &others {
        flood(other, &node, 20);
    }
    asker().ask_node(&node, "ping", &[]);
    let all = others.iter().chain([&flooder]);
    let drawn: usize = all.map(|peer| peer.answers().len()).sum();
    assert!((1..=100).contains(&drawn), "900 queries drew {drawn}");
}

#[test]
fn pings_to_strangers_do_not_multiply_a_flood() {
    let node = lone();
    let strangers: Vec<_> = (0..30).map(|_| asker()).collect();
    for stranger in &strangers {
        for _ in 0..5 {
            stranger.ask_node(&node, "ping", &[]);
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    for stranger in &strangers {
        let mut asked: Vec<_> = stranger.all_heard().into_iter().map(|it| it.t).collect();
        asked.dedup();
        assert!(
            asked.len() <= 1,
            "five pings drew {} questions",
            asked.len()
        );
    }
}

#[test]
fn a_storm_of_noise_is_survived() {
    let node = lone();
    let (peer, stranger) = (friend(&node), asker());
    let before = node.peak_memory();
    for seed in 0..10_000 {
        let mut packet = peer.query(&fresh_t(), "find_node", &[("target", KEY.into())]);
        let bytes = noise(seed, 4);
        let at = usize::from(bytes[0]) % packet.len();
        packet[at] = bytes[1];
        packet.truncate(packet.len() - usize::from(bytes[2] % 3));
        stranger.send(node.dht_addr(), &packet);
        if seed % 50 == 0 {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    until("an answer", || {
        let t = fresh_t();
        peer.send(node.dht_addr(), &peer.query(&t, "ping", &[]));
        peer.answer_within(&t, Duration::from_millis(200)).is_some()
    });
    let grown = node.peak_memory() - before;
    assert!(grown < 64 << 20, "{} MiB more", grown >> 20);
}
