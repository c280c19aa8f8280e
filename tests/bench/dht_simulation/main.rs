//! Thousands of nodes with the engine that the daemon has, in virtual time.
//!
//! Round trips of 20 to 300 ms, 1 % of the packets lost, half of the nodes behind NATs that drop what they did not
//! ask for, sessions half longer than 5 h and a fifth longer than 10 h, 100 announcements a node. It prints what the
//! DHT has to reach as a table, and exits with 1 where the largest network misses a bar.
//!
//! ```text
//! cargo bench --bench dht_simulation
//! cargo bench --bench dht_simulation -- --quick
//! cargo bench --bench dht_simulation -- --nodes 1000 --seed 7 --details
//! ```
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]
// Figures are shown with three digits: what a cast to or from f64 loses is far below that.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]

mod details;
mod figures;
mod lookups;
#[path = "../../dht/network/mod.rs"]
mod network;
mod options;
mod plan;
mod probes;
mod progress;
mod residents;
mod sessions;
mod simulation;
mod table;
mod traffic;

use std::process::ExitCode;
use std::sync::Mutex;

use indicatif::MultiProgress;

use figures::Figures;
use options::Options;
use progress::Progress;
use simulation::Simulation;

/// Runs the largest network beside the smaller ones, as many at a time as there are cores.
fn run(options: &Options) -> Vec<Figures> {
    let bars = MultiProgress::new();
    let mut plans: Vec<_> = options.plans();
    plans.sort_by_key(|plan| plan.nodes);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (left, done) = (Mutex::new(plans), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let Some(plan) = left.lock().unwrap().pop() else {
                        return;
                    };
                    let mut progress = Progress::new(&bars, &plan);
                    let figures = Simulation::new(plan).run(&mut progress);
                    progress.ends();
                    done.lock().unwrap().push(figures);
                }
            });
        }
    });
    let mut figures = done.into_inner().unwrap();
    figures.sort_by_key(|figures| figures.nodes);
    figures
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let figures = run(&options);
    if options.details {
        for figures in &figures {
            println!("{}\n", details::show(figures));
        }
    }
    let table = table::Table::new(&figures, options.seed);
    println!("{table}");
    if table.all_met() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
