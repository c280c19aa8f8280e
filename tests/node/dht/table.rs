//! Who is a node, and who is not.

use super::{asker, friend, joined, lone, node};
use crate::kit::krpc::{self, Heard, Id};
use crate::kit::{Conduct, Dht, Node, Peer, SOON, sha256, until};
use std::sync::Arc;
use std::time::Duration;

const KEY: Id = *b"a key of that length";

/// The nodes that a node hands out to a stranger.
#[track_caller]
fn handed_out(node: &Node) -> Vec<Vec<u8>> {
    let found = asker().ask_node(node, "find_node", &[("target", KEY.into())]);
    found.list("nodes")
}

/// Has the node ask all that it knows.
fn look_up(node: &Node) {
    node.cli(&["find", &sha256(&krpc::fresh_id())]);
}

#[test]
fn who_only_asks_is_asked_and_never_enters() {
    let (node, peer) = (lone(), asker());
    for _ in 0..5 {
        peer.ask_node(&node, "find_node", &[("target", KEY.into())]);
    }
    until("a ping", || !peer.heard("ping").is_empty());
    // The node has had its answer by the time that another is in the table.
    friend(&node);
    assert_eq!(node.number("/dht/nodes"), 1);
    assert!(!handed_out(&node).contains(&peer.compact()));
    let pings: Vec<_> = peer.heard("ping").into_iter().map(|it| it.t).collect();
    assert!(
        pings.iter().all(|t| *t == pings[0]),
        "pinged for each query"
    );
}

#[test]
fn who_asks_and_answers_enters() {
    let (node, peer) = (lone(), Peer::new());
    peer.ask_node(&node, "find_value", &[("key", KEY.into())]);
    node.until_number("/dht/nodes", 1);
    assert_eq!(peer.heard("ping").len(), 1);
}

#[test]
fn who_was_only_let_in_by_its_own_query_is_gone_when_it_does_not_answer_again() {
    let lines = "min_ping_interval = \"1s\"\nkrpc_timeout = \"1s\"\nkrpc_initial_delay = \"200ms\"";
    let other = Peer::new();
    let node = node(Dht::through(&[&other]).with(lines));
    node.until_number("/dht/nodes", 1);
    let peer = friend(&node);
    peer.behave(Conduct::Silent);
    until("it is gone", || {
        // Others answer: the line is not to blame.
        look_up(&node);
        node.number("/dht/nodes") == 1
    });
    assert_eq!(handed_out(&node), [other.compact()]);
}

#[test]
fn three_failures_in_a_row_remove_a_node_and_no_fewer() {
    let peers = Peer::network(3);
    let lines = "krpc_timeout = \"300ms\"\nkrpc_initial_delay = \"100ms\"";
    let dht = Dht::through(&peers.iter().collect::<Vec<_>>()).with(lines);
    let node = node(dht);
    node.until_number("/dht/nodes", 3);
    look_up(&node);
    let failing = &peers[0];
    // An answer in between makes the count begin anew.
    for _ in 0..2 {
        failing.behave(Conduct::Honest);
        look_up(&node);
        failing.behave(Conduct::Silent);
        failing.forget();
        look_up(&node);
        std::thread::sleep(Duration::from_millis(500));
        let known = node.number("/dht/nodes");
        assert!(known == 3 || questions(failing) > 2, "{known} nodes");
    }
    until("it is gone", || {
        look_up(&node);
        node.number("/dht/nodes") == 2
    });
    assert!(questions(failing) > 2, "it did not fail three times");
}

/// How many questions a peer was asked, those sent again counted once.
fn questions(peer: &Peer) -> usize {
    let mut all: Vec<_> = peer.all_heard().into_iter().map(|heard| heard.t).collect();
    all.sort();
    all.dedup();
    all.len()
}

#[test]
fn an_id_that_changes_removes_the_node() {
    let peers = Peer::network(2);
    let node = joined(&peers.iter().collect::<Vec<_>>());
    let [changed, other] = [0, 1].map(|at: usize| peers[at].compact());
    assert!(handed_out(&node).contains(&changed));
    peers[0].behave(Conduct::Posing(krpc::fresh_id()));
    look_up(&node);
    // It may be there as who it is now.
    let known = handed_out(&node);
    assert!(!known.contains(&changed), "{known:?}");
    assert!(known.contains(&other), "{known:?}");
}

#[test]
fn what_another_id_answers_is_not_believed() {
    let peers = Peer::network(2);
    let node = joined(&peers.iter().collect::<Vec<_>>());
    let file = krpc::fresh_id();
    let key = krpc::key_of(&file);
    let elsewhere = super::value_of("127.9.9.9:9".parse().unwrap());
    peers[0].keep(key, &elsewhere);
    peers[0].behave(Conduct::Posing(krpc::fresh_id()));
    let output = node.cli(&["find", &sha256(&file)]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("127.9.9.9"), "{text}");
}

#[test]
fn an_answer_from_another_port_is_ignored() {
    let peer = Peer::that(Conduct::Elsewhere);
    let node = node(Dht::through(&[&peer]));
    until("a question", || !peer.all_heard().is_empty());
    std::thread::sleep(SOON);
    assert_eq!(node.number("/dht/nodes"), 0);
    peer.behave(Conduct::Honest);
    node.until_number("/dht/nodes", 1);
}

#[test]
fn an_answer_with_a_stolen_transaction_id_is_ignored() {
    let (victim, thief) = (asker(), asker());
    let node = node(Dht::through(&[&victim]));
    until("a question", || !victim.all_heard().is_empty());
    let t = victim.all_heard()[0].t.clone();
    let seen = [("ip_addr", "9.9.9.9".into()), ("port", 9.into())];
    let beside = super::beside(&victim);
    for thief in [&thief, &beside] {
        for id in [thief.id(), victim.id()] {
            thief.send(node.dht_addr(), &krpc::response(&t, &id, &seen));
            thief.send(node.dht_addr(), &krpc::error(&t, 201, "no"));
        }
    }
    thief.ask_node(&node, "ping", &[]);
    assert_eq!(node.number("/dht/nodes"), 0);
    // Neither did they end the query: the right answer counts.
    victim.send(node.dht_addr(), &krpc::response(&t, &victim.id(), &seen));
    node.until_number("/dht/nodes", 1);
}

#[test]
fn a_transaction_id_is_good_once() {
    let peer = asker();
    let node = node(Dht::through(&[&peer]));
    until("a question", || !peer.all_heard().is_empty());
    let t = peer.all_heard()[0].t.clone();
    let answer = |id: &Id| peer.send(node.dht_addr(), &krpc::response(&t, id, &[]));
    answer(&peer.id());
    node.until_number("/dht/nodes", 1);
    answer(&krpc::fresh_id());
    peer.ask_node(&node, "ping", &[]);
    assert_eq!(node.number("/dht/nodes"), 1);
    assert_eq!(handed_out(&node), [peer.compact()]);
}

#[test]
fn no_two_transaction_ids_are_alike() {
    let peers = Peer::network(6);
    let node = joined(&peers.iter().collect::<Vec<_>>());
    for _ in 0..5 {
        look_up(&node);
    }
    let heard = peers.iter().flat_map(Peer::all_heard);
    let mut all: Vec<_> = heard.map(|heard| (heard.t, heard.bytes)).collect();
    all.sort();
    all.dedup();
    let different = all.len();
    all.dedup_by(|one, other| one.0 == other.0);
    assert_eq!(all.len(), different);
    assert!(different > 20);
}

#[test]
fn private_nodes_are_answered_and_taken_nowhere_where_they_are_not_allowed() {
    let (bootstrap, named) = (Peer::new(), Peer::new());
    bootstrap.tell(&[&named]);
    let node = node(Dht {
        allow_private: false,
        ..Dht::through(&[&bootstrap])
    });
    until("a question", || !bootstrap.all_heard().is_empty());
    let peer = Peer::new();
    for method in ["ping", "join"] {
        peer.ask_node(&node, method, &[]).response();
    }
    peer.store(&node, KEY, b"value");
    assert_eq!(peer.count(&node, KEY), 1);
    look_up(&node);
    assert_eq!(node.number("/dht/nodes"), 0);
    assert_eq!(handed_out(&node), Vec::<Vec<u8>>::new());
    assert_eq!(questions(&named), 0);
}

/// What a liar names, and how many of those that it names are real.
fn lies(node: &Node, real: &Peer) -> Vec<Vec<Vec<u8>>> {
    let made_up = |count: u16, port: u16| {
        let entry = |number: u16| {
            let [high, low] = number.to_be_bytes();
            let port = if port == 0 {
                0
            } else {
                40_000 + number % 20_000
            };
            krpc::compact(&krpc::fresh_id(), ([127, 200, high, low], port).into())
        };
        (0..count).map(entry).collect::<Vec<_>>()
    };
    let at = |addr: &str| krpc::compact(&krpc::fresh_id(), addr.parse().unwrap());
    let own = node.id();
    let mut honest_last = made_up(40, 1);
    honest_last.push(real.compact());
    vec![
        made_up(8, 1),
        made_up(52, 1),
        made_up(8, 0),
        honest_last,
        // The node itself, under its id and others, and its id elsewhere.
        vec![
            krpc::compact(&own, node.dht_addr()),
            krpc::compact(&krpc::fresh_id(), node.dht_addr()),
            krpc::compact(&own, real.addr()),
            krpc::compact(&own, "127.200.0.1:9".parse().unwrap()),
        ],
        // Addresses where nobody is.
        [
            "0.0.0.0:9977",
            "255.255.255.255:9977",
            "224.0.0.1:9977",
            "127.0.0.0:0",
        ]
        .map(at)
        .to_vec(),
        // One node under many ids, and many nodes under one id.
        (0..30)
            .map(|_| krpc::compact(&krpc::fresh_id(), real.addr()))
            .collect(),
        made_up(30, 1)
            .iter()
            .map(|entry| [&real.id(), &entry[20..]].concat())
            .collect(),
        // What is no entry at all.
        vec![
            Vec::new(),
            vec![1],
            vec![1; 25],
            vec![1; 27],
            vec![1; 38],
            vec![1; 500],
        ],
    ]
}

#[test]
fn who_lies_about_others_does_not_hurt() {
    let liar = Peer::new();
    let real = Peer::new();
    let node = joined(&[&liar]);
    for lie in lies(&node, &real) {
        liar.behave(Conduct::Lying(lie));
        let began = std::time::Instant::now();
        look_up(&node);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "a lookup took {took:?}");
        let known = node.number("/dht/nodes");
        assert!((1..=2).contains(&known), "{known} nodes");
    }
    liar.behave(Conduct::Honest);
    liar.tell(&[&real]);
    let file = krpc::fresh_id();
    real.keep(
        krpc::key_of(&file),
        &super::value_of("127.9.9.9:9".parse().unwrap()),
    );
    until("the real node's value is found", || {
        let output = node.cli(&["find", &sha256(&file)]);
        String::from_utf8_lossy(&output.stdout).contains("127.9.9.9:9")
    });
    assert!(node.peak_memory() < 200 << 20);
}

#[test]
fn answers_of_any_shape_do_not_hurt() {
    let bodies: [&[u8]; 12] = [
        b"e",
        b"5:nodesi1ee",
        b"5:nodesd1:x1:yee",
        b"5:nodesl20:aaaaaaaaaaaaaaaaaaaaee",
        b"5:nodesllllleeeee3:numi-1ee",
        b"3:numi9223372036854775807e5:token0:e",
        b"3:num1:15:tokeni7e6:values0:e",
        b"3:numi1e6:valueslleee",
        b"3:numi1e6:valuesli7e3:onei-7e3:twodeee",
        b"3:numi1e6:valuesl0:ee",
        b"6:nodes6l38:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaee",
        b"7:ip_addr7:1.2.3.44:porti99999ee",
    ];
    // No more than one node asks in a lookup.
    for some in bodies.chunks(4) {
        let node = lone();
        for body in some {
            expect_unhurt_by(&node, body);
        }
    }
}

#[track_caller]
fn expect_unhurt_by(node: &Node, body: &'static [u8]) {
    let odd = friend(node);
    let id = odd.id();
    odd.behave(Conduct::Own(Arc::new(move |heard: &Heard| {
        let parts: [&[u8]; 6] = [b"d1:rd2:id20:", &id, body, b"1:t20:", &heard.t, b"1:y1:re"];
        Some(parts.concat())
    })));
    look_up(node);
    assert!(questions(&odd) > 1, "{}", body.escape_ascii());
    asker().ask_node(node, "ping", &[]);
}

#[test]
fn the_nodes_own_id_is_nobody_elses() {
    let node = lone();
    let peer = Peer::with_id(node.id());
    let query = peer.query(&krpc::fresh_t(), "ping", &[]);
    peer.send(node.dht_addr(), &query);
    asker().ask_node(&node, "ping", &[]);
    std::thread::sleep(SOON);
    assert_eq!(node.number("/dht/nodes"), 0);
    assert_eq!(handed_out(&node), Vec::<Vec<u8>>::new());
}
