//! What other nodes may have.

use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Core, CoreError};
use crate::db::file::FileRow;
use crate::debian::naming::to_hex;
use crate::store::mapped::MappedFile;
use crate::store::share::{Content, Name, Share};
use crate::swarm::neighbours::Neighbours;

impl Core {
    /// The nodes on one link with this one; rows say the same.
    pub fn neighbours(&self) -> MutexGuard<'_, Neighbours> {
        self.neighbours
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What other nodes may have by this name, from memory or rows: a file
    /// that has a row of `announcement` or came a moment ago, or the torrent
    /// string of one.
    ///
    /// # Errors
    /// Where rows or disk can't be read.
    pub async fn share(self: &Arc<Self>, name: Name) -> Result<Option<Arc<Share>>, CoreError> {
        if let Some(share) = self.shares.get(&name) {
            return Ok(Some(share));
        }
        let forgettings = self.shares.forgettings();
        let found = match name {
            Name::File(sha256) => self.file_to_share(sha256).await?,
            Name::Torrent(sha1) => self.torrent_to_share(sha1).await?,
        };
        let share = found.map(Arc::new);
        if let Some(share) = &share {
            self.shares.put(&name, share, forgettings);
        }
        Ok(share)
    }

    async fn file_to_share(self: &Arc<Self>, sha256: [u8; 32]) -> Result<Option<Share>, CoreError> {
        let Some(row) = self.db.shared_file(sha256).await? else {
            return Ok(None);
        };
        if !row.is_announced && !self.fresh.has(&sha256) {
            return Ok(None);
        }
        let Some(body) = self.load(&row.file).await? else {
            self.forget_missing(row.file).await?;
            return Ok(None);
        };
        Ok(Some(Share {
            described: Name::File(sha256).described(row.last_modified),
            size: row.file.size,
            torrent: row.torrent,
            content: body.map_or(
                Content::Disk {
                    file_id: row.file.id,
                    sha256,
                },
                Content::Memory,
            ),
        }))
    }

    async fn torrent_to_share(&self, sha1: [u8; 20]) -> Result<Option<Share>, CoreError> {
        let row = self.db.shared_torrent(sha1).await?;
        let row = row.filter(|row| row.is_announced || self.fresh.has(&row.file));
        Ok(row.map(|row| Share {
            described: Name::Torrent(sha1).described(None),
            size: row.body.len() as u64,
            torrent: None,
            content: Content::Memory(Bytes::from(row.body)),
        }))
    }

    /// Opens a body. One that is missing is forgotten with its rows, so that
    /// the next request fetches it.
    ///
    /// # Errors
    /// Where disk or database refuse.
    pub async fn open_body(
        self: &Arc<Self>,
        file: FileRow,
    ) -> Result<Option<Arc<MappedFile>>, CoreError> {
        let (disk, wanted) = (Arc::clone(&self.disk), file.clone());
        let opened = tokio::task::spawn_blocking(move || disk.body(&wanted.sha256, wanted.size))
            .await
            .map_err(io::Error::other)??;
        if opened.is_none() {
            self.forget_missing(file).await?;
        }
        Ok(opened)
    }

    /// Forgets a file whose body is missing or has another length.
    pub(super) async fn forget_missing(self: &Arc<Self>, file: FileRow) -> Result<(), CoreError> {
        tracing::warn!(
            sha256 = to_hex(&file.sha256),
            "a cached body is missing or cut short: it will be fetched again"
        );
        self.forget(vec![file]).await?;
        Ok(())
    }
}
