//! IPv4, IPv6, and both.

use aptmesh::dht::contact::Family;
use aptmesh::dht::krpc::Query;

use crate::network::{Families, Kind, MINUTE};
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
