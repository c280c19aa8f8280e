//! The `suite` table: folders with a `Release`, and which generation of each
//! is in use.

use super::queue::{Lease, suites};
use super::{Db, DbError, begin};
use crate::clock::Millis;

/// A suite as memory holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteRow {
    /// Row id.
    pub id: i64,
    /// Canonical address of its folder, with a slash at the end.
    pub folder: String,
    /// Where the paths in its Packages and Sources start, likewise.
    pub root: String,
    /// The generation in use.
    pub release_id: Option<i64>,
    /// When that came into use.
    pub taken_up_at: Millis,
    /// Whether some of its lists are behind the generation in use.
    pub pending: bool,
}

/// A claimed suite.
#[derive(Debug, Clone)]
pub struct SuiteClaim {
    /// The claim.
    pub lease: Lease,
    /// Canonical address of its folder, with a slash at the end.
    pub folder: String,
    /// The generation in use.
    pub release_id: Option<i64>,
    /// When a client last asked for `Release` or `Release.gpg`.
    pub pair_asked_at: Millis,
    /// Since when its origins have sent an older Release than the one in use.
    pub older_since: Option<Millis>,
    /// Since when there is a newer one that can't be taken up.
    pub stuck_since: Option<Millis>,
}

impl Db {
    /// Wants a suite's origins asked whether there is a new generation, now,
    /// for a client that asks.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn want_suite(
        &self,
        folder: &str,
        root: &str,
        pair: bool,
        now: Millis,
    ) -> Result<(), DbError> {
        let pair_asked_at = if pair { now } else { 0 };
        sqlx::query!(
            "INSERT INTO suite (folder, root, pair_asked_at, asked_at, state, not_before)
             VALUES (?, ?, ?, ?, 'wanted', ?)
             ON CONFLICT (folder) DO UPDATE SET
                 pair_asked_at = max(pair_asked_at, excluded.pair_asked_at),
                 asked_at = excluded.asked_at,
                 state = iif(state = 'running', state, 'wanted'),
                 not_before = excluded.not_before",
            folder,
            root,
            pair_asked_at,
            now,
            now
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// Wants a suite's origins asked when they may be back, unless that is
    /// wanted already.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn want_suite_later(&self, id: i64, not_before: Millis) -> Result<(), DbError> {
        sqlx::query!(
            "UPDATE suite SET state = 'wanted', not_before = ? WHERE id = ? AND state = 'idle'",
            not_before,
            id
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// What of a suite's troubles began when.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_trouble(
        &self,
        id: i64,
        older_since: Option<Millis>,
        stuck_since: Option<Millis>,
    ) -> Result<(), DbError> {
        sqlx::query!(
            "UPDATE suite SET older_since = ?, stuck_since = ? WHERE id = ?",
            older_since,
            stuck_since,
            id
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// No generation stays in use that no known key vouches for.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn distrust_unproved(&self) -> Result<u64, DbError> {
        let distrusted = sqlx::query!(
            "UPDATE suite SET release_id = NULL
             WHERE release_id IN (SELECT id FROM release WHERE signed <> 'good')"
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(distrusted.rows_affected())
    }

    /// Claims up to `free` wanted suites.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_suites(&self, now: Millis, free: i64) -> Result<Vec<SuiteClaim>, DbError> {
        let mut claims = Vec::new();
        for lease in suites::claim(self, now, free).await? {
            let row = sqlx::query!(
                "SELECT folder, release_id, pair_asked_at, older_since, stuck_since FROM suite WHERE id = ?",
                lease.id
            )
            .fetch_one(self.reader())
            .await?;
            claims.push(SuiteClaim {
                lease,
                folder: row.folder,
                release_id: row.release_id,
                pair_asked_at: row.pair_asked_at,
                older_since: row.older_since,
                stuck_since: row.stuck_since,
            });
        }
        Ok(claims)
    }

    /// When the next wanted suite may be claimed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_suite_at(&self) -> Result<Option<Millis>, DbError> {
        suites::next_at(self).await
    }

    /// Gives a suite back to be asked again at `not_before`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn postpone_suite(
        &self,
        claim: &Lease,
        not_before: Millis,
        error: &str,
    ) -> Result<(), DbError> {
        suites::postpone(self, claim, not_before, error).await
    }

    /// The origins were asked. A folder that turned out to have no Release that
    /// can be read is no suite: anybody may ask for any folder.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn rest_suite(&self, claim: &Lease) -> Result<(), DbError> {
        let mut writer = self.writer().await;
        sqlx::query!(
            "DELETE FROM suite WHERE id = ? AND lease = ? AND release_id IS NULL",
            claim.id,
            claim.lease
        )
        .execute(&mut *writer)
        .await?;
        sqlx::query!(
            "UPDATE suite SET state = 'idle', lease = NULL, lease_until = NULL, attempts = 0, last_error = NULL
             WHERE id = ? AND lease = ?",
            claim.id,
            claim.lease
        )
        .execute(&mut *writer)
        .await?;
        Ok(())
    }

    /// Forgets suites that no client asked for since then. Answers how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_suites(&self, since: Millis) -> Result<u64, DbError> {
        let gone = sqlx::query!(
            "DELETE FROM suite WHERE asked_at < ? AND state <> 'running'",
            since
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(gone.rows_affected())
    }

    /// The suites with these ids are still being asked after.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn renew_suites(&self, running: &[i64], now: Millis) -> Result<(), DbError> {
        suites::renew(self, running, now).await
    }

    /// Every suite that has a generation.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn suites(&self) -> Result<Vec<SuiteRow>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT id, folder, root, release_id, coalesce(taken_up_at, 0) AS "taken_up_at!: i64",
                      EXISTS (SELECT 1 FROM list WHERE suite_id = suite.id
                              AND list.release_id IS NOT suite.release_id) AS "pending!: bool"
               FROM suite WHERE release_id IS NOT NULL"#
        )
        .fetch_all(self.reader())
        .await?;
        let suites = rows.into_iter().map(|row| SuiteRow {
            id: row.id,
            folder: row.folder,
            root: row.root,
            release_id: row.release_id,
            taken_up_at: row.taken_up_at,
            pending: row.pending,
        });
        Ok(suites.collect())
    }

    /// Takes a generation into use, and with it every list that is the same in
    /// it; the other lists are wanted.
    ///
    /// # Errors
    /// When the database refuses; then the old generation stays.
    pub async fn take_up(&self, suite: i64, release: i64, now: Millis) -> Result<(), DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!(
            "UPDATE release SET superseded_at = ?
             WHERE id = (SELECT release_id FROM suite WHERE id = ?)",
            now,
            suite
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE release SET taken_up_at = coalesce(taken_up_at, ?), superseded_at = NULL WHERE id = ?",
            now,
            release
        )
        .execute(&mut *tx)
        .await?;
        // Patches whose Index is the same are this generation's, too.
        sqlx::query!(
            "UPDATE patch SET release_id = ?1 WHERE suite_id = ?2 AND EXISTS (
                 SELECT 1 FROM suite JOIN index_file AS was ON was.release_id = suite.release_id
                 JOIN index_file AS is_now ON is_now.release_id = ?1 AND is_now.path = was.path
                      AND is_now.hash = was.hash
                 WHERE suite.id = ?2 AND was.path LIKE '%.diff/Index'
                 AND substr(patch.path, 1, length(was.path) - 5) = substr(was.path, 1, length(was.path) - 5))",
            release,
            suite
        )
        .execute(&mut *tx)
        .await?;
        // A list is the same where any of its forms is, unless its rows are
        // half-way to a generation in between.
        sqlx::query!(
            "UPDATE list SET release_id = ? WHERE suite_id = ? AND state = 'idle' AND EXISTS (
                 SELECT 1 FROM index_file AS was
                 JOIN index_file AS is_now ON is_now.path = was.path AND is_now.hash = was.hash
                 WHERE was.release_id = list.release_id AND is_now.release_id = ?
                 AND was.path IN (list.path, list.path || '.xz', list.path || '.gz', list.path || '.zst',
                                  list.path || '.bz2', list.path || '.lzma', list.path || '.lz4'))",
            release,
            suite,
            release
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE list SET state = iif(state = 'running', state, 'wanted'), not_before = ?
             WHERE suite_id = ? AND release_id IS NOT ?",
            now,
            suite,
            release
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE suite SET release_id = ?, taken_up_at = ?, older_since = NULL, stuck_since = NULL WHERE id = ?",
            release,
            now,
            suite
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The paths of a suite's packages turned out to start elsewhere.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn move_root(&self, suite: i64, root: &str) -> Result<(), DbError> {
        sqlx::query!("UPDATE suite SET root = ? WHERE id = ?", root, suite)
            .execute(&mut *self.writer().await)
            .await?;
        Ok(())
    }
}
