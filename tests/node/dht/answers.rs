//! The six questions, and their answers byte for byte.

use super::{answer_to, asker, joined, lone};
use crate::kit::bencode::{Ben, dict, list};
use crate::kit::krpc::{self, Id, fresh_t};
use crate::kit::{Node, Peer};

const KEY: Id = *b"a key of that length";

/// Parts of a packet, some of them no text.
fn packet(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn ping() {
    let (node, peer, t) = (lone(), asker(), fresh_t());
    let query = packet(&[
        b"d1:ad2:id20:",
        &peer.id(),
        b"e1:q4:ping1:t20:",
        &t,
        b"1:y1:qe",
    ]);
    let answer = answer_to(&peer, &node, &t, &query);
    let id = node.id();
    answer.expect(&packet(&[b"d1:rd2:id20:", &id, b"e1:t20:", &t, b"1:y1:re"]));
    assert_eq!(answer.from, node.dht_addr());
}

#[test]
fn join_tells_how_the_querier_is_seen() {
    let (node, peer, t) = (lone(), asker(), fresh_t());
    let query = packet(&[
        b"d1:ad2:id20:",
        &peer.id(),
        b"e1:q4:join1:t20:",
        &t,
        b"1:y1:qe",
    ]);
    let ip = peer.addr().ip().to_string();
    let seen = format!("7:ip_addr{}:{ip}4:porti{}e", ip.len(), peer.addr().port());
    answer_to(&peer, &node, &t, &query).expect(&packet(&[
        b"d1:rd2:id20:",
        &node.id(),
        seen.as_bytes(),
        b"e1:t20:",
        &t,
        b"1:y1:re",
    ]));
}

fn find_node(peer: &Peer, t: &Id, target: &Id) -> Vec<u8> {
    packet(&[
        b"d1:ad2:id20:",
        &peer.id(),
        b"6:target20:",
        target,
        b"e1:q9:find_node1:t20:",
        t,
        b"1:y1:qe",
    ])
}

/// The answer to `find_node` with these nodes and some token.
#[track_caller]
fn expect_found(node: &Node, asker: &Peer, nodes: &[Vec<u8>]) {
    let t = fresh_t();
    let answer = answer_to(asker, node, &t, &find_node(asker, &t, &KEY));
    let token = answer.bytes_of("token");
    answer.expect(&packet(&[
        b"d1:rd2:id20:",
        &node.id(),
        b"5:nodes",
        &list(nodes).written(),
        b"5:token20:",
        &token,
        b"e1:t20:",
        &t,
        b"1:y1:re",
    ]));
}

#[test]
fn find_node_of_who_knows_nobody() {
    expect_found(&lone(), &asker(), &[]);
}

#[test]
fn find_node_names_a_node_in_26_bytes() {
    let known = Peer::new();
    let node = joined(&[&known]);
    assert_eq!(known.compact().len(), 26);
    expect_found(&node, &asker(), &[known.compact()]);
}

#[test]
fn find_node_and_find_value_name_all_of_a_small_table() {
    let peers: Vec<_> = (0..6).map(|_| Peer::new()).collect();
    let node = joined(&peers.iter().collect::<Vec<_>>());
    let mut known: Vec<_> = peers.iter().map(Peer::compact).collect();
    known.sort();
    let asker = asker();
    let found = asker.ask_node(&node, "find_node", &[("target", KEY.into())]);
    assert_eq!(found.list("nodes"), known);
    let found = asker.ask_node(&node, "find_value", &[("key", KEY.into())]);
    assert_eq!(found.list("nodes"), known);
    assert_eq!(found.int("num"), 0);
}

#[test]
fn the_eight_closest_of_a_larger_table_are_named() {
    let peers: Vec<_> = (0..12).map(|_| Peer::new()).collect();
    let node = Node::with(crate::kit::Dht::through(&peers.iter().collect::<Vec<_>>()).into());
    // Those that are not in the bucket of the node's own id may find no place.
    crate::kit::until("eight nodes", || node.number("/dht/nodes") >= 8);
    for peer in &peers[..3] {
        let found = asker().ask_node(&node, "find_node", &[("target", peer.id().into())]);
        let nodes = found.list("nodes");
        assert_eq!(nodes.len(), 8);
        assert!(found.bytes.len() <= krpc::MAX_PACKET);
        let known: Vec<_> = peers.iter().map(Peer::compact).collect();
        assert!(nodes.iter().all(|node| known.contains(node)), "{nodes:?}");
    }
}

#[test]
fn find_value_counts_values() {
    let (node, peer) = (lone(), asker());
    for num in 0..3_u8 {
        let t = fresh_t();
        let query = packet(&[
            b"d1:ad2:id20:",
            &peer.id(),
            b"3:key20:",
            &KEY,
            b"e1:q10:find_value1:t20:",
            &t,
            b"1:y1:qe",
        ]);
        answer_to(&peer, &node, &t, &query).expect(&packet(&[
            b"d1:rd2:id20:",
            &node.id(),
            format!("5:nodesle3:numi{num}e").as_bytes(),
            b"e1:t20:",
            &t,
            b"1:y1:re",
        ]));
        peer.store(&node, KEY, &[num; 30]);
    }
}

#[test]
fn get_value_gives_values() {
    let (node, peer) = (lone(), asker());
    for (stored, values) in [("", "le"), ("\u{0}\u{7f}!", "l3:\u{0}\u{7f}!e")] {
        if !stored.is_empty() {
            peer.store(&node, KEY, stored.as_bytes());
        }
        for num in [0, 1, 5] {
            let t = fresh_t();
            let query = packet(&[
                b"d1:ad2:id20:",
                &peer.id(),
                b"3:key20:",
                &KEY,
                format!("3:numi{num}e").as_bytes(),
                b"e1:q9:get_value1:t20:",
                &t,
                b"1:y1:qe",
            ]);
            answer_to(&peer, &node, &t, &query).expect(&packet(&[
                b"d1:rd2:id20:",
                &node.id(),
                b"6:values",
                values.as_bytes(),
                b"e1:t20:",
                &t,
                b"1:y1:re",
            ]));
        }
    }
}

#[test]
fn store_value_answers_with_the_id_alone() {
    let (node, peer, t) = (lone(), asker(), fresh_t());
    let found = peer.ask_node(&node, "find_node", &[("target", KEY.into())]);
    let query = packet(&[
        b"d1:ad2:id20:",
        &peer.id(),
        b"3:key20:",
        &KEY,
        b"5:token20:",
        &found.bytes_of("token"),
        b"5:value9:\xff\x00any\r\n\xfe\xfde1:q11:store_value1:t20:",
        &t,
        b"1:y1:qe",
    ]);
    let id = node.id();
    answer_to(&peer, &node, &t, &query).expect(&packet(&[
        b"d1:rd2:id20:",
        &id,
        b"e1:t20:",
        &t,
        b"1:y1:re",
    ]));
    assert_eq!(
        peer.values(&node, KEY, 0),
        [b"\xff\x00any\r\n\xfe\xfd".to_vec()]
    );
}

#[test]
fn keys_beside_t_y_q_a_are_ignored() {
    let (node, peer) = (lone(), asker());
    let more = dict([("id", [1; 20].into()), ("x", Ben::List(vec![2.into()]))]);
    for (key, value) in [
        ("v", "AP\u{1}\u{2}".into()),
        ("v", 7.into()),
        ("v", more.clone()),
        (
            "zzz",
            Ben::List(vec![Ben::List(vec![1.into()]), more.clone()]),
        ),
        ("", "".into()),
        ("ro", 1.into()),
        ("r", more.clone()),
        ("e", Ben::List(vec![201.into(), "x".into()])),
    ] {
        let t = fresh_t();
        let mut query = Ben::read(&peer.query(&t, "ping", &[])).unwrap();
        query.insert(key, value);
        let answer = answer_to(&peer, &node, &t, &query.written());
        assert_eq!(answer.bytes_of("id"), node.id(), "{query:?}");
    }
}

#[test]
fn the_status_tells_of_the_dht() {
    let peers = Peer::network(5);
    let node = joined(&peers.iter().collect::<Vec<_>>());
    let status = node.status();
    for name in ["nodes", "keys", "values", "estimated_nodes"] {
        assert!(status["dht"][name].is_u64(), "{name} in {}", status["dht"]);
    }
    let answer = asker().ask(node.dht_addr(), "ping", &[]);
    let id = crate::kit::hex(&answer.bytes_of("id"));
    assert_eq!(status["node_id"], id.as_str());
    crate::kit::until("an estimate of a handful", || {
        (2..100).contains(&node.number("/dht/estimated_nodes"))
    });
}
