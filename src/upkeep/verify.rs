//! Verifying: every body is hashed again, and what differs is removed.

use std::fs::File;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Progress;
use crate::core::{Core, CoreError};
use crate::db::file::FileRow;
use crate::debian::naming::to_hex;
use crate::store::incoming::hash_file;

/// Rows looked at in one step.
const BATCH: i64 = 256;

/// What a verification found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Bodies looked at.
    pub checked: u64,
    /// Bodies that were missing or had another hash, and are gone now.
    pub removed: u64,
}

/// Hashes every body.
///
/// # Errors
/// Where rows can't be read or written, or the disk fails altogether.
pub async fn verify(
    core: &Arc<Core>,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Verified, CoreError> {
    let mut verified = Verified::default();
    let (mut done, mut after, total) = (0, 0, core.db.file_totals().await?.bytes);
    loop {
        let files = core.db.files_after(after, BATCH).await?;
        let Some(last) = files.last() else {
            return Ok(verified);
        };
        after = last.id;
        for file in files {
            verified.checked += 1;
            if !is_intact(core, &file).await? {
                // One that was evicted meanwhile is not there any more, nor wrong.
                for gone in core.forget(vec![file.clone()]).await? {
                    tracing::warn!(
                        sha256 = to_hex(&gone.sha256),
                        "a cached body differed from its hash and is removed"
                    );
                    verified.removed += 1;
                }
            }
            done += file.size;
            progress(Progress { done, total });
        }
    }
}

async fn is_intact(core: &Core, file: &FileRow) -> Result<bool, CoreError> {
    let (disk, wanted) = (Arc::clone(&core.disk), file.clone());
    let hashed = tokio::task::spawn_blocking(move || {
        let body = File::open(disk.body_path(&wanted.sha256))?;
        hash_file(&body)
    });
    match hashed.await.map_err(std::io::Error::other)? {
        Ok((sha256, size)) => Ok(sha256 == file.sha256 && size == file.size),
        Err(error) if is_unreadable(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A body that is gone or on a bad block is lost; having no file descriptors
/// left is no reason to remove anything.
fn is_unreadable(error: &std::io::Error) -> bool {
    let eio = rustix::io::Errno::IO.raw_os_error();
    error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(eio)
}
