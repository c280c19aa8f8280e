//! A copy of the database, whoever reads and writes it meanwhile.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::{DbError, unsigned};

/// A database file that is read only.
#[derive(Debug)]
pub struct Original(SqliteConnection);

impl Original {
    /// Opens it, whatever schema it has.
    ///
    /// # Errors
    /// Where there is none, or it can't be read.
    pub async fn open(path: &Path) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        Ok(Self(options.connect().await?))
    }

    /// Bytes that it takes; a copy takes no more.
    ///
    /// # Errors
    /// What `SQLite` says.
    pub async fn size(&mut self) -> Result<u64, DbError> {
        let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let size = sqlx::query_scalar(size).fetch_one(&mut self.0).await?;
        Ok(unsigned(size))
    }

    /// Writes what it holds at one moment to `to`, which is an empty file or
    /// none, as a database without a write-ahead log.
    ///
    /// # Errors
    /// What `SQLite` says; [`DbError::Damaged`] where the copy, and so the
    /// original, is not sound.
    pub async fn copy(mut self, to: &str) -> Result<(), DbError> {
        sqlx::query("VACUUM INTO ?")
            .bind(to)
            .execute(&mut self.0)
            .await?;
        self.0.close().await?;
        let Self(mut copy) = Self::open(Path::new(to)).await?;
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&mut copy)
            .await?;
        copy.close().await?;
        if found == "ok" {
            Ok(())
        } else {
            Err(DbError::Damaged(found))
        }
    }
}
