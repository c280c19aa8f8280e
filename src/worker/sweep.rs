//! After a start: removes bytes that no row speaks of.
//!
//! A process that is killed between a rename and its commit, or between a
//! commit and an unlink, leaves a body without a row; one killed during a
//! download leaves a temp file. Only what is older than the start is looked
//! at, so that nothing that is on its way is mistaken for it.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::Millis;
use crate::core::{Core, CoreError};

/// Sweeps once.
pub async fn run(core: Arc<Core>, started: Millis, stop: CancellationToken) {
    let swept = tokio::select! {
        swept = sweep(&core, started) => swept,
        () = stop.cancelled() => return,
    };
    match swept {
        Ok(0) => {}
        Ok(removed) => tracing::info!(
            files = removed,
            "files that an unclean stop left behind are removed"
        ),
        Err(error) => tracing::warn!(%error, "the cache folder can't be swept"),
    }
}

/// Removes what no row speaks of; answers how many files.
///
/// # Errors
/// Where rows or folders can't be read.
pub async fn sweep(core: &Arc<Core>, started: Millis) -> Result<u64, CoreError> {
    let mut removed = 0;
    let spoken_of: HashSet<_> = core.db.temps_in_use().await?.into_iter().collect();
    for temp in core.disk.temps(started)? {
        if !spoken_of.contains(&temp) {
            core.disk.drop_temp(&temp);
            removed += 1;
        }
    }
    for folder in 0..=u8::MAX {
        let disk = Arc::clone(&core.disk);
        let names = tokio::task::spawn_blocking(move || disk.bodies_in(folder, started))
            .await
            .map_err(std::io::Error::other)??;
        removed += core.sweep(&names).await?;
    }
    Ok(removed)
}
