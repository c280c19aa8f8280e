//! What is told on a link, and what of it is believed.

use super::harm::Stranger;
use super::{PORT_HOLDER, SMALL, fetch, shares, suite};
use crate::kit::{HUB, Node, Seeding, neighbours, on_link, until};
use mdns_sd::{ScopedIp, ServiceDaemon, ServiceEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long it is listened for what should not be told.
const LISTENED: Duration = Duration::from_secs(3);

#[test]
fn an_apt_face_is_told_of_where_it_listens_and_serves() {
    on_link(2, suite(&[]), |link| {
        link.add_ipv6();
        let mut config = link.config(0);
        config.clients = vec![HUB.to_string()];
        let closed = Node::with(config);
        let open = link.node(1);
        for (node, other) in [(&closed, &open), (&open, &closed)] {
            let other = other.peer_addr().to_string();
            until("the other is found", || !neighbours(node).is_empty());
            assert_eq!(neighbours(node), [other], "they listen on IPv4 alone");
        }
        let mdns = ServiceDaemon::new().unwrap();
        let events = mdns.browse("_apt_proxy._tcp.local.").unwrap();
        let end = Instant::now() + LISTENED;
        let mut told: BTreeMap<u16, BTreeSet<IpAddr>> = BTreeMap::new();
        while let Ok(event) = events.recv_deadline(end) {
            if let ServiceEvent::ServiceResolved(service) = event {
                let addresses = service.addresses.iter().map(ScopedIp::to_ip_addr);
                told.entry(service.port).or_default().extend(addresses);
            }
        }
        let _ = mdns.shutdown();
        let address = IpAddr::from(link.hosts[1].address);
        assert_eq!(told, [(open.port(), [address].into())].into());
    });
}

#[test]
fn who_takes_the_name_of_a_neighbour_does_not_take_its_place() {
    on_link(2, suite(&[SMALL]), |link| {
        let nodes = link.nodes();
        let id = nodes[1].status()["node_id"].as_str().unwrap().to_owned();
        let stranger = Stranger::named(&id, Seeding::Refusing);
        let (true_one, false_one) = (nodes[1].peer_addr(), stranger.seeder.addr());
        let sees = |address: String| neighbours(&nodes[0]).contains(&address);
        until("the stranger is heard", || sees(false_one.to_string()));
        assert!(sees(true_one.to_string()), "the neighbour is displaced");
        fetch(link, &nodes[1], "file0");
        until("it is shared", || shares(link, &nodes[1], "file0"));
        fetch(link, &nodes[0], "file0");
        assert_eq!(link.origin.hits(&link.path("file0")), 1);
        drop(stranger);
        until("what the stranger said is forgotten", || {
            !sees(false_one.to_string())
        });
        assert_eq!(neighbours(&nodes[0]), [true_one.to_string()]);
    });
}

#[test]
fn who_can_not_listen_at_first_tries_again() {
    on_link(2, suite(&[]), |link| {
        let mut holder = Command::new("ip")
            .args(["netns", "exec", link.hosts[0].name(), "perl", "-e"])
            .arg(PORT_HOLDER)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let mut said = BufReader::new(holder.stdout.take().unwrap());
        said.read_line(&mut ready).unwrap();
        assert_eq!(ready, "held\n");
        let nodes = [link.node(0), link.node(1)];
        until("it is said", || nodes[0].log().contains("lan.discover"));
        assert_eq!(nodes[0].status()["lan"]["discovering"], false);
        holder.kill().unwrap();
        holder.wait().unwrap();
        for node in &nodes {
            until("the other is found", || neighbours(node).len() == 1);
        }
        assert_eq!(nodes[0].status()["lan"]["discovering"], true);
    });
}
