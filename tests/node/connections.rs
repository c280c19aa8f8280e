//! One connection, many requests.

use crate::kit::{Manner, Node, Origin, Request, noise};
use std::time::{Duration, Instant};

fn path(index: usize) -> String {
    format!("/debian/pool/main/p/p{index}/p{index}_1_all.deb")
}

/// An origin with `count` files of different sizes, and their bytes.
fn origin_of(count: usize) -> (Origin, Vec<Vec<u8>>) {
    let origin = Origin::start();
    let bodies: Vec<_> = (0..count)
        .map(|index| noise(index as u64, 500 + index * 7001))
        .collect();
    for (index, body) in bodies.iter().enumerate() {
        origin.put(&path(index), body);
    }
    (origin, bodies)
}

#[test]
fn ten_pipelined_misses_come_in_order_though_the_first_is_the_slowest() {
    let (origin, bodies) = origin_of(10);
    for index in 0..10 {
        let pause = Duration::from_millis(30 * (10 - index as u64));
        origin.behave(&path(index), Manner::good().delay(pause));
    }
    let node = Node::start();
    let mut client = node.connect();
    let requests: Vec<u8> = (0..10)
        .flat_map(|index| Request::get(&origin.url(&path(index))).bytes())
        .collect();
    client.send_raw(&requests).unwrap();
    for body in &bodies {
        client.answer(false).unwrap().expect(body);
    }
}

#[test]
fn pipelined_misses_cost_one_round_trip_to_the_mirror_and_not_one_each() {
    let (origin, bodies) = origin_of(10);
    origin.behave_all(Manner::good().delay(Duration::from_millis(200)));
    let node = Node::start();
    let mut client = node.connect();
    let url = |index| origin.url(&path(index));
    let ask = |index| Request::get(&url(index)).bytes();
    let began = Instant::now();
    // As apt does: the first alone, the others when its answer came.
    client.send_raw(&ask(0)).unwrap();
    client.answer(false).unwrap().expect(&bodies[0]);
    client
        .send_raw(&(1..10).flat_map(ask).collect::<Vec<u8>>())
        .unwrap();
    for body in &bodies[1..] {
        let answer = client.answer(false).unwrap().expect(body);
        assert!(answer.is_miss(), "{}", answer.cache_status());
    }
    let took = began.elapsed();
    assert!(
        took < Duration::from_millis(1500),
        "{took:?}, one by one it is 2 s"
    );
    for index in 0..10 {
        assert_eq!(origin.hits(&path(index)), 1);
        assert!(node.get(&url(index)).is_hit());
    }
    assert_eq!(node.number("/cache/misses"), 10);
}

#[test]
fn ten_pipelined_requests_of_all_kinds_come_in_order() {
    let (origin, bodies) = origin_of(10);
    let node = Node::start();
    for index in (0..10).step_by(2) {
        node.get(&origin.url(&path(index))).expect(&bodies[index]);
    }
    let mut client = node.connect();
    for round in 0..20 {
        let kinds = [
            Request::get(&origin.url(&path(0))),
            Request::get(&origin.url(&path(1))).header("Range", "bytes=0-9"),
            Request::new("HEAD", &origin.url(&path(2))),
            Request::get(&origin.url("/nothing/here")),
            Request::get(&origin.prefixed(&path(4))),
            Request::get("/healthz"),
            Request::get(&origin.url(&path(6))).header("Range", "bytes=-5"),
            Request::get(&origin.url(&path(7))),
            Request::get(&origin.url(&path(8))).header("Range", "bytes=99999999-"),
            Request::get(&origin.url(&path(9))),
        ];
        let bytes: Vec<u8> = kinds.iter().flat_map(Request::bytes).collect();
        client.send_raw(&bytes).unwrap();
        let statuses: Vec<u16> = (0..10)
            .map(|index| client.answer(index == 2).unwrap().status)
            .collect();
        let wanted = [200, 206, 200, 404, 200, 200, 206, 200, 416, 200];
        assert_eq!(statuses, wanted, "round {round}");
    }
}

#[test]
fn requests_in_pieces_are_understood() {
    let (origin, bodies) = origin_of(3);
    let node = Node::start();
    let mut client = node.connect();
    let bytes: Vec<u8> = (0..3)
        .flat_map(|index| Request::get(&origin.url(&path(index))).bytes())
        .collect();
    for piece in bytes.chunks(37) {
        client.send_raw(piece).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    for body in &bodies {
        client.answer(false).unwrap().expect(body);
    }
}

#[test]
fn one_connection_serves_three_thousand_requests() {
    let (origin, bodies) = origin_of(3);
    let node = Node::start();
    let mut client = node.connect();
    for round in 0..3000 {
        let index = round % 3;
        let request = Request::get(&origin.url(&path(index)));
        client
            .ask(&request)
            .unwrap_or_else(|error| panic!("request {round}: {error}"))
            .expect(&bodies[index]);
    }
}

#[test]
fn a_failed_file_does_not_end_the_connection() {
    let (origin, bodies) = origin_of(2);
    origin.behave("/broken", Manner::status(500));
    let node = Node::start();
    let mut client = node.connect();
    for _ in 0..5 {
        client
            .ask(&Request::get(&origin.url("/none")))
            .unwrap()
            .expect_status(404);
        let status = client
            .ask(&Request::get(&origin.url("/broken")))
            .unwrap()
            .status;
        assert!(status >= 500, "{status}");
        client
            .ask(&Request::get(&origin.url(&path(1))))
            .unwrap()
            .expect(&bodies[1]);
    }
}

#[test]
fn the_client_that_wants_to_close_is_obeyed() {
    let (origin, bodies) = origin_of(1);
    let node = Node::start();
    let mut client = node.connect();
    let request = Request::get(&origin.url(&path(0))).header("Connection", "close");
    client.ask(&request).unwrap().expect(&bodies[0]);
    assert!(client.is_closed());
}

#[test]
fn sigterm_ends_a_node_with_idle_and_busy_clients_cleanly() {
    let (origin, _) = origin_of(2);
    origin.put("/pool/slow_1_all.deb", &noise(5, 100_000));
    origin.behave("/pool/slow_1_all.deb", Manner::good().hold_after(10_000));
    let mut node = Node::start();
    let mut idle = node.connect();
    idle.ask(&Request::get("/healthz"))
        .unwrap()
        .expect_status(200);
    let mut busy = node.connect();
    busy.send(&Request::get(&origin.url("/pool/slow_1_all.deb")))
        .unwrap();
    busy.head().unwrap();
    let asked = Instant::now();
    node.stop();
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "{:?}",
        asked.elapsed()
    );
}
