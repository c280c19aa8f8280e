//! Nodes on a home network, behind a router that lets nobody in unasked.

use crate::kit::{
    Client, Conduct, Config, Dht, HUB, Link, Node, PATIENCE, Peer, Request, Suite, krpc, noise,
    on_link, path_of, until, within,
};
use crate::namespaces::ip;
use crate::router::{Ill, Manner, Router};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The router's address outside.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(44, 0, 0, 9);

/// Another node, somewhere in the world.
const STRANGER: Ipv4Addr = Ipv4Addr::new(44, 0, 0, 254);

/// Files are announced within this time: a node looks at what it has every ten seconds.
const ANNOUNCED: Duration = Duration::from_secs(45);

/// A router that grants so little is asked again within this time.
const AGAIN: Duration = Duration::from_secs(25);

/// The least that a node takes for granted, in seconds.
const SHORT: u32 = 10;

fn suite() -> Suite {
    let mut suite = Suite::new();
    suite.package("file0", "1.0", &noise(4711, 50_000));
    suite
}

fn config(link: &Link, host: usize) -> Config {
    Config {
        maps_ports: true,
        discovers: false,
        ..link.config(host)
    }
}

fn node(link: &Link, host: usize) -> Node {
    Node::with(config(link, host))
}

#[track_caller]
fn state(node: &Node) -> String {
    let status = node.status();
    let state = status["port_mapping"]["state"].as_str();
    state.unwrap_or_else(|| panic!("{status}")).to_owned()
}

/// How often the log has it.
fn logged(node: &Node, sentence: &str) -> usize {
    node.log().matches(sentence).count()
}

/// A node behind a router that behaves so.
fn behind(manner: Manner, test: impl FnOnce(&Link, Router, Node) + Send) {
    on_link(1, suite(), |link| {
        link.lead_out(OUTSIDE);
        let router = Router::at(HUB, manner).unwrap();
        let node = node(link, 0);
        test(link, router, node);
    });
}

fn nat_pmp() -> Manner {
    Manner {
        nat_pmp: true,
        ..Manner::default()
    }
}

#[test]
fn a_stranger_gets_a_file_by_the_port_that_the_router_gave() {
    on_link(2, suite(), |link| {
        link.lead_out(OUTSIDE);
        ip(&format!("address add {STRANGER}/32 dev br0")).unwrap();
        let manner = Manner {
            outside: Some(OUTSIDE),
            ..nat_pmp()
        };
        let router = Router::at(HUB, manner).unwrap();
        let seeing = Conduct::Seeing(OUTSIDE.into());
        let peer = Peer::at((STRANGER, 9900).into(), krpc::fresh_id(), seeing);
        let mut config = config(link, 0);
        config.dht = Some(Dht {
            bootstrap: vec![peer.addr().to_string()],
            ..config.dht.unwrap()
        });
        let mut node = Node::asleep(config);
        // Another machine of the house has it.
        let own = node.peer_addr().port();
        router.behave(|manner| manner.taken = vec![own]);
        node.launch();
        until("the router forwards", || state(&node) == "mapped");
        let [tcp, udp] = ["tcp", "udp"].map(|of| router.port(of).unwrap());
        assert_eq!((tcp, udp), (own + 1, node.dht_addr().port()));
        let status = node.status();
        let row = &status["port_mapping"];
        assert_eq!(row["gateway"], HUB.to_string());
        assert_eq!(row["means"], "nat-pmp");
        assert_eq!(row["external_ip"], OUTSIDE.to_string());
        assert_eq!(row["ports"][0]["external_port"], tcp, "{row}");
        let page = String::from_utf8(node.get("/").body).unwrap();
        assert!(page.contains(&format!("{HUB} forwards TCP {tcp} to {own}")));

        link.learn(&node);
        node.get(&link.url("file0")).expect(link.suite.deb("file0"));
        let key = krpc::key_of(link.suite.deb("file0"));
        let told = within(ANNOUNCED, || !peer.kept(&key).is_empty());
        assert!(told, "nobody is told of the file");
        let place: SocketAddr = (OUTSIDE, tcp).into();
        for value in peer.kept(&key) {
            let value = crate::kit::bencode::Ben::read(&value).unwrap();
            let contact = crate::kit::krpc::compact_addr(place);
            assert_eq!(value.get("c"), Some(&(&contact).into()));
        }
        let path = path_of(link.suite.deb("file0"));
        let mut stranger = Client::to(place).unwrap();
        let got = stranger.ask(&Request::get(&path)).unwrap();
        got.expect(link.suite.deb("file0"));

        // A node that comes back is where it was, though its own port is free again.
        node.stop();
        assert_eq!(router.held(), []);
        router.behave(|manner| manner.taken.clear());
        node.launch();
        until("the router forwards again", || state(&node) == "mapped");
        assert_eq!(router.port("tcp"), Some(tcp));
    });
}

#[test]
fn two_nodes_behind_one_router_have_a_port_each() {
    on_link(2, suite(), |link| {
        link.lead_out(OUTSIDE);
        let manner = Manner {
            upnp: true,
            ..Manner::default()
        };
        let router = Router::at(HUB, manner).unwrap();
        let first = node(link, 0);
        until("the router forwards", || state(&first) == "mapped");
        let port = router.port("tcp").unwrap();
        let mut second = Node::asleep(config(link, 1));
        router.behave(|manner| manner.taken = vec![second.peer_addr().port()]);
        second.launch();
        until("it forwards to the other too", || router.held().len() == 4);
        let held = router.held();
        let tcp: Vec<_> = held.iter().filter(|it| it.protocol == "tcp").collect();
        assert_eq!(tcp.len(), 2);
        assert_ne!(tcp[0].external, tcp[1].external);
        assert!(tcp.iter().any(|it| it.external == port));
        second.stop();
        let held = router.held();
        assert!(
            held.iter().all(|it| it.to.ip() == link.hosts[0].address),
            "{held:?}"
        );
        assert_eq!(held.len(), 2);
    });
}

#[test]
fn a_router_that_was_started_anew_is_asked_again_and_one_that_ends_it_is_told_of() {
    let manner = Manner {
        pcp: true,
        lifetime: SHORT,
        ..Manner::default()
    };
    behind(manner, |_, router, node| {
        until("the router forwards", || router.held().len() == 2);
        router.restart();
        let is_back = within(AGAIN, || router.held().len() == 2);
        assert!(is_back, "it is not asked again");
        assert_eq!(state(&node), "mapped");
        let sentence = "the router forwards ports to this node";
        assert_eq!(logged(&node, sentence), 1, "{}", node.log());
        router.behave(|manner| manner.pcp = false);
        router.restart();
        let is_lost = within(AGAIN * 3, || state(&node) == "unanswered");
        assert!(is_lost, "{}", node.status()["port_mapping"]);
        let log = node.log();
        let lost = "the router forwards no ports to this node any more";
        assert_eq!(log.matches(lost).count(), 1, "{log}");
        assert_eq!(log.matches(" WARN ").count(), 1, "{log}");
    });
}

#[test]
fn who_comes_to_a_network_with_a_router_asks_it() {
    on_link(1, suite(), |link| {
        let router = Router::at(HUB, nat_pmp()).unwrap();
        let node = node(link, 0);
        until("there is none", || state(&node) == "no_gateway");
        assert_eq!(router.heard(), [""; 0]);
        link.lead_out(OUTSIDE);
        let found = within(AGAIN, || state(&node) == "mapped");
        assert!(found, "{}", node.status()["port_mapping"]);
        let host = link.hosts[0].name();
        ip(&format!("-n {host} route del default")).unwrap();
        let gone = within(AGAIN, || state(&node) == "no_gateway");
        assert!(gone, "{}", node.status()["port_mapping"]);
    });
}

#[test]
fn another_router_before_the_router_is_told_of() {
    let manner = Manner {
        external: Ipv4Addr::new(100, 64, 0, 9),
        ..nat_pmp()
    };
    behind(manner, |_, _router, node| {
        until("it is found out", || state(&node) == "double_nat");
        let shown = String::from_utf8(node.get("/").body).unwrap();
        assert!(
            shown.contains("its own address 100.64.0.9 is private"),
            "{shown}"
        );
    });
}

#[test]
fn what_a_killed_node_left_for_ever_is_taken_over_and_taken_back() {
    let manner = Manner {
        upnp: true,
        permanent: true,
        ..Manner::default()
    };
    behind(manner, |_, router, mut node| {
        until("the router forwards", || state(&node) == "mapped");
        let held = router.held();
        assert!(held.iter().all(|it| it.lifetime == 0), "{held:?}");
        assert!(node.status()["port_mapping"]["ports"][0]["expires_at"].is_null());
        node.kill9();
        node.launch();
        until("the router forwards again", || state(&node) == "mapped");
        assert_eq!(router.held(), held);
        node.stop();
        assert_eq!(router.held(), []);
    });
}

#[test]
fn a_router_that_fell_silent_delays_no_stop() {
    behind(nat_pmp(), |link, router, mut node| {
        until("the router forwards", || state(&node) == "mapped");
        router.behave(|manner| manner.nat_pmp = false);
        let began = Instant::now();
        node.stop();
        let took = began.elapsed();
        let mut idle = Node::with(Config {
            maps_ports: false,
            ..config(link, 0)
        });
        let began = Instant::now();
        idle.stop();
        let without = began.elapsed();
        println!("{took:?}, without a router {without:?}");
        assert!(
            took < without + Duration::from_millis(1800),
            "{took:?}, {without:?}"
        );
    });
}

#[test]
fn nobody_is_asked_who_shall_not_be() {
    on_link(1, suite(), |link| {
        link.lead_out(OUTSIDE);
        let manner = Manner {
            pcp: true,
            upnp: true,
            ..nat_pmp()
        };
        let router = Router::at(HUB, manner).unwrap();
        let opted_out = Config {
            maps_ports: false,
            ..config(link, 0)
        };
        let fixed = config(link, 0);
        let fixed = Config {
            dht: fixed.dht.clone().map(|dht| Dht { auto: false, ..dht }),
            ..fixed
        };
        let without_dht = Config {
            dht: None,
            ..config(link, 0)
        };
        for config in [opted_out, fixed, without_dht] {
            let node = Node::with(config);
            // Who asks does so at once.
            std::thread::sleep(Duration::from_secs(2));
            assert_eq!(router.heard(), [""; 0]);
            assert_eq!(state(&node), "off");
        }
    });
}

#[test]
fn a_machine_with_a_public_address_needs_no_router() {
    on_link(1, suite(), |link| {
        let (host, hub) = (link.hosts[0].name(), STRANGER);
        ip(&format!("address add {hub}/24 dev br0")).unwrap();
        ip(&format!("-n {host} address add 44.0.0.1/24 dev eth0")).unwrap();
        ip(&format!("-n {host} route add default via {hub}")).unwrap();
        let router = Router::at(hub, nat_pmp()).unwrap();
        let node = node(link, 0);
        until("it is found out", || state(&node) == "unneeded");
        assert_eq!(router.heard(), [""; 0]);
    });
}

#[test]
fn a_router_that_says_nothing_costs_nobody_anything() {
    behind(Manner::default(), |link, _router, node| {
        link.learn(&node);
        node.get(&link.url("file0")).expect(link.suite.deb("file0"));
        let told = within(PATIENCE, || state(&node) == "unanswered");
        assert!(told, "{}", node.status()["port_mapping"]);
        let log = node.log();
        let sentence = "the router forwards no ports to this node: ";
        assert_eq!(log.matches(sentence).count(), 1, "{log}");
    });
}

#[test]
fn a_router_without_an_end_takes_no_memory() {
    let most = [Ill::Not, Ill::Endless, Ill::Deep].map(|ill| {
        let mut peak = 0;
        on_link(1, suite(), |link| {
            link.lead_out(OUTSIDE);
            let manner = Manner {
                upnp: ill != Ill::Not,
                ill,
                ..Manner::default()
            };
            let router = Router::at(HUB, manner).unwrap();
            let node = node(link, 0);
            let told = within(PATIENCE, || state(&node) == "unanswered");
            assert!(told, "{}", node.status()["port_mapping"]);
            let heard = router.heard();
            let is_read = heard.iter().any(|line| line == "description");
            assert_eq!(is_read, router.is_ill());
            peak = node.peak_memory();
        });
        peak
    });
    println!("{most:?}");
    let [silent, endless, deep] = most;
    assert!(endless.max(deep) < silent + (24 << 20), "{most:?}");
}
