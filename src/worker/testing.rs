//! Nodes of a DHT on this machine, and a store without a node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::config::Verify;
use crate::core::{Core, Parts};
use crate::db::Db;
use crate::db::download::Limits;
use crate::dht::engine::{Engine, Saved, Settings};
use crate::dht::id::NodeId;
use crate::health::Health;
use crate::mirrors::Mirrors;
use crate::overlay::{Contact, Overlay, listen};
use crate::signature::Keyrings;
use crate::store::budget::Budget;
use crate::store::disk::Disk;
use crate::truth::Judge;

/// As whom every node publishes.
pub(super) const CONTACT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9977);

/// A store below `folder`.
pub(super) async fn core(folder: &Path) -> Arc<Core> {
    let disk = Arc::new(Disk::open(folder).unwrap());
    Core::new(Parts {
        db: Db::open(&disk.database()).await.unwrap(),
        budget: Budget::new(1 << 30, 0, disk.root().to_owned(), 0),
        disk,
        health: Health::from_rows(Vec::new()),
        mirrors: Mirrors::new(&[]).unwrap(),
        clock: Arc::new(SystemClock),
        download_limits: Limits {
            slots: 0,
            per_origin: 0,
            lease: 0,
        },
        judge: Judge {
            verify: Verify::Off,
            keyrings: Keyrings::new(Vec::new()),
        },
    })
}

/// A place in the DHT that runs until `stop`, and answers or fails at once.
pub(super) fn overlay(id: u8, bootstrap: &[&Overlay], stop: &CancellationToken) -> Overlay {
    start(id, bootstrap, stop, true)
}

/// One that keeps no value that tells of [`CONTACT`], which is private.
pub(super) fn refusing(id: u8, stop: &CancellationToken) -> Overlay {
    start(id, &[], stop, false)
}

fn start(id: u8, bootstrap: &[&Overlay], stop: &CancellationToken, allow_private: bool) -> Overlay {
    let settings = Settings {
        krpc_timeout: 400,
        krpc_initial_delay: 100,
        allow_private,
        ..Settings::default()
    };
    let (id, now) = (NodeId([id; 20]), crate::clock::Clock::now(&SystemClock));
    let engine = Engine::new(id, settings, Saved::default(), 1, now);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let contact = Contact::Fixed(CONTACT);
    let socket = listen(address).unwrap();
    let overlay = Overlay::open(socket, contact, now, engine).unwrap();
    let bootstrap = bootstrap.iter().map(|node| node.address().to_string());
    tokio::spawn(overlay.clone().run(bootstrap.collect(), stop.clone()));
    overlay
}

/// Waits until it is so, some seconds at most.
pub(super) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to pass");
}
