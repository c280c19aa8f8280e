//! How a body comes to its place in the store and leaves it, rows included.

use std::io;
use std::sync::Arc;

use super::{Core, CoreError, Standing, entry_of};
use crate::db::DbError;
use crate::db::file::FileRow;
use crate::db::url::UrlRow;
use crate::debian::naming::from_hex;
use crate::store::disk::Temp;
use crate::store::hot::Entry;

impl Core {
    /// Puts a durable body in its place and commits the rows that speak of
    /// it. `None` where the lease was lost.
    ///
    /// # Errors
    /// Where disk or database refuse. Then, and where the lease was lost,
    /// neither row nor body stays.
    pub async fn place(
        self: &Arc<Self>,
        temp: Temp,
        (row, vouched): (UrlRow, bool),
        download: i64,
        lease: i64,
    ) -> Result<Option<(Arc<Entry>, bool)>, CoreError> {
        let core = Arc::clone(self);
        // In a task of its own, so that it runs to its end.
        let placed = tokio::spawn(async move {
            let _placing = core.placing.lock().await;
            temp.keep(&row.sha256)?;
            let finished = core
                .db
                .finish_download(&row, download, lease, core.now())
                .await;
            let Some((file_id, new)) = core.or_remove(row.sha256, finished).await? else {
                return Ok(None);
            };
            core.hot.forget(&row.url);
            core.spoilt.is_mended(&row.url);
            core.placed.notify_one();
            let standing = Standing {
                vouched,
                pending_since: 0,
            };
            let entry = Arc::new(entry_of(UrlRow { file_id, ..row }, standing, None));
            Ok(Some((entry, new)))
        });
        placed.await.map_err(io::Error::other)?
    }

    /// Puts a durable body that no address names in its place. Answers
    /// whether it is new.
    ///
    /// # Errors
    /// Where disk or database refuse; then neither row nor body stays.
    pub async fn place_unnamed(
        &self,
        temp: Temp,
        sha256: [u8; 32],
        size: u64,
    ) -> Result<bool, CoreError> {
        let _placing = self.placing.lock().await;
        temp.keep(&sha256)?;
        let added = self.db.add_file(sha256, size, self.now()).await.map(Some);
        Ok(self.or_remove(sha256, added).await?.unwrap_or(false))
    }

    /// Removes a body that was just placed if no row came to speak of it.
    async fn or_remove<T>(
        &self,
        sha256: [u8; 32],
        rows: Result<Option<T>, DbError>,
    ) -> Result<Option<T>, DbError> {
        if !matches!(rows, Ok(Some(_))) && matches!(self.db.file_by_hash(sha256).await, Ok(None)) {
            self.disk.remove_body(&sha256);
        }
        rows
    }

    /// Removes files: first their rows and what memory holds of them, then
    /// their bytes. Answers which of them were there.
    ///
    /// # Errors
    /// Where the database refuses; then nothing is removed.
    pub async fn forget(self: &Arc<Self>, files: Vec<FileRow>) -> Result<Vec<FileRow>, CoreError> {
        let core = Arc::clone(self);
        // In a task of its own: who asks may leave between rows and bytes.
        let forgotten = tokio::spawn(async move {
            let _placing = core.placing.lock().await;
            let (urls, gone) = core.db.forget_files(&files).await?;
            for url in &urls {
                core.hot.forget(url);
            }
            core.shares.clear();
            let gone: Vec<_> = files
                .into_iter()
                .filter(|file| gone.contains(&file.id))
                .collect();
            for file in &gone {
                core.disk.remove_body(&file.sha256);
                core.budget.removed(file.size);
            }
            Ok(gone)
        });
        forgotten.await.map_err(io::Error::other)?
    }

    /// Removes those of these bodies that no row speaks of; names are hashes
    /// in hexadecimal digits. Answers how many.
    ///
    /// # Errors
    /// Where rows can't be read.
    pub async fn sweep(&self, names: &[String]) -> Result<u64, CoreError> {
        let _placing = self.placing.lock().await;
        let mut removed = 0;
        for sha256 in self
            .db
            .unknown_hashes(names)
            .await?
            .iter()
            .filter_map(|name| from_hex(name))
        {
            self.disk.remove_body(&sha256);
            removed += 1;
        }
        Ok(removed)
    }
}
