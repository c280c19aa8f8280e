//! kill -9 at any point: the next start is quick, nothing is corrupt, nothing finished is lost.

use crate::kit::{Config, Manner, Node, Origin, Request, files_under, noise, until};
use std::thread;
use std::time::Duration;

const FILES: usize = 60;

fn path(index: usize) -> String {
    format!("/pool/main/c/c{index}/c{index}_1_all.deb")
}

fn content(index: usize) -> Vec<u8> {
    noise(index as u64 + 7000, 10_000 + (index * 37_123) % 900_000)
}

fn origin() -> Origin {
    let origin = Origin::start();
    for index in 0..FILES {
        origin.put(&path(index), &content(index));
    }
    origin.behave_all(Manner::good().pace(20_000_000));
    origin
}

/// Fetches the files, four clients at a time, until the node is gone.
fn fetch(node: &Node, origin: &Origin, files: std::ops::Range<usize>) {
    thread::scope(|scope| {
        for client in 0..4 {
            let files = files.clone();
            scope.spawn(move || {
                for index in files.skip(client).step_by(4) {
                    if let Ok(answer) = node.try_get(&origin.url(&path(index))) {
                        answer.expect(&content(index));
                    }
                }
            });
        }
    });
}

/// Kills the node's process from another thread after a while.
fn kill_after(node: &Node, delay: Duration) -> thread::JoinHandle<()> {
    let pid = node.pid();
    thread::spawn(move || {
        thread::sleep(delay);
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    })
}

fn survives_a_kill_after(delay: u64) {
    let origin = origin();
    let mut node = Node::start();
    fetch(&node, &origin, 0..20);
    node.until_number("/cache/files", 20);

    let killer = kill_after(&node, Duration::from_millis(delay));
    fetch(&node, &origin, 20..FILES);
    killer.join().unwrap();
    node.kill9();
    node.launch();
    assert!(
        node.began() < Duration::from_secs(1),
        "it began after {:?}",
        node.began()
    );

    origin.forget();
    for index in 0..20 {
        let answer = node.get(&origin.url(&path(index))).expect(&content(index));
        assert!(
            answer.is_hit(),
            "file {index} was finished and is forgotten"
        );
    }
    // Downloads that the kill interrupted may go on by themselves; what is finished is not asked for.
    assert!((0..20).all(|index| origin.hits(&path(index)) == 0));
    for index in 20..FILES {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    node.until_number("/cache/files", FILES as u64);
    let verified = node.cli(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{text}");
    assert!(
        text.contains(&format!("{FILES} files checked, 0 removed")),
        "{text}"
    );
}

#[test]
fn killed_at_the_first_bytes() {
    survives_a_kill_after(15);
}

#[test]
fn killed_in_the_middle_of_downloads() {
    survives_a_kill_after(140);
}

#[test]
fn killed_when_many_downloads_are_done() {
    survives_a_kill_after(390);
}

#[test]
fn killed_again_and_again() {
    let origin = origin();
    let mut node = Node::start();
    for round in 0..6 {
        let killer = kill_after(&node, Duration::from_millis(30 + round * 47));
        fetch(&node, &origin, 0..FILES);
        killer.join().unwrap();
        node.kill9();
        node.launch();
        assert!(
            node.began() < Duration::from_secs(1),
            "it began after {:?}",
            node.began()
        );
    }
    for index in 0..FILES {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    node.until_number("/cache/files", FILES as u64);
}

/// A node killed while ten files were half there, and the origin that still holds them back.
fn killed_half_way() -> (Node, Origin) {
    let origin = origin();
    let mut node = Node::start();
    let mut clients = Vec::new();
    for index in 0..10 {
        origin.behave(&path(index), Manner::good().hold_after(5000));
        let mut client = node.connect();
        client
            .send(&Request::get(&origin.url(&path(index))))
            .unwrap();
        client.head().unwrap();
        client.take(5000).unwrap();
        clients.push(client);
    }
    node.kill9();
    (node, origin)
}

#[test]
fn what_was_half_fetched_is_finished_and_right() {
    let (mut node, origin) = killed_half_way();
    node.launch();
    for index in 0..10 {
        origin.release(&path(index));
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    node.until_number("/cache/files", 10);
    node.calm();
    assert_eq!(node.bytes_on_disk(), node.number("/cache/bytes"));
}

#[test]
fn what_was_half_fetched_and_is_gone_leaves_no_rubbish() {
    let (mut node, origin) = killed_half_way();
    for index in 0..10 {
        origin.remove(&path(index));
    }
    node.launch();
    assert_eq!(node.number("/cache/files"), 0);
    until("the temporary files are gone", || node.bytes_on_disk() == 0);
}

#[test]
fn a_body_that_vanished_from_disk_is_fetched_again() {
    let origin = origin();
    let mut node = Node::start();
    node.get(&origin.url(&path(3))).expect(&content(3));
    node.until_number("/cache/files", 1);
    node.stop();
    for copy in node.copies_of(&content(3)) {
        std::fs::remove_file(copy).unwrap();
    }
    node.launch();
    node.get(&origin.url(&path(3))).expect(&content(3));
    node.settle(&origin.url(&path(3)));
}

#[test]
fn a_body_cut_short_on_disk_is_not_served_as_whole() {
    let origin = origin();
    let mut node = Node::start();
    node.get(&origin.url(&path(4))).expect(&content(4));
    node.until_number("/cache/files", 1);
    node.stop();
    for copy in node.copies_of(&content(4)) {
        std::fs::OpenOptions::new()
            .write(true)
            .open(copy)
            .unwrap()
            .set_len(7000)
            .unwrap();
    }
    node.launch();
    if let Ok(answer) = node.try_get(&origin.url(&path(4))) {
        answer.expect(&content(4));
    }
    until("the whole file", || {
        node.try_get(&origin.url(&path(4)))
            .is_ok_and(|answer| answer.body == content(4))
    });
}

#[test]
fn a_full_cache_starts_within_a_second() {
    let origin = Origin::start();
    for index in 0..400 {
        origin.put(&path(index), &noise(index as u64, 2000));
    }
    let mut node = Node::with(Config::default());
    let mut client = node.connect();
    for index in 0..400 {
        let request = Request::get(&origin.url(&path(index)));
        client
            .ask(&request)
            .unwrap()
            .expect(&noise(index as u64, 2000));
    }
    node.until_number("/cache/files", 400);
    drop(client);
    node.kill9();
    node.launch();
    assert!(
        node.began() < Duration::from_secs(1),
        "it began after {:?}",
        node.began()
    );
    assert_eq!(node.number("/cache/files"), 400);
    assert!(files_under(&node.data_dir()).len() >= 400);
}
