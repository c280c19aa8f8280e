//! Coming into the network, and back into it.

use aptmesh::dht::contact::Family;
use aptmesh::dht::engine::Event;
use aptmesh::dht::krpc::{Incoming, Query};

use crate::network::{Conditions, Fate, HOUR, Kind, MINUTE, Message, SECOND};
use crate::village::{CALM, Village};

#[test]
fn two_nodes_are_a_network() {
    let mut village = Village::new(11, CALM);
    village.grow(2, Kind::OPEN);
    village.network.run_for(MINUTE);
    let [first, second] = village.nodes[..] else {
        unreachable!()
    };
    let key = village.key();
    assert_eq!(village.announce(second, key, b"here"), 1);
    let found = village.find(first, key);
    assert_eq!(found.values, [b"here"]);
    // It keeps the value itself.
    assert_eq!(found.first, Some(0));
    let key = village.key();
    assert_eq!(village.announce(first, key, b"there"), 1);
    let snapshot = village
        .network
        .engine(second)
        .snapshot(village.network.now());
    assert_eq!((snapshot.nodes, snapshot.values), (1, 1));
}

#[test]
fn a_lone_node_has_an_answer_all_the_same() {
    let mut village = Village::new(12, CALM);
    village.grow(1, Kind::OPEN);
    let (host, key) = (village.nodes[0], village.key());
    assert_eq!(village.announce(host, key, b"to whom"), 0);
    let found = village.find(host, key);
    assert!(found.values.is_empty() && found.closest.is_empty());
}

#[test]
fn a_newcomer_finds_its_neighbours_within_seconds() {
    let mut village = Village::calm(13, 100);
    let newcomer = village.join(Kind::OPEN);
    village.network.run_for(10 * SECOND);
    let now = village.network.now();
    let snapshot = village.network.engine(newcomer).snapshot(now);
    assert!(snapshot.nodes >= 12, "{snapshot:?}");
    let mut known = 0;
    for _ in 0..20 {
        let sought = village.any();
        let target = village.network.id(sought);
        let found = village.find(newcomer, target);
        known += usize::from(sought == newcomer || found.closest[0].id == target);
    }
    assert!(known >= 19, "{known} of 20");
}

#[test]
fn others_find_a_newcomer() {
    let mut village = Village::calm(14, 100);
    let newcomer = village.join(Kind::OPEN);
    let id = village.network.id(newcomer);
    // It counts as reached from outside when it was pinged once more after `min_ping_interval`.
    village.network.run_for(20 * MINUTE);
    let asker = village.nodes[7];
    let found = village.find(asker, id);
    assert_eq!(found.closest[0].id, id);
}

#[test]
fn a_node_learns_its_address_by_majority() {
    let mut village = Village::calm(15, 20);
    let newcomer = village.join(Kind::NATTED);
    village.network.run_for(5 * MINUTE);
    let seen = village.network.engine(newcomer).external(Family::V4);
    assert_eq!(seen, Some(village.addr(newcomer).ip()));
}

#[test]
fn the_size_of_the_network_is_estimated() {
    let mut village = Village::calm(16, 200);
    let host = village.nodes[100];
    for _ in 0..30 {
        let key = village.key();
        village.find(host, key);
    }
    let now = village.network.now();
    let estimate = village.network.engine(host).snapshot(now).estimated_nodes;
    assert!((130..300).contains(&estimate), "{estimate}");
}

#[test]
fn nobody_at_home_is_asked_ever_more_seldom() {
    let mut village = Village::new(17, CALM);
    let absent = village.network.add(Kind::OPEN);
    let addr = village.addr(absent);
    let newcomer = village.network.add(Kind::OPEN);
    village.network.start(newcomer, &[addr]);
    village.network.run_for(HOUR);
    let early = village.network.meter.count(Message::Join, Fate::Nobody);
    assert!((10..60).contains(&early.packets), "{early:?}");
    village.network.run_for(HOUR);
    let late = village.network.meter.count(Message::Join, Fate::Nobody);
    // Three sendings each ten minutes or more.
    assert!(late.packets - early.packets <= 24, "{late:?}");

    village.network.start(absent, &[]);
    village.network.run_for(15 * MINUTE);
    let now = village.network.now();
    assert_eq!(village.network.engine(newcomer).snapshot(now).nodes, 1);
}

#[test]
fn who_comes_back_needs_no_bootstrap() {
    let mut village = Village::calm(18, 100);
    let published = village.publish(30);
    let host = village.nodes[50];
    let (asker, to, key) = (village.asker(Kind::OPEN), village.addr(host), village.key());
    let answer = village.ask(asker, to, &Query::FindNode { target: key });
    let token = answer.unwrap().token.unwrap();
    village.network.run_for(MINUTE);
    let now = village.network.now();
    let before = village.network.engine(host).snapshot(now);

    village.network.stop(host);
    village.network.run_for(10 * MINUTE);
    village.network.start(host, &[]);
    let now = village.network.now();
    let after = village.network.engine(host).snapshot(now);
    assert_eq!(after.values, before.values);
    village.network.run_for(MINUTE);
    let now = village.network.now();
    let after = village.network.engine(host).snapshot(now);
    assert!(after.nodes * 10 >= before.nodes * 9, "{before:?} {after:?}");
    assert_eq!(village.count_found(&published, &[host]), published.len());
    let id = village.network.id(host);
    let neighbour = village.nodes[3];
    assert_eq!(village.find(neighbour, id).closest[0].id, id);
    // Whoever was about to store needs no new token.
    let value = b"stored late".to_vec();
    let store = Query::StoreValue { key, value, token };
    assert!(village.ask(asker, to, &store).is_some());
}

#[test]
fn who_starts_again_while_it_is_cut_off_still_knows_whom_to_ask() {
    let mut village = Village::calm(20, 60);
    let host = village.nodes[30];
    village.network.set_side(host, 1);
    for _ in 0..2 {
        village.network.run_for(3 * HOUR);
        let now = village.network.now();
        assert_eq!(village.network.engine(host).snapshot(now).nodes, 0);
        village.network.stop(host);
        village.network.start(host, &[]);
    }
    village.network.run_for(HOUR);
    village.network.stop(host);
    village.network.set_side(host, 0);
    village.network.start(host, &[]);
    village.network.run_for(MINUTE);
    let now = village.network.now();
    let nodes = village.network.engine(host).snapshot(now).nodes;
    assert!(nodes >= 16, "{nodes}");
    // Others are known again: rows are those of the table.
    village.network.run_for(2 * HOUR);
    let now = village.network.now();
    let nodes = village.network.engine(host).snapshot(now).nodes;
    let rows = village.network.disk(host).nodes();
    assert!(rows.abs_diff(nodes) <= 2, "{rows} rows of {nodes} nodes");
}

#[test]
fn a_node_that_lost_its_id_takes_its_own_place() {
    let mut village = Village::calm(19, 60);
    let host = village.nodes[30];
    let before = village.network.id(host);
    village.network.stop(host);
    village.network.wipe(host);
    village.network.change_id(host);
    let bootstrap: Vec<_> = village.bootstrap().collect();
    village.network.start(host, &bootstrap);
    village.network.run_for(HOUR);
    let (stale, all) = village.handed_out(|_, contact| contact.id == before);
    assert!(stale * 50 <= all, "{stale} of {all}");
    let id = village.network.id(host);
    let neighbour = village.nodes[3];
    assert_eq!(village.find(neighbour, id).closest[0].id, id);
}

#[test]
fn half_the_network_behind_nats_finds_what_it_stores() {
    let mut village = Village::new(20, Conditions::default());
    village.grow(2, Kind::OPEN);
    for _ in 0..60 {
        village.grow(1, Kind::OPEN);
        village.grow(1, Kind::NATTED);
    }
    village.network.run_for(30 * MINUTE);
    let published = village.publish(60);
    let askers = village.nodes.clone();
    let found = village.count_found(&published, &askers);
    assert!(found >= 59, "{found} of 60");
}

#[test]
fn many_lookups_at_once_all_end() {
    let mut village = Village::calm(21, 60);
    let (publisher, asker) = (village.nodes[10], village.nodes[20]);
    let keys: Vec<_> = (0..400).map(|_| village.key()).collect();
    for key in &keys {
        village
            .network
            .announce(publisher, *key, b"of many".to_vec());
    }
    village.network.run_for(5 * MINUTE);
    let happened = village.network.take_happened();
    let stored = happened.iter().filter(|happening| {
        happening.host == publisher
            && matches!(happening.event, Event::Stored { nodes, .. } if nodes >= 4)
    });
    assert_eq!(stored.count(), keys.len());
    for key in &keys {
        village.network.find(asker, *key);
    }
    village.network.run_for(5 * MINUTE);
    let happened = village.network.take_happened();
    let found = happened.iter().filter(|happening| {
        happening.host == asker && matches!(happening.event, Event::Found { values: 1, .. })
    });
    assert_eq!(found.count(), keys.len());
}

#[test]
fn a_token_is_for_one_address() {
    let mut village = Village::calm(22, 10);
    let to = village.addr(village.nodes[4]);
    let (asker, thief) = (village.asker(Kind::OPEN), village.asker(Kind::OPEN));
    let key = village.key();
    let answer = village.ask(asker, to, &Query::FindNode { target: key });
    let token = answer.unwrap().token.unwrap();
    let store = |token| Query::StoreValue {
        key,
        value: b"mine".to_vec(),
        token,
    };
    let refused = village.ask_raw(thief, to, &store(token.clone()));
    assert!(
        matches!(refused, Some(Incoming::Error { code: 205, .. })),
        "{refused:?}"
    );
    assert!(village.ask(asker, to, &store(token)).is_some());
}
