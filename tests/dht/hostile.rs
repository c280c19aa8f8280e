//! Whoever lies, floods or steals harms nobody much.

use std::any::Any;
use std::net::SocketAddr;

use rand::SeedableRng;
use rand::rngs::StdRng;

use aptmesh::dht::contact::Contact;
use aptmesh::dht::id::NodeId;
use aptmesh::dht::krpc::{self, Incoming, Query, Reply};

use crate::liars::{Flooder, Liar, Vice, move_in};
use crate::network::{Air, Dice, Fate, HOUR, HostId, Kind, MINUTE, Message, Network, Raw, SECOND};
use crate::village::Village;

/// Of 30 values that are stored and looked for among a sixth of liars, how many are found, and the slowest complete
/// answer in milliseconds.
fn among(vice: Vice, seed: u64) -> (usize, i64, Village, Vec<HostId>) {
    let mut village = Village::calm(seed, 40);
    let liars = move_in(&mut village, vice, 20);
    village.grow(60, Kind::OPEN);
    village.network.run_for(20 * MINUTE);
    let (mut found, mut slowest) = (0, 0);
    for number in 0..30 {
        let (publisher, asker, key) = (village.any(), village.any(), village.key());
        let value = format!("true {number}").into_bytes();
        village.announce(publisher, key, &value);
        let answer = village.find(asker, key);
        found += usize::from(answer.values.contains(&value));
        slowest = slowest.max(answer.complete);
    }
    (found, slowest, village, liars)
}

fn asked(village: &mut Village, liars: &[HostId]) -> usize {
    liars
        .iter()
        .map(|host| village.network.raw_mut::<Liar>(*host).asked)
        .sum()
}

fn is_one_of(liars: &[HostId]) -> impl Fn(&Network, &Contact) -> bool {
    |network, contact| match network.host_at(&contact.addr) {
        Some(host) => liars.contains(&host),
        None => true,
    }
}

#[test]
fn nodes_made_up_beside_the_target() {
    let (found, slowest, mut village, liars) = among(Vice::Invents, 61);
    assert!(found >= 29, "{found} of 30");
    assert!(slowest <= 20 * SECOND, "{slowest} ms");
    // A made-up node is named by nobody but liars.
    assert!(asked(&mut village, &liars) > 100);
    let (made_up, all) =
        village.handed_out(|network, contact| network.host_at(&contact.addr).is_none());
    assert_eq!(made_up, 0, "of {all}");
}

#[test]
fn answers_with_more_nodes_than_anybody_wants() {
    let (found, slowest, village, _) = among(Vice::Overfills, 73);
    assert!(found >= 29, "{found} of 30");
    assert!(slowest <= 20 * SECOND, "{slowest} ms");
    // Each of them gives lookups many nodes to ask in vain, and no lookup asks more than 128.
    let vain = village.network.meter.count(Message::FindNode, Fate::Nobody);
    assert!((1000..60_000).contains(&vain.packets), "{vain:?}");
}

#[test]
fn liars_who_name_each_other() {
    let (found, slowest, _, _) = among(Vice::Conspires, 62);
    assert!(found >= 27, "{found} of 30");
    assert!(slowest <= 20 * SECOND, "{slowest} ms");
}

#[test]
fn who_withholds_values_is_waited_for_three_seconds() {
    let (found, slowest, mut village, _) = among(Vice::Withholds, 74);
    assert!(found >= 27, "{found} of 30");
    assert!(slowest <= 5 * SECOND, "{slowest} ms");
    let mut met = 0;
    for _ in 0..30 {
        let (asker, key) = (village.any(), village.key());
        let answer = village.find(asker, key);
        assert!(answer.values.is_empty());
        assert!(answer.complete <= 5 * SECOND, "{} ms", answer.complete);
        met += usize::from(answer.complete >= 3 * SECOND);
    }
    assert!(met > 5, "{met}");
}

#[test]
fn ids_that_change() {
    let (found, slowest, mut village, liars) = among(Vice::Changes, 63);
    assert_eq!(found, 30);
    assert!(slowest <= 10 * SECOND, "{slowest} ms");
    let (bad, all) = village.handed_out(is_one_of(&liars));
    assert!(bad * 50 <= all, "{bad} of {all}");
}

#[test]
fn who_never_answers_is_nobody() {
    for (vice, seed) in [(Vice::Silent, 64), (Vice::Garbles, 65), (Vice::Refuses, 66)] {
        let (found, slowest, mut village, liars) = among(vice, seed);
        assert_eq!(found, 30, "{vice:?}");
        assert!(slowest <= 5 * SECOND, "{vice:?}: {slowest} ms");
        let (bad, _) = village.handed_out(is_one_of(&liars));
        assert_eq!(bad, 0, "{vice:?}");
    }
}

fn random_bytes(dice: &mut Dice) -> Vec<u8> {
    let length = dice.below(400);
    let bytes = dice.bytes::<400>();
    bytes[..length].to_vec()
}

fn find_node(dice: &mut Dice) -> Vec<u8> {
    let target = NodeId(dice.bytes());
    let query = Query::FindNode { target };
    krpc::query(&dice.bytes(), &NodeId(dice.bytes()), &query).unwrap()
}

fn wrong_query(dice: &mut Dice) -> Vec<u8> {
    let packet = find_node(dice);
    let at = packet.windows(9).position(|window| window == b"find_node");
    let mut wrong = packet;
    wrong[at.unwrap()] = b'b';
    wrong
}

/// A minute of a flood upon one node, then how many bytes it sent to the flooder and the rest of the world for
/// those that it got.
fn flood(seed: u64, is_forging: bool, make: fn(&mut Dice) -> Vec<u8>) -> (u64, u64, u64) {
    let mut village = Village::calm(seed, 40);
    let published = village.publish(10);
    let victim = village.nodes[20];
    let flooder = village.network.add(Kind::OPEN);
    let before = village.network.traffic(victim).sent;
    let raw = Flooder {
        victim: village.addr(victim),
        packets_per_second: 1000,
        is_forging,
        make,
        until: village.network.now() + MINUTE,
        sent_bytes: 0,
        heard_bytes: 0,
    };
    village.network.start_raw(flooder, raw);
    village.network.run_for(30 * SECOND);
    // The victim goes on as before, and so do the others.
    assert_eq!(village.count_found(&published, &[victim]), published.len());
    let askers = village.nodes.clone();
    assert_eq!(village.count_found(&published, &askers), published.len());
    village.network.run_for(MINUTE);
    let flooder = village.network.raw_mut::<Flooder>(flooder);
    let (sent, heard) = (flooder.sent_bytes, flooder.heard_bytes);
    let victim_sent = village.network.traffic(victim).sent - before;
    (sent, heard, victim_sent)
}

#[test]
fn random_bytes_draw_no_answer() {
    let (sent, heard, _) = flood(67, false, random_bytes);
    assert!(sent > 5_000_000);
    assert_eq!(heard, 0);
}

#[test]
fn a_stranger_has_a_small_budget() {
    let (sent, heard, _) = flood(68, false, find_node);
    assert!(sent > 5_000_000);
    // 30 answers at once and 30 a minute, and a ping or two.
    assert!(heard < 90 * 500, "{heard} bytes");
}

#[test]
fn wrong_queries_draw_less_than_they_weigh() {
    let (sent, heard, _) = flood(69, false, wrong_query);
    assert!(heard < sent / 100, "{heard} of {sent} bytes");
}

#[test]
fn forged_sources_draw_a_bounded_number_of_answers() {
    let (sent, _, answered) = flood(70, true, find_node);
    // 2,000 at once and 500 a second, each of at most 400 bytes.
    let most = (2000 + 500 * 62) * 400;
    assert!(sent > 5_000_000 && answered < most, "{answered} bytes");
}

/// Answers what it is asked from the address of somebody else, and with the id of that one.
struct Thief {
    id: NodeId,
    disguise: (NodeId, SocketAddr),
    victim: SocketAddr,
    rng: StdRng,
    stolen: usize,
}

impl Raw for Thief {
    fn hear(&mut self, from: SocketAddr, packet: &[u8], air: &mut Air) {
        if let Some(Incoming::Query { t, .. }) = krpc::decode(packet) {
            self.stolen += 1;
            let (id, addr) = self.disguise;
            let answer = krpc::reply(&t, &id, &Reply::Ping, false, &mut self.rng);
            air.send_as(addr, from, answer);
        }
    }

    fn wake(&mut self, air: &mut Air) {
        let query = krpc::query(&air.dice.bytes(), &self.id, &Query::Ping);
        air.send(self.victim, query.unwrap());
        air.wake_at(air.now + 15 * MINUTE);
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[test]
fn a_transaction_id_proves_nothing_by_itself() {
    let mut village = Village::calm(71, 10);
    let victim = village.nodes[5];
    let thief = village.network.add(Kind::OPEN);
    let id = village.network.id(thief);
    let disguise = (
        NodeId(village.network.dice.bytes()),
        SocketAddr::from(([81, 7, 1, 1], 7000)),
    );
    let raw = Thief {
        id,
        disguise,
        victim: village.addr(victim),
        rng: StdRng::seed_from_u64(1),
        stolen: 0,
    };
    let now = village.network.now();
    let before = village.network.engine(victim).snapshot(now).nodes;
    village.network.start_raw(thief, raw);
    village.network.run_for(HOUR);
    assert!(village.network.raw_mut::<Thief>(thief).stolen > 0);
    let now = village.network.now();
    assert_eq!(village.network.engine(victim).snapshot(now).nodes, before);
    let (bad, _) = village.handed_out(|_, contact| contact.addr == disguise.1);
    assert_eq!(bad, 0);
}

#[test]
fn a_flood_of_strangers_ids_does_not_empty_the_table() {
    let mut village = Village::calm(72, 60);
    let victim = village.nodes[30];
    let now = village.network.now();
    let before = village.network.engine(victim).snapshot(now);
    let flooder = village.network.add(Kind::OPEN);
    let raw = Flooder {
        victim: village.addr(victim),
        packets_per_second: 200,
        is_forging: true,
        make: |dice| krpc::query(&dice.bytes(), &NodeId(dice.bytes()), &Query::Ping).unwrap(),
        until: now + 5 * MINUTE,
        sent_bytes: 0,
        heard_bytes: 0,
    };
    village.network.start_raw(flooder, raw);
    village.network.run_for(10 * MINUTE);
    let now = village.network.now();
    let after = village.network.engine(victim).snapshot(now);
    assert!(after.confirmed_nodes * 10 >= before.confirmed_nodes * 9);
    // Whoever answers nothing is pinged a few times, and not for every packet.
    let pings = village.network.meter.count(Message::Ping, Fate::Nobody);
    assert!(pings.packets < 3000, "{pings:?}");
}
