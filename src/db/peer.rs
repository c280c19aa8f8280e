//! The `peer` table: what is known of other nodes as sources of files.

use sqlx::sqlite::SqliteConnection;

use super::{Db, DbError, begin, hash_error, signed, unsigned};
use crate::clock::Millis;
use crate::swarm::book::{Changes, DAY, MOST_PEERS, PeerRow, Saved};

/// Rows in one statement.
const BATCH: usize = 1000;

fn damaged() -> DbError {
    DbError::Row("peer".into())
}

impl Db {
    /// What an earlier run knew of peers, with their hash errors of the last
    /// 24 hours.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn load_peers(&self, now: Millis) -> Result<Saved, DbError> {
        let most = i64::try_from(MOST_PEERS).unwrap_or(i64::MAX);
        let rows = sqlx::query!(
            "SELECT address, speed, lag, connected_until, bytes, last_error, last_used
             FROM peer ORDER BY last_used DESC, id LIMIT ?",
            most
        )
        .fetch_all(self.reader())
        .await?;
        let peers = rows.into_iter().map(|row| {
            Ok(PeerRow {
                address: row.address.parse().map_err(|_| damaged())?,
                speed: row.speed.map(unsigned),
                lag: row.lag,
                connected_until: row.connected_until,
                bytes: unsigned(row.bytes),
                last_error: row.last_error,
                last_used: row.last_used,
            })
        });
        Ok(Saved {
            peers: peers.collect::<Result<_, DbError>>()?,
            errors: self.hash_errors(now - DAY).await?,
        })
    }

    /// Writes changes in one transaction.
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn write_peers(&self, changes: &Changes) -> Result<(), DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        // One that is gone may be here again.
        for gone in changes.gone.chunks(BATCH) {
            let gone: Vec<_> = gone.iter().map(ToString::to_string).collect();
            forget(&mut tx, &gone).await?;
        }
        for peers in changes.peers.chunks(BATCH) {
            put(&mut tx, peers).await?;
        }
        for errors in changes.errors.chunks(BATCH) {
            hash_error::write(&mut tx, errors).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Forgets errors of before `errors`, and peers without any that were not
    /// used since `unused`. Answers how many peers those were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_peers(&self, unused: Millis, errors: Millis) -> Result<u64, DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!("DELETE FROM hash_error WHERE at < ?", errors)
            .execute(&mut *tx)
            .await?;
        let gone = sqlx::query!(
            "DELETE FROM peer WHERE last_used < ?
             AND NOT EXISTS (SELECT 1 FROM hash_error WHERE peer_id = peer.id)",
            unused
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(gone.rows_affected())
    }
}

async fn forget(tx: &mut SqliteConnection, addresses: &[String]) -> Result<(), DbError> {
    let addresses = serde_json::to_string(addresses).unwrap_or_default();
    sqlx::query!(
        "DELETE FROM peer WHERE address IN (SELECT value FROM json_each(?))",
        addresses
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn put(tx: &mut SqliteConnection, peers: &[PeerRow]) -> Result<(), DbError> {
    let peers: Vec<_> = peers
        .iter()
        .map(|row| {
            (
                row.address.to_string(),
                row.speed.map(signed),
                row.lag,
                row.connected_until,
                signed(row.bytes),
                &row.last_error,
                row.last_used,
            )
        })
        .collect();
    let peers = serde_json::to_string(&peers).unwrap_or_default();
    sqlx::query!(
        "INSERT INTO peer (address, speed, lag, connected_until, bytes, last_error, last_used)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                value ->> 6 FROM json_each(?) WHERE true
         ON CONFLICT (address) DO UPDATE SET
             speed = excluded.speed, lag = excluded.lag,
             connected_until = excluded.connected_until, bytes = excluded.bytes,
             last_error = excluded.last_error, last_used = excluded.last_used",
        peers
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
