//! The only place with SQL: one file a table, a pool of readers, one writer.
//!
//! `SQLite` lets one connection write at a time and fails a read-then-write in a
//! plain `BEGIN` under contention whatever `busy_timeout` says, so all writing
//! goes through the one writer connection, and every transaction on it starts
//! with `BEGIN IMMEDIATE`.

pub mod announcement;
pub mod backup;
pub mod dht;
pub mod dht_node;
pub mod dht_secret;
pub mod dht_value;
pub mod download;
pub mod file;
pub mod hash_error;
pub mod list;
pub mod mirror;
pub mod neighbour;
pub mod node;
pub mod patch;
pub mod peer;
pub mod piece;
pub mod port_mapping;
pub mod queue;
pub mod refusal;
pub mod release;
pub mod suite;
pub mod torrent;
pub mod traffic;
pub mod url;
pub mod view;
pub mod visitor;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous, SqliteTransaction,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

/// Readers at once; a lookup takes about 100 µs.
const READERS: u32 = 4;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// `SQLite` refused a statement: the disk is full, or the file is damaged.
    #[error("the database refused: {0}")]
    Sql(#[from] sqlx::Error),
    /// The database was made by a later release.
    #[error(
        "{file} has schema {found}, and this aptmesh knows none after {known}: run the newer release that made it, or restore a backup of before"
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Number of its latest migration.
        found: i64,
        /// Number of our latest.
        known: i64,
    },
    /// A migration failed; the old schema stands unchanged.
    #[error("the database could not be brought up to date: {0}")]
    Migrate(MigrateError),
    /// `SQLite` found what can't be.
    #[error("the database is damaged ({0})")]
    Damaged(String),
    /// A row that breaks its own table's promise.
    #[error("the row of {0} is damaged")]
    Row(String),
}

/// The node's database.
#[derive(Debug)]
pub struct Db {
    readers: SqlitePool,
    writer: Mutex<SqliteConnection>,
}

impl Db {
    /// Opens the database file, makes it where there is none, and brings its
    /// schema up to date.
    ///
    /// # Errors
    /// [`DbError::Newer`] for a schema of a later release, else what `SQLite` says.
    pub async fn open(path: &Path) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let mut writer = options.connect().await?;
        migrate(&mut writer, path).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        Ok(Self {
            readers,
            writer: Mutex::new(writer),
        })
    }

    /// Where statements that only read run.
    pub(crate) const fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    /// The one writer. A single statement on it is its own transaction.
    pub(crate) async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        self.writer.lock().await
    }

    /// From now on the database refuses every change, or none any more.
    #[cfg(test)]
    pub(crate) async fn refuse_changes(&self, all: bool) {
        let pragma = if all {
            "PRAGMA query_only = ON"
        } else {
            "PRAGMA query_only = OFF"
        };
        sqlx::raw_sql(pragma)
            .execute(&mut *self.writer().await)
            .await
            .unwrap();
    }

    /// From now on the database does not tell who the node is.
    #[cfg(test)]
    pub(crate) async fn refuse_pings(&self) {
        sqlx::raw_sql("ALTER TABLE node RENAME TO gone")
            .execute(&mut *self.writer().await)
            .await
            .unwrap();
    }

    /// Folds the write-ahead log into the database file: the last step of a
    /// clean stop, after which nothing is to be read or written.
    pub async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer().await;
        let folded = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut *writer)
            .await;
        if let Err(error) = folded {
            tracing::debug!(%error, "the write-ahead log stays for the next start");
        }
    }
}

/// Brings the schema up to date, each step in a transaction of its own.
async fn migrate(writer: &mut SqliteConnection, file: &Path) -> Result<(), DbError> {
    let applied = "SELECT max(version) FROM _sqlx_migrations";
    // A database without that table is new.
    let before: Option<i64> = sqlx::query_scalar(applied)
        .fetch_one(&mut *writer)
        .await
        .unwrap_or_default();
    let known = MIGRATIONS
        .iter()
        .map(|step| step.version)
        .max()
        .unwrap_or(0);
    match before {
        Some(found) if found > known => {
            let file = file.to_owned();
            return Err(DbError::Newer { file, found, known });
        }
        Some(found) if found < known => {
            tracing::info!("the database is brought from schema {found} to {known}");
        }
        _ => {}
    }
    MIGRATIONS.run(writer).await.map_err(DbError::Migrate)
}

/// A transaction that takes `SQLite`'s write lock at once.
pub(crate) async fn begin(writer: &mut SqliteConnection) -> Result<SqliteTransaction<'_>, DbError> {
    Ok(writer.begin_with("BEGIN IMMEDIATE").await?)
}

/// A count or size from a row, where the schema forbids negative numbers.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A count or size for a row; beyond what `SQLite` can hold it stands at the limit.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
