//! Rows of one large file that the cache does not hold yet.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Bench;
use crate::curl::{Download, download};
use crate::files::{BIG, POOL, noise};
use crate::paced::{Paced, start_of};
use crate::table::{Bar, Pair, Row, Unit};

/// One file fetched from its origin and through the node.
struct Run {
    direct: Download,
    ours: Download,
}

impl Run {
    fn total(&self) -> Pair {
        Pair::new(
            milliseconds(self.ours.total),
            milliseconds(self.direct.total),
        )
    }

    fn first_byte(&self) -> Pair {
        Pair::new(
            milliseconds(self.ours.first_byte),
            milliseconds(self.direct.first_byte),
        )
    }
}

/// From an origin that sends 250 MB/s: the whole time, and the first byte.
pub fn measure_paced(bench: &Bench) -> Vec<Row> {
    let origin = Paced::start();
    let runs: Vec<_> = rounds(bench)
        .map(|round| {
            let name = format!("paced-{round}-{}.deb", nonce());
            fetch_both(bench, origin.address, &name, round)
        })
        .collect();
    let row = |work, bar, pairs| Row {
        name: "cold-paced",
        work,
        bar,
        unit: Unit::Milliseconds,
        pairs,
        note: String::new(),
    };
    vec![
        row(
            "cold 60 MB file from an origin paced at 250 MB/s",
            Bar::AtMost(1.1),
            runs.iter().map(Run::total).collect(),
        ),
        row(
            "the same, first byte",
            Bar::Within(5.0),
            runs.iter().map(Run::first_byte).collect(),
        ),
    ]
}

/// From nginx on loopback, as fast as it goes.
pub fn measure_unpaced(bench: &Bench) -> Row {
    let mut content = noise(4, BIG);
    let pairs = rounds(bench)
        .map(|round| {
            let name = format!("unpaced-{round}-{}.deb", nonce());
            let start = start_of(&name);
            content[..start.len()].copy_from_slice(&start);
            let _file = bench.ground.passing_file(&name, &content);
            fetch_both(bench, bench.nginx.address, &name, round).total()
        })
        .collect();
    Row {
        name: "cold-unpaced",
        work: "the same, origin unpaced on loopback",
        bar: Bar::AtMost(2.5),
        unit: Unit::Milliseconds,
        pairs,
        note: String::new(),
    }
}

/// One download is a small sample: twice as many as there are bursts.
fn rounds(bench: &Bench) -> impl Iterator<Item = usize> {
    0..bench.options.rounds * 2
}

fn fetch_both(bench: &Bench, origin: SocketAddr, name: &str, round: usize) -> Run {
    let direct_path = format!("{POOL}/{name}");
    let path = format!("/{origin}{direct_path}");
    let direct = || download(origin, &direct_path);
    let ours = || {
        let ours = download(bench.node.address, &path);
        assert!(
            ours.cache_status.contains("fwd=miss"),
            "{path} was not cold"
        );
        bench.node.wait_until_cached(&path);
        ours
    };
    // Who goes first changes, so that a drift of the machine favours neither.
    if round.is_multiple_of(2) {
        let direct = direct();
        Run {
            direct,
            ours: ours(),
        }
    } else {
        let ours = ours();
        Run {
            direct: direct(),
            ours,
        }
    }
}

/// Makes names new in each run of a row, were it measured twice.
fn nonce() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
