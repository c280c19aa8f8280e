//! The `file` table: whole bodies in the store.

use super::{Db, DbError, begin, signed, unsigned};
use crate::clock::Millis;
use crate::debian::naming::to_hex;

/// A body in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Row id.
    pub id: i64,
    /// The hash of its bytes, and its name on disk.
    pub sha256: [u8; 32],
    /// Length in bytes.
    pub size: u64,
}

/// How much is cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of bodies.
    pub files: u64,
    /// Sum of their lengths in bytes.
    pub bytes: u64,
}

/// A body as the status tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStatus {
    /// The hash of its bytes.
    pub sha256: [u8; 32],
    /// The first address that it came to answer for, where there is one.
    pub url: Option<String>,
    /// Length in bytes.
    pub size: u64,
    /// When it came.
    pub added_at: Millis,
    /// When it was last used, seconds behind.
    pub last_use: Millis,
}

/// What the status tells of bodies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesStatus {
    /// How many there are.
    pub files: u64,
    /// When the body that went unused for longest was last used, of those that
    /// may be evicted.
    pub least_recent_use: Option<Millis>,
    /// The largest first.
    pub largest: Vec<FileStatus>,
    /// The latest first.
    pub latest: Vec<FileStatus>,
}

pub(super) fn hash(bytes: &[u8]) -> Result<[u8; 32], DbError> {
    bytes.try_into().map_err(|_| DbError::Row("file".into()))
}

struct StatusRow {
    sha256: Vec<u8>,
    url: Option<String>,
    size: i64,
    added_at: Millis,
    last_use: Millis,
}

impl TryFrom<StatusRow> for FileStatus {
    type Error = DbError;

    fn try_from(row: StatusRow) -> Result<Self, DbError> {
        Ok(Self {
            sha256: hash(&row.sha256)?,
            url: row.url,
            size: unsigned(row.size),
            added_at: row.added_at,
            last_use: row.last_use,
        })
    }
}

impl Db {
    /// Counts bodies and bytes. Reads the whole table: not for a hot path.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn file_totals(&self) -> Result<Totals, DbError> {
        let row = sqlx::query!(
            r#"SELECT count(*) AS "files!: i64", coalesce(sum(size), 0) AS "bytes!: i64" FROM file"#
        )
        .fetch_one(self.reader())
        .await?;
        Ok(Totals {
            files: unsigned(row.files),
            bytes: unsigned(row.bytes),
        })
    }

    /// What the status tells of bodies, with up to `limit` of the largest and
    /// of the latest; an index goes by the path that its Release gives it, for
    /// its address is a hash. All but the count takes as long with many as with
    /// few; counting reads the pages of an index, a hundredth of a millisecond for
    /// 100,000. The sum of bytes would take the table itself: the store's account
    /// tells it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn files_status(&self, limit: i64) -> Result<FilesStatus, DbError> {
        let totals = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM file) AS "files!: i64",
                      (SELECT min(last_use) FROM file WHERE pinned = 0) AS "least_recent_use: i64""#
        )
        .fetch_one(self.reader())
        .await?;
        let largest = sqlx::query_as!(
            StatusRow,
            r#"SELECT sha256, size, added_at, last_use,
                      coalesce(
                          (SELECT folder || index_file.path FROM index_file
                           JOIN release ON release.id = index_file.release_id
                           JOIN suite ON suite.id = release.suite_id
                           WHERE index_file.hash = sha256 LIMIT 1),
                          (SELECT url FROM url WHERE file_id = file.id ORDER BY id LIMIT 1)) AS "url: String"
               FROM file ORDER BY size DESC LIMIT ?"#,
            limit
        )
        .fetch_all(self.reader())
        .await?;
        // A new row's id is larger than all there are.
        let latest = sqlx::query_as!(
            StatusRow,
            r#"SELECT sha256, size, added_at, last_use,
                      coalesce(
                          (SELECT folder || index_file.path FROM index_file
                           JOIN release ON release.id = index_file.release_id
                           JOIN suite ON suite.id = release.suite_id
                           WHERE index_file.hash = sha256 LIMIT 1),
                          (SELECT url FROM url WHERE file_id = file.id ORDER BY id LIMIT 1)) AS "url: String"
               FROM file ORDER BY id DESC LIMIT ?"#,
            limit
        )
        .fetch_all(self.reader())
        .await?;
        let status = |rows: Vec<StatusRow>| -> Result<Vec<_>, DbError> {
            rows.into_iter().map(FileStatus::try_from).collect()
        };
        Ok(FilesStatus {
            files: unsigned(totals.files),
            least_recent_use: totals.least_recent_use,
            largest: status(largest)?,
            latest: status(latest)?,
        })
    }

    /// Adds a body that lies whole in the store and is named by no address
    /// (an import). Answers whether it is new.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_file(
        &self,
        sha256: [u8; 32],
        size: u64,
        now: Millis,
    ) -> Result<bool, DbError> {
        let (hash, size) = (sha256.as_slice(), signed(size));
        let added = sqlx::query!(
            "INSERT INTO file (sha256, size, added_at, last_use) VALUES (?, ?, ?, ?)
             ON CONFLICT (sha256) DO NOTHING",
            hash,
            size,
            now,
            now
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// The body with this hash.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn file_by_hash(&self, sha256: [u8; 32]) -> Result<Option<FileRow>, DbError> {
        let wanted = sha256.as_slice();
        let row = sqlx::query!(
            r#"SELECT id AS "id!", size FROM file WHERE sha256 = ?"#,
            wanted
        )
        .fetch_optional(self.reader())
        .await?;
        Ok(row.map(|row| FileRow {
            id: row.id,
            sha256,
            size: unsigned(row.size),
        }))
    }

    /// Up to `limit` bodies with ids above `after`, in order of id.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn files_after(&self, after: i64, limit: i64) -> Result<Vec<FileRow>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT id AS "id!", sha256, size FROM file WHERE id > ? ORDER BY id LIMIT ?"#,
            after,
            limit
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(FileRow {
                    id: row.id,
                    sha256: hash(&row.sha256)?,
                    size: unsigned(row.size),
                })
            })
            .collect()
    }

    /// Up to `limit` bodies that may be evicted, least recently used first,
    /// after the first `skip`. Where `indexes` are spared, none that a kept
    /// generation lists, or that a list was read from.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn least_recently_used(
        &self,
        limit: i64,
        skip: i64,
        spare_indexes: bool,
    ) -> Result<Vec<FileRow>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT id AS "id!", sha256, size FROM file WHERE pinned = 0
               AND NOT (?3 AND (EXISTS (SELECT 1 FROM index_file WHERE hash = sha256)
                                OR EXISTS (SELECT 1 FROM list WHERE body = sha256)
                                OR EXISTS (SELECT 1 FROM release WHERE inrelease = sha256)
                                OR EXISTS (SELECT 1 FROM release WHERE release = sha256)
                                OR EXISTS (SELECT 1 FROM release WHERE signature = sha256)))
               ORDER BY last_use, id LIMIT ?1 OFFSET ?2"#,
            limit,
            skip,
            spare_indexes
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(FileRow {
                    id: row.id,
                    sha256: hash(&row.sha256)?,
                    size: unsigned(row.size),
                })
            })
            .collect()
    }

    /// Forgets bodies and, with them, the addresses they answered for.
    /// Answers those addresses, and the ids of the bodies that were there.
    ///
    /// # Errors
    /// When the database refuses; then none is forgotten.
    pub async fn forget_files(
        &self,
        files: &[FileRow],
    ) -> Result<(Vec<String>, Vec<i64>), DbError> {
        // By id and hash, for SQLite gives the id of a deleted row again.
        let pairs: Vec<_> = files
            .iter()
            .map(|file| (file.id, to_hex(&file.sha256)))
            .collect();
        let pairs = serde_json::to_string(&pairs).unwrap_or_default();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        let urls = sqlx::query_scalar!(
            "DELETE FROM url WHERE file_id IN (
                 SELECT file.id FROM file, json_each(?)
                 WHERE file.id = value ->> 0 AND sha256 = unhex(value ->> 1)) RETURNING url",
            pairs
        )
        .fetch_all(&mut *tx)
        .await?;
        let gone = sqlx::query_scalar!(
            r#"DELETE FROM file WHERE id IN (
                 SELECT file.id FROM file, json_each(?)
                 WHERE file.id = value ->> 0 AND sha256 = unhex(value ->> 1)) RETURNING id AS "id!""#,
            pairs
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok((urls, gone))
    }

    /// Writes when files were last used.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn touch_files(&self, uses: &[(i64, Millis)]) -> Result<(), DbError> {
        if uses.is_empty() {
            return Ok(());
        }
        let uses = serde_json::to_string(uses).unwrap_or_default();
        sqlx::query!(
            "UPDATE file SET last_use = max(last_use, used.at)
             FROM (SELECT value ->> 0 AS id, value ->> 1 AS at FROM json_each(?)) AS used
             WHERE file.id = used.id",
            uses
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// Which of these hashes have no row.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unknown_hashes(&self, hex: &[String]) -> Result<Vec<String>, DbError> {
        let hex = serde_json::to_string(hex).unwrap_or_default();
        let rows = sqlx::query_scalar!(
            r#"SELECT CAST(value AS TEXT) AS "hex!: String" FROM json_each(?)
               WHERE NOT EXISTS (SELECT 1 FROM file WHERE sha256 = unhex(value))"#,
            hex
        )
        .fetch_all(self.reader())
        .await?;
        Ok(rows)
    }
}
