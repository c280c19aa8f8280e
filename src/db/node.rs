//! The `node` table: who this node is, and whether the machine went down since.

use super::{Db, DbError, begin};
use crate::clock::Millis;

impl Db {
    /// Reads who this node is (20 random bytes, made with the database), or
    /// decides it at the first start.
    ///
    /// Bodies that a killed process left in the temp folder are what it wrote
    /// only as long as the kernel runs that held them in its page cache. Under
    /// another `boot_id` they are forgotten, in the same transaction that
    /// writes the new one down.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn identity(&self, boot_id: &str, now: Millis) -> Result<[u8; 20], DbError> {
        let fresh: [u8; 20] = rand::random();
        let made = fresh.as_slice();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!(
            "UPDATE download SET temp = NULL, size = NULL
             WHERE NOT EXISTS (SELECT 1 FROM node WHERE boot_id = ?)",
            boot_id
        )
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query!(
            "INSERT INTO node (id, node_id, boot_id, since) VALUES (1, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id RETURNING node_id",
            made,
            boot_id,
            now
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        row.node_id
            .as_slice()
            .try_into()
            .map_err(|_| DbError::Row("node".into()))
    }

    /// When the database was made.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn since(&self) -> Result<Millis, DbError> {
        let since = sqlx::query_scalar!("SELECT since FROM node");
        Ok(since.fetch_one(self.reader()).await?)
    }

    /// Whether rows can be read.
    ///
    /// # Errors
    /// What `SQLite` says.
    pub async fn ping(&self) -> Result<(), DbError> {
        sqlx::query!("SELECT id FROM node")
            .fetch_optional(self.reader())
            .await?;
        Ok(())
    }

    /// The same by the writer, which is waited for.
    ///
    /// # Errors
    /// What `SQLite` says.
    pub async fn ping_writer(&self) -> Result<(), DbError> {
        sqlx::query!("SELECT id FROM node")
            .fetch_optional(&mut *self.writer().await)
            .await?;
        Ok(())
    }
}
