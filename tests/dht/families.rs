//! IPv4, IPv6, and both.

use std::any::Any;
use std::net::SocketAddr;

use rand::SeedableRng;
use rand::rngs::StdRng;

use aptmesh::dht::contact::{Contact, Family};
use aptmesh::dht::engine::{Engine, Saved, Settings};
use aptmesh::dht::id::NodeId;
use aptmesh::dht::krpc::{self, Incoming, Query, Reply};
use aptmesh::dht::routing::{Node, NodeChange};

use crate::network::{Air, Families, Fate, Kind, MINUTE, Message, Raw, START};
use crate::village::{Asker, CALM, Village};

#[test]
fn a_network_of_ipv6_alone() {
    let mut village = Village::new(51, CALM);
    village.grow(60, Kind::OPEN.with(Families::V6));
    village.network.run_for(20 * MINUTE);
    let published = village.publish(30);
    let askers = village.nodes.clone();
    assert_eq!(village.count_found(&published, &askers), published.len());
    let (host, now) = (village.nodes[7], village.network.now());
    let snapshot = village.network.engine(host).snapshot(now);
    assert!(snapshot.nodes >= 16, "{snapshot:?}");
    let own = village.addr(host).ip();
    let seen = village.network.engine(host).external(Family::V6);
    assert_eq!(seen, Some(own));
}

#[test]
fn nodes_with_both_join_the_two_networks() {
    let mut village = Village::new(52, CALM);
    for _ in 0..20 {
        village.grow(2, Kind::OPEN.with(Families::Both));
        village.grow(1, Kind::OPEN.with(Families::V4));
        village.grow(1, Kind::OPEN.with(Families::V6));
    }
    village.network.run_for(40 * MINUTE);
    let of = |village: &Village, families: fn(bool, bool) -> bool| {
        let nodes = village.nodes.iter().copied();
        let chosen = nodes.filter(|host| {
            let addresses = village.network.addresses(*host);
            families(addresses.v4.is_some(), addresses.v6.is_some())
        });
        chosen.collect::<Vec<_>>()
    };
    let everybody = village.nodes.clone();
    let only_v4 = of(&village, |v4, v6| v4 && !v6);
    let only_v6 = of(&village, |v4, v6| v6 && !v4);
    let both = of(&village, |v4, v6| v4 && v6);
    for publishers in [&only_v4, &only_v6, &both] {
        village.nodes.clone_from(publishers);
        let published = village.publish(20);
        let found = village.count_found(&published, &both);
        assert!(found >= 20, "{found} of 20 by nodes with both");
        let [by_v4, by_v6] =
            [&only_v4, &only_v6].map(|askers| village.count_found(&published, askers));
        assert!(by_v4 >= 18 && by_v6 >= 18, "{by_v4} and {by_v6} of 20");
    }
    village.nodes = everybody;
}

#[test]
fn who_asks_over_ipv4_never_sees_nodes6() {
    let mut village = Village::new(53, CALM);
    village.grow(30, Kind::OPEN.with(Families::Both));
    village.network.run_for(20 * MINUTE);
    let host = village.nodes[9];
    let to = village.network.addresses(host);
    let asker = village.asker(Kind::OPEN.with(Families::Both));
    let target = village.key();
    let query = Query::FindNode { target };
    for (to, family) in [(to.v4, Family::V4), (to.v6, Family::V6)] {
        let answer = village.ask(asker, to.unwrap(), &query).unwrap();
        let v6 = |family| {
            let nodes = answer.nodes.iter();
            nodes
                .filter(|contact| Family::of(&contact.addr) == family)
                .count()
        };
        assert_eq!(v6(Family::V4), 8);
        assert_eq!(v6(Family::V6), if family == Family::V4 { 0 } else { 8 });
        let heard = &village.network.raw_mut::<Asker>(asker).heard;
        let has_key = heard.iter().any(|packet| {
            let mut windows = packet.windows(8);
            windows.any(|window| window == b"6:nodes6")
        });
        assert_eq!(has_key, family == Family::V6);
    }
}

#[test]
fn a_node_with_both_has_one_place_in_each_network() {
    let mut village = Village::new(54, CALM);
    village.grow(40, Kind::OPEN.with(Families::Both));
    village.network.run_for(20 * MINUTE);
    let (asker, sought) = (village.nodes[3], village.nodes[30]);
    let id = village.network.id(sought);
    let found = village.find(asker, id);
    let mut addresses: Vec<_> = found
        .closest
        .iter()
        .filter(|contact| contact.id == id)
        .map(|contact| contact.addr)
        .collect();
    addresses.sort();
    assert!(!addresses.is_empty());
    let own: Vec<_> = village.network.addresses(sought).all().collect();
    assert!(addresses.iter().all(|addr| own.contains(addr)));
    let (key, publisher) = (village.key(), village.nodes[5]);
    let stored = village.announce(publisher, key, b"of both");
    assert!((5..=16).contains(&stored), "{stored}");
}

/// Names nodes of IPv6 to everybody.
struct Tempter {
    id: NodeId,
    asked: usize,
}

impl Raw for Tempter {
    fn hear(&mut self, from: SocketAddr, packet: &[u8], air: &mut Air) {
        let Some(Incoming::Query { t, query, .. }) = krpc::decode(packet) else {
            return;
        };
        self.asked += 1;
        let reply = match query {
            Query::Join => Reply::Join { seen: from },
            Query::FindNode { .. } => Reply::FindNode {
                nodes: (0..8_u8)
                    .map(|number| {
                        let addr = format!("[2a01:{number}::1]:9977").parse().unwrap();
                        Contact::new(NodeId(air.dice.bytes()), addr)
                    })
                    .collect(),
                token: [7; 20],
            },
            _ => Reply::Ping,
        };
        let mut rng = StdRng::seed_from_u64(1);
        air.send(from, krpc::reply(&t, &self.id, &reply, true, &mut rng));
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[test]
fn who_has_no_ipv6_asks_nobody_there() {
    for families in [Families::V4, Families::Both] {
        let mut village = Village::new(55, CALM);
        let tempter = village.network.add(Kind::OPEN);
        let id = village.network.id(tempter);
        village.network.start_raw(tempter, Tempter { id, asked: 0 });
        let host = village.network.add(Kind::OPEN.with(families));
        let bootstrap = [village.addr(tempter), "[2a01:99::1]:9977".parse().unwrap()];
        village.network.start(host, &bootstrap);
        village.network.run_for(10 * MINUTE);
        assert!(village.network.raw_mut::<Tempter>(tempter).asked > 2);
        let vain = [Message::FindNode, Message::Join]
            .map(|message| village.network.meter.count(message, Fate::Nobody).packets);
        let has_v6 = families == Families::Both;
        assert_eq!(vain.map(|packets| packets > 0), [has_v6; 2], "{vain:?}");
    }
}

#[test]
fn rows_of_nodes_that_may_not_be_known_any_more_are_deleted() {
    let node = |number, addr: &str| Node {
        contact: Contact::new(NodeId([number; 20]), addr.parse().unwrap()),
        confirmed: true,
        failures: 0,
        last_answer: START,
        last_try: START,
    };
    let saved = Saved {
        nodes: vec![
            node(1, "192.168.0.1:9977"),
            node(2, "[2a01::1]:9977"),
            node(3, "81.7.1.1:9977"),
        ],
        ..Saved::default()
    };
    let gone = |settings| {
        let own = NodeId([0xff; 20]);
        let mut engine = Engine::new(own, settings, saved.clone(), 1, START);
        engine.take_changes().nodes
    };
    let private = (Family::V4, NodeChange::Gone(NodeId([1; 20])));
    let of_v6 = (Family::V6, NodeChange::Gone(NodeId([2; 20])));
    assert_eq!(gone(Settings::default()), [private]);
    let settings = Settings {
        allow_private: true,
        families: vec![Family::V4],
        ..Settings::default()
    };
    assert_eq!(gone(settings), [of_v6]);
}
