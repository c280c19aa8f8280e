//! What the DHT hears of a LAN: nothing.

use super::{SMALL, fetch, suite};
use crate::kit::{Conduct, Dht, Node, Peer, SOON, krpc, neighbours, on_link, until};
use std::net::{Ipv4Addr, SocketAddr};

/// Where the test is on the internet, as far as its nodes can tell.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(44, 0, 0, 254);

#[test]
fn a_public_dht_never_hears_of_the_lan() {
    on_link(2, suite(&[SMALL]), |link| {
        link.add_network(44);
        let place: SocketAddr = (PUBLIC, 9900).into();
        let peer = Peer::at(place, krpc::fresh_id(), Conduct::Honest);
        let node = |host: usize| {
            let mut config = link.config(host);
            config.dht = Some(Dht {
                bootstrap: vec![peer.addr().to_string()],
                ..config.dht.unwrap()
            });
            Node::with(config)
        };
        let nodes = [node(0), node(1)];
        for node in &nodes {
            until("the DHT is joined", || node.number("/dht/nodes") >= 1);
            until("the other is found", || !neighbours(node).is_empty());
            link.learn(node);
        }
        fetch(link, &nodes[0], "file0");
        fetch(link, &nodes[1], "file0");
        assert_eq!(
            link.origin.hits(&link.path("file0")),
            1,
            "it came over the LAN"
        );
        let key = krpc::key_of(link.suite.deb("file0"));
        until("the file is announced", || peer.stored(&key).len() >= 2);
        // So that nodes tell whom they know.
        for (last, node) in (1..).zip(&nodes) {
            let target = (&krpc::fresh_id()[..]).into();
            let there = ([44, 0, 0, last], node.dht_addr().port()).into();
            peer.ask(there, "find_node", &[("target", target)]);
        }
        std::thread::sleep(SOON);
        let packets = peer.packets();
        assert!(packets.len() > 10, "{}", packets.len());
        for packet in packets {
            let is_private = |four: &[u8]| four.starts_with(&[10, 77, 0]);
            let text = String::from_utf8_lossy(&packet);
            assert!(!packet.windows(4).any(is_private), "{packet:?}");
            assert!(!text.contains("10.77.0."), "{text}");
        }
    });
}

#[test]
fn a_private_dht_forms_without_configuration() {
    on_link(3, suite(&[SMALL]), |link| {
        let node = |host: usize| {
            let mut config = link.config(host);
            config.dht = Some(Dht {
                allow_private: true,
                ..config.dht.unwrap()
            });
            Node::with(config)
        };
        let nodes = [node(0), node(1), node(2)];
        for node in &nodes {
            until("the others are in the table", || {
                node.number("/dht/nodes") >= 2
            });
        }
    });
}
