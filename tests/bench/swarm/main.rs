//! Whole nodes in network namespaces of their own, with links of a given speed.
//!
//! `cargo bench --bench swarm` as root builds a bridge with a host for nginx (the mirror), eight for nodes that have
//! files, and one for a node that wants them; measures; prints one row a bar; and exits with 1 where a bar is missed.
//! It leaves no namespace behind, and nothing of the machine's own network is touched.
//!
//! ```text
//! cargo bench --bench swarm -- --only liars-2 --rounds 5
//! cargo bench --bench swarm -- --quick
//! cargo bench --bench swarm -- --markdown
//! ```
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]
// Figures are shown with three digits: what a cast to f64 loses is far below that.
#![allow(clippy::cast_precision_loss)]

mod apt;
mod archive;
mod large;
#[path = "../../namespaces.rs"]
mod namespaces;
mod network;
mod nginx;
mod node;
mod options;
mod probe;
mod scene;
mod small;
mod table;

use std::process::ExitCode;

use options::{Options, Work};
use scene::Scene;
use table::Table;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(probe::WORD) {
        return probe::main(words);
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => return refuse(&message, 2),
    };
    if let Some(lack) = network::lacking() {
        return refuse(&lack, 1);
    }
    let scene = match Scene::build() {
        Ok(scene) => scene,
        Err(message) => return refuse(&message, 1),
    };
    let mut table = Table::new(&options);
    if options.wants(&[Work::Peers8, Work::Liars2]) {
        table.extend(large::measure_eight(&scene, &options));
    }
    if options.wants(&[Work::Share3]) {
        table.extend([large::measure_share(&scene, &options)]);
    }
    scene.lift_limits();
    if options.wants(&[Work::FirstByte]) {
        table.extend([large::measure_first_byte(&scene, &options)]);
    }
    if options.wants(&[Work::Small200]) {
        table.extend([small::measure(&scene, &options)]);
    }
    println!("{}", table.show(options.markdown));
    if table.all_met() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn refuse(message: &str, code: u8) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(code)
}
