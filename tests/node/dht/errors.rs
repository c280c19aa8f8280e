//! Queries that are answered with an error.

use super::{asker, friend, lone};
use crate::kit::bencode::Ben;
use crate::kit::krpc::{self, Id, fresh_t};
use crate::kit::{Node, Peer};

const KEY: Id = *b"a key of that length";

/// Sends a query whose parts are written by hand.
#[track_caller]
fn expect_error(peer: &Peer, node: &Node, a: &[u8], q: &[u8], code: i64) {
    let t = fresh_t();
    let packet = [b"d1:a", a, b"1:q", q, b"1:t20:", &t, b"1:y1:qe"].concat();
    let answer = super::answer_to(peer, node, &t, &packet);
    assert_eq!(answer.code(), code, "{}", packet.escape_ascii());
    answer.expect_error(code);
}

fn own(peer: &Peer) -> Vec<u8> {
    [b"d2:id20:".as_slice(), &peer.id(), b"e"].concat()
}

#[test]
fn an_unknown_method_is_203() {
    let (node, peer) = (lone(), asker());
    let names = ["pin", "PING", "find_values", "get_peers", "announce_peer"];
    for name in names.iter().chain(&["ping\0", "a_method_with_a_long_name"]) {
        let name = format!("{}:{name}", name.len());
        expect_error(&peer, &node, &own(&peer), name.as_bytes(), 203);
    }
}

#[test]
fn q_or_a_of_a_wrong_type_is_202() {
    let (node, peer) = (lone(), asker());
    for q in ["i4e", "l4:pinge", "d4:ping0:e"] {
        expect_error(&peer, &node, &own(&peer), q.as_bytes(), 202);
    }
    for a in [
        "i1e",
        "20:aaaaaaaaaaaaaaaaaaaa",
        "l2:id20:aaaaaaaaaaaaaaaaaaaae",
    ] {
        expect_error(&peer, &node, a.as_bytes(), b"4:ping", 202);
    }
}

/// The arguments of each method, all as they should be.
fn arguments() -> [(&'static str, Vec<(&'static str, Ben)>); 6] {
    let (key, token) = (Ben::from(KEY), Ben::from([7; 20]));
    [
        ("ping", vec![]),
        ("join", vec![]),
        ("find_node", vec![("target", key.clone())]),
        ("find_value", vec![("key", key.clone())]),
        ("get_value", vec![("key", key.clone()), ("num", 0.into())]),
        (
            "store_value",
            vec![("key", key), ("token", token), ("value", "value".into())],
        ),
    ]
}

/// Asks with arguments that are not as they should be.
#[track_caller]
fn expect_204(peer: &Peer, node: &Node, method: &str, arguments: &[(&str, Ben)]) {
    let answer = peer.ask_node(node, method, arguments);
    assert_eq!(answer.code(), 204, "{method} {arguments:?}");
    answer.expect_error(204);
}

#[test]
fn a_missing_argument_is_204() {
    let (node, peer) = (lone(), asker());
    for (method, all) in arguments() {
        for missing in 0..all.len() {
            let mut some = all.clone();
            some.remove(missing);
            expect_204(&peer, &node, method, &some);
        }
        let q = format!("{}:{method}", method.len());
        expect_error(&peer, &node, b"de", q.as_bytes(), 204);
    }
}

#[test]
fn an_unknown_argument_is_204() {
    let (node, peer) = (lone(), asker());
    for (method, mut all) in arguments() {
        all.push(("want", "n6".into()));
        expect_204(&peer, &node, method, &all);
    }
    // An argument of another method is as unknown.
    expect_204(&peer, &node, "ping", &[("target", KEY.into())]);
    expect_204(&peer, &node, "find_value", &[("target", KEY.into())]);
}

#[test]
fn an_argument_of_a_wrong_type_is_204() {
    let node = lone();
    let peer = friend(&node);
    for (method, all) in arguments() {
        for wrong in 0..all.len() {
            let others = [Ben::Int(20), Ben::List(vec![KEY.into()]), "20".into()];
            let is_int = all[wrong].0 == "num";
            let others = others
                .iter()
                .filter(|other| other.int().is_none() == is_int);
            for other in others.chain([&Ben::Dict([].into())]) {
                let mut some = all.clone();
                some[wrong].1 = other.clone();
                expect_204(&peer, &node, method, &some);
            }
        }
    }
}

#[test]
fn an_id_or_a_key_of_a_wrong_length_is_204() {
    let node = lone();
    let peer = friend(&node);
    for len in [0, 19, 21, 32] {
        let short: &Ben = &vec![1; len][..].into();
        for (method, mut all) in arguments() {
            for (name, value) in &mut all {
                if ["key", "target"].contains(name) {
                    *value = short.clone();
                }
            }
            if method == "ping" || method == "join" {
                all.push(("id", short.clone()));
            }
            expect_204(&peer, &node, method, &all);
        }
    }
}

#[test]
fn an_error_names_the_question_and_changes_nothing() {
    let (node, peer) = (lone(), asker());
    let arguments = [
        ("key", KEY.into()),
        ("token", [7; 20].into()),
        ("value", "value".into()),
    ];
    peer.ask_node(&node, "store_value", &arguments)
        .expect_error(205);
    assert_eq!(peer.count(&node, KEY), 0);
    assert_eq!(node.number("/dht/keys"), 0);
}

#[test]
fn an_answer_that_nobody_asked_for_draws_none() {
    let (node, peer) = (lone(), asker());
    let (t, id) = (fresh_t(), peer.id());
    let packets = [
        krpc::response(&t, &id, &[]),
        krpc::response(&t, &node.id(), &[]),
        krpc::error(&t, 203, "unknown method"),
    ];
    super::expect_silence(&peer, &node, &packets);
    assert_eq!(node.number("/dht/nodes"), 0);
}
