//! What an earlier run knew of the DHT, and what this one learns: the tables
//! `dht_node`, `dht_value` and `dht_secret` together.

use super::{Db, DbError, begin, dht_node, dht_secret, dht_value};
use crate::clock::Millis;
use crate::dht::engine::{Changes, Saved};

impl Db {
    /// What an earlier run left; values that expired since are left out, and so
    /// is what is damaged.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn load_dht(&self, now: Millis) -> Result<Saved, DbError> {
        Ok(Saved {
            nodes: self.dht_nodes().await?,
            values: self.dht_values(now).await?,
            secrets: self.dht_secrets().await?,
        })
    }

    /// Writes changes in one transaction. To write the same again, or later
    /// ones of the same rows, is always right.
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn write_dht(&self, changes: &Changes) -> Result<(), DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        dht_node::write(&mut tx, &changes.nodes).await?;
        dht_value::write(&mut tx, &changes.values).await?;
        if let Some(secrets) = &changes.secrets {
            dht_secret::write(&mut tx, secrets).await?;
        }
        Ok(tx.commit().await?)
    }
}
