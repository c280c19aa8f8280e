//! The `traffic` table: what came and went, by the hour.

use super::{Db, DbError, signed, unsigned};
use crate::clock::Millis;
use crate::meter::Kind;

impl Db {
    /// Adds to the current hour.
    ///
    /// # Errors
    /// When the database refuses; then nothing is added.
    pub async fn add_traffic(&self, amounts: &[(Kind, u64)], now: Millis) -> Result<(), DbError> {
        let amounts: Vec<_> = amounts
            .iter()
            .filter(|(_, amount)| *amount > 0)
            .map(|(kind, amount)| (kind.as_str(), signed(*amount)))
            .collect();
        if amounts.is_empty() {
            return Ok(());
        }
        let hour = now / 3_600_000;
        let amounts = serde_json::to_string(&amounts).unwrap_or_default();
        sqlx::query!(
            "INSERT INTO traffic (hour, kind, amount)
             SELECT ?, value ->> 0, value ->> 1 FROM json_each(?) WHERE true
             ON CONFLICT (hour, kind) DO UPDATE SET amount = amount + excluded.amount",
            hour,
            amounts
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// The sum of one kind since the database was made.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn traffic_total(&self, kind: Kind) -> Result<u64, DbError> {
        let kind = kind.as_str();
        let sum = sqlx::query_scalar!(
            r#"SELECT coalesce(sum(amount), 0) AS "sum!: i64" FROM traffic WHERE kind = ?"#,
            kind
        )
        .fetch_one(self.reader())
        .await?;
        Ok(unsigned(sum))
    }
}
