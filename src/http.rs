//! The server: who may ask, what is asked, and the answer.
//!
//! `server` accepts, `front` tells requests apart, `file` decides how a file
//! is answered (store, flight, origin), `answer` turns that into status, fields
//! and bytes, `direct` goes past the store, `far` sees to ranges far ahead of
//! what is here, `ahead` reads what is pipelined, `pages` are for people and
//! machines that look at the node itself (`page` draws the one for people), `control` is for this machine's own
//! command line. `peer_face` is what other nodes see, on a port of its own.

mod ahead;
mod answer;
pub mod body;
pub mod control;
mod direct;
mod far;
pub mod file;
pub mod front;
mod metrics;
mod page;
mod pages;
pub mod peer_face;
mod problem;
pub mod server;
pub mod status;
mod suite;
mod target;
mod tunnel;
