//! `aptmesh find`: who has a file.

use crate::kit::krpc::{Id, compact_addr, key_of};
use crate::kit::{Conduct, Dht, Node, Peer, distance, noise, sha256};
use std::net::SocketAddr;
use std::process::Output;
use std::time::{Duration, Instant};

const FILE: &[u8] = b"a file that others have";

/// A value that tells of a file at this address.
fn value(addr: &str, more: &str) -> Vec<u8> {
    let contact = compact_addr(addr.parse().unwrap());
    let len = format!("d1:c{}:", contact.len());
    [len.as_bytes(), &contact, more.as_bytes(), b"e"].concat()
}

fn node(dht: Dht) -> Node {
    Node::with(dht.into())
}

/// A node that knows these.
#[track_caller]
fn joined(peers: &[Peer]) -> Node {
    let node = node(Dht::through(&peers.iter().collect::<Vec<_>>()));
    crate::kit::until("all are known", || {
        node.number("/dht/nodes") >= peers.len().min(8) as u64
    });
    node
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Looks for a file, and gives the addresses printed.
#[track_caller]
fn find(node: &Node, what: &str) -> Vec<SocketAddr> {
    let output = node.cli(&["find", what]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Vec<_> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let code = i32::from(found.is_empty());
    assert_eq!(output.status.code(), Some(code), "{text}{}", said(&output));
    assert_eq!(text.lines().count(), found.len(), "{text}");
    found
}

/// Fails unless looking fails, with a sentence that has this word in it.
#[track_caller]
fn expect_sentence(node: &Node, what: &str, word: &str) {
    let output = node.cli(&["find", what]);
    let said = said(&output);
    assert!(!output.status.success(), "{output:?}");
    assert!(said.contains(word), "no {word:?} in {said:?}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn those_who_have_a_file_are_printed() {
    let peers = Peer::network(5);
    let key = key_of(FILE);
    peers[1].keep(key, &value("127.9.9.1:9977", ""));
    peers[1].keep(key, &value("127.9.9.2:1", ""));
    peers[3].keep(key, &value("127.9.9.2:1", ""));
    let reference = "1:h20:aaaaaaaaaaaaaaaaaaaa";
    peers[4].keep(key, &value("127.9.9.3:65535", reference));
    let node = joined(&peers);
    let mut found = find(&node, &sha256(FILE));
    found.sort();
    let wanted = ["127.9.9.1:9977", "127.9.9.2:1", "127.9.9.3:65535"];
    assert_eq!(found, wanted.map(|addr| addr.parse().unwrap()));
}

#[test]
fn a_file_on_disk_is_looked_for_by_its_hash() {
    let peers = Peer::network(2);
    peers[0].keep(key_of(FILE), &value("127.9.9.1:9977", ""));
    let node = joined(&peers);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file.deb");
    std::fs::write(&file, FILE).unwrap();
    let found = find(&node, file.to_str().unwrap());
    assert_eq!(found, ["127.9.9.1:9977".parse().unwrap()]);
    let upper = sha256(FILE).to_uppercase();
    assert_eq!(find(&node, &upper), found);
}

#[test]
fn a_file_that_nobody_has_is_1() {
    let peers = Peer::network(3);
    peers[0].keep(key_of(FILE), &value("127.9.9.1:9977", ""));
    let node = joined(&peers);
    expect_sentence(&node, &sha256(b"another"), "no");
    // A node that knows nobody finds nothing either, at once.
    let lonely = self::node(Dht::default());
    let began = Instant::now();
    expect_sentence(&lonely, &sha256(FILE), "no");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn without_the_dht_or_the_daemon_it_says_so() {
    let off = Node::start();
    expect_sentence(&off, &sha256(FILE), "dht.enabled");
    let asleep = Node::asleep(Dht::default().into());
    expect_sentence(&asleep, &sha256(FILE), "aptmesh");
}

#[test]
fn what_is_neither_hash_nor_file_is_refused() {
    let node = node(Dht::default());
    for what in ["/no/such/file", "0123", &"g".repeat(64), "/"] {
        expect_sentence(&node, what, what);
    }
}

#[test]
fn what_tells_of_nothing_is_left_out() {
    let peers = Peer::network(3);
    let key = key_of(FILE);
    let good = value("127.9.9.1:9977", "");
    for garbage in [
        b"".as_slice(),
        b"garbage",
        b"de",
        b"i1e",
        b"d1:c0:e",
        b"d1:c5:aaaaae",
        b"d1:c6:aaaa\0\x09",
        b"d1:ci7ee",
        b"d1:h20:aaaaaaaaaaaaaaaaaaaae",
        &noise(1, 200),
        &[b"d1:a".repeat(40), b"e".repeat(40)].concat(),
    ] {
        peers[0].keep(key, garbage);
    }
    peers[1].keep(key, &good);
    let node = joined(&peers);
    let found = find(&node, &sha256(FILE));
    assert_eq!(found, ["127.9.9.1:9977".parse().unwrap()]);
}

#[test]
fn a_node_that_fails_at_its_own_cut_hides_nobody_elses_values() {
    let peers = Peer::network(4);
    let key = key_of(FILE);
    for peer in &peers[..3] {
        peer.keep(key, &value("127.9.9.1:9977", ""));
    }
    peers[3].keep(key, &value("127.9.9.2:9977", ""));
    let node = joined(&peers);
    // An apt-p2p node answers so where it has more than fits.
    for peer in &peers[..3] {
        peer.behave(Conduct::Refusing("get_value", 201));
    }
    let found = find(&node, &sha256(FILE));
    assert_eq!(found, ["127.9.9.2:9977".parse().unwrap()]);
    assert!(peers.iter().all(|peer| !peer.heard("get_value").is_empty()));
    assert_eq!(node.number("/dht/nodes"), 4);
}

#[test]
fn values_are_fetched_only_from_those_who_say_that_they_have_some() {
    let peers = Peer::network(6);
    let key = key_of(FILE);
    for peer in &peers[..2] {
        peer.keep(key, &value("127.9.9.1:9977", ""));
    }
    let node = joined(&peers);
    find(&node, &sha256(FILE));
    for (number, peer) in peers.iter().enumerate() {
        assert_eq!(peer.heard("get_value").len(), usize::from(number < 2));
        let asked = peer.heard("find_value");
        assert_eq!(asked.len(), 1, "a node was asked twice");
        assert_eq!(asked[0].target(), Some(key));
    }
}

#[test]
fn a_lookup_does_not_wait_for_the_silent() {
    let mut peers = Peer::network(16);
    let key = key_of(FILE);
    peers.sort_by_key(|peer| distance(&peer.id(), &key));
    let node = node(Dht::through(&[&peers[15]]));
    crate::kit::until("some are known", || node.number("/dht/nodes") >= 8);
    // Every other one of those that are near to the key.
    for silent in peers.iter().step_by(2) {
        silent.behave(Conduct::Silent);
    }
    for stored in [1, 3, 5] {
        peers[stored].keep(key, &value("127.9.9.1:9977", ""));
    }
    let began = Instant::now();
    let found = find(&node, &sha256(FILE));
    let took = began.elapsed();
    assert_eq!(found, ["127.9.9.1:9977".parse().unwrap()]);
    assert!(took < Duration::from_secs(7), "it took {took:?}");
}

#[test]
fn a_lookup_goes_from_node_to_node_to_the_closest() {
    // Each knows only those a little closer than itself.
    let mut peers: Vec<_> = (0..24).map(|_| Peer::new()).collect();
    let key = key_of(FILE);
    peers.sort_by_key(|peer| std::cmp::Reverse(distance(&peer.id(), &key)));
    for (at, peer) in peers.iter().enumerate() {
        let next = peers.iter().skip(at + 1).take(4);
        peer.tell(&next.collect::<Vec<_>>());
    }
    let last = peers.last().unwrap();
    last.keep(key, &value("127.9.9.1:9977", ""));
    let node = node(Dht::through(&[&peers[0]]));
    crate::kit::until("one is known", || node.number("/dht/nodes") >= 1);
    let found = find(&node, &sha256(FILE));
    assert_eq!(found, ["127.9.9.1:9977".parse().unwrap()]);
    let closest: Vec<Id> = peers.iter().rev().take(8).map(Peer::id).collect();
    for peer in peers.iter().filter(|peer| closest.contains(&peer.id())) {
        let asked = peer.heard("find_value");
        assert!(!asked.is_empty(), "one of the eight closest was not asked");
    }
}

#[test]
fn no_more_queries_are_in_flight_than_configured() {
    let peers = Peer::network(30);
    let dht = Dht::through(&[&peers[0]]).with("concurrent_requests = 2");
    let node = node(dht);
    crate::kit::until("some are known", || node.number("/dht/nodes") >= 8);
    for peer in &peers {
        peer.behave(Conduct::Silent);
    }
    let _nobody = node.cli(&["find", &sha256(FILE)]);
    let asked = peers.iter().flat_map(|peer| peer.heard("find_value"));
    let mut at: Vec<_> = asked.map(|heard| heard.at).collect();
    at.sort();
    assert!(at.len() > 8, "{} were asked", at.len());
    // Before the first has stalled, which takes at least a tenth of a second.
    let first = at[0];
    at.retain(|at| *at - first < Duration::from_millis(40));
    assert!(at.len() <= 4, "{} queries at once", at.len());
}

#[test]
fn many_values_are_all_found() {
    let peers = Peer::network(6);
    let key = key_of(FILE);
    let mut wanted = Vec::new();
    for (number, peer) in (1..).zip(&peers) {
        for last in 1..=40 {
            let addr = format!("127.8.{number}.{last}:9977");
            peer.keep(key, &value(&addr, ""));
            wanted.push(addr.parse().unwrap());
        }
    }
    let node = joined(&peers);
    let mut found = find(&node, &sha256(FILE));
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}
