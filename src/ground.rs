//! The part of the ground floor that reads what strangers sent, as a crate of
//! its own: `tests/fuzz` builds no more than this, and so none of the crates
//! above it. No part of the crate itself.

pub mod bencode;
pub mod clock;
pub mod debian;
pub mod dht;
pub mod health;
#[path = "router/igd.rs"]
pub mod igd;
pub mod swarm;
