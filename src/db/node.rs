//! The `node` table: who this node is, and whether the machine went down since.

use super::{Db, DbError, begin};
use crate::clock::Millis;

/// This node, as its database knows it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// 20 random bytes, made with the database.
    pub node_id: [u8; 20],
    /// Whether the kernel is the one of the last start, so that bytes written
    /// by a killed process are still what was written (page cache).
    pub same_boot: bool,
}

impl Db {
    /// Reads who this node is, or decides it at the first start.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn identity(&self, boot_id: &str, now: Millis) -> Result<Identity, DbError> {
        let fresh: [u8; 20] = rand::random();
        let fresh = fresh.as_slice();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        let known = sqlx::query!(r#"SELECT node_id, boot_id FROM node WHERE id = 1"#)
            .fetch_optional(&mut *tx)
            .await?;
        sqlx::query!(
            "INSERT INTO node (id, node_id, boot_id, since) VALUES (1, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id",
            fresh,
            boot_id,
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let (node_id, same_boot) = match &known {
            Some(row) => (row.node_id.as_slice(), row.boot_id == boot_id),
            None => (fresh, true),
        };
        let node_id = node_id
            .try_into()
            .map_err(|_| DbError::Row("node".into()))?;
        Ok(Identity { node_id, same_boot })
    }
}
