//! What is stored, found, counted, cut and forgotten.

use super::{asker, friend, joined, lone, node, value_of};
use crate::kit::krpc::{Id, MAX_PACKET, fresh_t};
use crate::kit::{Dht, Node, Peer, noise, until};
use std::collections::BTreeSet;

const KEY: Id = *b"a key of that length";

/// A byte string's bytes on the wire.
fn weight(value: &[u8]) -> usize {
    value.len().to_string().len() + 1 + value.len()
}

/// Bytes of a `get_value` response without values.
const FRAME: usize = "d1:rd2:id20:6:valueslee1:t20:1:y1:re".len() + 2 * 20;

#[test]
fn what_one_stores_another_finds() {
    let (node, one, other) = (lone(), asker(), asker());
    one.store(&node, KEY, b"value");
    assert_eq!(other.count(&node, KEY), 1);
    assert_eq!(other.values(&node, KEY, 0), [b"value"]);
    assert_eq!(other.count(&node, [1; 20]), 0);
    assert_eq!(other.values(&node, [1; 20], 0), Vec::<Vec<u8>>::new());
}

#[test]
fn the_status_counts_keys_and_values() {
    let node = lone();
    let peer = friend(&node);
    for (key, value) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 1)] {
        peer.store(&node, [key; 20], &[value; 9]);
    }
    // The same value by another is one value.
    asker().store(&node, [2; 20], &[1; 9]);
    node.until_number("/dht/keys", 2);
    node.until_number("/dht/values", 4);
    assert_eq!(peer.count(&node, [1; 20]), 3);
    assert_eq!(peer.count(&node, [2; 20]), 1);
}

#[test]
fn the_longest_value_that_a_query_holds_is_stored() {
    let (node, peer) = (lone(), asker());
    let token = peer.token(&node);
    let query = |len: usize| {
        let arguments = [
            ("key", KEY.into()),
            ("token", token.clone()),
            ("value", (&noise(1, len)).into()),
        ];
        let t = fresh_t();
        (t, peer.query(&t, "store_value", &arguments))
    };
    let len = 1000 + MAX_PACKET - query(1000).1.len();
    let (t, packet) = query(len);
    assert_eq!(packet.len(), MAX_PACKET);
    let answer = super::answer_to(&peer, &node, &t, &packet);
    assert_eq!(answer.bytes_of("id"), node.id());
    assert_eq!(peer.values(&node, KEY, 0), [noise(1, len)]);
    super::expect_silence(&peer, &node, &[query(len + 1).1]);
    assert_eq!(peer.count(&node, KEY), 1);
}

/// Fails unless an answer holds as many of the values as it can.
#[track_caller]
fn expect_full(node: &Node, peer: &Peer, all: &[Vec<u8>], num: i64) -> Vec<Vec<u8>> {
    let arguments = [("key", KEY.into()), ("num", num.into())];
    let answer = peer.ask_node(node, "get_value", &arguments);
    let values = answer.list("values");
    let size = FRAME + values.iter().map(|value| weight(value)).sum::<usize>();
    assert_eq!(answer.bytes.len(), size);
    assert!(size <= MAX_PACKET, "{size} bytes");
    assert!(values.iter().all(|value| all.contains(value)));
    let different: BTreeSet<_> = values.iter().collect();
    assert_eq!(different.len(), values.len(), "a value twice");
    let mut others = all.iter().filter(|value| !values.contains(value));
    let more = others.find(|value| size + weight(value) <= MAX_PACKET);
    if num == 0 || values.len() < usize::try_from(num).unwrap() {
        let room = MAX_PACKET - size;
        assert!(
            more.is_none(),
            "{} would fit into {room}",
            more.unwrap().len()
        );
    }
    values
}

#[test]
fn an_answer_of_exactly_1472_bytes_is_not_cut() {
    let (node, peer) = (lone(), asker());
    let first = noise(1, 700);
    let rest = MAX_PACKET - FRAME - weight(&first);
    let second = noise(2, rest - 4);
    assert_eq!(weight(&second), rest);
    for value in [&first, &second] {
        peer.store(&node, KEY, value);
    }
    let arguments = [("key", KEY.into()), ("num", 0.into())];
    let answer = peer.ask_node(&node, "get_value", &arguments);
    assert_eq!(answer.bytes.len(), MAX_PACKET);
    assert_eq!(answer.list("values").len(), 2);
    // With one byte more, one of the two is left out, now this and now that.
    peer.store(&node, KEY, b"");
    let all = [first, second, Vec::new()];
    let peer = friend(&node);
    let mut seen = BTreeSet::new();
    until("each of them", || {
        seen.extend(expect_full(&node, &peer, &all, 0));
        seen.len() == 3
    });
}

#[test]
fn values_that_do_not_fit_are_given_by_chance_and_all_of_them_in_time() {
    let peer = Peer::new();
    let node = joined(&[&peer]);
    let sizes = [1, 9, 10, 11, 99, 100, 101, 250, 400, 999, 1200];
    let all: Vec<_> = (0..44)
        .map(|seed: u8| noise(u64::from(seed), sizes[usize::from(seed) % sizes.len()]))
        .collect();
    let all: BTreeSet<_> = all.into_iter().collect();
    let all: Vec<_> = all.into_iter().collect();
    let token = peer.token(&node);
    for value in &all {
        peer.store_by(&node, KEY, value, token.clone()).response();
    }
    assert_eq!(peer.count(&node, KEY), i64::try_from(all.len()).unwrap());
    let mut seen = BTreeSet::new();
    until("every value", || {
        seen.extend(expect_full(&node, &peer, &all, 0));
        seen.extend(expect_full(&node, &peer, &all, 1000));
        seen.len() == all.len()
    });
}

#[test]
fn no_more_values_are_given_than_were_asked_for() {
    let node = lone();
    let peer = friend(&node);
    let all: Vec<_> = (0..6).map(|seed| noise(seed, 20)).collect();
    for value in &all {
        peer.store(&node, KEY, value);
    }
    for num in 1..=8 {
        let values = expect_full(&node, &peer, &all, num);
        assert_eq!(values.len(), usize::try_from(num).unwrap().min(6));
    }
    let mut seen = BTreeSet::new();
    until("each of them", || {
        seen.extend(expect_full(&node, &peer, &all, 1));
        seen.len() == 6
    });
}

#[test]
fn a_value_expires_unless_it_is_stored_again() {
    let lines = Dht::default().with("key_expire = \"3s\"\nkey_refresh = \"1s\"");
    let node = node(lines);
    let peer = friend(&node);
    let token = peer.token(&node);
    peer.store_by(&node, KEY, b"once", token.clone());
    let stored = std::time::Instant::now();
    let again = || drop(peer.store_by(&node, KEY, b"again and again", token.clone()));
    until("the end of one of them", || {
        again();
        std::thread::sleep(crate::kit::SOON);
        peer.values(&node, KEY, 0) == [b"again and again"]
    });
    let kept = stored.elapsed().as_secs_f64();
    assert!((2.9..6.0).contains(&kept), "kept for {kept} s");
    until("the end of the other", || {
        std::thread::sleep(crate::kit::SOON);
        peer.count(&node, KEY) == 0
    });
    node.until_number("/dht/keys", 0);
    node.until_number("/dht/values", 0);
}

#[test]
fn who_stores_without_end_takes_no_others_place() {
    let node = lone();
    let (greedy, modest) = (friend(&node), friend(&node));
    modest.store(&node, KEY, b"modest");
    let token = greedy.token(&node);
    for seed in 0..600 {
        let arguments = [
            ("key", KEY.into()),
            ("token", token.clone()),
            ("value", (&noise(seed, 30)).into()),
        ];
        let packet = greedy.query(&fresh_t(), "store_value", &arguments);
        greedy.send(node.dht_addr(), &packet);
        std::thread::sleep(std::time::Duration::from_millis(8));
    }
    let kept = modest.count(&node, KEY);
    assert!((2..600).contains(&kept), "{kept} of 601 are kept");
    let mut asked = 0;
    until("the modest one's value", || {
        asked += 1;
        assert!(asked < 200, "it is gone");
        modest.values(&node, KEY, 0).contains(&b"modest".to_vec())
    });
}

#[test]
fn private_contacts_are_not_handed_out_where_they_are_not_allowed() {
    let node = node(Dht {
        allow_private: false,
        ..Dht::default()
    });
    let peer = asker();
    let public = "93.184.215.14:9977".parse().unwrap();
    let private = [
        "127.0.0.1:9977",
        "10.1.2.3:9977",
        "192.168.1.1:9977",
        "172.20.1.1:9977",
        "169.254.1.1:9977",
        "100.64.0.1:9977",
        "[::1]:9977",
        "[fd00::1]:9977",
        "[fe80::1]:9977",
    ];
    peer.store(&node, KEY, &value_of(public));
    let token = peer.token(&node);
    for addr in private {
        let value = value_of(addr.parse().unwrap());
        let _refused = peer.store_by(&node, KEY, &value, token.clone());
    }
    assert_eq!(peer.values(&node, KEY, 0), [value_of(public)]);
}
