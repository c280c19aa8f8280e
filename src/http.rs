//! The server: who may ask, what is asked, and the answer.
//!
//! `server` accepts, `front` tells requests apart, `file` decides how a file
//! is answered (store, flight, origin), `answer` turns that into status, fields
//! and bytes, `direct` goes past the store, `ahead` reads what is pipelined, `pages` are for people and machines that look at
//! the node itself, `control` is for this machine's own command line.

mod ahead;
mod answer;
pub mod body;
pub mod control;
mod direct;
pub mod file;
pub mod front;
mod metrics;
mod pages;
mod problem;
pub mod server;
pub mod status;
mod suite;
mod target;
mod tunnel;
