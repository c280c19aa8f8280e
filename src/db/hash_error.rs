//! The `hash_error` table: whose bytes were shown to be wrong, and when.

use sqlx::sqlite::SqliteConnection;

use super::{Db, DbError, signed, unsigned};
use crate::clock::Millis;
use crate::debian::naming::to_hex;
use crate::swarm::book::HashError;

fn damaged() -> DbError {
    DbError::Row("hash_error".into())
}

impl Db {
    /// Every error since then, the earliest first.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn hash_errors(&self, since: Millis) -> Result<Vec<HashError>, DbError> {
        let rows = sqlx::query!(
            "SELECT address, at, file, piece FROM hash_error JOIN peer ON peer.id = peer_id
             WHERE at > ? ORDER BY at, hash_error.id",
            since
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(HashError {
                    peer: row.address.parse().map_err(|_| damaged())?,
                    at: row.at,
                    file: row.file.as_slice().try_into().map_err(|_| damaged())?,
                    piece: row.piece.map(unsigned),
                })
            })
            .collect()
    }
}

/// Writes errors of peers that have rows.
pub(super) async fn write(tx: &mut SqliteConnection, errors: &[HashError]) -> Result<(), DbError> {
    let errors: Vec<_> = errors
        .iter()
        .map(|error| {
            (
                error.peer.to_string(),
                error.at,
                to_hex(&error.file),
                error.piece.map(signed),
            )
        })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    let errors = serde_json::to_string(&errors).unwrap_or_default();
    sqlx::query!(
        "INSERT INTO hash_error (peer_id, at, file, piece)
         SELECT peer.id, value ->> 1, unhex(value ->> 2), value ->> 3
         FROM json_each(?) JOIN peer ON address = value ->> 0",
        errors
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
