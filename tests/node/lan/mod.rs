//! Nodes on one link, without a word of configuration about each other.

mod harm;
mod leaks;
mod once;
mod told;

use crate::kit::{
    Client, Link, Manner, Node, Request, Response, SOON, Suite, neighbours, noise, on_link,
    path_of, until, within,
};
use std::time::Duration;

/// How long nodes may take to find each other.
const FOUND: Duration = Duration::from_secs(5);

/// A small file.
const SMALL: usize = 50_000;

/// One of four pieces.
const LARGE: usize = 2 * 1024 * 1024;

/// A suite with files `file0`, `file1` and so on of these sizes.
fn suite(sizes: &[usize]) -> Suite {
    let mut suite = Suite::new();
    for (number, size) in (0..).zip(sizes) {
        let content = noise(number + 9000, size - 8);
        suite.package(&format!("file{number}"), "1.0", &content);
    }
    suite
}

/// A GET through a node that brings the right bytes.
#[track_caller]
fn fetch(link: &Link, node: &Node, file: &str) -> Response {
    node.get(&link.url(file)).expect(link.suite.deb(file))
}

/// Whether a node gives a file to others.
fn shares(link: &Link, node: &Node, file: &str) -> bool {
    let mut face = Client::to(node.peer_addr()).unwrap();
    let request = Request::get(&path_of(link.suite.deb(file)));
    face.ask(&request).unwrap().status == 200
}

/// What a node has from others, in bytes.
#[track_caller]
fn from_peers(node: &Node) -> u64 {
    node.number("/traffic/from_peers")
}

#[test]
fn nodes_find_each_other_and_say_goodbye() {
    on_link(3, suite(&[SMALL]), |link| {
        let mut nodes: Vec<_> = (0..3).map(|host| link.node(host)).collect();
        let all = within(FOUND, || {
            nodes.iter().all(|node| neighbours(node).len() == 2)
        });
        assert!(all, "not within {FOUND:?}");
        let addresses = |of: &[usize], nodes: &[Node]| -> Vec<String> {
            let mut all: Vec<_> = of
                .iter()
                .map(|it| nodes[*it].peer_addr().to_string())
                .collect();
            all.sort();
            all
        };
        let mut seen = neighbours(&nodes[0]);
        seen.sort();
        assert_eq!(seen, addresses(&[1, 2], &nodes));
        let row = &nodes[0].status()["lan"];
        assert_eq!(row["discovering"], true);
        let id = row["neighbours"][0]["node_id"].as_str().unwrap().to_owned();
        let ids: Vec<_> = nodes[1..]
            .iter()
            .map(|node| node.status()["node_id"].clone())
            .collect();
        assert!(ids.iter().any(|known| *known == *id), "{id} in {ids:?}");

        nodes[2].stop();
        let gone = within(Duration::from_secs(3), || {
            nodes[..2].iter().all(|node| neighbours(node).len() == 1)
        });
        assert!(gone, "who said goodbye is still there");
        nodes[1].stop();
        nodes[1].launch();
        until("who comes back is found", || {
            neighbours(&nodes[0]).len() == 1
        });
    });
}

#[test]
fn what_one_has_comes_to_the_others_from_it() {
    on_link(2, suite(&[SMALL, LARGE, SMALL]), |link| {
        let nodes = link.nodes();
        for file in ["file0", "file1"] {
            fetch(link, &nodes[0], file);
            until("it is shared", || shares(link, &nodes[0], file));
            let took = fetch(link, &nodes[1], file).took;
            assert!(took < Duration::from_millis(500), "{file}: {took:?}");
            assert_eq!(link.origin.hits(&link.path(file)), 1, "{file}");
        }
        let expected = SMALL + LARGE;
        until("what came is counted", || {
            from_peers(&nodes[1]) >= expected as u64
        });
        // What nobody has comes from the mirror, and what the mirror lost from whoever has it.
        fetch(link, &nodes[0], "file2");
        link.origin.close();
        until("it is shared", || shares(link, &nodes[0], "file2"));
        fetch(link, &nodes[1], "file2");
    });
}

#[test]
fn a_file_that_just_came_is_there_for_others_at_once() {
    on_link(2, suite(&[SMALL]), |link| {
        let nodes = link.nodes();
        fetch(link, &nodes[0], "file0");
        let shared = within(Duration::from_millis(300), || {
            shares(link, &nodes[0], "file0")
        });
        assert!(shared, "it is not shared at once");
        fetch(link, &nodes[1], "file0");
        assert_eq!(link.origin.hits(&link.path("file0")), 1);
    });
}

#[test]
fn what_is_on_its_way_is_told_to_neighbours_alone() {
    on_link(2, suite(&[LARGE]), |link| {
        let nodes = link.nodes();
        link.origin.behave_all(Manner::good().pace(2_000_000));
        let path = path_of(link.suite.deb("file0"));
        let ask = |id: &str| {
            let request = Request::new("HEAD", &path).header("Aptmesh-Node", id);
            let mut face = Client::to(nodes[0].peer_addr()).unwrap();
            face.ask(&request.header("Prefer", "wait=0")).unwrap()
        };
        std::thread::scope(|scope| {
            let fetched = scope.spawn(|| fetch(link, &nodes[0], "file0"));
            link.origin.wait_for(&link.path("file0"), 1);
            // The test is on the link as well, and no node; it takes the name of one.
            let other = nodes[1].status()["node_id"].as_str().unwrap().to_owned();
            for id in ["", "00", &"0".repeat(40), &other] {
                let answer = ask(id).expect_status(404);
                assert_eq!(answer.header("Aptmesh-Progress"), None, "{id}");
            }
            fetched.join().unwrap();
        });
        let answer = ask("").expect_status(200);
        let torrent = answer.header("Aptmesh-Torrent").unwrap();
        let request = Request::get(&format!("/~/{torrent}"));
        let mut face = Client::to(nodes[0].peer_addr()).unwrap();
        face.ask(&request).unwrap().expect_status(200);
    });
}

#[test]
fn without_a_dht_neighbours_are_asked_all_the_same() {
    on_link(2, suite(&[SMALL]), |link| {
        let nodes = [0, 1].map(|host| {
            let mut config = link.config(host);
            config.dht = None;
            config.any_peer_port = true;
            Node::with(config)
        });
        for node in &nodes {
            until("the other is found", || neighbours(node).len() == 1);
            link.learn(node);
        }
        fetch(link, &nodes[0], "file0");
        fetch(link, &nodes[1], "file0");
        assert_eq!(link.origin.hits(&link.path("file0")), 1);
    });
}

#[test]
fn who_does_not_want_to_be_found_is_not() {
    on_link(3, suite(&[SMALL]), |link| {
        let mut config = link.config(0);
        config.discovers = false;
        let hermit = Node::with(config);
        let others = [link.node(1), link.node(2)];
        until("the others find each other", || {
            others.iter().all(|node| neighbours(node).len() == 1)
        });
        std::thread::sleep(SOON);
        assert_eq!(neighbours(&hermit), [""; 0]);
        assert_eq!(hermit.status()["lan"]["discovering"], false);
        let hermits = hermit.peer_addr().to_string();
        for node in &others {
            assert!(!neighbours(node).contains(&hermits));
        }
    });
}

#[test]
fn where_nobody_can_be_found_all_else_works() {
    on_link(1, suite(&[SMALL]), |link| {
        // Who has the port of mDNS for itself.
        let mut config = link.config(0);
        let wrap = ["perl", "-e", PORT_TAKER].map(str::to_owned);
        config.wrap.extend(wrap);
        let node = Node::with(config);
        link.learn(&node);
        fetch(link, &node, "file0");
        assert_eq!(node.status()["lan"]["discovering"], false);
        let log = node.log();
        assert_eq!(log.matches("lan.discover").count(), 1, "{log}");
    });
}

/// Takes UDP port 5353 for itself and becomes the program that follows.
const PORT_TAKER: &str = "use Socket; use Fcntl; socket(S, PF_INET, SOCK_DGRAM, 0) or die; \
    bind(S, sockaddr_in(5353, INADDR_ANY)) or die; fcntl(S, F_SETFD, 0); exec @ARGV or die";

/// Takes UDP port 5353 for itself, says so and keeps it.
const PORT_HOLDER: &str = "use Socket; socket(S, PF_INET, SOCK_DGRAM, 0) or die; \
    bind(S, sockaddr_in(5353, INADDR_ANY)) or die; $| = 1; print qq(held\\n); sleep 60";
