//! What outlives the process.

use super::{asker, friend, joined};
use crate::kit::bencode::Ben;
use crate::kit::krpc::Id;
use crate::kit::{Node, Peer, until};
use std::time::Duration;

const KEY: Id = *b"a key of that length";

/// Rows are written in batches: what is older than this is written.
const WRITTEN: Duration = Duration::from_secs(5);

/// Fails unless a node that `ends` knows afterwards what it knew before, with nobody to
/// bootstrap from.
#[track_caller]
fn expect_all_is_known_after(end: impl Fn(&mut Node)) {
    let peers = Peer::network(6);
    let mut node = joined(&peers.iter().collect::<Vec<_>>());
    let id = node.id();
    let publisher = asker();
    let token = publisher.token(&node);
    for value in [b"one".as_slice(), b"two"] {
        publisher.store_by(&node, KEY, value, token.clone());
    }
    std::thread::sleep(WRITTEN);
    end(&mut node);
    for peer in &peers {
        peer.forget();
    }
    node.reconfigure(|config| config.dht.as_mut().unwrap().bootstrap.clear());
    node.launch();
    assert_eq!(node.id(), id);
    assert_eq!(node.number("/dht/nodes"), 6);
    assert_eq!(node.number("/dht/keys"), 1);
    assert_eq!(node.number("/dht/values"), 2);
    let values = publisher.values(&node, KEY, 0);
    assert_eq!(values, [b"one".to_vec(), b"two".to_vec()]);
    let stored = publisher.store_by(&node, KEY, b"three", token);
    assert_eq!(stored.bytes_of("id"), id);
    assert_eq!(publisher.count(&node, KEY), 3);
    until("it looks for its neighbours", || {
        peers.iter().any(|peer| !peer.heard("find_node").is_empty())
    });
    let found = asker().ask_node(&node, "find_node", &[("target", KEY.into())]);
    let mut known: Vec<_> = peers.iter().map(Peer::compact).collect();
    known.sort();
    assert_eq!(found.list("nodes"), known);
}

#[test]
fn a_kill_9_loses_nothing() {
    expect_all_is_known_after(Node::kill9);
}

#[test]
fn a_clean_stop_loses_nothing() {
    expect_all_is_known_after(Node::stop);
}

#[test]
fn a_clean_stop_writes_what_came_last() {
    let mut node = joined(&[]);
    let peer = friend(&node);
    peer.store(&node, KEY, b"value");
    node.stop();
    node.launch();
    assert_eq!(node.number("/dht/nodes"), 1);
    assert_eq!(peer.values(&node, KEY, 0), [b"value"]);
}

#[test]
fn nodes_that_left_meanwhile_do_not_stay_for_ever() {
    let peers = Peer::network(4);
    let lines = "krpc_timeout = \"300ms\"\nkrpc_initial_delay = \"100ms\"";
    let dht = crate::kit::Dht::through(&peers.iter().collect::<Vec<_>>()).with(lines);
    let mut node = super::node(dht);
    node.until_number("/dht/nodes", 4);
    node.stop();
    let mut peers = peers;
    let left = peers.split_off(2);
    drop(left);
    node.launch();
    until("the two that are there", || {
        node.cli(&["find", &crate::kit::sha256(b"anything")]);
        node.number("/dht/nodes") == 2
    });
}

#[test]
fn values_expire_while_the_node_is_down() {
    let lines = "key_expire = \"6s\"\nkey_refresh = \"1s\"";
    let mut node = super::node(crate::kit::Dht::default().with(lines));
    let peer = asker();
    peer.store(&node, KEY, b"value");
    node.stop();
    std::thread::sleep(Duration::from_secs(6));
    node.launch();
    assert_eq!(peer.count(&node, KEY), 0);
    assert_eq!(node.number("/dht/values"), 0);
}

#[test]
fn a_token_of_another_address_is_as_bad_after_a_restart() {
    let mut node = joined(&[]);
    let (one, other) = (asker(), asker());
    let token: Ben = one.token(&node);
    node.stop();
    node.launch();
    other
        .store_by(&node, KEY, b"value", token)
        .expect_error(205);
}
