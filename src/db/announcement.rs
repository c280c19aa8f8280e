//! The `announcement` table: files that others are told of.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::file::{FileRow, hash};
use super::queue::{Lease, announcements};
use super::{Db, DbError, unsigned};
use crate::clock::Millis;
use crate::debian::naming::to_hex;

/// Rows in one statement: a few milliseconds of the writer's time.
const BATCH: usize = 1000;

/// A claimed announcement.
#[derive(Debug, Clone)]
pub struct AnnouncementClaim {
    /// The claim.
    pub lease: Lease,
    /// The file.
    pub file: FileRow,
    /// Its torrent string, where that is known.
    pub torrent: Option<Vec<u8>>,
}

/// A file that other nodes ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedRow {
    /// The file.
    pub file: FileRow,
    /// Its date as its origin gave it, or as clients are told it.
    pub last_modified: Option<Millis>,
    /// Whether it has a row of `announcement`.
    pub is_announced: bool,
    /// SHA-1 of its torrent string, where it has one.
    pub torrent: Option<[u8; 20]>,
}

/// How an announcement went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// When.
    pub at: Millis,
    /// Where others were told to come.
    pub contact: SocketAddr,
    /// How many nodes took it.
    pub nodes: usize,
    /// When to tell again.
    pub next: Millis,
}

/// What became of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enlisted {
    /// Files that are announced now.
    pub files: usize,
    /// Of these, those that were not before.
    pub added: usize,
    /// Files that are not any more.
    pub removed: usize,
}

/// How much is announced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnnouncementTotals {
    /// Files that are to be announced.
    pub files: u64,
    /// Of these, those whose latest announcement was taken by other nodes, and
    /// not long ago.
    pub stored: u64,
}

impl Db {
    /// A text that is another one after the files in the store, or what the
    /// indexes say of files, may have become other ones.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn announceable_mark(&self) -> Result<String, DbError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT format('%d %d %d, %d %d, %d %d, %s',
                      (SELECT count(*) FROM file), (SELECT sum(id) FROM file),
                      (SELECT max(added_at) FROM file),
                      (SELECT count(*) FROM release), (SELECT max(id) FROM release),
                      (SELECT count(*) FROM patch), (SELECT sum(release_id) FROM patch),
                      (SELECT group_concat(format('%d %d %s', id, release_id, hex(content))) FROM list))
                      AS "mark!: String""#
        )
        .fetch_one(self.reader())
        .await?)
    }

    /// Sees that a file is announced if, and only if, an index in rows says
    /// that there is a file with its SHA-256.
    ///
    /// Reads all of `package` (about 50 ms for 66,000 rows), for an index over
    /// their hashes would make lists take three times as long to be read into
    /// rows.
    ///
    /// # Errors
    /// When the database refuses; then a part may be done.
    pub async fn enlist(&self, now: Millis) -> Result<Enlisted, DbError> {
        let vouched = sqlx::query!(
            r#"SELECT file.id AS "id!", sha256 FROM package CROSS JOIN file ON sha256 = package.hash
               UNION
               SELECT file.id, sha256 FROM index_file CROSS JOIN file ON sha256 = index_file.hash
               UNION
               SELECT file.id, sha256 FROM patch CROSS JOIN file ON sha256 = patch.hash"#
        )
        .fetch_all(self.reader())
        .await?;
        let listed = sqlx::query_scalar!("SELECT file_id FROM announcement")
            .fetch_all(self.reader())
            .await?;
        let vouched: HashMap<_, _> = vouched
            .into_iter()
            .map(|row| (row.id, row.sha256))
            .collect();
        let listed: HashSet<_> = listed.into_iter().collect();
        let new = vouched.iter().filter(|(id, _)| !listed.contains(id));
        let new: Vec<_> = new.map(|(id, sha256)| (*id, to_hex(sha256))).collect();
        let mut added = 0;
        for files in new.chunks(BATCH) {
            added += self.add_announcements(files, now).await?;
        }
        let gone = listed.iter().filter(|id| !vouched.contains_key(id));
        let gone: Vec<_> = gone.copied().collect();
        let mut removed = 0;
        for ids in gone.chunks(BATCH) {
            removed += self.drop_announcements(ids).await?;
        }
        Ok(Enlisted {
            files: (listed.len() + added).saturating_sub(gone.len()),
            added,
            removed,
        })
    }

    /// By id and hash, for `SQLite` gives the id of a deleted row again.
    async fn add_announcements(
        &self,
        files: &[(i64, String)],
        now: Millis,
    ) -> Result<usize, DbError> {
        let files = serde_json::to_string(files).unwrap_or_default();
        let added = sqlx::query!(
            "INSERT INTO announcement (file_id, torrent, not_before)
             SELECT file.id, (SELECT sha1 FROM torrent WHERE torrent.file = file.sha256), ?1
             FROM file, json_each(?2)
             WHERE file.id = value ->> 0 AND sha256 = unhex(value ->> 1)
             ON CONFLICT (file_id) DO NOTHING",
            now,
            files
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(usize::try_from(added.rows_affected()).unwrap_or(usize::MAX))
    }

    async fn drop_announcements(&self, ids: &[i64]) -> Result<usize, DbError> {
        let ids = serde_json::to_string(ids).unwrap_or_default();
        let dropped = sqlx::query!(
            "DELETE FROM announcement WHERE file_id IN (SELECT value FROM json_each(?))",
            ids
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(usize::try_from(dropped.rows_affected()).unwrap_or(usize::MAX))
    }

    /// Who was told before `before` that this node is somewhere else is to be
    /// told anew. Answers of how many files.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn moved_to(
        &self,
        contact: SocketAddr,
        before: Millis,
        now: Millis,
    ) -> Result<u64, DbError> {
        let contact = contact.to_string();
        let moved = sqlx::query!(
            "UPDATE announcement SET not_before = ?1
             WHERE state = 'wanted' AND not_before > ?1 AND attempts = 0
             AND stored_at < ?2 AND contact <> ?3",
            now,
            before,
            contact
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(moved.rows_affected())
    }

    /// Claims the announcement that has been due for longest.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn claim_announcement(
        &self,
        now: Millis,
    ) -> Result<Option<AnnouncementClaim>, DbError> {
        let Some(lease) = announcements::claim(self, now, 1).await?.pop() else {
            return Ok(None);
        };
        let row = sqlx::query!(
            r#"SELECT sha256, file.size, body AS "body?"
               FROM announcement JOIN file ON file.id = file_id
               LEFT JOIN torrent ON sha1 = torrent AND file = sha256
               WHERE file_id = ? AND lease = ?"#,
            lease.id,
            lease.lease
        )
        .fetch_optional(self.reader())
        .await?;
        // The file may have been evicted since.
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some(AnnouncementClaim {
            file: FileRow {
                id: lease.id,
                sha256: hash(&row.sha256)?,
                size: unsigned(row.size),
            },
            lease,
            torrent: row.body,
        }))
    }

    /// The file with this hash. Other nodes may have it while it has a row of
    /// `announcement`: an index in rows vouched for it when those were last
    /// looked at, and looking at them for every request would be to read all of
    /// `package` (see [`Db::enlist`]).
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn shared_file(&self, sha256: [u8; 32]) -> Result<Option<SharedRow>, DbError> {
        let wanted = sha256.as_slice();
        let row = sqlx::query!(
            r#"SELECT file.id AS "id!", size,
                      (SELECT last_modified FROM url WHERE url.file_id = file.id
                       ORDER BY upstream_last_modified IS NULL, url.id DESC LIMIT 1)
                          AS "last_modified: Millis",
                      EXISTS (SELECT 1 FROM announcement WHERE announcement.file_id = file.id)
                          AS "is_announced!: bool",
                      (SELECT sha1 FROM torrent WHERE torrent.file = file.sha256) AS "torrent?: Vec<u8>"
               FROM file WHERE sha256 = ?"#,
            wanted
        )
        .fetch_optional(self.reader())
        .await?;
        Ok(row.map(|row| SharedRow {
            file: FileRow {
                id: row.id,
                sha256,
                size: unsigned(row.size),
            },
            last_modified: row.last_modified,
            is_announced: row.is_announced,
            torrent: row.torrent.and_then(|sha1| sha1.try_into().ok()),
        }))
    }

    /// When the next announcement is due.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_announcement_at(&self) -> Result<Option<Millis>, DbError> {
        announcements::next_at(self).await
    }

    /// Others were told.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish_announcement(&self, claim: &Lease, how: &Announced) -> Result<(), DbError> {
        let contact = how.contact.to_string();
        let nodes = i64::try_from(how.nodes).unwrap_or(i64::MAX);
        sqlx::query!(
            "UPDATE announcement SET state = 'wanted', lease = NULL, lease_until = NULL,
                    not_before = ?, attempts = 0, last_error = NULL,
                    stored_at = ?, contact = ?, nodes = ?
             WHERE file_id = ? AND lease = ?",
            how.next,
            how.at,
            contact,
            nodes,
            claim.id,
            claim.lease
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// Gives an announcement back to be tried at `not_before`: it did not
    /// fail, it could not be tried.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn return_announcement(
        &self,
        claim: &Lease,
        not_before: Millis,
    ) -> Result<(), DbError> {
        sqlx::query!(
            "UPDATE announcement SET state = 'wanted', lease = NULL, lease_until = NULL,
                    not_before = ? WHERE file_id = ? AND lease = ?",
            not_before,
            claim.id,
            claim.lease
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// Gives an announcement that failed back to be tried at `not_before`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn postpone_announcement(
        &self,
        claim: &Lease,
        not_before: Millis,
        error: &str,
    ) -> Result<(), DbError> {
        announcements::postpone(self, claim, not_before, error).await
    }

    /// Announcements of these files still run; others whose leases ran out are
    /// due again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn renew_announcements(&self, running: &[i64], now: Millis) -> Result<(), DbError> {
        announcements::renew(self, running, now).await
    }

    /// At start nothing runs.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn recover_announcements(&self) -> Result<(), DbError> {
        announcements::recover(self).await
    }

    /// Makes due what is due later than it can be, since the clock was ahead or
    /// the refresh longer when that was written.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn clamp_announcements(&self, latest: Millis, now: Millis) -> Result<(), DbError> {
        sqlx::query!(
            "UPDATE announcement SET not_before = ? WHERE state = 'wanted' AND not_before > ?",
            now,
            latest
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// Counts what is announced, and what of it was stored after `since`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn announcement_totals(&self, since: Millis) -> Result<AnnouncementTotals, DbError> {
        let row = sqlx::query!(
            r#"SELECT count(*) AS "files!: i64",
                      count(*) FILTER (WHERE stored_at > ? AND attempts = 0)
                          AS "stored!: i64" FROM announcement"#,
            since
        )
        .fetch_one(self.reader())
        .await?;
        Ok(AnnouncementTotals {
            files: unsigned(row.files),
            stored: unsigned(row.stored),
        })
    }
}
