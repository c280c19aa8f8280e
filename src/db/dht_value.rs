//! The `dht_value` table: what is kept for others.

use std::net::IpAddr;

use sqlx::sqlite::SqliteConnection;

use super::{Db, DbError};
use crate::clock::Millis;
use crate::debian::naming::to_hex;
use crate::dht::id::{Key, NodeId};
use crate::dht::values::{Saved, ValueChange};

/// Rows in one statement: at most about a megabyte of text.
const BATCH: usize = 256;

/// A row's key and publisher, if they can be read.
fn claim(key: &[u8], publisher: &[u8]) -> Option<(Key, IpAddr)> {
    let publisher = std::str::from_utf8(publisher).ok()?.parse().ok()?;
    Some((NodeId(key.try_into().ok()?), publisher))
}

impl Db {
    /// Every value that has not expired. A row that is damaged is deleted: who
    /// published the value stores it again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn dht_values(&self, now: Millis) -> Result<Vec<Saved>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT key, value, publisher AS "publisher: Vec<u8>", expires_at
               FROM dht_value WHERE expires_at > ?"#,
            now
        )
        .fetch_all(self.reader())
        .await?;
        let (mut values, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match claim(&row.key, &row.publisher) {
                Some((key, publisher)) => values.push(Saved {
                    key,
                    value: row.value,
                    publisher,
                    expires: row.expires_at,
                }),
                None => damaged.push((to_hex(&row.key), to_hex(&row.value))),
            }
        }
        if !damaged.is_empty() {
            let rows = damaged.len();
            tracing::warn!(rows, "rows of dht_value are damaged: they are deleted");
            remove(&mut *self.writer().await, &damaged).await?;
        }
        Ok(values)
    }

    /// Removes values that have expired. Reads the whole table: what expires
    /// while the node runs is a change that the engine tells of.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn expire_dht_values(&self, now: Millis) -> Result<u64, DbError> {
        let expired = sqlx::query!("DELETE FROM dht_value WHERE expires_at <= ?", now)
            .execute(&mut *self.writer().await)
            .await?;
        Ok(expired.rows_affected())
    }
}

/// Writes values that are new or renewed, and removes those that are gone.
pub(super) async fn write(
    tx: &mut SqliteConnection,
    changes: &[ValueChange],
) -> Result<(), DbError> {
    for changes in changes.chunks(BATCH) {
        write_batch(tx, changes).await?;
    }
    Ok(())
}

async fn write_batch(tx: &mut SqliteConnection, changes: &[ValueChange]) -> Result<(), DbError> {
    let mut gone = Vec::new();
    let mut put = Vec::new();
    for change in changes {
        match change {
            ValueChange::Gone { key, value } => gone.push((to_hex(&key.0), to_hex(value))),
            ValueChange::Put(saved) => put.push((
                to_hex(&saved.key.0),
                to_hex(&saved.value),
                saved.publisher.to_string(),
                saved.expires,
            )),
        }
    }
    if !gone.is_empty() {
        remove(&mut *tx, &gone).await?;
    }
    if !put.is_empty() {
        let put = serde_json::to_string(&put).unwrap_or_default();
        sqlx::query!(
            "INSERT INTO dht_value (key, value, publisher, expires_at)
             SELECT unhex(put.value ->> 0), unhex(put.value ->> 1), put.value ->> 2, put.value ->> 3
             FROM json_each(?) AS put WHERE true
             ON CONFLICT (key, value) DO UPDATE SET
                 publisher = excluded.publisher, expires_at = excluded.expires_at",
            put
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Removes rows by key and value in hexadecimal.
async fn remove(writer: &mut SqliteConnection, gone: &[(String, String)]) -> Result<(), DbError> {
    let gone = serde_json::to_string(gone).unwrap_or_default();
    sqlx::query!(
        "DELETE FROM dht_value WHERE (key, value) IN (
             SELECT unhex(gone.value ->> 0), unhex(gone.value ->> 1) FROM json_each(?) AS gone)",
        gone
    )
    .execute(writer)
    .await?;
    Ok(())
}
