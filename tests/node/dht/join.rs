//! Into the network, and back into it.

use super::{asker, lone, node, value_of};
use crate::kit::krpc::{self, Heard};
use crate::kit::{Conduct, Dht, Node, Peer, free_port, sha256, until};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// The first sending of each query, in order.
fn attempts(peer: &Peer) -> Vec<Heard> {
    let mut all = peer.all_heard();
    let mut seen = Vec::new();
    all.retain(|heard| {
        let is_new = !seen.contains(&heard.t);
        seen.push(heard.t.clone());
        is_new
    });
    all
}

#[test]
fn a_node_joins_through_one_and_learns_of_all() {
    let peers = Peer::network(7);
    let node = node(Dht::through(&[&peers[0]]));
    node.until_number("/dht/nodes", 7);
    let joins = peers[0].heard("join");
    assert!(!joins.is_empty());
    assert_eq!(joins[0].id, node.id());
    assert_eq!(joins[0].from, node.dht_addr());
    assert!(!peers[0].heard("find_node").is_empty());
    assert!(peers.iter().all(|peer| !peer.all_heard().is_empty()));
    // It looks for those that are near to itself.
    let targets = peers.iter().flat_map(|peer| peer.heard("find_node"));
    let targets: Vec<_> = targets.filter_map(|heard| heard.target()).collect();
    assert!(targets.contains(&node.id()));
}

#[test]
fn a_node_for_bootstrapping_may_have_a_name() {
    let peer = Peer::at(
        ([127, 0, 0, 1], 0).into(),
        krpc::fresh_id(),
        Conduct::Honest,
    );
    let node = node(Dht {
        bootstrap: vec![format!("localhost:{}", peer.addr().port())],
        ..Dht::default()
    });
    node.until_number("/dht/nodes", 1);
}

#[test]
fn one_dead_node_for_bootstrapping_of_two_does_not_matter() {
    let (dead, alive) = (asker(), Peer::new());
    let began = Instant::now();
    let mut dht = Dht::through(&[&dead, &alive]);
    dht.bootstrap.insert(0, "127.250.0.1:9".to_owned());
    dht.bootstrap.insert(0, "no-such-host.invalid:9".to_owned());
    let node = node(dht);
    node.until_number("/dht/nodes", 1);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "it took {took:?}");
}

#[test]
fn it_tries_again_less_and_less_often_and_rejoins() {
    let peer = asker();
    let node = node(Dht::through(&[&peer]));
    until("four attempts", || attempts(&peer).len() >= 4);
    let at: Vec<_> = attempts(&peer).iter().map(|heard| heard.at).collect();
    let pauses: Vec<_> = at.windows(2).map(|two| two[1] - two[0]).collect();
    for two in pauses.windows(2) {
        assert!(two[1] > two[0].mul_f32(1.3), "{pauses:?}");
    }
    assert_eq!(node.number("/dht/nodes"), 0);
    peer.behave(Conduct::Honest);
    node.until_number("/dht/nodes", 1);
}

#[test]
fn it_joins_a_node_that_is_there_later() {
    let port = free_port();
    let addr = ([127, 0, 0, 1], port).into();
    let node = node(Dht {
        bootstrap: vec![format!("127.0.0.1:{port}")],
        ..Dht::default()
    });
    std::thread::sleep(Duration::from_secs(2));
    let peer = Peer::at(addr, krpc::fresh_id(), Conduct::Honest);
    node.until_number("/dht/nodes", 1);
    assert!(!peer.heard("join").is_empty());
}

#[test]
fn a_query_is_sent_again_after_2_and_6_seconds_and_no_more() {
    let peer = asker();
    let node = node(Dht::through(&[&peer]));
    until("a question", || !peer.all_heard().is_empty());
    let first = peer.all_heard().remove(0);
    let sendings = || {
        let mut all = peer.all_heard();
        all.retain(|heard| heard.t == first.t);
        all
    };
    std::thread::sleep(Duration::from_millis(9500).saturating_sub(first.at.elapsed()));
    let all = sendings();
    let at: Vec<_> = all
        .iter()
        .map(|heard| (heard.at - first.at).as_secs_f64())
        .collect();
    let expected = [0.0, 2.0, 6.0];
    assert_eq!(at.len(), expected.len(), "sent after {at:?}");
    for (at, expected) in at.iter().zip(expected) {
        assert!((at - expected).abs() < 0.7, "sent after {at}");
    }
    assert!(all.iter().all(|heard| heard.bytes == first.bytes));
    // It has failed: an answer is too late.
    let late = krpc::response(&first.t, &peer.id(), &[]);
    peer.send(node.dht_addr(), &late);
    peer.ask_node(&node, "ping", &[]);
    assert_eq!(node.number("/dht/nodes"), 0);
}

#[test]
fn an_answer_after_8_seconds_is_an_answer() {
    let peer = asker();
    let node = node(Dht::through(&[&peer]));
    until("a question", || !peer.all_heard().is_empty());
    let first = peer.all_heard().remove(0);
    std::thread::sleep(Duration::from_secs(8).saturating_sub(first.at.elapsed()));
    let answer = krpc::response(&first.t, &peer.id(), &[]);
    peer.send(node.dht_addr(), &answer);
    node.until_number("/dht/nodes", 1);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let peers = Peer::network(4);
    let mut node = node(Dht::through(&[&peers[0]]));
    node.until_number("/dht/nodes", 4);
    for peer in &peers {
        peer.behave(Conduct::Silent);
        peer.forget();
    }
    std::thread::scope(|scope| {
        let find = scope.spawn(|| node.cli(&["find", &sha256(b"a file")]));
        until("questions", || !peers[0].heard("find_value").is_empty());
        let asked = Instant::now();
        rustix::process::kill_process(node.pid(), rustix::process::Signal::TERM).unwrap();
        let output = find.join().unwrap();
        let took = asked.elapsed();
        assert!(!output.status.success(), "{output:?}");
        assert!(took < Duration::from_secs(12), "it took {took:?}");
    });
    until("the end", || !node.is_running());
    assert!(node.ended().success());
}

#[test]
fn the_dht_may_be_off() {
    let node = Node::start();
    let socket = UdpSocket::bind(node.dht_addr());
    assert!(socket.is_ok(), "{socket:?}");
    let status = node.status();
    for name in ["nodes", "keys", "values", "estimated_nodes"] {
        assert_eq!(status["dht"][name], 0, "{name}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let node = Node::asleep(Dht::default().into());
    let taken = UdpSocket::bind(node.dht_addr()).unwrap();
    let output = node.cli(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let addr = taken.local_addr().unwrap().to_string();
    assert!(said.contains(&addr), "no {addr} in {said}");
    assert!(said.contains("dht.listen"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_node_whose_line_was_down_is_back_when_its_peers_are() {
    let peers = Peer::network(3);
    let lines = "krpc_timeout = \"300ms\"\nkrpc_initial_delay = \"100ms\"\nmax_failures = 1";
    let node = node(Dht::through(&[&peers[0]]).with(lines));
    node.until_number("/dht/nodes", 3);
    for peer in &peers {
        peer.behave(Conduct::Silent);
    }
    let file = sha256(b"a file");
    for _ in 0..5 {
        node.cli(&["find", &file]);
    }
    for peer in &peers {
        peer.behave(Conduct::Honest);
        peer.keep(krpc::key_of(b"a file"), &value_of(peer.addr()));
    }
    node.until_number("/dht/nodes", 3);
    until("all are found", || {
        let output = node.cli(&["find", &file]);
        String::from_utf8_lossy(&output.stdout).lines().count() == 3
    });
}

#[test]
fn two_nodes_of_ours_know_each_other() {
    let first = lone();
    let second = node(Dht {
        bootstrap: vec![first.dht_addr().to_string()],
        ..Dht::default()
    });
    for node in [&first, &second] {
        node.until_number("/dht/nodes", 1);
    }
    let third = node(Dht {
        bootstrap: vec![second.dht_addr().to_string()],
        ..Dht::default()
    });
    third.until_number("/dht/nodes", 2);
}
