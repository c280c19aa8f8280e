//! The figures of the status: what clients got and from where, and who they are.

use crate::kit::{Node, Origin, Request, noise, until};
use serde_json::Value;

const SMALL: usize = 50_000;
const LARGE: usize = 3_000_000;

fn path(number: usize) -> String {
    format!("/pool/main/f/f{number}/f{number}_1_all.deb")
}

/// An origin with a small and a large file.
fn origin() -> (Origin, [Vec<u8>; 2]) {
    let origin = Origin::start();
    let files = [noise(9000, SMALL), noise(9001, LARGE)];
    for (number, file) in files.iter().enumerate() {
        origin.put(&path(number), file);
    }
    (origin, files)
}

fn number(value: &Value, key: &str) -> u64 {
    value[key]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {key} in {value}"))
}

/// Bytes from cache, peers and mirrors, hits and misses.
fn split(value: &Value) -> [u64; 5] {
    let keys = ["from_cache", "from_peers", "from_mirrors", "hits", "misses"];
    keys.map(|key| number(value, key))
}

/// The same, as rows have it.
fn rows(node: &Node) -> [u64; 5] {
    let kinds = [
        "clients_from_cache",
        "clients_from_peers",
        "clients_from_mirrors",
        "hits",
        "misses",
    ];
    kinds.map(|kind| {
        let query = format!("SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind = '{kind}'");
        node.sql(&query).parse().unwrap()
    })
}

fn sum(bins: &Value) -> [u64; 5] {
    let bins = bins.as_array().unwrap().iter().map(split);
    bins.fold([0; 5], |sum, bin| {
        std::array::from_fn(|at| sum[at] + bin[at])
    })
}

/// Fails unless this, and nothing else, was served since the node was made.
#[track_caller]
fn expect_served(node: &Node, expected: [u64; 5]) {
    let status = node.status();
    let served = &status["served"];
    for span in ["day", "week", "all"] {
        assert_eq!(split(&served[span]), expected, "{span}: {served}");
    }
    let history = &status["history"];
    assert_eq!(history["hours"].as_array().unwrap().len(), 48);
    assert_eq!(history["days"].as_array().unwrap().len(), 30);
    assert_eq!(sum(&history["hours"]), expected);
    assert_eq!(sum(&history["days"]), expected);
    let bytes: u64 = expected[..3].iter().sum();
    assert_eq!(number(&status["traffic"], "to_clients"), bytes);
    assert_eq!(number(&status["cache"], "hits"), expected[3]);
    let [client] = status["clients"].as_array().unwrap().as_slice() else {
        panic!("{}", status["clients"]);
    };
    let told = ["bytes", "hits", "misses"].map(|key| number(client, key));
    assert_eq!(told, [bytes, expected[3], expected[4]], "{client}");
    assert_eq!(client["address"], "127.0.0.1");
    let (seen, at) = (number(client, "last_seen"), number(&status, "at"));
    assert!(seen <= at && at - seen < 60_000, "{seen} at {at}");
    let since = number(served, "since");
    assert!(since <= at && at - since < 60_000, "{since} at {at}");
}

/// Fails unless rows say the same before long.
#[track_caller]
fn expect_rows(node: &Node, expected: [u64; 5]) {
    until("rows have what was served", || rows(node) == expected);
    let client = "SELECT bytes, hits, misses, face FROM visitor WHERE address = '127.0.0.1'";
    let bytes: u64 = expected[..3].iter().sum();
    let expected = format!("{bytes}|{}|{}|apt", expected[3], expected[4]);
    until("rows have the client", || node.sql(client) == expected);
}

/// The counters that rows stand for: the line's beginning and the value.
fn counters(node: &Node) -> Vec<(String, u64)> {
    let text = node.get("/metrics").text();
    let counters = text.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let is_it = ["client_", "fetched_", "uploaded_"]
            .iter()
            .any(|kind| name.starts_with(&format!("aptmesh_{kind}")));
        is_it.then(|| (name.to_owned(), value.parse().unwrap()))
    });
    counters.collect()
}

#[test]
fn every_byte_is_told_by_where_it_came_from() {
    let (origin, [small, large]) = origin();
    let node = Node::start();
    let [first, second] = [0, 1].map(|number| origin.url(&path(number)));
    assert!(node.get(&first).expect(&small).is_miss());
    assert!(node.get(&second).expect(&large).is_miss());
    node.calm();
    let cold = (SMALL + LARGE) as u64;
    expect_served(&node, [0, 0, cold, 0, 2]);

    assert!(node.get(&first).expect(&small).is_hit());
    assert!(node.get(&second).expect(&large).is_hit());
    for (url, range, bytes) in [
        (&first, "bytes=10-19", &small[10..20]),
        (&second, "bytes=2000000-", &large[2_000_000..]),
    ] {
        let part = node.ask(&Request::get(url).header("Range", range));
        assert_eq!(part.expect_status(206).body, bytes);
    }
    // These have no body.
    node.ask(&Request::new("HEAD", &first)).expect_status(200);
    let beyond = Request::get(&second).header("Range", "bytes=99999999-");
    node.ask(&beyond).expect_status(416);
    let warm = cold + 10 + 1_000_000;
    expect_served(&node, [warm, 0, cold, 6, 2]);

    // Past the store.
    let secret = Request::get(&first).header("Authorization", "Basic eDp5");
    node.ask(&secret).expect(&small);
    let expected = [warm, 0, cold + SMALL as u64, 6, 3];
    expect_served(&node, expected);
    expect_rows(&node, expected);
    // Once more, when there is nothing that waits to be written.
    expect_served(&node, expected);
}

#[test]
fn many_who_wait_for_one_download_got_it_from_the_mirror() {
    let (origin, [_, large]) = origin();
    origin.behave(&path(1), crate::kit::Manner::good().pace(4_000_000));
    let node = Node::start();
    let url = origin.url(&path(1));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| node.get(&url).expect(&large));
        }
    });
    node.calm();
    expect_served(&node, [0, 0, 4 * LARGE as u64, 0, 4]);
    assert_eq!(node.number("/traffic/from_mirrors"), LARGE as u64);
}

#[test]
fn a_restart_goes_on_and_a_kill_loses_nothing_that_is_written() {
    let (origin, [small, _]) = origin();
    let mut node = Node::start();
    let url = origin.url(&path(0));
    node.get(&url).expect(&small);
    node.settle(&url);
    let before = split(&node.status()["served"]["all"]);
    expect_rows(&node, before);
    node.kill9();
    node.launch();
    expect_served(&node, before);

    assert!(node.get(&url).expect(&small).is_hit());
    let [cache, peers, mirrors, hits, misses] = before;
    let after = [cache + SMALL as u64, peers, mirrors, hits + 1, misses];
    expect_served(&node, after);
    // What was counted is written at a stop.
    node.stop();
    expect_rows(&node, after);
    node.launch();
    expect_served(&node, after);
}

#[test]
fn figures_never_go_back() {
    let (origin, [small, _]) = origin();
    let node = Node::start();
    let url = origin.url(&path(0));
    node.get(&url).expect(&small);
    node.settle(&url);
    let mut client = node.connect();
    let mut last = split(&node.status()["served"]["all"]);
    let mut asked = 0;
    until("some batches are written", || {
        for _ in 0..20 {
            client.ask(&Request::get(&url)).unwrap().expect(&small);
            let status = node.status();
            let now = split(&status["served"]["all"]);
            assert_eq!(now[3], last[3] + 1, "{now:?} after {last:?}");
            assert_eq!(now[0], last[0] + SMALL as u64, "{now:?} after {last:?}");
            assert_eq!(split(&status["served"]["week"]), now);
            last = now;
            asked += 1;
        }
        rows(&node)[3] > 100 && asked > 200
    });
}

/// Prometheus takes a counter that goes back for one that began anew.
#[test]
fn no_counter_goes_back_after_a_kill() {
    let (origin, [small, _]) = origin();
    let mut node = Node::start();
    let url = origin.url(&path(0));
    node.get(&url).expect(&small);
    node.settle(&url);
    for _ in 0..3 {
        // Most of these are not yet written when the node is killed.
        for _ in 0..5 {
            assert!(node.get(&url).expect(&small).is_hit());
        }
        let before = counters(&node);
        assert_eq!(before.len(), 8, "{before:?}");
        node.kill9();
        node.launch();
        for ((name, before), (_, after)) in before.iter().zip(counters(&node)) {
            assert!(*before <= after, "{name}: {after} after {before}");
        }
    }
    let hits = || {
        counters(&node)
            .iter()
            .any(|(name, hits)| name.contains("\"hit\"") && *hits > 0)
    };
    node.get(&url).expect(&small);
    until("hits are told of once they are written", hits);
}
