//! Whether the virtual network is the one that it is said to be.

use std::net::SocketAddr;

use aptmesh::clock::Millis;
use aptmesh::dht::engine::Settings;

use crate::network::{
    Conditions, HOLE, HOUR, HostId, Kind, MINUTE, Message, Network, Reach, SECOND,
};
use crate::village::{Asker, CALM, Village};

fn listener(network: &mut Network, kind: Kind) -> (HostId, SocketAddr) {
    let host = network.add(kind);
    let id = network.id(host);
    network.start_raw(host, Asker::new(id));
    (host, network.addresses(host).main())
}

fn heard(network: &mut Network, host: HostId) -> usize {
    network.run_for(SECOND);
    std::mem::take(&mut network.raw_mut::<Asker>(host).heard).len()
}

#[test]
fn a_nat_lets_in_whom_it_sent_to_and_for_two_minutes() {
    let mut network = Network::new(1, CALM, Settings::default());
    let (inside, inside_addr) = listener(&mut network, Kind::NATTED);
    let (friend, friend_addr) = listener(&mut network, Kind::OPEN);
    let (stranger, _) = listener(&mut network, Kind::OPEN);

    network.send(friend, inside_addr, b"before".to_vec());
    assert_eq!(heard(&mut network, inside), 0);
    network.send(inside, friend_addr, b"hello".to_vec());
    assert_eq!(heard(&mut network, friend), 1);
    network.send(friend, inside_addr, b"now".to_vec());
    network.send(stranger, inside_addr, b"me too".to_vec());
    assert_eq!(heard(&mut network, inside), 1);
    network.run_for(HOLE - 10 * SECOND);
    network.send(friend, inside_addr, b"still".to_vec());
    assert_eq!(heard(&mut network, inside), 1);
    network.run_for(10 * SECOND);
    network.send(friend, inside_addr, b"too late".to_vec());
    assert_eq!(heard(&mut network, inside), 0);
    assert_eq!(network.reach(inside), Reach::Natted);
}

#[test]
fn round_trips_are_those_of_the_pair_and_packets_get_lost() {
    struct Echo;
    impl crate::network::Raw for Echo {
        fn hear(&mut self, from: SocketAddr, packet: &[u8], air: &mut crate::network::Air) {
            air.send(from, packet.to_vec());
        }
        fn as_any(&mut self) -> &mut dyn std::any::Any {
            self
        }
    }
    fn round_trip(network: &mut Network, from: HostId, to: SocketAddr) -> Option<Millis> {
        let sent = network.now();
        network.send(from, to, b"ping".to_vec());
        while network.now() < sent + 400 {
            network.run_for(1);
            if network.raw_mut::<Asker>(from).heard.pop().is_some() {
                return Some(network.now() - sent);
            }
        }
        None
    }
    let mut network = Network::new(2, Conditions::default(), Settings::default());
    let (asker, _) = listener(&mut network, Kind::OPEN);
    let (mut shortest, mut longest, mut lost) = (Millis::MAX, 0, 0);
    for _ in 0..500 {
        let host = network.add(Kind::OPEN);
        network.start_raw(host, Echo);
        let to = network.addresses(host).main();
        let times: Vec<_> = (0..4)
            .map(|_| round_trip(&mut network, asker, to))
            .collect();
        lost += times.iter().filter(|time| time.is_none()).count();
        let known: Vec<_> = times.into_iter().flatten().collect();
        let (least, most) = (known.iter().min().unwrap(), known.iter().max().unwrap());
        assert!(most - least <= 2 + most * 6 / 100, "{known:?}");
        (shortest, longest) = (shortest.min(*least), longest.max(*most));
    }
    assert!((18..40).contains(&shortest), "{shortest}");
    assert!((280..312).contains(&longest), "{longest}");
    // 2,000 round trips with two chances to be lost.
    assert!((20..65).contains(&lost), "{lost}");
}

/// Everything that follows is worth nothing if chance of the process gets in: in the order of a hash map, say.
#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut village = Village::new(seed, Conditions::default());
        village.grow(40, Kind::OPEN);
        village.grow(20, Kind::NATTED);
        let published = village.publish(5);
        village.network.run_for(HOUR);
        let askers = village.nodes.clone();
        let found = village.count_found(&published, &askers);
        let counts: Vec<_> = Message::ALL
            .into_iter()
            .flat_map(|kind| {
                let meter = &village.network.meter;
                crate::network::Fate::ALL.map(|fate| meter.count(kind, fate).bytes)
            })
            .collect();
        (found, counts, village.network.now())
    };
    let first = run(3);
    assert_eq!(first, run(3));
    assert_ne!(first, run(4));
}

#[test]
fn what_a_node_wrote_is_what_it_knows() {
    let mut village = Village::new(5, Conditions::default());
    village.grow(60, Kind::OPEN);
    village.publish(10);
    village.network.run_for(30 * MINUTE);
    for host in village.nodes.clone() {
        let snapshot = village.network.engine(host).snapshot(village.network.now());
        let disk = village.network.disk(host);
        // The last half minute may not be written yet.
        assert!(disk.nodes().abs_diff(snapshot.nodes) <= 3);
        assert_eq!(disk.values(), snapshot.values);
    }
}
