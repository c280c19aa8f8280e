//! The store: one copy of everything, never more than the limits, the least recently used first.

use crate::kit::{Config, Manner, Node, Origin, Request, noise, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;

fn path(index: usize) -> String {
    format!("/pool/main/s/s{index}/s{index}_1_all.deb")
}

/// The bytes of file `index`: about a mebibyte.
fn content(index: usize) -> Vec<u8> {
    noise(index as u64 + 900, MIB - 3000 - index)
}

fn origin_of(count: usize) -> Origin {
    let origin = Origin::start();
    for index in 0..count {
        origin.put(&path(index), &content(index));
    }
    origin
}

fn node_of(max_size: &str) -> Node {
    Node::with(Config {
        max_size: max_size.to_owned(),
        ..Config::default()
    })
}

/// Does the work while a second thread samples a figure; gives the extreme that `pick` kept.
fn sampled(
    start: u64,
    sample: impl Fn() -> u64 + Sync,
    pick: fn(u64, u64) -> u64,
    work: impl FnOnce(),
) -> u64 {
    let extreme = AtomicU64::new(start);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let kept = pick(extreme.load(Ordering::Relaxed), sample());
                extreme.store(kept, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        work();
        over.store(true, Ordering::Relaxed);
    });
    extreme.into_inner()
}

#[test]
fn two_names_of_the_same_bytes_are_one_copy() {
    let origin = Origin::start();
    let other = Origin::start();
    let body = noise(91, 30_000);
    origin.put("/pool/a_1_all.deb", &body);
    origin.put("/pool/b_1_all.deb", &body);
    other.put("/pool/a_1_all.deb", &body);
    let node = Node::start();
    let urls = [
        origin.url("/pool/a_1_all.deb"),
        origin.url("/pool/b_1_all.deb"),
        other.url("/pool/a_1_all.deb"),
    ];
    for url in &urls {
        node.get(url).expect(&body);
        node.settle(url);
    }
    node.until_number("/cache/files", 1);
    node.until_number("/cache/bytes", 30_000);
    assert_eq!(node.copies_of(&body).len(), 1);
}

#[test]
fn bodies_lie_on_disk_as_they_are_one_file_each() {
    let origin = origin_of(3);
    let node = Node::start();
    for index in 0..3 {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    node.until_number("/cache/files", 3);
    for index in 0..3 {
        assert_eq!(node.copies_of(&content(index)).len(), 1, "file {index}");
    }
    let bytes: u64 = (0..3).map(|index| content(index).len() as u64).sum();
    node.until_number("/cache/bytes", bytes);
}

#[test]
fn a_restart_forgets_nothing() {
    let origin = origin_of(5);
    let mut node = Node::start();
    for index in 0..5 {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    node.until_number("/cache/files", 5);
    node.stop();
    node.launch();
    assert_eq!(node.number("/cache/files"), 5);
    for index in 0..5 {
        assert!(
            node.get(&origin.url(&path(index)))
                .expect(&content(index))
                .is_hit()
        );
    }
    assert_eq!(origin.all_seen().len(), 5);
    assert_eq!(
        node.number("/traffic/from_mirrors"),
        node.number("/cache/bytes")
    );
}

#[test]
fn max_size_holds_at_all_times_one_client() {
    let origin = origin_of(30);
    let node = node_of("8MiB");
    let most = sampled(
        0,
        || node.bytes_on_disk(),
        u64::max,
        || {
            for index in 0..30 {
                node.get(&origin.url(&path(index))).expect(&content(index));
            }
        },
    );
    assert!(most <= 8 * MIB as u64, "{most} bytes on disk");
    assert!(
        node.number("/cache/bytes") >= 4 * MIB as u64,
        "hardly anything is kept"
    );
    assert!(node.number("/cache/bytes") <= 8 * MIB as u64);
}

#[test]
fn max_size_holds_at_all_times_six_clients() {
    let origin = origin_of(36);
    origin.behave_all(Manner::good().pace(8_000_000));
    let node = node_of("10MiB");
    let most = sampled(
        0,
        || node.bytes_on_disk(),
        u64::max,
        || {
            thread::scope(|scope| {
                for client in 0..6 {
                    let (node, origin) = (&node, &origin);
                    scope.spawn(move || {
                        for index in (client..36).step_by(6) {
                            node.get(&origin.url(&path(index))).expect(&content(index));
                        }
                    });
                }
            });
        },
    );
    assert!(most <= 10 * MIB as u64, "{most} bytes on disk");
}

#[test]
fn the_least_recently_used_goes_first() {
    let origin = origin_of(12);
    let node = node_of("9MiB");
    for index in 0..8 {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    node.until_number("/cache/files", 8);
    for index in [0, 3] {
        assert!(node.get(&origin.url(&path(index))).is_hit());
    }
    // Last uses are written in batches.
    thread::sleep(Duration::from_millis(1500));
    for index in 8..12 {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    until("room was made", || {
        node.number("/cache/bytes") <= 9 * MIB as u64
    });
    origin.forget();
    for index in [0, 3, 10, 11] {
        assert!(
            node.get(&origin.url(&path(index)))
                .expect(&content(index))
                .is_hit(),
            "file {index} went"
        );
    }
    assert!(
        node.get(&origin.url(&path(1)))
            .expect(&content(1))
            .is_miss(),
        "file 1 stayed"
    );
    assert_eq!(origin.all_seen().len(), 1);
}

#[test]
fn the_order_of_use_outlives_a_restart() {
    let origin = origin_of(10);
    let mut node = node_of("9MiB");
    for index in 0..8 {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    node.until_number("/cache/files", 8);
    assert!(node.get(&origin.url(&path(0))).is_hit());
    node.stop();
    node.launch();
    for index in 8..10 {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    assert!(
        node.get(&origin.url(&path(0))).expect(&content(0)).is_hit(),
        "the last used went"
    );
}

#[test]
fn a_file_larger_than_the_cache_passes_through() {
    let origin = origin_of(2);
    let node = node_of("3MiB");
    node.get(&origin.url(&path(0))).expect(&content(0));
    node.until_number("/cache/files", 1);
    let large = noise(95, 6 * MIB);
    origin.put("/pool/large_1_all.deb", &large);
    let most = sampled(
        0,
        || node.bytes_on_disk(),
        u64::max,
        || {
            for _ in 0..2 {
                node.get(&origin.url("/pool/large_1_all.deb"))
                    .expect(&large);
            }
        },
    );
    assert!(most <= 3 * MIB as u64, "{most} bytes on disk");
    let range = Request::get(&origin.url("/pool/large_1_all.deb")).header("Range", "bytes=100-199");
    let part = node.ask(&range);
    assert!(
        part.body == large[100..200] || part.body == large,
        "{:?}",
        part.headers
    );
}

#[test]
fn a_file_in_use_is_read_to_its_end_though_others_push() {
    let origin = origin_of(20);
    let node = node_of("6MiB");
    let body = noise(96, 4 * MIB);
    origin.put("/pool/read_1_all.deb", &body);
    node.get(&origin.url("/pool/read_1_all.deb")).expect(&body);
    node.settle(&origin.url("/pool/read_1_all.deb"));
    let mut reader = node.connect();
    reader
        .send(&Request::get(&origin.url("/pool/read_1_all.deb")))
        .unwrap();
    reader.head().unwrap();
    assert!(reader.take(MIB).unwrap() == body[..MIB]);
    for index in 0..20 {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    assert!(reader.take(3 * MIB).unwrap() == body[MIB..]);
}

/// A small filesystem of its own, unmounted at the end.
struct Small {
    folder: TempDir,
}

impl Small {
    /// `None`, with a printed reason, where mounting is not possible.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self { folder }),
            other => {
                eprintln!("skipped: no tmpfs can be mounted here: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn free(&self) -> u64 {
        free(self.folder.path())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .output();
    }
}

fn free(path: &Path) -> u64 {
    let figures = rustix::fs::statvfs(path).unwrap();
    figures.f_bavail * figures.f_frsize
}

#[test]
fn on_a_full_disk_requests_pass_through() {
    let Some(small) = Small::mount("12M") else {
        return;
    };
    let origin = origin_of(16);
    let mut node = Node::with(Config {
        data_dir: Some(small.path()),
        min_free: "0".to_owned(),
        ..Config::default()
    });
    // Somebody else fills the disk: nothing the node could evict helps.
    let filler = small.folder.path().join("filler");
    let _ = std::fs::write(&filler, vec![1; 12 * MIB]);
    for index in 0..16 {
        node.get(&origin.url(&path(index))).expect(&content(index));
    }
    assert!(node.is_running());
    std::fs::remove_file(filler).unwrap();
    until("the node caches again", || {
        node.get(&origin.url(&path(0))).expect(&content(0)).is_hit()
    });
}

#[test]
fn a_disk_that_fills_up_while_files_grow_breaks_no_download() {
    let Some(small) = Small::mount("12M") else {
        return;
    };
    let origin = Origin::start();
    let bodies: Vec<_> = (0..4).map(|seed| noise(seed, 5 * MIB)).collect();
    for (index, body) in bodies.iter().enumerate() {
        origin.put(&path(index), body);
    }
    origin.behave_all(Manner::good().pace(10_000_000));
    let mut node = Node::with(Config {
        data_dir: Some(small.path()),
        min_free: "0".to_owned(),
        ..Config::default()
    });
    thread::scope(|scope| {
        for (index, body) in bodies.iter().enumerate() {
            let (node, origin) = (&node, &origin);
            scope.spawn(move || node.get(&origin.url(&path(index))).expect(body));
        }
    });
    assert!(node.is_running());
    // From wherever in the node the bytes came, the origin sent them for this.
    let served = node.status()["served"]["all"].clone();
    assert_eq!(served["from_mirrors"], 20 * MIB, "{served}");
    assert_eq!(served["from_cache"], 0, "{served}");
}

#[test]
fn min_free_holds_at_all_times() {
    let Some(small) = Small::mount("32M") else {
        return;
    };
    let origin = origin_of(30);
    let node = Node::with(Config {
        data_dir: Some(small.path()),
        min_free: "16MiB".to_owned(),
        ..Config::default()
    });
    let least = sampled(
        u64::MAX,
        || small.free(),
        u64::min,
        || {
            for index in 0..30 {
                node.get(&origin.url(&path(index))).expect(&content(index));
            }
        },
    );
    // The database writes beside the bodies, so a little less may be free for a moment.
    assert!(least >= 15 * MIB as u64, "only {least} bytes were free");
    drop(node);
}
