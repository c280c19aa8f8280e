//! The `dht_secret` table: what tokens are made from.

use sqlx::sqlite::SqliteConnection;

use super::{Db, DbError};
use crate::debian::naming::to_hex;
use crate::dht::token::Secret;

impl Db {
    /// Every secret, the oldest first.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn dht_secrets(&self) -> Result<Vec<Secret>, DbError> {
        let rows = sqlx::query!("SELECT secret, made_at FROM dht_secret ORDER BY made_at")
            .fetch_all(self.reader())
            .await?;
        rows.into_iter()
            .map(|row| {
                let bytes = row.secret.as_slice().try_into();
                Ok(Secret {
                    bytes: bytes.map_err(|_| DbError::Row("dht_secret".into()))?,
                    made_at: row.made_at,
                })
            })
            .collect()
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
