//! Rounds and blame against random peers: liars of every kind, colluders, peers that stop answering.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss
)]

mod case;
#[path = "../dht/network/dice.rs"]
#[allow(dead_code)]
mod dice;
mod peer;
mod play;
mod rounds;
