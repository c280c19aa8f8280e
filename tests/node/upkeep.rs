//! `import`, `verify`, `gc`: with a running daemon and without.

use crate::kit::{Archive, Node, Origin, noise};
use std::io::{Seek, SeekFrom, Write};
use std::process::Output;

const FILES: usize = 6;
const SIZE: usize = 1_000_000;

fn path(index: usize) -> String {
    format!("/pool/main/u/u{index}/u{index}_1_all.deb")
}

fn content(index: usize) -> Vec<u8> {
    noise(index as u64 + 40, SIZE)
}

/// A node that holds six files of a million bytes.
fn holding() -> (Node, Origin) {
    let origin = Origin::start();
    let node = Node::start();
    for index in 0..FILES {
        origin.put(&path(index), &content(index));
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    node.until_number("/cache/files", FILES as u64);
    (node, origin)
}

/// Spoils the one copy of a file on disk.
fn corrupt(node: &Node, index: usize) {
    let copies = node.copies_of(&content(index));
    assert_eq!(copies.len(), 1);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&copies[0])
        .unwrap();
    file.seek(SeekFrom::Start(500_000)).unwrap();
    file.write_all(b"not what was here").unwrap();
}

fn shown(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!(
        "{}: {out}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs `verify`: exit code, and the sentence on standard output.
#[track_caller]
fn expect_verify(node: &Node, code: i32, sentence: &str) {
    let output = node.cli(&["verify"]);
    assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains(sentence), "{}", shown(&output));
}

#[test]
fn verify_without_a_daemon_removes_what_differs() {
    let (mut node, origin) = holding();
    node.stop();
    expect_verify(&node, 0, "6 files checked, 0 removed");
    corrupt(&node, 2);
    expect_verify(&node, 1, "6 files checked, 1 removed");
    expect_verify(&node, 0, "5 files checked, 0 removed");
    node.launch();
    assert_eq!(node.number("/cache/files"), 5);
    origin.forget();
    for index in 0..FILES {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    assert_eq!(origin.all_seen().len(), 1);
}

#[test]
fn verify_with_a_running_daemon_removes_what_differs() {
    let (node, origin) = holding();
    expect_verify(&node, 0, "6 files checked, 0 removed");
    corrupt(&node, 4);
    expect_verify(&node, 1, "6 files checked, 1 removed");
    expect_verify(&node, 0, "5 files checked, 0 removed");
    node.until_number("/cache/files", 5);
    node.get(&origin.url(&path(4))).expect(&content(4));
    assert_eq!(origin.hits(&path(4)), 2);
    node.settle(&origin.url(&path(4)));
    expect_verify(&node, 0, "6 files checked, 0 removed");
}

#[test]
fn verify_counts_bodies_that_vanished() {
    let (mut node, origin) = holding();
    node.stop();
    for copy in node.copies_of(&content(1)) {
        std::fs::remove_file(copy).unwrap();
    }
    expect_verify(&node, 1, "6 files checked, 1 removed");
    node.launch();
    node.get(&origin.url(&path(1))).expect(&content(1));
}

#[test]
fn verify_of_an_empty_cache_is_fine() {
    let mut node = Node::start();
    expect_verify(&node, 0, "0 files checked, 0 removed");
    node.stop();
    expect_verify(&node, 0, "0 files checked, 0 removed");
}

#[test]
fn gc_without_a_daemon_evicts_down_to_the_limits() {
    let (mut node, origin) = holding();
    node.stop();
    node.reconfigure(|config| config.max_size = "3MiB".to_owned());
    let output = node.cli(&["gc"]);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(
        node.bytes_on_disk() <= 3 * 1024 * 1024,
        "{}",
        node.bytes_on_disk()
    );
    assert!(
        node.bytes_on_disk() > 2 * 1024 * 1024,
        "more went than had to: {}",
        shown(&output)
    );
    node.launch();
    assert!(node.number("/cache/files") >= 2, "{}", shown(&output));
    assert!(node.get(&origin.url(&path(5))).expect(&content(5)).is_hit());
}

#[test]
fn gc_with_a_running_daemon_evicts_down_to_the_limits() {
    let (mut node, origin) = holding();
    let before = node.number("/cache/files");
    node.reconfigure(|config| config.max_size = "3MiB".to_owned());
    let output = node.cli(&["gc"]);
    assert!(output.status.success(), "{}", shown(&output));
    // Whether the daemon's limits or the file's count is the daemon's affair; what is left is right.
    assert!(node.number("/cache/files") <= before);
    for index in 0..FILES {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
}

#[test]
fn a_smaller_limit_holds_from_the_next_start_on() {
    let (mut node, _origin) = holding();
    node.stop();
    node.reconfigure(|config| config.max_size = "2MiB".to_owned());
    node.launch();
    crate::kit::until("the new limit holds", || {
        node.bytes_on_disk() <= 2 * 1024 * 1024
    });
}

/// Imports an archive's pool and checks that every .deb became one cached file.
fn import_into(node: &Node, archive: &Archive) {
    let pool = archive.path("debian/pool");
    let output = node.cli(&["import", pool.to_str().unwrap()]);
    assert!(output.status.success(), "{}", shown(&output));
    let debs = crate::kit::files_under(&pool);
    assert_eq!(debs.len(), 12);
    for deb in debs {
        let body = std::fs::read(&deb).unwrap();
        assert_eq!(node.copies_of(&body).len(), 1, "{}", deb.display());
        assert!(deb.exists(), "import took the original away");
    }
}

#[test]
fn import_without_a_daemon_adds_debs() {
    let archive = Archive::new();
    let mut node = Node::start();
    node.stop();
    import_into(&node, &archive);
    node.launch();
    assert_eq!(node.number("/cache/files"), 12);
    expect_verify(&node, 0, "12 files checked, 0 removed");
}

#[test]
fn import_with_a_running_daemon_adds_debs_and_twice_is_once() {
    let archive = Archive::new();
    let node = Node::start();
    import_into(&node, &archive);
    node.until_number("/cache/files", 12);
    let one = archive.path("debian").join(archive.pool_path("hello"));
    let output = node.cli(&["import", one.to_str().unwrap()]);
    assert!(output.status.success(), "{}", shown(&output));
    node.until_number("/cache/files", 12);
}

#[test]
fn import_before_the_first_start_makes_the_database() {
    let archive = Archive::new();
    let mut node = Node::asleep(crate::kit::Config::default());
    import_into(&node, &archive);
    node.launch();
    assert_eq!(node.number("/cache/files"), 12);
}

#[test]
fn importing_what_is_not_there_is_an_error_that_names_it() {
    let node = Node::start();
    let output = node.cli(&["import", "/nonexistent/place/x.deb"]);
    assert!(!output.status.success());
    assert!(
        shown(&output).contains("/nonexistent/place/x.deb"),
        "{}",
        shown(&output)
    );
}

#[test]
fn an_imported_deb_fetched_by_name_is_not_stored_twice() {
    let archive = Archive::new();
    let node = Node::start();
    import_into(&node, &archive);
    let origin = Origin::start();
    origin.mirror("/debian", &archive.path("debian"));
    let path = format!("/debian/{}", archive.pool_path("libodd++6"));
    let body = std::fs::read(archive.path(&path[1..])).unwrap();
    node.get(&origin.url(&path)).expect(&body);
    node.settle(&origin.url(&path));
    node.until_number("/cache/files", 12);
}

#[test]
fn import_into_a_full_cache_without_a_daemon_makes_room() {
    let archive = Archive::new();
    let (mut node, _origin) = holding();
    node.stop();
    let before = node.bytes_on_disk();
    node.reconfigure(|config| config.max_size = format!("{before}"));
    let one = archive.path("debian").join(archive.pool_path("hello"));
    let output = node.cli(&["import", one.to_str().unwrap()]);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(node.bytes_on_disk() <= before);
    assert_eq!(node.copies_of(&std::fs::read(&one).unwrap()).len(), 1);
}
