//! The DHT's engine in a virtual network: small scenarios of 2 to 300 nodes, hours of virtual time in seconds.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss
)]

mod churn;
mod families;
mod hostile;
mod joining;
mod liars;
mod nature;
mod network;
mod reach;
mod values;
mod village;
