//! Nodes that leave, and those that nobody reaches.

use aptmesh::dht::contact::Contact;

use crate::network::{Conditions, HOUR, HostId, Kind, MINUTE, Network, Reach};
use crate::village::{CALM, Village};

fn is_natted(network: &Network, contact: &Contact) -> bool {
    let host = network.host_at(&contact.addr).unwrap();
    network.reach(host) == Reach::Natted
}

fn is_gone(network: &Network, contact: &Contact) -> bool {
    let host = network.host_at(&contact.addr).unwrap();
    !network.is_up(host)
}

#[test]
fn nodes_behind_nats_are_not_handed_out() {
    let mut village = Village::new(41, CALM);
    village.grow(20, Kind::OPEN);
    for _ in 0..60 {
        village.grow(1, Kind::OPEN);
        village.grow(1, Kind::NATTED);
    }
    for _ in 0..4 {
        // They keep their holes to many others open by asking.
        village.publish(50);
        village.network.run_for(15 * MINUTE);
    }
    let (natted, all) = village.handed_out(is_natted);
    assert!(all > 400 && natted * 100 <= all, "{natted} of {all}");
}

#[test]
fn newcomers_behind_nats_are_not_handed_out_either() {
    let mut village = Village::calm(42, 100);
    village.grow(100, Kind::NATTED);
    let (natted, all) = village.handed_out(is_natted);
    assert!(natted * 50 <= all, "{natted} of {all}");
}

#[test]
fn who_left_is_forgotten() {
    let mut village = Village::calm(43, 100);
    let gone: Vec<HostId> = village.nodes[20..50].to_vec();
    for host in &gone {
        village.network.stop(*host);
    }
    village.nodes.retain(|host| !gone.contains(host));
    for _ in 0..4 {
        village.publish(50);
        village.network.run_for(30 * MINUTE);
    }
    let (dead, all) = village.handed_out(is_gone);
    assert!(dead * 50 <= all, "{dead} of {all}");
}

#[test]
fn half_of_the_nodes_leave_at_once() {
    let mut village = Village::calm(44, 200);
    let published = village.publish(50);
    let gone: Vec<_> = village.nodes.iter().copied().skip(1).step_by(2).collect();
    for host in &gone {
        village.network.stop(*host);
    }
    village.nodes.retain(|host| !gone.contains(host));
    let askers = village.nodes.clone();
    let found = village.count_found(&published, &askers);
    // One in 64 lost all its holders.
    assert!(found >= 46, "{found} of 50");
    let published = village.publish(50);
    let found = village.count_found(&published, &askers);
    assert!(found >= 49, "{found} of 50");
}

#[test]
fn nodes_come_and_go_all_day() {
    let mut village = Village::new(45, Conditions::default());
    village.grow(40, Kind::OPEN);
    village.grow(40, Kind::NATTED);
    let mut away: Vec<HostId> = Vec::new();
    for round in 0..100 {
        // The first one stays: who is new asks it.
        let at = 1 + village.network.dice.below(village.nodes.len() - 1);
        let leaves = village.nodes.swap_remove(at);
        village.network.stop(leaves);
        away.push(leaves);
        village.network.run_for(3 * MINUTE);
        if round % 2 == 0 {
            // Hours later, perhaps: all that it knew may be gone.
            let back = away.swap_remove(0);
            let bootstrap: Vec<_> = village.bootstrap().collect();
            village.network.start(back, &bootstrap);
            village.nodes.push(back);
        } else {
            let kind = *village.network.dice.one_of(&[Kind::OPEN, Kind::NATTED]);
            village.join(kind);
        }
    }
    village.network.run_for(MINUTE);
    let published = village.publish(40);
    let askers = village.nodes.clone();
    let found = village.count_found(&published, &askers);
    assert!(found >= 39, "{found} of 40");
}

#[test]
fn a_network_that_fell_in_two_grows_together_again() {
    let mut village = Village::calm(46, 80);
    let (here, there) = {
        let mut nodes = village.nodes.clone().into_iter();
        let here: Vec<_> = nodes.by_ref().take(40).collect();
        (here, nodes.collect::<Vec<_>>())
    };
    for host in &there {
        village.network.set_side(*host, 1);
    }
    village.network.run_for(3 * HOUR);
    let everybody = std::mem::replace(&mut village.nodes, there.clone());
    let over_there = village.publish(20);
    let found = village.count_found(&over_there, &there);
    assert!(found >= 19, "{found} of 20 on their own side");
    assert_eq!(village.count_found(&over_there, &here), 0);

    for host in &there {
        village.network.set_side(*host, 0);
    }
    village.nodes = everybody;
    // Those there join once more through the first node, which is here.
    village.network.run_for(90 * MINUTE);
    let found = village.count_found(&over_there, &here);
    assert!(found >= 19, "{found} of 20 from the other side");
    let published = village.publish(20);
    let found = village.count_found(&published, &here) + village.count_found(&published, &there);
    assert!(found >= 39, "{found} of 40 of both sides");
}
