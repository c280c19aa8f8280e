//! The `neighbour` table: nodes on one link with this one.

use std::net::SocketAddr;

use super::{Db, DbError, begin};
use crate::clock::Millis;
use crate::debian::naming::to_hex;

/// Where a node on the same link is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourRow {
    /// Who it is.
    pub node_id: [u8; 20],
    /// Where it is reached over HTTP.
    pub address: SocketAddr,
    /// When it last said so.
    pub seen_at: Millis,
}

impl Db {
    /// These are the nodes on the same link now, and no others.
    ///
    /// # Errors
    /// When the database refuses; then what was known stands.
    pub async fn keep_neighbours(&self, rows: &[NeighbourRow]) -> Result<(), DbError> {
        let row = |row: &NeighbourRow| (to_hex(&row.node_id), row.address, row.seen_at);
        let rows: Vec<_> = rows.iter().map(row).collect();
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!("DELETE FROM neighbour")
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "INSERT INTO neighbour (node_id, address, seen_at)
             SELECT unhex(value ->> 0), value ->> 1, value ->> 2 FROM json_each(?)
             WHERE true ON CONFLICT DO NOTHING",
            rows
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Whom an earlier process saw has to be seen again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_neighbours(&self) -> Result<(), DbError> {
        sqlx::query!("DELETE FROM neighbour")
            .execute(&mut *self.writer().await)
            .await?;
        Ok(())
    }

    /// Nodes on the same link, in the order of their ids.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn neighbours(&self) -> Result<Vec<NeighbourRow>, DbError> {
        let rows = sqlx::query!(
            "SELECT node_id, address, seen_at FROM neighbour ORDER BY node_id, address"
        )
        .fetch_all(self.reader())
        .await?;
        let read = rows.into_iter().filter_map(|row| {
            Some(NeighbourRow {
                node_id: row.node_id.try_into().ok()?,
                address: row.address.parse().ok()?,
                seen_at: row.seen_at,
            })
        });
        Ok(read.collect())
    }
}
