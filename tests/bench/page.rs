//! Rows of the status of a node that has much to tell of.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::Bench;
use crate::client::Connection;
use crate::files::{Noise, POOL};
use crate::node::Node;
use crate::table::{Bar, Pair, Row, Unit, median, percentile};
use crate::usage;

/// Requests a round.
const REQUESTS: usize = 30;

/// Fills the database of a node that was never asked anything: 100,000 files with their addresses,
/// all of them published, 200 peers, some with wrong bytes, 100 clients of each face, a year of
/// traffic, twelve suites with two generations of 700 indexes each, and 50 refusals. There are no
/// bodies, and nobody asks for them.
const MUCH: &str = include_str!("much.sql");

pub fn measure(bench: &Bench) -> Vec<Row> {
    let folder = bench.ground.folder("page");
    drop(Node::start(&folder));
    fill(&folder.join("data/aptmesh.db"));
    let node = Node::start(&folder);
    let rows = [
        ("page", "/", "the status page, 100,000 files and 200 peers"),
        ("page-json", "/api/status", "the same as JSON"),
    ];
    let rows = rows.map(|(name, path, work)| row(bench, &node, name, path, work));
    drop(node);
    let _ = fs::remove_dir_all(folder);
    rows.into()
}

/// Gives a node that does not run much to tell of.
pub fn fill(database: &Path) {
    let options = SqliteConnectOptions::new().filename(database);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut rows = options.connect().await.unwrap();
        sqlx::raw_sql(MUCH).execute(&mut rows).await.unwrap();
        rows.close().await.unwrap();
    });
}

/// Time to the last byte on a kept connection, beside nginx with a file of that size.
fn row(bench: &Bench, node: &Node, name: &'static str, path: &str, work: &'static str) -> Row {
    let mut body = Vec::new();
    let mut connection = Connection::open(node.address).unwrap();
    connection.send("GET", path, &mut body).unwrap();
    let size = body.len();
    let mut noise = Noise::new(300);
    body.fill_with(|| noise.word().to_le_bytes()[0]);
    let _file = bench.ground.passing_file("page.deb", &body);
    let mut ours = Side::new(node.address, node.process(), path.to_owned());
    let rival = format!("{POOL}/page.deb");
    let mut theirs = Side::new(bench.nginx.address, bench.nginx.process(), rival);
    for round in 0..bench.options.rounds {
        if round.is_multiple_of(2) {
            ours.ask();
            theirs.ask();
        } else {
            theirs.ask();
            ours.ask();
        }
    }
    let all: Vec<f64> = ours.rounds.concat();
    let cpu = ours.server * 1e3 / all.len() as f64;
    let pairs = ours.rounds.into_iter().zip(theirs.rounds);
    Row {
        name,
        work,
        bar: Bar::AtMostAbsolute(20.0),
        unit: Unit::Milliseconds,
        pairs: pairs
            .map(|(ours, theirs)| Pair::new(median(ours), median(theirs)))
            .collect(),
        note: format!(
            "{} requests for {size} bytes, {cpu:.1} ms of CPU time each; 99 of 100 within {:.1} ms",
            all.len(),
            percentile(all, 0.99)
        ),
    }
}

/// One of the two that are compared.
struct Side {
    connection: Connection,
    process: u32,
    path: String,
    /// CPU time of the server, in seconds.
    server: f64,
    /// Milliseconds of each request.
    rounds: Vec<Vec<f64>>,
}

impl Side {
    fn new(address: SocketAddr, process: u32, path: String) -> Self {
        Self {
            connection: Connection::open(address).unwrap(),
            process,
            path,
            server: 0.0,
            rounds: Vec::new(),
        }
    }

    fn ask(&mut self) {
        let before = usage::tree(self.process);
        let times = (0..REQUESTS).map(|_| {
            let begin = Instant::now();
            let answer = self
                .connection
                .send("GET", &self.path, &mut std::io::sink());
            answer.unwrap();
            begin.elapsed().as_secs_f64() * 1e3
        });
        self.rounds.push(times.collect());
        self.server += usage::tree(self.process) - before;
    }
}
