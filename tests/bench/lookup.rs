//! Rows of what a path must be: the library's own answer, in this process, on what a node left.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use aptmesh::clock::SystemClock;
use aptmesh::config::{Config, Sources};
use aptmesh::core::Core;
use aptmesh::debian::url::RepoUrl;
use aptmesh::node::open_core;

use crate::Bench;
use crate::archive::Archive;
use crate::files::Noise;
use crate::index::read_first;
use crate::node::{CONFIG, Node};
use crate::table::{Bar, Pair, Row, Unit, percentile};

/// Paths a round, all of which memory holds.
const PATHS: usize = 5000;

/// One round, each in microseconds a path.
struct Round {
    /// The first time.
    cold: Vec<f64>,
    /// Once more.
    hot: Vec<f64>,
    /// The statement alone.
    rows: Vec<f64>,
}

pub fn measure(bench: &Bench) -> Vec<Row> {
    let archive = Archive::new(bench);
    let folder = bench.ground.folder("lookup");
    let node = Node::start(&folder);
    read_first(&node, &archive);
    drop(node);

    let sources = Sources {
        file: Some(folder.join(CONFIG)),
        ..Sources::default()
    };
    let config = Config::load(&sources).unwrap();
    // As the daemon's own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let rounds: Vec<Round> = (0..bench.options.rounds)
        .map(|round| {
            let paths = some_paths(&archive, round as u64);
            runtime.block_on(async {
                let (core, _) = open_core(&config, Arc::new(SystemClock)).await.unwrap();
                let round = look_up(&core, &archive.root(), &paths).await;
                core.db.close().await;
                round
            })
        })
        .collect();
    let _ = fs::remove_dir_all(folder);

    let row = |name, work, bar, figure: fn(&Round) -> &Vec<f64>, note: String| {
        let all: Vec<f64> = rounds.iter().flat_map(figure).copied().collect();
        Row {
            name,
            work,
            bar: Bar::AtMostAbsolute(bar),
            unit: Unit::Microseconds,
            pairs: rounds
                .iter()
                .map(|round| Pair::alone(percentile(figure(round).clone(), 0.5)))
                .collect(),
            note: format!(
                "{} runs of {PATHS} paths; 99 of 100 within {:.1} µs{note}",
                rounds.len(),
                percentile(all, 0.99)
            ),
        }
    };
    let statements: Vec<f64> = rounds.iter().flat_map(|round| round.rows.clone()).collect();
    let statement = format!(
        "; the statement alone {:.1} µs",
        percentile(statements, 0.5)
    );
    vec![
        row(
            "lookup-hot",
            "what a path must be, asked before",
            10.0,
            |round| &round.hot,
            String::new(),
        ),
        row(
            "lookup-cold",
            "the same, from rows",
            200.0,
            |round| &round.cold,
            statement,
        ),
    ]
}

/// Different ones each round, none of them twice.
fn some_paths(archive: &Archive, seed: u64) -> Vec<String> {
    let mut paths: Vec<&str> = archive.list.paths().collect();
    let mut noise = Noise::new(100 + seed);
    let picked = (0..PATHS).map(|_| {
        let at = noise.below(paths.len());
        paths.swap_remove(at).to_owned()
    });
    picked.collect()
}

async fn look_up(core: &Core, root: &str, paths: &[String]) -> Round {
    let urls: Vec<RepoUrl> = paths
        .iter()
        .map(|path| RepoUrl::parse(&format!("http://{root}{path}")).unwrap())
        .collect();
    let mut round = Round {
        cold: Vec::new(),
        hot: Vec::new(),
        rows: Vec::new(),
    };
    for figures in [&mut round.cold, &mut round.hot] {
        for url in &urls {
            let begin = Instant::now();
            let claim = core.claim(url).await.unwrap();
            figures.push(begin.elapsed().as_secs_f64() * 1e6);
            assert_eq!(claim.sure().len(), 1, "{}: {claim:?}", url.key());
        }
    }
    let speakers = core.truth.book.speakers_of(urls.first().unwrap().key());
    let suites = &speakers.first().unwrap().suites;
    for path in paths {
        let begin = Instant::now();
        let found = core.db.packages_at(suites, path).await.unwrap();
        round.rows.push(begin.elapsed().as_secs_f64() * 1e6);
        assert_eq!(found.len(), 1, "{path}");
    }
    round
}
