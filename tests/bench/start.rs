//! From the start of the process to its first answer, with much in the cache and nothing of it in memory.

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::Bench;
use crate::node::Node;
use crate::page;
use crate::table::{Bar, Pair, Row, Unit};

pub fn measure(bench: &Bench) -> Row {
    let folder = bench.ground.folder("start");
    drop(Node::start(&folder));
    let data = folder.join("data");
    page::fill(&data.join("aptmesh.db"));
    let files = make_bodies(&data);
    let mut is_cold = true;
    let start = |_| {
        is_cold &= forget_pages();
        let begin = Instant::now();
        let node = Node::start(&folder);
        let took = begin.elapsed().as_secs_f64();
        drop(node);
        Pair::alone(took)
    };
    let pairs = (0..bench.options.rounds).map(start).collect();
    let _ = fs::remove_dir_all(folder);
    let pages = if is_cold {
        "the page cache was emptied before each"
    } else {
        "with a warm page cache, since emptying it takes root"
    };
    Row {
        name: "start",
        work: "start to first answer, 100,000 cached files",
        bar: Bar::AtMostAbsolute(1.0),
        unit: Unit::Seconds,
        pairs,
        note: format!("{files} files on disk, {pages}"),
    }
}

/// Puts a body of the right length at the place of each row, and tells how many.
fn make_bodies(data: &Path) -> usize {
    let options = SqliteConnectOptions::new().filename(data.join("aptmesh.db"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rows: Vec<(String, i64)> = runtime.block_on(async {
        let mut rows = options.connect().await.unwrap();
        let statement = "SELECT lower(hex(sha256)), size FROM file";
        let found = sqlx::query_as(statement).fetch_all(&mut rows).await;
        rows.close().await.unwrap();
        found.unwrap()
    });
    for (hash, size) in &rows {
        let folder = data.join("files").join(&hash[..2]);
        fs::create_dir_all(&folder).unwrap();
        let body = File::create(folder.join(hash)).unwrap();
        body.set_len(u64::try_from(*size).unwrap()).unwrap();
    }
    rows.len()
}

/// Whether the kernel let go of what it keeps of files.
fn forget_pages() -> bool {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
