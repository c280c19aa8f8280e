//! The `torrent` table: hashes of the pieces of files, as they are published.

use sqlx::SqliteConnection;

use super::file::hash;
use super::queue::Lease;
use super::{Db, DbError, begin, signed};

/// A torrent string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorrentRow {
    /// SHA-1 of `body`.
    pub sha1: [u8; 20],
    /// SHA-256 of the file.
    pub file: [u8; 32],
    /// Length of the file in bytes.
    pub size: u64,
    /// The bencoded dictionary.
    pub body: Vec<u8>,
}

/// A torrent string that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTorrent {
    /// SHA-256 of the file.
    pub file: [u8; 32],
    /// The bencoded dictionary.
    pub body: Vec<u8>,
    /// Whether the file has a row of `announcement`.
    pub is_announced: bool,
}

/// Two files of one torrent string would be a collision of SHA-1.
async fn insert(connection: &mut SqliteConnection, torrent: &TorrentRow) -> Result<(), DbError> {
    let (sha1, file) = (torrent.sha1.as_slice(), torrent.file.as_slice());
    let size = signed(torrent.size);
    sqlx::query!(
        "INSERT INTO torrent (sha1, file, size, body) VALUES (?, ?, ?, ?)
         ON CONFLICT (sha1) DO NOTHING",
        sha1,
        file,
        size,
        torrent.body
    )
    .execute(connection)
    .await?;
    Ok(())
}

impl Db {
    /// Keeps a torrent string and notes at the announcement of its file that
    /// this is the one.
    ///
    /// # Errors
    /// When the database refuses; then it is not kept.
    pub async fn keep_torrent(&self, claim: &Lease, torrent: &TorrentRow) -> Result<(), DbError> {
        let sha1 = torrent.sha1.as_slice();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        insert(&mut tx, torrent).await?;
        sqlx::query!(
            "UPDATE announcement SET torrent = ? WHERE file_id = ? AND lease = ?",
            sha1,
            claim.id,
            claim.lease
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Keeps the torrent string of a file in the store.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_torrent(&self, torrent: &TorrentRow) -> Result<(), DbError> {
        insert(&mut *self.writer().await, torrent).await
    }

    /// The torrent string of a file, by the file's SHA-256.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn torrent_of(&self, file: &[u8; 32]) -> Result<Option<Vec<u8>>, DbError> {
        let file = file.as_slice();
        let body = sqlx::query_scalar!("SELECT body FROM torrent WHERE file = ?", file)
            .fetch_optional(self.reader())
            .await?;
        Ok(body)
    }

    /// The torrent string with this hash, of a file that is in the store.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn shared_torrent(&self, sha1: [u8; 20]) -> Result<Option<SharedTorrent>, DbError> {
        let wanted = sha1.as_slice();
        let row = sqlx::query!(
            r#"SELECT torrent.file, body,
                      EXISTS (SELECT 1 FROM announcement WHERE file_id = file.id)
                          AS "is_announced!: bool"
               FROM torrent JOIN file ON sha256 = torrent.file WHERE sha1 = ?"#,
            wanted
        )
        .fetch_optional(self.reader())
        .await?;
        let read = row.map(|row| {
            Ok(SharedTorrent {
                file: hash(&row.file)?,
                body: row.body,
                is_announced: row.is_announced,
            })
        });
        read.transpose()
    }

    /// Forgets the torrent strings of files that are not in the store any
    /// more. Answers how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_torrents(&self) -> Result<u64, DbError> {
        let gone = sqlx::query!(
            "DELETE FROM torrent WHERE NOT EXISTS (SELECT 1 FROM file WHERE sha256 = torrent.file)"
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(gone.rows_affected())
    }
}
