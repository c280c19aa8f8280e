//! The `mirror` table: origins that failed lately.

use super::{Db, DbError, begin};
use crate::clock::Millis;
use crate::health::Failing;

impl Db {
    /// Every origin that is failing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn failing_mirrors(&self) -> Result<Vec<Failing>, DbError> {
        let rows = sqlx::query!(
            "SELECT origin, failures, not_before, last_error, failing_since FROM mirror
             ORDER BY failing_since"
        )
        .fetch_all(self.reader())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Failing {
                origin: row.origin,
                failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
                not_before: row.not_before,
                last_error: row.last_error,
                failing_since: row.failing_since,
            })
            .collect())
    }

    /// Writes that an origin failed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mirror_failed(&self, row: &Failing) -> Result<(), DbError> {
        sqlx::query!(
            "INSERT INTO mirror (origin, failures, not_before, last_error, failing_since)
             VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (origin) DO UPDATE SET failures = excluded.failures,
                not_before = excluded.not_before, last_error = excluded.last_error",
            row.origin,
            row.failures,
            row.not_before,
            row.last_error,
            row.failing_since
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// Forgets origins that were to be asked again before `since`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_mirrors(&self, since: Millis) -> Result<(), DbError> {
        sqlx::query!("DELETE FROM mirror WHERE not_before < ?", since)
            .execute(&mut *self.writer().await)
            .await?;
        Ok(())
    }

    /// An origin answers again: what waits in backoff for it is tried now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mirror_recovered(&self, origin: &str, now: Millis) -> Result<(), DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!("DELETE FROM mirror WHERE origin = ?", origin)
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "UPDATE download SET not_before = ? WHERE state = 'wanted' AND origin = ? AND not_before > ?",
            now,
            origin,
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
