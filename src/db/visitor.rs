//! The `visitor` table: who asked for files.

use super::{Db, DbError, signed, unsigned};
use crate::clock::Millis;
use crate::visitors::{Face, Visits};

/// Rows in one statement.
const BATCH: usize = 1000;

impl Db {
    /// Those of each face who asked last, at most so many.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn visitors(&self, most: usize) -> Result<Vec<Visits>, DbError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut visitors = Vec::new();
        for face in Face::ALL {
            let face = face.as_str();
            let rows = sqlx::query_as!(
                Row,
                "SELECT face, address, hits, misses, bytes, last_seen
                 FROM visitor WHERE face = ? ORDER BY last_seen DESC LIMIT ?",
                face,
                most
            )
            .fetch_all(self.reader())
            .await?;
            for row in rows {
                visitors.push(row.try_into()?);
            }
        }
        Ok(visitors)
    }

    /// Adds what was counted since, and says what the rows have then.
    ///
    /// # Errors
    /// When the database refuses; then nothing of this is added.
    pub async fn add_visits(&self, news: &[Visits]) -> Result<Vec<Visits>, DbError> {
        let mut written = Vec::with_capacity(news.len());
        if news.is_empty() {
            return Ok(written);
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
            let rows = sqlx::query_as!(
                Row,
                "INSERT INTO visitor (face, address, hits, misses, bytes, last_seen)
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
                 FROM json_each(?) WHERE true
                 ON CONFLICT (face, address) DO UPDATE SET
                     hits = hits + excluded.hits, misses = misses + excluded.misses,
                     bytes = bytes + excluded.bytes, last_seen = excluded.last_seen
                 RETURNING face, address, hits, misses, bytes, last_seen",
                rows
            )
            .fetch_all(&mut *tx)
            .await?;
            for row in rows {
                written.push(row.try_into()?);
            }
        }
        tx.commit().await?;
        Ok(written)
    }

    /// Forgets who was not seen since then, and of the others of each face all
    /// but the latest, so many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_visitors(&self, since: Millis, most: usize) -> Result<(), DbError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut writer = self.writer().await;
        for face in Face::ALL {
            let face = face.as_str();
            sqlx::query!(
                "DELETE FROM visitor WHERE face = ?1 AND (last_seen < ?2 OR address IN
                     (SELECT address FROM visitor WHERE face = ?1
                      ORDER BY last_seen DESC LIMIT -1 OFFSET ?3))",
                face,
                since,
                most
            )
            .execute(&mut *writer)
            .await?;
        }
        Ok(())
    }
}

struct Row {
    face: String,
    address: String,
    hits: i64,
    misses: i64,
    bytes: i64,
    last_seen: Millis,
}

impl TryFrom<Row> for Visits {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let damaged = || DbError::Row("visitor".into());
        Ok(Self {
            face: Face::of(&row.face).ok_or_else(damaged)?,
            address: row.address.parse().map_err(|_| damaged())?,
            hits: unsigned(row.hits),
            misses: unsigned(row.misses),
            bytes: unsigned(row.bytes),
            last_seen: row.last_seen,
        })
    }
}
