//! The `release` table: generations of suites, with what they list.

use super::{Db, DbError, begin, file::hash, signed, unsigned};
use crate::clock::Millis;
use crate::debian::digest::{Digest, Vouched};
use crate::debian::naming::to_hex;
use crate::debian::release::{Release, ReleaseFile};

/// Rows in one statement.
const BATCH: usize = 1000;

/// The files that carry a generation's signed text: their SHA-256.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forms {
    /// `InRelease`
    pub inrelease: Option<[u8; 32]>,
    /// `Release`
    pub release: Option<[u8; 32]>,
    /// `Release.gpg`
    pub signature: Option<[u8; 32]>,
}

/// Who vouches for a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `good`, `unknown`, `unsigned` or `unchecked`, as the schema has them.
    pub how: &'static str,
    /// Fingerprint of the key.
    pub key: Option<String>,
    /// That key's user id.
    pub signer: Option<String>,
}

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Row id.
    pub id: i64,
    /// The files that carry it.
    pub forms: Forms,
    /// The `Date` field.
    pub date: Option<Millis>,
    /// Whether the origin has by-hash names.
    pub by_hash: bool,
    /// When it was first seen.
    pub seen_at: Millis,
    /// Whether a known key vouches for it.
    pub proved: bool,
}

/// A place where a Release lists a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Row id of the suite.
    pub suite_id: i64,
    /// Canonical address of the suite's folder.
    pub folder: String,
    /// Row id of the generation.
    pub release_id: i64,
    /// Path below the folder.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Whether the origin has by-hash names.
    pub by_hash: bool,
    /// Whether the generation is in use.
    pub in_use: bool,
}

/// One form of an index that a new generation must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Path below the suite's folder.
    pub path: String,
    /// What it must be.
    pub vouched: Vouched,
}

/// One form of a list, plain or compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Path below the suite's folder.
    pub path: String,
    /// What it must be.
    pub vouched: Vouched,
    /// SHA-256 of the body in the store, where it is there.
    pub stored: Option<[u8; 32]>,
}

pub(super) fn vouched(digest: &[u8], size: i64) -> Result<Vouched, DbError> {
    Ok(Vouched {
        digest: Digest::from_bytes(digest).ok_or_else(|| DbError::Row("a hash".into()))?,
        size: unsigned(size),
    })
}

fn some_hash(bytes: Option<Vec<u8>>) -> Result<Option<[u8; 32]>, DbError> {
    bytes.map(|bytes| hash(&bytes)).transpose()
}

impl Db {
    /// Writes a generation and what it lists. Where it is known already, what
    /// carries it is added to what is known. Answers its row id.
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn add_release(
        &self,
        suite: i64,
        release: &Release,
        forms: Forms,
        who: &Signed,
        now: Millis,
    ) -> Result<i64, DbError> {
        let identity = release.identity.as_slice();
        let [inrelease, text, signature] = [&forms.inrelease, &forms.release, &forms.signature]
            .map(|hash| hash.as_ref().map(<[u8; 32]>::as_slice));
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        // Of those that were never taken up the last two are remembered.
        sqlx::query!(
            "DELETE FROM release WHERE id IN (
                 SELECT id FROM release WHERE suite_id = ? AND taken_up_at IS NULL AND identity <> ?
                 ORDER BY id DESC LIMIT -1 OFFSET 1)",
            suite,
            identity
        )
        .execute(&mut *tx)
        .await?;
        let id = sqlx::query_scalar!(
            r#"INSERT INTO release (suite_id, identity, inrelease, release, signature, name, codename,
                                    date, valid_until, by_hash, signed, key, signer, seen_at)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (suite_id, identity) DO UPDATE SET
                   inrelease = coalesce(excluded.inrelease, inrelease),
                   release = coalesce(excluded.release, release),
                   signature = coalesce(excluded.signature, signature),
                   signed = excluded.signed, key = excluded.key, signer = excluded.signer
               RETURNING id AS "id!""#,
            suite,
            identity,
            inrelease,
            text,
            signature,
            release.suite,
            release.codename,
            release.date,
            release.valid_until,
            release.acquire_by_hash,
            who.how,
            who.key,
            who.signer,
            now
        )
        .fetch_one(&mut *tx)
        .await?;
        for batch in release.files.chunks(BATCH) {
            let files = batch.iter().map(listed).collect::<Vec<_>>();
            let files = serde_json::to_string(&files).unwrap_or_default();
            sqlx::query!(
                "INSERT INTO index_file (release_id, path, hash, sha512, size)
                 SELECT ?, value ->> 0, unhex(value ->> 1), unhex(value ->> 2), value ->> 3 FROM json_each(?)
                 WHERE true ON CONFLICT DO NOTHING",
                id,
                files
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// A generation.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release(&self, id: i64) -> Result<Option<ReleaseRow>, DbError> {
        let row = sqlx::query!(
            r#"SELECT inrelease, release, signature, date, by_hash AS "by_hash: bool", seen_at,
                      signed = 'good' AS "proved!: bool"
               FROM release WHERE id = ?"#,
            id
        )
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some(ReleaseRow {
            id,
            forms: Forms {
                inrelease: some_hash(row.inrelease)?,
                release: some_hash(row.release)?,
                signature: some_hash(row.signature)?,
            },
            date: row.date,
            by_hash: row.by_hash,
            seen_at: row.seen_at,
            proved: row.proved,
        }))
    }

    /// What a generation says of a path below its folder.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn index_file(&self, release: i64, path: &str) -> Result<Option<Vouched>, DbError> {
        let row = sqlx::query!(
            "SELECT hash, size FROM index_file WHERE release_id = ? AND path = ?",
            release,
            path
        )
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| vouched(&row.hash, row.size)).transpose()
    }

    /// Where kept generations list this content, in the folder with this
    /// canonical address (with a slash at the end): the newest first, at most 64.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn places_of(&self, digest: &Digest, folder: &str) -> Result<Vec<Place>, DbError> {
        let bytes = digest.as_bytes();
        let rows = sqlx::query!(
            r#"SELECT suite_id, folder, release.id AS release_id, path, size, by_hash AS "by_hash: bool",
                      suite.release_id IS release.id AS "in_use!: bool"
               FROM (SELECT release_id, path, size FROM index_file WHERE hash = ?1
                     UNION SELECT release_id, path, size FROM index_file WHERE sha512 = ?1) AS listed
               JOIN release ON release.id = listed.release_id JOIN suite ON suite.id = suite_id
               WHERE substr(folder || path, 1, length(?2)) = ?2
               AND instr(substr(folder || path, length(?2) + 1), '/') = 0
               ORDER BY release.id DESC LIMIT 64"#,
            bytes,
            folder
        )
        .fetch_all(self.reader())
        .await?;
        let places = rows.into_iter().map(|row| Place {
            suite_id: row.suite_id,
            folder: row.folder,
            release_id: row.release_id,
            path: row.path,
            size: unsigned(row.size),
            by_hash: row.by_hash,
            in_use: row.in_use,
        });
        Ok(places.collect())
    }

    /// The SHA-256 of what a kept generation lists under another hash.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sha256_of(&self, sha512: &Digest) -> Result<Option<[u8; 32]>, DbError> {
        let bytes = sha512.as_bytes();
        let found = sqlx::query_scalar!(
            "SELECT hash FROM index_file WHERE sha512 = ? AND length(hash) = 32 LIMIT 1",
            bytes
        )
        .fetch_optional(self.reader())
        .await?;
        found.map(|bytes| hash(&bytes)).transpose()
    }

    /// What clients used of this suite since then and the store does not have
    /// as this generation lists it; `None` where they used nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn needed(
        &self,
        suite: i64,
        release: i64,
        since: Millis,
    ) -> Result<Option<Vec<Needed>>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT index_use.path, hash AS "hash?", size AS "size?",
                      EXISTS (SELECT 1 FROM file WHERE sha256 = hash) AS "stored!: bool"
               FROM index_use LEFT JOIN index_file ON index_file.path = index_use.path AND release_id = ?
               WHERE suite_id = ? AND used_at >= ?"#,
            release,
            suite,
            since
        )
        .fetch_all(self.reader())
        .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut needed = Vec::new();
        for row in rows {
            if let Some((hash, size)) = row.hash.zip(row.size).filter(|_| !row.stored) {
                needed.push(Needed {
                    path: row.path,
                    vouched: vouched(&hash, size)?,
                });
            }
        }
        Ok(Some(needed))
    }

    /// Writes that clients used these paths: rows of suite and path.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_index_uses(
        &self,
        uses: &[(i64, String)],
        now: Millis,
    ) -> Result<(), DbError> {
        let uses = serde_json::to_string(uses).unwrap_or_default();
        sqlx::query!(
            "INSERT INTO index_use (suite_id, path, used_at)
             SELECT value ->> 0, value ->> 1, ? FROM json_each(?)
             WHERE EXISTS (SELECT 1 FROM suite WHERE id = value ->> 0)
             ON CONFLICT (suite_id, path) DO UPDATE SET used_at = excluded.used_at",
            now,
            uses
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// The files that a generation lists, of which these paths are wanted, and
    /// whether the store has them.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn variants(&self, release: i64, paths: &[String]) -> Result<Vec<Variant>, DbError> {
        let paths = serde_json::to_string(paths).unwrap_or_default();
        let rows = sqlx::query!(
            r#"SELECT path, hash, index_file.size, sha256 AS "stored?"
               FROM index_file LEFT JOIN file ON sha256 = hash
               WHERE release_id = ? AND path IN (SELECT value FROM json_each(?))"#,
            release,
            paths
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| variant(row.path, &row.hash, row.size, row.stored))
            .collect()
    }

    /// Every file that a generation lists, by path.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn all_listed(&self, release: i64) -> Result<Vec<Variant>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT path, hash, index_file.size, sha256 AS "stored?"
               FROM index_file LEFT JOIN file ON sha256 = hash WHERE release_id = ?"#,
            release
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| variant(row.path, &row.hash, row.size, row.stored))
            .collect()
    }

    /// Forgets generations that are neither in use, nor among the last `keep`
    /// of their suite, nor were in use since `since`; with them whatever only
    /// they spoke of.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn retire(&self, keep: i64, since: Millis) -> Result<u64, DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        let gone = sqlx::query!(
            "DELETE FROM release WHERE id IN (
                 SELECT id FROM (
                     SELECT release.id, row_number() OVER (
                                PARTITION BY suite_id, release.taken_up_at IS NULL ORDER BY release.id DESC) AS place,
                            coalesce(superseded_at, release.seen_at) AS ended_at, release.taken_up_at
                     FROM release JOIN suite ON suite.id = suite_id
                     WHERE suite.release_id IS NOT release.id)
                 WHERE ended_at < ? AND (place >= ? OR taken_up_at IS NULL))",
            since,
            keep
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if gone > 0 {
            sqlx::query!(
                "DELETE FROM package WHERE until IS NOT NULL AND until <= (
                     SELECT min(release.id) FROM release JOIN list USING (suite_id) WHERE list.id = list_id)"
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!("DELETE FROM patch WHERE release_id NOT IN (SELECT id FROM release)")
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(gone)
    }
}

fn variant(
    path: String,
    digest: &[u8],
    size: i64,
    stored: Option<Vec<u8>>,
) -> Result<Variant, DbError> {
    Ok(Variant {
        path,
        vouched: vouched(digest, size)?,
        stored: some_hash(stored)?,
    })
}

fn listed(file: &ReleaseFile) -> (&str, String, Option<String>, i64) {
    (
        &file.path,
        file.vouched.digest.to_hex(),
        file.sha512.as_ref().map(|hash| to_hex(hash)),
        signed(file.vouched.size),
    )
}
