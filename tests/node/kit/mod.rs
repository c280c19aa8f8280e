//! What a whole-node test is made of: the real binary as a process, origins that misbehave on
//! order, a signed archive, nginx, apt in a root of its own, a raw HTTP client, and nodes of the DHT
//! of another make.
//!
//! Everything blocks and lives in threads: a test reads top to bottom, and a client that must
//! leave in the middle of a body simply drops its socket.

mod answer;
mod apt;
mod archive;
pub mod bencode;
mod browser;
mod client;
mod config;
mod database;
mod files;
mod key;
pub mod krpc;
mod link;
mod manner;
mod nginx;
mod node;
mod origin;
mod packing;
mod pdiff;
mod peer;
mod seeder;
mod stage;
mod stanza;
mod suite;
mod tls;

pub use apt::Apt;
pub use archive::Archive;
pub use browser::{Browser, FAR, Theme};
pub use client::{Client, Request, Response, is_cut};
pub use config::{Config, Dht};
pub use database::with_database;
pub use files::Files;
pub use key::{Key, Signing};
pub use link::{HUB, Link, neighbours, on_link};
pub use manner::{Framing, Manner};
pub use nginx::Nginx;
pub use node::{Node, aptmesh};
pub use origin::Origin;
pub use packing::{Hash, Packing, listing};
pub use pdiff::Diffs;
pub use peer::{Conduct, Peer, SOON, distance};
pub use seeder::{PIECE, Seeder, Seeding, Wrong, path_of, torrent};
pub use stage::{Stage, full_indexes};
pub use suite::Suite;
pub use tls::Certificate;

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// No client of these tests waits longer than this for a byte.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The bound the project gives itself for serving a stored copy while the upstream is ill.
pub const STALE_WITHIN: Duration = Duration::from_secs(1);

/// A port nobody listens on, below the range the kernel takes for outgoing connections, so that
/// nothing grabs it between this call and the bind.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 180).unwrap() * 111;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (offset.wrapping_add(step) % COUNT);
        let local = ("127.0.0.1", port);
        if TcpListener::bind(local).is_ok() && UdpSocket::bind(local).is_ok() {
            return port;
        }
    }
}

/// Polls until `done` says so; fails with `what` after [`PATIENCE`].
#[track_caller]
pub fn until(what: &str, done: impl FnMut() -> bool) {
    assert!(within(PATIENCE, done), "not within {PATIENCE:?}: {what}");
}

/// Polls until `done` says so or the time is over; says which.
pub fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Bytes that no compression and no accident makes equal: the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// SHA-256 in lower-case hex, as by-hash paths and Release files write it.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Runs a tool that must succeed; its output otherwise becomes the failure.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Every regular file under a folder. Files that vanish meanwhile are left out.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}
