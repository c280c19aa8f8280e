//! Rows of files that the cache holds.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Bench;
use crate::client;
use crate::files::POOL;
use crate::load::{Burst, Load};
use crate::options::{Options, Work};
use crate::table::{Bar, Pair, Row, Unit};
use crate::wrk;

struct Spec {
    work: &'static str,
    file: &'static str,
    connections: usize,
    depth: usize,
    bar: f64,
    unit: Unit,
}

impl Spec {
    fn of(work: Work) -> Self {
        let (work, connections, depth, bar) = match work {
            Work::Small1 => ("cached 50 KB file, keep-alive, 1 connection", 1, 1, 1.2),
            Work::Small32 => ("cached 50 KB file, 32 connections", 32, 1, 1.0),
            Work::Small32Pipelined => (
                "cached 50 KB file, 32 connections, ten requests pipelined",
                32,
                10,
                1.4,
            ),
            Work::Big1 => ("cached 60 MB file, 1 connection", 1, 1, 1.0),
            Work::Big32 => ("cached 60 MB file, 32 connections", 32, 1, 1.5),
            other => unreachable!("{} is not of the cache", other.name()),
        };
        let big = work.contains("60 MB");
        Self {
            work,
            file: if big { "big.deb" } else { "small.deb" },
            connections,
            depth,
            bar,
            unit: if big {
                Unit::MegabytesPerSecond
            } else {
                Unit::RequestsPerSecond
            },
        }
    }

    fn figure(&self, burst: &Burst) -> f64 {
        match self.unit {
            Unit::RequestsPerSecond => burst.requests / burst.seconds,
            _ => burst.bytes / burst.seconds / 1e6,
        }
    }
}

/// One of the two that are compared.
struct Side {
    load: Load,
    bursts: Vec<Burst>,
}

impl Side {
    fn new(spec: &Spec, address: SocketAddr, process: u32, path: &str) -> Self {
        let load = Load {
            address,
            process,
            path: path.to_owned(),
            request: client::request("GET", address, path),
            connections: spec.connections,
            depth: spec.depth,
        };
        Self {
            load,
            bursts: Vec::new(),
        }
    }

    fn burst(&mut self, options: &Options) {
        // What the server still does for the clients that just left is not this burst's.
        std::thread::sleep(Duration::from_millis(50));
        let burst = if options.wrk {
            wrk::burst(&self.load)
        } else {
            self.load.burst(options.burst)
        };
        self.bursts.push(burst);
    }

    /// How many cores a burst took: where the load takes all of its threads, the figures say more of it than of a server.
    fn cores(&self) -> String {
        let mean = |part: fn(&Burst) -> f64| {
            self.bursts.iter().map(part).sum::<f64>() / self.bursts.len() as f64
        };
        format!(
            "server {:.2}, load {:.2}",
            mean(|burst| burst.server),
            mean(|burst| burst.generator)
        )
    }
}

pub fn measure(bench: &Bench, work: Work) -> Row {
    let spec = Spec::of(work);
    let direct = format!("{POOL}/{}", spec.file);
    let path = format!("/{}{direct}", bench.nginx.address);
    bench.node.warm(&path);
    client::fetch(bench.nginx.address, &direct);

    let mut ours = Side::new(&spec, bench.node.address, bench.node.process(), &path);
    let mut theirs = Side::new(&spec, bench.nginx.address, bench.nginx.process(), &direct);
    for round in 0..bench.options.rounds {
        // Who goes first changes, so that a drift of the machine favours neither.
        let order = if round.is_multiple_of(2) {
            [&mut ours, &mut theirs]
        } else {
            [&mut theirs, &mut ours]
        };
        for side in order {
            side.burst(&bench.options);
        }
    }
    eprintln!(
        "  cores taken, aptmesh: {}; nginx: {}",
        ours.cores(),
        theirs.cores()
    );
    let pairs = ours.bursts.iter().zip(&theirs.bursts);
    let pairs = pairs
        .map(|(ours, theirs)| Pair::new(spec.figure(ours), spec.figure(theirs)))
        .collect();
    Row {
        name: work.name(),
        work: spec.work,
        bar: Bar::AtLeast(spec.bar),
        unit: spec.unit,
        pairs,
        note: String::new(),
    }
}
