//! The `patch` table: patches of pdiff histories, as they are downloaded.

use super::release::vouched;
use super::{Db, DbError, signed};
use crate::debian::digest::Vouched;

impl Db {
    /// Writes what an Index lists: paths below the suite's folder.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_patches(
        &self,
        suite: i64,
        release: i64,
        patches: &[(String, Vouched)],
    ) -> Result<(), DbError> {
        let rows: Vec<_> = patches
            .iter()
            .map(|(path, vouched)| (path, vouched.digest.to_hex(), signed(vouched.size)))
            .collect();
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        sqlx::query!(
            "INSERT INTO patch (suite_id, path, hash, size, release_id)
             SELECT ?1, value ->> 0, unhex(value ->> 1), value ->> 2, ?2 FROM json_each(?3)
             WHERE EXISTS (SELECT 1 FROM suite WHERE id = ?1)
             ON CONFLICT (suite_id, path) DO UPDATE SET
                 hash = excluded.hash, size = excluded.size, release_id = excluded.release_id
             WHERE excluded.release_id >= release_id",
            suite,
            release,
            rows
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// What a patch of this path below the suite's folder must be.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn patch(&self, suite: i64, path: &str) -> Result<Option<Vouched>, DbError> {
        let row = sqlx::query!(
            "SELECT hash, size FROM patch WHERE suite_id = ? AND path = ?",
            suite,
            path
        )
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| vouched(&row.hash, row.size)).transpose()
    }
}
