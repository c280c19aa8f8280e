//! The Debian package: what it holds, and what becomes of a machine on which it is installed,
//! used, upgraded, removed and purged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod configuration;
mod contents;
mod deb;
mod detect;
mod life;
mod machine;
mod manual;
mod owner;
mod service;
