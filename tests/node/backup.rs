//! `aptmesh backup`: one moment of the database, while the node works or not, and a node that goes
//! on from it.

use crate::kit::{Config, Manner, Node, Origin, noise};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

const FILES: usize = 40;

fn path(index: usize) -> String {
    format!("/pool/main/b/b{index}/b{index}_1_all.deb")
}

fn content(index: usize) -> Vec<u8> {
    noise(index as u64 + 4000, 20_000)
}

fn origin() -> Origin {
    let origin = Origin::start();
    for index in 0..FILES {
        origin.put(&path(index), &content(index));
    }
    origin.behave_all(Manner::good());
    origin
}

fn fetch(node: &Node, origin: &Origin, index: usize) {
    let answer = node.get(&origin.url(&path(index)));
    answer.expect(&content(index));
}

fn backup(node: &Node, to: &Path) -> Output {
    node.cli(&["backup", to.to_str().unwrap()])
}

#[track_caller]
fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A node that was never started, with that database and these files.
fn restored(copy: &Path, files: &[PathBuf]) -> Node {
    let node = Node::asleep(Config::default());
    fs::create_dir_all(node.data_dir()).unwrap();
    fs::copy(copy, node.data_dir().join("aptmesh.db")).unwrap();
    for file in files {
        let name = file.file_name().unwrap();
        let folder = &name.to_str().unwrap()[..2];
        let folder = node.data_dir().join("files").join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(file, folder.join(name)).unwrap();
    }
    node
}

/// A node with all files, and where a copy of its database may go.
fn full() -> (Origin, Node, TempDir, PathBuf) {
    let (origin, node) = (origin(), Node::start());
    for index in 0..FILES {
        fetch(&node, &origin, index);
    }
    node.until_number("/cache/files", FILES as u64);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    (origin, node, folder, copy)
}

#[test]
fn a_node_that_works_is_copied_as_it_was_in_one_moment() {
    let (origin, node) = (origin(), Node::start());
    let folder = tempfile::tempdir().unwrap();
    let fetched = AtomicUsize::new(0);
    let copies: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            for index in 0..FILES {
                fetch(&node, &origin, index);
                node.settle(&origin.url(&path(index)));
                fetched.store(index + 1, Ordering::Release);
            }
        });
        let copy = |number: usize| {
            while fetched.load(Ordering::Acquire) < number * 10 {
                std::thread::yield_now();
            }
            let before = fetched.load(Ordering::Acquire);
            let to = folder.path().join(format!("{number}.db"));
            let output = backup(&node, &to);
            assert!(output.status.success(), "{output:?}");
            (to, before)
        };
        (0..4).map(copy).collect()
    });
    let files = node.bodies();
    for (copy, before) in copies {
        let mut node_again = restored(&copy, &files);
        node_again.launch();
        assert_eq!(node_again.status()["node_id"], node.status()["node_id"]);
        assert!(node_again.number("/cache/files") >= before as u64);
        for index in 0..before {
            let answer = node_again.get(&origin.url(&path(index)));
            assert!(answer.is_hit(), "{index} of {before}");
            answer.expect(&content(index));
        }
        node_again.stop();
    }
}

#[test]
fn a_node_that_is_stopped_is_copied_and_one_without_its_files_fetches_them_again() {
    let (origin, mut node, folder, copy) = full();
    node.stop();
    let output = backup(&node, &copy);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("kept in") && told.contains("copy.db"),
        "{told}"
    );
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "no write-ahead log beside it: {names:?}");

    let mut bare = restored(&copy, &[]);
    bare.launch();
    origin.forget();
    fetch(&bare, &origin, 0);
    assert_eq!(origin.hits(&path(0)), 1);
    let verified = bare.cli(&["verify"]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    bare.until_number("/cache/files", 1);
}

#[test]
fn no_copy_takes_the_place_of_another_file() {
    let (_origin, node, folder, copy) = full();
    fs::write(&copy, "last week's").unwrap();
    let told = said(&backup(&node, &copy));
    assert!(told.contains("exists already"), "{told}");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "last week's");
    let told = said(&backup(&node, folder.path()));
    assert!(told.contains("exists already"), "{told}");
    let nowhere = folder.path().join("nowhere/copy.db");
    let told = said(&backup(&node, &nowhere));
    assert!(told.contains("nowhere can't be written to"), "{told}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn where_no_database_is_none_is_copied() {
    let node = Node::asleep(Config::default());
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let told = said(&backup(&node, &copy));
    assert!(told.contains("no database in"), "{told}");
    assert!(!node.data_dir().join("aptmesh.db").exists());

    fs::create_dir_all(node.data_dir()).unwrap();
    fs::write(node.data_dir().join("aptmesh.db"), noise(1, 9000)).unwrap();
    let told = said(&backup(&node, &copy));
    assert!(told.contains("aptmesh.db could not be copied"), "{told}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
