//! aptmesh beside nginx, in one run on one machine.
//!
//! `cargo bench --bench beside_nginx` starts an nginx of its own (the origin and the rival at once) and a node whose
//! upstream is that nginx, and measures the two in short alternating bursts, because machines are noisy and absolute
//! figures of two runs cannot be compared. It prints one row a bar and exits with 1 where a bar is missed.
//!
//! ```text
//! cargo bench --bench beside_nginx -- --only small-32 --rounds 9
//! cargo bench --bench beside_nginx -- --quick
//! cargo bench --bench beside_nginx -- --markdown
//! cargo bench --bench beside_nginx -- --only index-first --packages Packages.xz
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
mod client;
mod cold;
mod curl;
mod files;
mod hot;
mod index;
mod list;
mod load;
mod lookup;
mod nginx;
mod node;
mod options;
mod paced;
mod page;
mod start;
mod steady;
mod table;
mod usage;

use std::process::ExitCode;

use archive::Form;
use files::Ground;
use nginx::Nginx;
use node::Node;
use options::{Options, Work};
use table::{Bar, Pair, Row, Table, Unit};

/// What every row measures with.
struct Bench {
    options: Options,
    ground: Ground,
    nginx: Nginx,
    node: Node,
}

impl Bench {
    fn start(options: Options) -> Self {
        let ground = Ground::new();
        let nginx = Nginx::start(&ground);
        let node = Node::start(&ground.folder("node"));
        Self {
            options,
            ground,
            nginx,
            node,
        }
    }

    /// Measures one work; some give more than one row.
    fn measure(&self, work: Work) -> Vec<Row> {
        match work {
            Work::Small1 | Work::Small32 | Work::Small32Pipelined | Work::Big1 | Work::Big32 => {
                vec![hot::measure(self, work)]
            }
            Work::Apt500 => vec![apt::measure(self)],
            Work::ColdPaced => cold::measure_paced(self),
            Work::ColdUnpaced => vec![cold::measure_unpaced(self)],
            Work::Memory => vec![self.memory()],
            Work::IndexFirst => index::measure_first(self),
            Work::IndexNext => vec![index::measure_next(self, Form::Whole)],
            Work::IndexNextPdiff => vec![index::measure_next(self, Form::Patch)],
            Work::Lookup => lookup::measure(self),
            Work::Page => page::measure(self),
            Work::Start => vec![start::measure(self)],
        }
    }

    /// The node that served every other row also serves apt's 500 files here, then rests for a second.
    fn memory(&self) -> Row {
        apt::fetch_once(self);
        std::thread::sleep(std::time::Duration::from_secs(1));
        let memory = self.node.memory();
        eprintln!("  {memory}");
        Row {
            name: "memory",
            work: "resident memory after all that",
            bar: Bar::AtMostAbsolute(64.0),
            unit: Unit::Megabytes,
            pairs: vec![Pair::alone(memory.resident)],
            note: memory.to_string(),
        }
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let bench = Bench::start(options);
    let mut table = Table::new(&bench.options, &nginx::version());
    for work in bench.options.works() {
        eprintln!("{}", work.name());
        for row in bench.measure(work) {
            eprintln!("  {row}");
            table.push(row);
        }
    }
    println!(
        "{}",
        if bench.options.markdown {
            table.markdown()
        } else {
            table.text()
        }
    );
    if table.all_met() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
