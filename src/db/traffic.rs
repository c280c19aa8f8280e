//! The `traffic` table: what came and went, by the hour.

use super::{Db, DbError, signed, unsigned};
use crate::meter::{Amounts, Kind, Sums};

impl Db {
    /// Adds to an hour (hours since 1970).
    ///
    /// # Errors
    /// When the database refuses; then nothing is added.
    pub async fn add_traffic(&self, hour: i64, amounts: &Amounts) -> Result<(), DbError> {
        let amounts: Vec<_> = Kind::ALL
            .iter()
            .map(|kind| (kind.as_str(), signed(amounts.of(*kind))))
            .filter(|(_, amount)| *amount > 0)
            .collect();
        if amounts.is_empty() {
            return Ok(());
        }
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

    /// The sums of all time, with the hours from `since` on (hours since 1970)
    /// apart.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn traffic(&self, since: i64) -> Result<Sums, DbError> {
        let rows = sqlx::query!(
            r#"SELECT NULL AS "hour: i64", kind AS "kind!", sum(amount) AS "amount!: i64"
               FROM traffic WHERE hour < ? GROUP BY kind
               UNION ALL
               SELECT hour, kind, amount FROM traffic WHERE hour >= ?"#,
            since,
            since
        )
        .fetch_all(self.reader())
        .await?;
        let mut sums = Sums::default();
        for row in rows {
            let damaged = || DbError::Row("traffic".into());
            let mut amounts = Amounts::default();
            amounts.add(
                Kind::of(&row.kind).ok_or_else(damaged)?,
                unsigned(row.amount),
            );
            match row.hour {
                Some(hour) => sums.add(hour, &amounts),
                None => sums.all.add_all(&amounts),
            }
        }
        Ok(sums)
    }
}
