//! The `dht_secret` table: what tokens are made from.

use sqlx::sqlite::SqliteConnection;

use super::{Db, DbError};
use crate::debian::naming::to_hex;
use crate::dht::token::Secret;

impl Db {
    /// Every secret, the oldest first. A row that is damaged goes with the next
    /// write, which replaces all.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn dht_secrets(&self) -> Result<Vec<Secret>, DbError> {
        let rows = sqlx::query!("SELECT secret, made_at FROM dht_secret ORDER BY made_at")
            .fetch_all(self.reader())
            .await?;
        let all = rows.len();
        let secrets = rows.into_iter().filter_map(|row| {
            Some(Secret {
                bytes: row.secret.try_into().ok()?,
                made_at: row.made_at,
            })
        });
        let secrets: Vec<_> = secrets.collect();
        if secrets.len() < all {
            let rows = all - secrets.len();
            tracing::warn!(rows, "rows of dht_secret are damaged: they are replaced");
        }
        Ok(secrets)
    }
}

/// These secrets take the place of all others.
pub(super) async fn write(tx: &mut SqliteConnection, secrets: &[Secret]) -> Result<(), DbError> {
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| (to_hex(&secret.bytes), secret.made_at))
        .collect();
    let secrets = serde_json::to_string(&secrets).unwrap_or_default();
    sqlx::query!("DELETE FROM dht_secret")
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "INSERT INTO dht_secret (secret, made_at)
         SELECT unhex(value ->> 0), value ->> 1 FROM json_each(?)",
        secrets
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
