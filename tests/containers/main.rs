//! What a user does: machines with a daemon, an apt-get and a dpkg each, and the container image.
//!
//! Where an engine runs, machines are containers of the image that the real `docker/Dockerfile`
//! makes, else network namespaces. Two variables change that:
//!
//! | variable | does |
//! | --- | --- |
//! | `TEST_WITHOUT_ENGINE=1` | namespaces although there is an engine; no image is built |
//! | `PREVIOUS_APTMESH=FILE` | the fifth node runs this program, of an earlier build |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::must_use_candidate,
    missing_docs
)]

#[allow(dead_code, reason = "the kit of whole-node tests needs more of it")]
#[path = "../node/kit/archive.rs"]
mod archive;
mod boxes;
mod cable;
mod chapters;
mod compose;
mod engine;
mod goods;
mod image;
mod machine;
mod mirror;
#[path = "../namespaces.rs"]
mod namespaces;
mod spaces;
#[path = "../node/kit/tools.rs"]
mod tools;

use std::io::Write as _;
use std::time::Duration;
use tools::{files_under, noise, run, sha256, within};

/// No step of these tests takes longer than this on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// Polls until `done` says so; fails with `what` after [`PATIENCE`].
#[track_caller]
fn until(what: &str, done: impl FnMut() -> bool) {
    assert!(within(PATIENCE, done), "not within {PATIENCE:?}: {what}");
}

/// Tells whoever runs the tests, also where they pass: what is printed is shown only of those that
/// fail.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
