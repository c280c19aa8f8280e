//! Whole nodes against real apt-get, nginx and a faulty origin.
//!
//! Every test starts the real binary in a folder of its own and looks at it from outside only:
//! its answers, its status, its exit codes, its files on disk, and what it asked of its upstream.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::must_use_candidate,
    missing_docs
)]

mod announce;
mod backup;
mod behind_router;
mod broken;
mod browser;
mod commands;
mod configuration;
mod connections;
mod crash;
mod dht;
mod discovery;
mod find;
mod flips;
mod forms;
mod fresh;
mod gates;
mod generations;
mod health;
mod https;
mod kept;
mod kit;
mod lan;
mod limits;
mod log;
mod malformed;
mod mirrors;
#[path = "../namespaces.rs"]
mod namespaces;
mod neighbours;
mod numbers;
mod pages;
mod pdiff;
mod peer_face;
mod ranges;
mod real_apt;
mod rivals;
// The module tests of `src/portmap.rs` use it as well.
#[allow(dead_code)]
#[path = "../router/mod.rs"]
mod router;
mod scenes;
mod signatures;
mod store;
mod streaming;
mod swarm;
mod testbed;
mod truth;
mod upgrade;
mod upkeep;
