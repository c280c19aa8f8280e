//! Rows of lists that the node reads: a first generation, and the next ones.

use std::fs;
use std::time::{Duration, Instant};

use crate::Bench;
use crate::archive::{Archive, Form};
use crate::client;
use crate::files::POOL;
use crate::node::Node;
use crate::steady::Steady;
use crate::table::{Bar, Pair, Row, Unit, median, percentile};
use crate::usage;

/// A run takes seconds: so many are enough.
const MOST_RUNS: usize = 5;

/// How often the node is asked how far it is.
const LOOK: Duration = Duration::from_millis(10);

/// One reading of a generation.
struct Reading {
    seconds: f64,
    /// What the node's resident memory grew by, at the peak.
    growth: f64,
    /// The part of that that is no mapped file, as far as it was seen.
    anonymous: f64,
    /// Of the hits that were due meanwhile, in milliseconds.
    hits: Vec<f64>,
    /// From before the first request, in seconds.
    from_asked: f64,
    /// What the node computed in that time, in seconds of one core.
    on_cpu: f64,
}

impl Reading {
    /// Has a node read the newest generation: the time counts from when `cause` returns.
    fn observe(bench: &Bench, node: &Node, archive: &Archive, cause: impl FnOnce()) -> Self {
        let hot = format!("/{}{POOL}/small.deb", bench.nginx.address);
        node.warm(&hot);
        let steady = Steady::start(node.address, hot);
        std::thread::sleep(Duration::from_millis(200));

        let before = node.memory();
        node.forget_peak();
        let cpu = usage::tree(node.process());
        let asked = Instant::now();
        cause();
        let begin = Instant::now();
        let mut anonymous = 0.0_f64;
        wait_until_read(node, archive, || {
            anonymous = anonymous.max(node.memory().anonymous - before.anonymous);
        });
        let end = Instant::now();
        let peak = node.memory().peak;
        let on_cpu = usage::tree(node.process()) - cpu;

        let hits = steady.finish().into_iter();
        Self {
            seconds: (end - begin).as_secs_f64(),
            growth: peak - before.resident,
            anonymous,
            hits: hits
                .filter(|hit| (begin..end).contains(&hit.due))
                .map(|hit| hit.took.as_secs_f64() * 1e3)
                .collect(),
            from_asked: (end - asked).as_secs_f64(),
            on_cpu,
        }
    }

    fn p99(&self) -> f64 {
        percentile(self.hits.clone(), 0.99)
    }
}

/// Time, memory and other clients' hits.
pub fn measure_first(bench: &Bench) -> Vec<Row> {
    let archive = Archive::new(bench);
    let runs: Vec<Reading> = (0..runs(bench))
        .map(|run| first(bench, &archive, run))
        .collect();
    let alone =
        |figure: fn(&Reading) -> f64| runs.iter().map(|run| Pair::alone(figure(run))).collect();
    let all_hits: Vec<f64> = runs.iter().flat_map(|run| run.hits.clone()).collect();
    let note = format!(
        "{} runs; {} stanzas, from the last byte of Packages.xz until all are in rows; {:.2} s of one core from before \
         Release was asked for",
        runs.len(),
        archive.list.paths().count(),
        median(runs.iter().map(|run| run.on_cpu).collect())
    );
    vec![
        Row {
            name: "index-first",
            work: "63,000 new packages of a list in rows",
            bar: Bar::AtMostAbsolute(3.0),
            unit: Unit::Seconds,
            pairs: alone(|run| run.seconds),
            note,
        },
        Row {
            name: "index-memory",
            work: "peak of memory above that of before",
            bar: Bar::AtMostAbsolute(100.0),
            unit: Unit::Megabytes,
            pairs: alone(|run| run.growth),
            note: format!(
                "from before Release was asked for; {:.1} MB of it anonymous memory",
                median(runs.iter().map(|run| run.anonymous).collect())
            ),
        },
        Row {
            name: "index-hits-p99",
            work: "hits on a 50 KB file meanwhile, 99 of 100",
            bar: Bar::AtMostAbsolute(20.0),
            unit: Unit::Milliseconds,
            pairs: alone(Reading::p99),
            note: format!(
                "200 a second on one connection: {} in all, {:.2} ms at the median, {:.2} ms at most",
                all_hits.len(),
                percentile(all_hits.clone(), 0.5),
                percentile(all_hits.clone(), 1.0)
            ),
        },
    ]
}

fn first(bench: &Bench, archive: &Archive, run: usize) -> Reading {
    let folder = bench.ground.folder(&format!("index-{run}"));
    let node = Node::start(&folder);
    let reading = Reading::observe(bench, &node, archive, || fetch(&node, archive));
    drop(node);
    let _ = fs::remove_dir_all(folder);
    reading
}

/// A node that has read the first generation reads the next ones.
pub fn measure_next(bench: &Bench, form: Form) -> Row {
    let mut archive = Archive::new(bench);
    let folder = bench.ground.folder("index-next");
    let node = Node::start(&folder);
    read_first(&node, &archive);
    let readings: Vec<Reading> = (0..runs(bench))
        .map(|_| {
            archive.advance(form);
            // The node has what its clients use before it tells them of the generation.
            Reading::observe(bench, &node, &archive, || {
                client::fetch(node.address, &archive.release());
            })
        })
        .collect();
    drop(node);
    let _ = fs::remove_dir_all(folder);
    let (name, work) = match form {
        Form::Whole => ("index-next", "the next generation, 200 packages changed"),
        Form::Patch => ("index-next-pdiff", "the same by a patch"),
    };
    let median = |figure: fn(&Reading) -> f64| median(readings.iter().map(figure).collect());
    Row {
        name,
        work,
        bar: Bar::AtMostAbsolute(1.0),
        unit: Unit::Seconds,
        pairs: readings
            .iter()
            .map(|reading| Pair::alone(reading.seconds))
            .collect(),
        note: format!(
            "{} runs; from the last byte of Release until all is in rows; {:.2} s from before it was asked for, {:.2} s of one \
             core; peak of \
             memory {:.1} MB above that of before; 99 of 100 hits within {:.2} ms",
            readings.len(),
            median(|reading| reading.from_asked),
            median(|reading| reading.on_cpu),
            median(|reading| reading.growth),
            median(Reading::p99)
        ),
    }
}

/// As a client causes it.
pub fn read_first(node: &Node, archive: &Archive) {
    fetch(node, archive);
    wait_until_read(node, archive, || {});
}

fn fetch(node: &Node, archive: &Archive) {
    client::fetch(node.address, &archive.release());
    client::fetch(node.address, &archive.packages());
}

/// Waits until the rows are those of the newest generation, whose count no other has.
fn wait_until_read(node: &Node, archive: &Archive, mut meanwhile: impl FnMut()) {
    let wanted = archive.list.paths().count();
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let status = client::json(node.address, "/api/status");
        let read = &status["index"]["packages"];
        if *read == wanted {
            return;
        }
        assert!(
            Instant::now() < end,
            "{read} of {wanted} packages are in rows:\n{}",
            node.log()
        );
        meanwhile();
        std::thread::sleep(LOOK);
    }
}

fn runs(bench: &Bench) -> usize {
    bench.options.rounds.min(MOST_RUNS)
}
