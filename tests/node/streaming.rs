//! A miss streams, and any number of clients share it.

use crate::kit::{Client, Framing, Manner, Node, Origin, Request, noise};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const DEB: &str = "/debian/pool/main/b/big/big_1_amd64.deb";
const SIZE: usize = 300_000;

/// An origin that sends so many bytes of one file and then waits.
fn held_at(bytes: usize) -> (Node, Origin, Vec<u8>) {
    let origin = Origin::start();
    let body = noise(31, SIZE);
    origin.put(DEB, &body);
    origin.behave(DEB, Manner::good().hold_after(bytes));
    (Node::start(), origin, body)
}

/// A client that has the head and the first bytes of the big file.
fn begin(node: &Node, origin: &Origin, first: &[u8]) -> Client {
    let mut client = node.connect();
    client.send(&Request::get(&origin.url(DEB))).unwrap();
    let head = client.head().unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(client.take(first.len()).unwrap(), first);
    client
}

#[test]
fn the_first_bytes_flow_while_the_upstream_still_sends() {
    let (node, origin, body) = held_at(1000);
    let mut client = begin(&node, &origin, &body[..1000]);
    origin.release(DEB);
    assert_eq!(client.take(SIZE - 1000).unwrap(), body[1000..]);
}

#[test]
fn every_byte_flows_when_it_comes() {
    let origin = Origin::start();
    let body = noise(32, 12_000);
    origin.put(DEB, &body);
    origin.behave(DEB, Manner::good().drip(3000, Duration::from_millis(300)));
    let node = Node::start();
    let mut client = node.connect();
    let asked = Instant::now();
    client.send(&Request::get(&origin.url(DEB))).unwrap();
    client.head().unwrap();
    for (index, part) in body.chunks(3000).enumerate() {
        assert_eq!(client.take(3000).unwrap(), part);
        let due = Duration::from_millis(300 * index as u64 + 250);
        assert!(
            asked.elapsed() < due,
            "part {index} came after {:?}",
            asked.elapsed()
        );
    }
}

#[test]
fn eight_clients_of_a_cold_file_cause_one_upstream_request() {
    let (node, origin, body) = held_at(1000);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| node.get(&origin.url(DEB)).expect(&body)))
            .collect();
        origin.wait_for(DEB, 1);
        thread::sleep(Duration::from_millis(200));
        origin.release(DEB);
        for client in clients {
            client.join().unwrap();
        }
    });
    assert_eq!(origin.hits(DEB), 1);
}

#[test]
fn proxy_form_and_prefix_form_share_one_download() {
    let (node, origin, body) = held_at(1000);
    let mut first = begin(&node, &origin, &body[..1000]);
    let mut second = node.connect();
    second.send(&Request::get(&origin.prefixed(DEB))).unwrap();
    second.head().unwrap();
    assert_eq!(second.take(1000).unwrap(), body[..1000]);
    origin.release(DEB);
    assert_eq!(first.take(SIZE - 1000).unwrap(), body[1000..]);
    assert_eq!(second.take(SIZE - 1000).unwrap(), body[1000..]);
    assert_eq!(origin.hits(DEB), 1);
}

#[test]
fn a_late_joiner_gets_what_is_there_at_once_and_then_follows() {
    let (node, origin, body) = held_at(200_000);
    let mut first = begin(&node, &origin, &body[..200_000]);
    let asked = Instant::now();
    let mut late = begin(&node, &origin, &body[..200_000]);
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    origin.release(DEB);
    assert_eq!(late.take(SIZE - 200_000).unwrap(), body[200_000..]);
    assert_eq!(first.take(SIZE - 200_000).unwrap(), body[200_000..]);
    assert_eq!(origin.hits(DEB), 1);
}

#[test]
fn clients_that_leave_one_by_one_harm_nobody() {
    let (node, origin, body) = held_at(100_000);
    let mut clients: Vec<_> = (0..8)
        .map(|_| begin(&node, &origin, &body[..100_000]))
        .collect();
    let mut last = clients.pop().unwrap();
    drop(clients);
    thread::sleep(Duration::from_millis(200));
    origin.release(DEB);
    assert_eq!(last.take(SIZE - 100_000).unwrap(), body[100_000..]);
    assert_eq!(origin.hits(DEB), 1);
}

#[test]
fn after_all_clients_left_the_next_one_gets_the_right_file() {
    let (node, origin, body) = held_at(100_000);
    drop(begin(&node, &origin, &body[..100_000]));
    thread::sleep(Duration::from_millis(300));
    origin.release(DEB);
    node.get(&origin.url(DEB)).expect(&body);
    node.settle(&origin.url(DEB));
    node.get(&origin.url(DEB)).expect(&body);
}

#[test]
fn a_slow_client_does_not_slow_the_others() {
    let origin = Origin::start();
    let body = noise(33, 4_000_000);
    origin.put(DEB, &body);
    let node = Node::start();
    let gate = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut slow = node.connect();
            slow.send(&Request::get(&origin.url(DEB))).unwrap();
            slow.head().unwrap();
            gate.wait();
            let read = slow
                .sip(body.len(), 100_000, Duration::from_millis(40))
                .unwrap();
            assert!(read == body);
        });
        gate.wait();
        let quick = node.get(&origin.url(DEB)).expect(&body);
        assert!(quick.took < Duration::from_millis(1200), "{:?}", quick.took);
    });
}

#[test]
fn chunked_upstreams_stream_and_end() {
    let origin = Origin::start();
    let body = noise(34, SIZE);
    origin.put(DEB, &body);
    origin.behave(
        DEB,
        Manner::good().framing(Framing::Chunked).hold_after(1000),
    );
    let node = Node::start();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| node.get(&origin.url(DEB)).expect(&body)))
            .collect();
        origin.wait_for(DEB, 1);
        thread::sleep(Duration::from_millis(200));
        origin.release(DEB);
        for client in clients {
            client.join().unwrap();
        }
    });
    assert_eq!(origin.hits(DEB), 1);
    node.get(&origin.url(DEB)).expect(&body);
}

#[test]
fn other_files_flow_while_one_download_hangs() {
    let (node, origin, body) = held_at(1000);
    let mut hanging = begin(&node, &origin, &body[..1000]);
    for index in 0..20 {
        let path = format!("/debian/pool/main/s/s{index}_1_all.deb");
        origin.put(&path, &noise(index, 20_000));
        node.get(&origin.url(&path)).expect(&noise(index, 20_000));
    }
    origin.release(DEB);
    assert_eq!(hanging.take(SIZE - 1000).unwrap(), body[1000..]);
}

#[test]
fn a_running_download_is_seen_in_the_status() {
    let (node, origin, body) = held_at(100_000);
    let mut client = begin(&node, &origin, &body[..100_000]);
    crate::kit::until("the download in the status", || {
        let status = node.status();
        let downloads = status["downloads"].as_array().unwrap();
        downloads.iter().any(|download| {
            download["path"].as_str().unwrap().ends_with(DEB)
                && download["size"] == SIZE
                && download["done"] == 100_000
        })
    });
    origin.release(DEB);
    client.take(SIZE - 100_000).unwrap();
    crate::kit::until("no download in the status", || {
        node.status()["downloads"].as_array().unwrap().is_empty()
    });
}
