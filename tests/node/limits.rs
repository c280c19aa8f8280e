//! Load and size: what is too much waits or is refused, and the daemon lives.

use crate::kit::{Client, Config, Manner, Node, Origin, Request, noise, until};
use std::thread;
use std::time::Duration;

#[test]
fn two_hundred_cold_files_at_once_wait_their_turn() {
    let origin = Origin::start();
    for index in 0..200 {
        origin.put(&format!("/pool/f{index}_1_all.deb"), &noise(index, 20_000));
    }
    origin.behave_all(Manner::good().delay(Duration::from_millis(100)));
    let node = Node::start();
    thread::scope(|scope| {
        for index in 0..200 {
            let url = origin.url(&format!("/pool/f{index}_1_all.deb"));
            let node = &node;
            scope.spawn(move || node.get(&url).expect(&noise(index, 20_000)));
        }
    });
    assert_eq!(origin.all_seen().len(), 200);
    node.until_number("/cache/files", 200);
}

#[test]
fn running_out_of_descriptors_never_ends_the_daemon() {
    let origin = Origin::start();
    origin.put("/pool/a_1_all.deb", &noise(1, 20_000));
    let mut node = Node::with(Config {
        wrap: vec!["prlimit".to_owned(), "--nofile=128".to_owned()],
        ..Config::default()
    });
    for _ in 0..2 {
        let crowd = Client::crowd(node.port(), 300);
        assert!(crowd.len() > 128, "only {} connections", crowd.len());
        thread::sleep(Duration::from_millis(700));
        assert!(node.is_running());
        drop(crowd);
        until("the node serves again", || {
            node.try_get(&origin.url("/pool/a_1_all.deb"))
                .is_ok_and(|answer| answer.status == 200)
        });
    }
    node.get(&origin.url("/pool/a_1_all.deb"))
        .expect(&noise(1, 20_000));
}

#[test]
fn many_busy_clients_with_few_descriptors_are_all_served_in_the_end() {
    let origin = Origin::start();
    for index in 0..150 {
        origin.put(&format!("/pool/f{index}_1_all.deb"), &noise(index, 30_000));
    }
    let mut node = Node::with(Config {
        wrap: vec!["prlimit".to_owned(), "--nofile=128".to_owned()],
        ..Config::default()
    });
    thread::scope(|scope| {
        for index in 0..150 {
            let url = origin.url(&format!("/pool/f{index}_1_all.deb"));
            let node = &node;
            let close = Request::get(&url).header("Connection", "close");
            scope.spawn(move || node.ask(&close).expect(&noise(index, 30_000)));
        }
    });
    assert!(node.is_running());
}

#[test]
fn headers_and_paths_beyond_all_measure_are_4xx() {
    let node = Node::start();
    let header = Request::get("/healthz").header("X-Long", &"x".repeat(512 * 1024));
    let many = (0..2000).fold(Request::get("/healthz"), |request, index| {
        request.header(&format!("X-{index}"), "value")
    });
    let path = Request::get(&format!("http://127.0.0.1:1/{}", "p".repeat(70_000)));
    for request in [header, many, path] {
        // A server may close before all of such a head was sent.
        if let Ok(answer) = node.try_ask(&request) {
            assert!((400..500).contains(&answer.status), "{}", answer.status);
        }
        node.get("/healthz").expect_status(200);
    }
}

#[test]
fn a_long_but_honest_path_is_served() {
    let origin = Origin::start();
    let path = format!("/pool/main/l/long/{}_1_all.deb", "long-name-".repeat(15));
    origin.put(&path, b"long");
    let node = Node::start();
    node.get(&origin.url(&path)).expect(b"long");
}

#[test]
fn many_clients_of_one_cached_file_are_served() {
    let origin = Origin::start();
    let body = noise(3, 1_000_000);
    origin.put("/pool/a_1_all.deb", &body);
    let node = Node::start();
    let url = origin.url("/pool/a_1_all.deb");
    node.get(&url).expect(&body);
    node.settle(&url);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| node.get(&url).expect(&body));
        }
    });
    assert_eq!(origin.hits("/pool/a_1_all.deb"), 1);
}

#[test]
fn hanging_downloads_do_not_starve_the_rest() {
    let origin = Origin::start();
    let node = Node::start();
    origin.put("/pool/good_1_all.deb", b"good");
    let mut hanging = Vec::new();
    for index in 0..60 {
        let path = format!("/pool/silent{index}_1_all.deb");
        origin.behave(&path, Manner::silent());
        let mut client = node.connect();
        client.send(&Request::get(&origin.url(&path))).unwrap();
        hanging.push(client);
    }
    let answer = node
        .get(&origin.url("/pool/good_1_all.deb"))
        .expect(b"good");
    assert!(answer.took < Duration::from_secs(15), "{:?}", answer.took);
    let status = hanging[0].answer(false).unwrap().status;
    assert_ne!(status, 200);
}
