//! The `neighbour` table: nodes on one link with this one.

use std::net::SocketAddr;

use super::{Db, DbError, begin};
use crate::clock::Millis;

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
    /// A node on the same link is reached here, and nowhere else.
    ///
    /// # Errors
    /// When the database refuses; then what was known stands.
    pub async fn keep_neighbour(
        &self,
        node_id: [u8; 20],
        addresses: &[SocketAddr],
        now: Millis,
    ) -> Result<(), DbError> {
        let id = node_id.as_slice();
        let addresses = serde_json::to_string(addresses).unwrap_or_default();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!("DELETE FROM neighbour WHERE node_id = ?", id)
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "INSERT INTO neighbour (node_id, address, seen_at)
             SELECT ?1, value, ?2 FROM json_each(?3) WHERE true ON CONFLICT DO NOTHING",
            id,
            now,
            addresses
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// A node on the same link left.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_neighbour(&self, node_id: [u8; 20]) -> Result<(), DbError> {
        let id = node_id.as_slice();
        sqlx::query!("DELETE FROM neighbour WHERE node_id = ?", id)
            .execute(&mut *self.writer().await)
            .await?;
        Ok(())
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
