//! IPv6, alone and beside IPv4.

use super::{asker, asker_at, node};
use crate::kit::bencode::list;
use crate::kit::krpc::{Id, fresh_t, query};
use crate::kit::{Dht, Peer, until};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const KEY: Id = *b"a key of that length";

const LOCALHOST: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn through_v6(peers: &[&Peer]) -> Dht {
    Dht {
        ip: LOCALHOST,
        ..Dht::through(peers)
    }
}

#[test]
fn a_node_joins_over_ipv6() {
    let peers: Vec<_> = (0..5).map(|_| Peer::v6()).collect();
    peers[0].tell(&peers[1..].iter().collect::<Vec<_>>());
    let node = node(through_v6(&[&peers[0]]));
    node.until_number("/dht/nodes", 5);
    assert!(!peers[0].heard("join").is_empty());
}

#[test]
fn a_querier_over_ipv6_sees_nodes6_in_38_bytes() {
    let known = Peer::v6();
    let node = node(through_v6(&[&known]));
    node.until_number("/dht/nodes", 1);
    assert_eq!(known.compact().len(), 38);
    let asker = asker_at(LOCALHOST);
    let t = fresh_t();
    let packet = query(&t, &asker.id(), "find_node", &[("target", KEY.into())]);
    let answer = super::answer_to(&asker, &node, &t, &packet);
    let parts = [
        b"d1:rd2:id20:".as_slice(),
        &node.id(),
        b"5:nodesle6:nodes6",
        &list(&[known.compact()]).written(),
        b"5:token20:",
        &answer.bytes_of("token"),
        b"e1:t20:",
        &t,
        b"1:y1:re",
    ];
    answer.expect(&parts.concat());
    let found = asker.ask_node(&node, "find_value", &[("key", KEY.into())]);
    assert_eq!(found.list("nodes6"), [known.compact()]);
    assert_eq!(found.list("nodes"), Vec::<Vec<u8>>::new());
    assert_eq!(found.int("num"), 0);
}

#[test]
fn the_other_questions_over_ipv6() {
    let node = node(Dht::at(LOCALHOST));
    let peer = Peer::v6();
    peer.ask_node(&node, "ping", &[]).response();
    node.until_number("/dht/nodes", 1);
    let seen = peer.ask_node(&node, "join", &[]);
    assert_eq!(seen.bytes_of("ip_addr"), b"::1");
    assert_eq!(seen.int("port"), i64::from(peer.addr().port()));
    peer.store(&node, KEY, b"value").response();
    assert_eq!(peer.values(&node, KEY, 0), [b"value"]);
}

/// A node of both families, and how it is reached.
fn both(peers: &[&Peer]) -> (crate::kit::Node, [SocketAddr; 2]) {
    let node = node(Dht {
        ip: Ipv6Addr::UNSPECIFIED.into(),
        ..Dht::through(peers)
    });
    let port = node.dht_addr().port();
    let at = [[127, 0, 0, 1].into(), LOCALHOST].map(|ip: IpAddr| (ip, port).into());
    (node, at)
}

#[test]
fn a_querier_over_ipv4_never_sees_nodes6() {
    let (four, six) = (Peer::new(), Peer::v6());
    let (node, [at4, at6]) = both(&[&four, &six]);
    node.until_number("/dht/nodes", 2);
    let (asker4, asker6) = (asker(), asker_at(LOCALHOST));
    let questions = [
        ("find_node", [("target", KEY.into())]),
        ("find_value", [("key", KEY.into())]),
    ];
    for (method, arguments) in questions {
        let answer = asker4.ask(at4, method, &arguments);
        assert_eq!(answer.list("nodes"), [four.compact()]);
        assert!(answer.response().get("nodes6").is_none());
        let answer = asker6.ask(at6, method, &arguments);
        assert_eq!(answer.list("nodes"), [four.compact()]);
        assert_eq!(answer.list("nodes6"), [six.compact()]);
    }
    let seen = asker4.ask(at4, "join", &[]);
    let ip = asker4.addr().ip().to_string();
    assert_eq!(seen.bytes_of("ip_addr"), ip.as_bytes());
}

#[test]
fn values_are_shared_by_both_families_and_tokens_are_not() {
    let (_node, [at4, at6]) = both(&[]);
    let (four, six) = (asker(), asker_at(LOCALHOST));
    let found = four.ask(at4, "find_node", &[("target", KEY.into())]);
    let arguments = [
        ("key", KEY.into()),
        ("token", (&found.bytes_of("token")).into()),
        ("value", "value".into()),
    ];
    six.ask(at6, "store_value", &arguments).expect_error(205);
    four.ask(at4, "store_value", &arguments).response();
    let found = six.ask(at6, "get_value", &[("key", KEY.into()), ("num", 0.into())]);
    assert_eq!(found.list("values"), [b"value"]);
}

#[test]
fn sixteen_nodes_of_both_families_fit_into_an_answer() {
    let four: Vec<_> = (0..8).map(|_| Peer::new()).collect();
    let six: Vec<_> = (0..8).map(|_| Peer::v6()).collect();
    let all: Vec<_> = four.iter().chain(&six).collect();
    let (node, [_, at6]) = both(&all);
    until("all of them", || node.number("/dht/nodes") == 16);
    let found = asker_at(LOCALHOST).ask(at6, "find_node", &[("target", KEY.into())]);
    assert_eq!(found.list("nodes").len(), 8);
    assert_eq!(found.list("nodes6").len(), 8);
}
