//! The `download` table: the queue of addresses to fetch or to ask again.

use super::{Db, DbError, begin, signed, unsigned};
use crate::clock::Millis;
use crate::validators::Validators;

/// How many downloads may run, and how long a claim lasts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At the same time.
    pub slots: i64,
    /// Of these, from one origin, so that a silent one can't hold every slot.
    pub per_origin: i64,
    /// How long a claim lasts without being renewed.
    pub lease: Millis,
}

/// A claimed row: this worker's until `lease` is given back or runs out.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Row id.
    pub id: i64,
    /// The token that finishing needs.
    pub lease: i64,
    /// Canonical address.
    pub url: String,
    /// How often it was tried, this time included.
    pub attempts: i64,
    /// Whether the address has a file already, which may be out of date.
    pub has_copy: bool,
    /// A body that a killed process left behind.
    pub left_behind: Option<LeftBehind>,
}

/// A body in the temp folder whose process died before it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// File name below the temp folder.
    pub temp: String,
    /// Its length when whole, in bytes.
    pub size: u64,
    /// What the origin said of it.
    pub validators: Validators,
}

impl Db {
    /// Wants an address fetched or asked again, now. One that is wanted
    /// already, in backoff or not, is tried now; one that runs stays as it is.
    ///
    /// Where `limits` leave a slot free and nobody waited before, the row is
    /// born leased, and the answer is the claim: a statement less for every
    /// cold file.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn want_download(
        &self,
        url: &str,
        origin: &str,
        now: Millis,
        limits: &Limits,
    ) -> Result<Option<Claim>, DbError> {
        let lease: i64 = rand::random_range(1..i64::MAX);
        let lease_until = now + limits.lease;
        let row = sqlx::query!(
            r#"INSERT INTO download (url, origin, state, lease, lease_until, attempts, not_before, created_at)
               SELECT ?1, ?2, iif(free, 'running', 'wanted'), iif(free, ?3, NULL), iif(free, ?4, NULL),
                      free, ?5, ?5
               FROM (SELECT (SELECT count(*) FROM download WHERE state = 'running') < ?6
                        AND (SELECT count(*) FROM download WHERE state = 'running' AND origin = ?2) < ?7
                        AND NOT EXISTS (SELECT 1 FROM download WHERE state = 'wanted' AND not_before <= ?5)
                        AS free) WHERE true
               ON CONFLICT (url) DO UPDATE SET not_before = excluded.not_before WHERE state = 'wanted'
               RETURNING id AS "id!", lease IS ?3 AS "mine!: bool",
                         EXISTS (SELECT 1 FROM url WHERE url.url = download.url) AS "has_copy!: bool""#,
            url,
            origin,
            lease,
            lease_until,
            now,
            limits.slots,
            limits.per_origin,
        )
        .fetch_optional(&mut *self.writer().await)
        .await?;
        let leased = row.filter(|row| row.mine);
        Ok(leased.map(|row| Claim {
            id: row.id,
            lease,
            url: url.to_owned(),
            attempts: 1,
            has_copy: row.has_copy,
            left_behind: None,
        }))
    }

    /// Wants an address asked again at `not_before`, unless it is wanted already.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn want_download_later(
        &self,
        url: &str,
        origin: &str,
        now: Millis,
        not_before: Millis,
    ) -> Result<(), DbError> {
        sqlx::query!(
            "INSERT INTO download (url, origin, state, not_before, created_at)
             VALUES (?, ?, 'wanted', ?, ?) ON CONFLICT (url) DO NOTHING",
            url,
            origin,
            not_before,
            now
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// Claims up to `free` wanted rows, oldest first, as far as `limits` allow.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_downloads(
        &self,
        now: Millis,
        free: i64,
        limits: &Limits,
    ) -> Result<Vec<Claim>, DbError> {
        let lease: i64 = rand::random_range(1..i64::MAX);
        let lease_until = now + limits.lease;
        let rows = sqlx::query!(
            r#"UPDATE download
               SET state = 'running', lease = ?, lease_until = ?, attempts = attempts + 1
               WHERE id IN (
                   SELECT id FROM (
                       SELECT id,
                              row_number() OVER (PARTITION BY origin ORDER BY id) AS place,
                              (SELECT count(*) FROM download AS busy
                               WHERE busy.state = 'running' AND busy.origin = waiting.origin) AS busy
                       FROM download AS waiting WHERE state = 'wanted' AND not_before <= ?)
                   WHERE place + busy <= ? ORDER BY id LIMIT ?)
               RETURNING id AS "id!", url, attempts,
                         EXISTS (SELECT 1 FROM url WHERE url.url = download.url) AS "has_copy!: bool", temp, size, etag, last_modified,
                         content_type, upstream_etag, upstream_last_modified"#,
            lease,
            lease_until,
            now,
            limits.per_origin,
            free
        )
        .fetch_all(&mut *self.writer().await)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Claim {
                id: row.id,
                lease,
                url: row.url,
                attempts: row.attempts,
                has_copy: row.has_copy,
                left_behind: left_behind(
                    row.temp,
                    row.size,
                    row.etag
                        .zip(row.last_modified)
                        .map(|(etag, last_modified)| Validators {
                            etag,
                            last_modified,
                            content_type: row.content_type,
                            upstream_etag: row.upstream_etag,
                            upstream_last_modified: row.upstream_last_modified,
                        }),
                ),
            })
            .collect())
    }

    /// When the next wanted row may be claimed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_download_at(&self) -> Result<Option<Millis>, DbError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT min(not_before) AS "at: i64" FROM download WHERE state = 'wanted'"#
        )
        .fetch_one(self.reader())
        .await?)
    }

    /// Notes the answer that is under way. Must be on record before the last
    /// byte of it goes to a client.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_answer(
        &self,
        id: i64,
        lease: i64,
        temp: &str,
        size: u64,
        said: &Validators,
    ) -> Result<(), DbError> {
        let size = signed(size);
        sqlx::query!(
            "UPDATE download SET temp = ?, size = ?, etag = ?, last_modified = ?,
                    content_type = ?, upstream_etag = ?, upstream_last_modified = ?
             WHERE id = ? AND lease = ?",
            temp,
            size,
            said.etag,
            said.last_modified,
            said.content_type,
            said.upstream_etag,
            said.upstream_last_modified,
            id,
            lease
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// Gives a row back to be tried at `not_before`, with what went wrong.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn postpone_download(
        &self,
        claim: &Claim,
        not_before: Millis,
        error: &str,
    ) -> Result<(), DbError> {
        sqlx::query!(
            "UPDATE download SET state = 'wanted', lease = NULL, lease_until = NULL,
                    not_before = ?, last_error = ?, temp = NULL, size = NULL
             WHERE id = ? AND lease = ?",
            not_before,
            error,
            claim.id,
            claim.lease
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// The work is over, whatever came of it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn drop_download(&self, claim: &Claim) -> Result<(), DbError> {
        sqlx::query!(
            "DELETE FROM download WHERE id = ? AND lease = ?",
            claim.id,
            claim.lease
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// The rows with these ids still run: their leases last until then.
    /// Other leases that ran out belong to workers that are no more, and
    /// their rows are wanted again. Answers how many those were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn renew_downloads(
        &self,
        running: &[i64],
        now: Millis,
        until: Millis,
    ) -> Result<u64, DbError> {
        let running = serde_json::to_string(running).unwrap_or_default();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!(
            "UPDATE download SET lease_until = ?
             WHERE state = 'running' AND id IN (SELECT value FROM json_each(?))",
            until,
            running
        )
        .execute(&mut *tx)
        .await?;
        let lost = sqlx::query!(
            "UPDATE download SET state = 'wanted', lease = NULL, lease_until = NULL
             WHERE state = 'running' AND lease_until < ?",
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(lost.rows_affected())
    }

    /// At start nothing runs: every leased row is wanted again. A fetch
    /// without a stored copy is dropped, for nobody waits for it any more,
    /// unless a killed process left its body behind (see [`Db::identity`]).
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn recover_downloads(&self) -> Result<(), DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!(
            "DELETE FROM download WHERE temp IS NULL
             AND NOT EXISTS (SELECT 1 FROM url WHERE url.url = download.url)"
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE download SET state = 'wanted', lease = NULL, lease_until = NULL
             WHERE state = 'running'"
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The temp files that rows speak of.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn temps_in_use(&self) -> Result<Vec<String>, DbError> {
        Ok(
            sqlx::query_scalar!(r#"SELECT temp AS "temp!" FROM download WHERE temp IS NOT NULL"#)
                .fetch_all(self.reader())
                .await?,
        )
    }
}

fn left_behind(
    temp: Option<String>,
    size: Option<i64>,
    validators: Option<Validators>,
) -> Option<LeftBehind> {
    Some(LeftBehind {
        temp: temp?,
        size: unsigned(size?),
        validators: validators?,
    })
}
