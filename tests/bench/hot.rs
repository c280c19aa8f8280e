//! Rows of files that the cache holds.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Bench;
use crate::client;
use crate::files::POOL;
use crate::load::{Burst, Load};
use crate::options::Work;
use crate::table::{Bar, Pair, Row, Unit};

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
            connections: spec.connections,
            depth: spec.depth,
        };
        Self {
            load,
            bursts: Vec::new(),
        }
    }

    fn burst(&mut self) {
        // What the server still does for the clients that just left is not this burst's.
        std::thread::sleep(Duration::from_millis(50));
        self.bursts.push(self.load.burst());
    }

    /// How many cores the server took.
    fn cores(&self) -> f64 {
        self.bursts.iter().map(|burst| burst.server).sum::<f64>() / self.bursts.len() as f64
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
            side.burst();
        }
    }
    eprintln!(
        "  cores taken, aptmesh: {:.2}; nginx: {:.2}",
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
