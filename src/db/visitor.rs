//! The `visitor` table: who asked for files.

use super::{Db, DbError, signed, unsigned};
use crate::clock::Millis;
use crate::visitors::{Face, Visits};

/// Rows in one statement.
const BATCH: usize = 1000;

impl Db {
    /// Those who asked last, at most so many.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn visitors(&self, most: usize) -> Result<Vec<Visits>, DbError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = sqlx::query!(
            "SELECT face, address, hits, misses, bytes, last_seen
             FROM visitor ORDER BY last_seen DESC LIMIT ?",
            most
        )
        .fetch_all(self.reader())
        .await?;
        let damaged = || DbError::Row("visitor".into());
        let visitors = rows.into_iter().map(|row| {
            Ok(Visits {
                face: Face::of(&row.face).ok_or_else(damaged)?,
                address: row.address.parse().map_err(|_| damaged())?,
                hits: unsigned(row.hits),
                misses: unsigned(row.misses),
                bytes: unsigned(row.bytes),
                last_seen: row.last_seen,
            })
        });
        visitors.collect()
    }

    /// Adds what was counted since.
    ///
    /// # Errors
    /// When the database refuses; then nothing of this is added.
    pub async fn add_visits(&self, news: &[Visits]) -> Result<(), DbError> {
        if news.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer().await;
        let mut tx = super::begin(&mut writer).await?;
        for news in news.chunks(BATCH) {
            let rows: Vec<_> = news
                .iter()
                .map(|visits| {
                    (
                        visits.face.as_str(),
                        visits.address,
                        signed(visits.hits),
                        signed(visits.misses),
                        signed(visits.bytes),
                        visits.last_seen,
                    )
                })
                .collect();
            let rows = serde_json::to_string(&rows).unwrap_or_default();
            sqlx::query!(
                "INSERT INTO visitor (face, address, hits, misses, bytes, last_seen)
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
                 FROM json_each(?) WHERE true
                 ON CONFLICT (face, address) DO UPDATE SET
                     hits = hits + excluded.hits, misses = misses + excluded.misses,
                     bytes = bytes + excluded.bytes, last_seen = excluded.last_seen",
                rows
            )
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Forgets who was not seen since then, and of the others all but the
    /// latest, so many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_visitors(&self, since: Millis, most: usize) -> Result<(), DbError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        sqlx::query!(
            "DELETE FROM visitor WHERE last_seen < ? OR (face, address) IN
                 (SELECT face, address FROM visitor ORDER BY last_seen DESC LIMIT -1 OFFSET ?)",
            since,
            most
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }
}
