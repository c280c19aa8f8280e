//! The `url` table: addresses and the files that answer for them.

use super::{Db, DbError, begin, file::hash, signed, unsigned};
use crate::clock::Millis;
use crate::debian::digest::Digest;
use crate::validators::Validators;

/// An address with its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlRow {
    /// Canonical address.
    pub url: String,
    /// Row id of the file.
    pub file_id: i64,
    /// The file's hash.
    pub sha256: [u8; 32],
    /// The file's length in bytes.
    pub size: u64,
    /// What was said of it.
    pub validators: Validators,
    /// When the origin last said that this is current.
    pub checked_at: Millis,
    /// For a file below `pool/`: when an index of its archive last changed,
    /// for a file that was republished comes with one. 0: never.
    pub index_changed_at: Millis,
    /// The hash that it was verified against, where that was not SHA-256.
    pub proof: Option<Digest>,
}

impl Db {
    /// The file that answers for an address.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn find_url(&self, url: &str) -> Result<Option<UrlRow>, DbError> {
        let (indexes, after_indexes) = indexes_of(url);
        let row = sqlx::query!(
            r#"SELECT url, file_id, sha256, size, etag, last_modified, content_type,
                      upstream_etag, upstream_last_modified, checked_at, proof,
                      (SELECT max(changed_at) FROM url AS other
                       WHERE changed_at IS NOT NULL AND other.url > ? AND other.url < ?) AS "index_changed_at: i64"
               FROM url JOIN file ON file.id = file_id WHERE url = ?"#,
            indexes,
            after_indexes,
            url
        )
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| {
            Ok(UrlRow {
                url: row.url,
                file_id: row.file_id,
                sha256: hash(&row.sha256)?,
                size: unsigned(row.size),
                validators: Validators {
                    etag: row.etag,
                    last_modified: row.last_modified,
                    content_type: row.content_type,
                    upstream_etag: row.upstream_etag,
                    upstream_last_modified: row.upstream_last_modified,
                },
                checked_at: row.checked_at,
                index_changed_at: row.index_changed_at.unwrap_or(0),
                proof: row.proof.and_then(|bytes| Digest::from_bytes(&bytes)),
            })
        })
        .transpose()
    }

    /// From now on an address answers with a file that is already here. Where
    /// it does already, what is told of it is only ever dated later.
    ///
    /// # Errors
    /// When the database refuses, for instance because the file was just evicted.
    pub async fn name_file(
        &self,
        url: &str,
        file_id: i64,
        said: &Validators,
        now: Millis,
    ) -> Result<(), DbError> {
        sqlx::query!(
            "INSERT INTO url (url, file_id, etag, last_modified, content_type, checked_at)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (url) DO UPDATE SET
                 etag = iif(file_id = excluded.file_id, etag, excluded.etag),
                 proof = iif(file_id = excluded.file_id, proof, NULL),
                 file_id = excluded.file_id, last_modified = excluded.last_modified,
                 content_type = excluded.content_type, checked_at = excluded.checked_at,
                 upstream_etag = NULL, upstream_last_modified = NULL
             WHERE file_id <> excluded.file_id OR last_modified < excluded.last_modified",
            url,
            file_id,
            said.etag,
            said.last_modified,
            said.content_type,
            now
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// A download ended well: the file, its address and the end of the work,
    /// in one transaction. Answers the file's row id, and whether it is new to
    /// the store, or `None` where the lease was lost and nothing was written.
    ///
    /// Must be run to its end: dropped half-way, it leaves a transaction open.
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn finish_download(
        &self,
        row: &UrlRow,
        download: i64,
        lease: i64,
        now: Millis,
    ) -> Result<Option<(i64, bool)>, DbError> {
        let (hash, size, said) = (row.sha256.as_slice(), signed(row.size), &row.validators);
        let proof = row.proof.as_ref().map(Digest::as_bytes);
        let mut writer = self.writer().await;
        // The whole transaction in one go, each statement guarded by the lease:
        // a statement costs a change of threads, and every cold file waits.
        let written = sqlx::query!(
            r#"BEGIN IMMEDIATE;

               INSERT INTO file (sha256, size, added_at, last_use)
               SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM download WHERE id = ? AND lease = ?)
               ON CONFLICT (sha256) DO UPDATE SET last_use = max(last_use, excluded.last_use, added_at + 1)
               RETURNING id AS "id!", added_at = last_use AS "new!: bool";

               INSERT INTO url (url, etag, last_modified, content_type, upstream_etag,
                                upstream_last_modified, checked_at, proof, file_id)
               SELECT ?, ?, ?, ?, ?, ?, ?, ?, file.id FROM file
               WHERE sha256 = ? AND EXISTS (SELECT 1 FROM download WHERE id = ? AND lease = ?)
               ON CONFLICT (url) DO UPDATE SET
                   file_id = excluded.file_id, etag = excluded.etag,
                   last_modified = excluded.last_modified, content_type = excluded.content_type,
                   upstream_etag = excluded.upstream_etag,
                   upstream_last_modified = excluded.upstream_last_modified,
                   checked_at = excluded.checked_at, proof = excluded.proof,
                   changed_at = iif(file_id = excluded.file_id, changed_at, ?);

               DELETE FROM download WHERE id = ? AND lease = ?;

               COMMIT"#,
            hash,
            size,
            now,
            now,
            download,
            lease,
            row.url,
            said.etag,
            said.last_modified,
            said.content_type,
            said.upstream_etag,
            said.upstream_last_modified,
            row.checked_at,
            proof,
            hash,
            download,
            lease,
            now,
            download,
            lease,
        )
        .fetch_all(&mut *writer)
        .await;
        match written {
            Ok(mut files) => Ok(files.pop().map(|file| (file.id, file.new))),
            Err(error) => {
                // Where BEGIN itself failed there is nothing to roll back.
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *writer).await;
                Err(error.into())
            }
        }
    }

    /// The origin said that the stored copy is current: the end of the work.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish_unchanged(
        &self,
        url: &str,
        download: i64,
        lease: i64,
        now: Millis,
    ) -> Result<(), DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        let done = sqlx::query!(
            "DELETE FROM download WHERE id = ? AND lease = ?",
            download,
            lease
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 1 {
            sqlx::query!("UPDATE url SET checked_at = ? WHERE url = ?", now, url)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Forgets an address; its file stays until it is evicted.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_url(&self, url: &str) -> Result<(), DbError> {
        sqlx::query!("DELETE FROM url WHERE url = ?", url)
            .execute(&mut *self.writer().await)
            .await?;
        Ok(())
    }
}

/// Between which addresses the indexes lie of the archive that a pool file
/// belongs to (`BASE/dists/…` for `BASE/pool/…`); an empty span for others.
fn indexes_of(url: &str) -> (String, String) {
    url.split_once("/pool/")
        .map(|(base, _)| (format!("{base}/dists/"), format!("{base}/dists0")))
        .unwrap_or_default()
}
