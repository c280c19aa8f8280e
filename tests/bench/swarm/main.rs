//! Whole nodes in network namespaces of their own, with links of a given speed.
//!
//! `cargo bench --bench swarm` as root builds a bridge with a host for nginx (the mirror), eight for nodes that have
//! files, and one for a node that wants them, and another bridge with 21 idle nodes; measures; prints one row a bar; and exits with 1 where a bar is missed.
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
mod idle;
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
#[path = "../usage.rs"]
mod usage;

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
    let mut table = Table::new(&options);
    if let Err(message) = measure(&options, &mut table) {
        return refuse(&message, 1);
    }
    println!("{}", table.show(options.markdown));
    if table.all_met() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Adds the rows that are wanted.
fn measure(options: &Options, table: &mut Table) -> Result<(), String> {
    if options.wants(&Work::IN_SCENE) {
        in_scene(options, &Scene::build()?, table);
    }
    if options.wants(&[Work::Idle20]) {
        table.extend(idle::measure(options)?);
    }
    Ok(())
}

/// Rows of the mirror, the nodes with files and the one that wants them.
fn in_scene(options: &Options, scene: &Scene, table: &mut Table) {
    if options.wants(&[Work::Peers8, Work::Liars2]) {
        table.extend(large::measure_eight(scene, options));
    }
    if options.wants(&[Work::Share3]) {
        table.extend([large::measure_share(scene, options)]);
    }
    scene.lift_limits();
    if options.wants(&[Work::FirstByte]) {
        table.extend([large::measure_first_byte(scene, options)]);
    }
    if options.wants(&[Work::Small200]) {
        table.extend([small::measure(scene, options)]);
    }
}

fn refuse(message: &str, code: u8) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(code)
}
