//! The `list` and `package` tables: Packages and Sources, and the files that
//! they vouch for.

use super::queue::{Lease, lists};
use super::release::vouched;
use super::{Db, DbError, begin, file::hash, signed, unsigned};
use crate::clock::Millis;
use crate::debian::digest::Vouched;

/// A claimed list.
#[derive(Debug, Clone)]
pub struct ListClaim {
    /// The claim.
    pub lease: Lease,
    /// Row id of its suite.
    pub suite_id: i64,
    /// Canonical address of the suite's folder.
    pub folder: String,
    /// Where the paths of its packages start, as was thought so far.
    pub root: String,
    /// Path below that folder, without the suffix of a compression.
    pub path: String,
    /// The suite's generation in use: the one to read.
    pub target: Option<i64>,
    /// What its rows are of, and where that is.
    pub read: Option<ReadList>,
}

/// The text that a list's rows are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadList {
    /// SHA-256 of the text.
    pub content: [u8; 32],
    /// SHA-256 of the file that has it.
    pub body: [u8; 32],
    /// Suffix of that file's compression.
    pub suffix: String,
}

/// How a list was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The generation that its rows are of.
    pub release: i64,
    /// What was read; `None` where it could not be: then nothing is known.
    pub read: Option<ReadList>,
    /// How many packages it has.
    pub packages: u64,
    /// By how many patches it was made of the text read before; 0 where it
    /// came whole.
    pub patches: u64,
}

/// A file that a list vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRow {
    /// Path below the suite's root.
    pub path: String,
    /// What it must be.
    pub vouched: Vouched,
}

/// How much is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexTotals {
    /// Generations in use.
    pub releases: u64,
    /// Files that these list.
    pub index_files: u64,
    /// Files that lists of these vouch for.
    pub packages: u64,
    /// Patches.
    pub patches: u64,
}

impl Db {
    /// These lists of a suite are to be read, unless their rows are of its
    /// generation in use. Answers whether any is wanted now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn want_lists(
        &self,
        suite: i64,
        paths: &[String],
        now: Millis,
    ) -> Result<bool, DbError> {
        let paths = serde_json::to_string(paths).unwrap_or_default();
        let wanted = sqlx::query!(
            "INSERT INTO list (suite_id, path, state, not_before)
             SELECT suite.id, value, 'wanted', ? FROM suite, json_each(?) WHERE suite.id = ? AND release_id IS NOT NULL
             ON CONFLICT (suite_id, path) DO UPDATE
             SET state = iif(state = 'running', state, 'wanted'), not_before = excluded.not_before
             WHERE content IS NULL
             OR release_id IS NOT (SELECT release_id FROM suite WHERE id = excluded.suite_id)",
            now,
            paths,
            suite
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(wanted.rows_affected() > 0)
    }

    /// Claims up to `free` wanted lists.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_lists(&self, now: Millis, free: i64) -> Result<Vec<ListClaim>, DbError> {
        let mut claims = Vec::new();
        for lease in lists::claim(self, now, free).await? {
            let row = sqlx::query!(
                r#"SELECT suite_id, folder, root, path, suite.release_id AS target, content, body, suffix
                   FROM list JOIN suite ON suite.id = suite_id WHERE list.id = ?"#,
                lease.id
            )
            .fetch_one(self.reader())
            .await?;
            let read = match row.content.zip(row.body) {
                Some((content, body)) => Some(ReadList {
                    content: hash(&content)?,
                    body: hash(&body)?,
                    suffix: row.suffix,
                }),
                None => None,
            };
            claims.push(ListClaim {
                lease,
                suite_id: row.suite_id,
                folder: row.folder,
                root: row.root,
                path: row.path,
                target: row.target,
                read,
            });
        }
        Ok(claims)
    }

    /// When the next wanted list may be claimed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_list_at(&self) -> Result<Option<Millis>, DbError> {
        lists::next_at(self).await
    }

    /// Gives a list back to be read at `not_before`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn postpone_list(
        &self,
        claim: &Lease,
        not_before: Millis,
        error: &str,
    ) -> Result<(), DbError> {
        lists::postpone(self, claim, not_before, error).await
    }

    /// The lists with these ids are still being read.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn renew_lists(&self, running: &[i64], now: Millis) -> Result<(), DbError> {
        lists::renew(self, running, now).await
    }

    /// At start no suite is asked after and no list is read: every leased row
    /// is wanted again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn recover_indexes(&self) -> Result<(), DbError> {
        lists::recover(self).await?;
        super::queue::suites::recover(self).await
    }

    /// Whether clients used one of these paths of a suite since then.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn is_used(
        &self,
        suite: i64,
        paths: &[String],
        since: Millis,
    ) -> Result<bool, DbError> {
        let paths = serde_json::to_string(paths).unwrap_or_default();
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM index_use WHERE suite_id = ? AND used_at >= ?
                              AND path IN (SELECT value FROM json_each(?))) AS "used!: bool""#,
            suite,
            since,
            paths
        )
        .fetch_one(self.reader())
        .await?)
    }

    /// The lists of a suite whose text is known: path and SHA-256 of the text.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn read_lists(&self, suite: i64) -> Result<Vec<(String, [u8; 32])>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT path, content AS "content!" FROM list WHERE suite_id = ? AND content IS NOT NULL"#,
            suite
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| Ok((row.path, hash(&row.content)?)))
            .collect()
    }

    /// What a list vouches for in the last generation that was read of it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn packages_of(&self, list: i64) -> Result<Vec<PackageRow>, DbError> {
        let rows = sqlx::query!(
            "SELECT path, hash, size FROM package WHERE list_id = ? AND until IS NULL",
            list
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(PackageRow {
                    path: row.path,
                    vouched: vouched(&row.hash, row.size)?,
                })
            })
            .collect()
    }

    /// From this generation on, a list vouches for these files; for other
    /// content of the same paths no more. A statement's worth at a time, so
    /// that others get at the database in between.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_packages(
        &self,
        list: i64,
        release: i64,
        rows: &[PackageRow],
    ) -> Result<(), DbError> {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    &row.path,
                    row.vouched.digest.to_hex(),
                    signed(row.vouched.size),
                )
            })
            .collect();
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!(
            "UPDATE package SET until = ?1 WHERE list_id = ?2 AND until IS NULL AND since <> ?1
             AND path IN (SELECT value ->> 0 FROM json_each(?3))",
            release,
            list,
            rows
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO package (list_id, path, since, hash, size)
             SELECT ?, value ->> 0, ?, unhex(value ->> 1), value ->> 2 FROM json_each(?) WHERE true
             ON CONFLICT (list_id, path, since) DO UPDATE
             SET hash = excluded.hash, size = excluded.size, until = NULL",
            list,
            release,
            rows
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// From this generation on, a list does not vouch for these paths.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_packages(
        &self,
        list: i64,
        release: i64,
        paths: &[String],
    ) -> Result<(), DbError> {
        let paths = serde_json::to_string(paths).unwrap_or_default();
        sqlx::query!(
            "UPDATE package SET until = ? WHERE list_id = ? AND until IS NULL
             AND path IN (SELECT value FROM json_each(?))",
            release,
            list,
            paths
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// From this generation on, nothing is known of what a list says.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_all_packages(&self, list: i64, release: i64) -> Result<(), DbError> {
        sqlx::query!(
            "UPDATE package SET until = ? WHERE list_id = ? AND until IS NULL",
            release,
            list
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// A list was read. Where a newer generation came into use meanwhile, it
    /// is wanted again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish_list(
        &self,
        claim: &Lease,
        how: &Finished,
        error: Option<&str>,
    ) -> Result<(), DbError> {
        let (content, body) = (
            how.read.as_ref().map(|read| read.content.as_slice()),
            how.read.as_ref().map(|read| read.body.as_slice()),
        );
        let suffix = how.read.as_ref().map_or("", |read| read.suffix.as_str());
        let (packages, patches) = (signed(how.packages), signed(how.patches));
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!(
            "UPDATE suite SET patches_applied = patches_applied + ?
             WHERE id = (SELECT suite_id FROM list WHERE id = ? AND lease = ?)",
            patches,
            claim.id,
            claim.lease
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE list SET release_id = ?1, content = ?2, body = ?3, suffix = ?4, packages = ?5,
                    state = iif(?1 IS (SELECT release_id FROM suite WHERE id = suite_id), 'idle', 'wanted'),
                    lease = NULL, lease_until = NULL, attempts = 0, last_error = ?6
             WHERE id = ?7 AND lease = ?8",
            how.release,
            content,
            body,
            suffix,
            packages,
            error,
            claim.id,
            claim.lease
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The generation in use has no such list any more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn drop_list(&self, claim: &Lease) -> Result<(), DbError> {
        sqlx::query!(
            "DELETE FROM list WHERE id = ? AND lease = ?",
            claim.id,
            claim.lease
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// What lists in use of these suites vouch for under a path below their
    /// root; what was listed last comes first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn packages_at(&self, suites: &[i64], path: &str) -> Result<Vec<Vouched>, DbError> {
        let suites = serde_json::to_string(suites).unwrap_or_default();
        let rows = sqlx::query!(
            r#"SELECT hash, size AS "size!: i64", max(since) AS "since: i64"
               FROM json_each(?) AS suite JOIN list ON list.suite_id = suite.value
               JOIN package ON list_id = list.id AND package.path = ?
               WHERE until IS NULL GROUP BY hash, size ORDER BY max(since) DESC"#,
            suites,
            path
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| vouched(&row.hash, row.size))
            .collect()
    }

    /// Whether any address is answered with this body.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn is_named(&self, sha256: [u8; 32]) -> Result<bool, DbError> {
        let bytes = sha256.as_slice();
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM url JOIN file ON file.id = file_id WHERE sha256 = ?) AS "named!: bool""#,
            bytes
        )
        .fetch_one(self.reader())
        .await?)
    }

    /// Counts what is known of the generations in use.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn index_totals(&self) -> Result<IndexTotals, DbError> {
        let row = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM suite WHERE release_id IS NOT NULL) AS "releases!: i64",
                      (SELECT count(*) FROM index_file WHERE release_id IN (SELECT release_id FROM suite))
                          AS "index_files!: i64",
                      (SELECT coalesce(sum(packages), 0) FROM list) AS "packages!: i64",
                      (SELECT count(*) FROM patch) AS "patches!: i64""#
        )
        .fetch_one(self.reader())
        .await?;
        Ok(IndexTotals {
            releases: unsigned(row.releases),
            index_files: unsigned(row.index_files),
            packages: unsigned(row.packages),
            patches: unsigned(row.patches),
        })
    }
}
