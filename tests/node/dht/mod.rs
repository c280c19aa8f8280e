//! A node in the DHT, among nodes of another make: every packet is written and read by the tests'
//! own code.

mod answers;
mod errors;
mod flood;
mod join;
mod restart;
mod silence;
mod table;
mod tokens;
mod v6;
mod values;

use crate::kit::krpc::{self, Answer, Id};
use crate::kit::{Conduct, Config, Dht, Node, Peer, SOON};
use std::net::IpAddr;
use std::time::Duration;

/// A node that knows nobody.
#[track_caller]
fn lone() -> Node {
    joined(&[])
}

/// A node that joins through these, and knows them.
#[track_caller]
fn joined(peers: &[&Peer]) -> Node {
    let node = Node::with(Dht::through(peers).into());
    node.until_number("/dht/nodes", peers.len() as u64);
    node
}

/// A node with this part in the DHT.
#[track_caller]
fn node(dht: Dht) -> Node {
    Node::with(Config::from(dht))
}

/// One who asks and never answers: it is in nobody's table.
fn asker() -> Peer {
    Peer::that(Conduct::Silent)
}

/// Another who asks, at the address of this one, from another port.
fn beside(peer: &Peer) -> Peer {
    asker_at(peer.addr().ip())
}

fn asker_at(ip: IpAddr) -> Peer {
    Peer::at((ip, 0).into(), krpc::fresh_id(), Conduct::Silent)
}

/// An honest node that the node knows as one that answers.
#[track_caller]
fn friend(node: &Node) -> Peer {
    let peer = Peer::new();
    let known = node.number("/dht/nodes");
    peer.ask_node(node, "ping", &[]);
    node.until_number("/dht/nodes", known + 1);
    peer
}

/// Sends packets of which none may draw an answer.
#[track_caller]
fn expect_silence<T: AsRef<[u8]>>(peer: &Peer, node: &Node, packets: &[T]) {
    peer.forget();
    for some in packets.chunks(64) {
        for packet in some {
            peer.send(node.dht_addr(), packet.as_ref());
        }
        // A socket whose buffer is full loses packets.
        std::thread::sleep(Duration::from_millis(5));
    }
    // What comes later was read later: an answer to this is the end of the others.
    let last = peer.ask_node(node, "ping", &[]);
    std::thread::sleep(SOON);
    let answers = peer.answers();
    let shown: Vec<_> = answers
        .iter()
        .filter(|answer| answer.t != last.t)
        .map(|answer| answer.bytes.escape_ascii().to_string())
        .collect();
    assert_eq!(shown, Vec::<String>::new());
}

/// Sends a packet as it stands, with this transaction id in it, and gives the answer.
#[track_caller]
fn answer_to(peer: &Peer, node: &Node, t: &Id, packet: &[u8]) -> Answer {
    peer.send(node.dht_addr(), packet);
    peer.expect_answer(t)
}

/// The value of a file of one piece at this address.
fn value_of(addr: std::net::SocketAddr) -> Vec<u8> {
    let contact = krpc::compact_addr(addr);
    crate::kit::bencode::dict([("c", (&contact).into())]).written()
}
