//! A node's database, beside the node.

use super::Node;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};

/// Does something with the database of a node that may run, or was never started.
#[track_caller]
pub fn with_database<F, T>(node: &Node, work: impl FnOnce(SqliteConnection) -> F) -> T
where
    F: Future<Output = sqlx::Result<T>>,
{
    std::fs::create_dir_all(node.data_dir()).unwrap();
    let options = SqliteConnectOptions::new()
        .filename(node.data_dir().join("aptmesh.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let done = runtime.block_on(async { work(options.connect().await?).await });
    done.unwrap()
}
