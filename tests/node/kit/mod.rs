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
mod tools;

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
pub use tools::{files_under, hex, noise, run, sha256, within};

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

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
