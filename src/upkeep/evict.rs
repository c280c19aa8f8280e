//! Evicting: least recently used bodies go until the rest is within the limits.

use std::sync::Arc;

use super::Progress;
use crate::core::{Core, CoreError};
use crate::db::file::FileRow;

/// Rows looked at in one step.
const BATCH: i64 = 64;

/// What an eviction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Evicted {
    /// Bodies removed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Evicts until `wanted` more bytes fit, or nothing is left that may go: what
/// is pinned or being read stays. `progress` hears of every step.
///
/// # Errors
/// Where rows can't be read or written.
pub async fn evict(
    core: &Arc<Core>,
    wanted: u64,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Evicted, CoreError> {
    let _evicting = core.evicting.lock().await;
    let mut evicted = Evicted::default();
    // Asked once: some file systems free space long after an unlink.
    let total = core.budget.shortfall(wanted);
    if total == 0 {
        return Ok(evicted);
    }
    if let Err(error) = core.write_uses().await {
        tracing::warn!(%error, "evicting without knowing the last uses");
    }
    let mut kept = 0;
    // The indexes of kept generations go last: clients are in the middle of them.
    let mut spare_indexes = true;
    while evicted.bytes < total {
        let oldest = core
            .db
            .least_recently_used(BATCH, kept, spare_indexes)
            .await?;
        if oldest.is_empty() && spare_indexes {
            (spare_indexes, kept) = (false, 0);
            continue;
        }
        if oldest.is_empty() {
            break;
        }
        let victims = choose(&oldest, total - evicted.bytes, |file| {
            core.disk.in_use(&file.sha256)
        });
        if victims.is_empty() {
            kept += i64::try_from(oldest.len()).unwrap_or(BATCH);
            continue;
        }
        for gone in core.forget(victims).await? {
            evicted.files += 1;
            evicted.bytes += gone.size;
        }
        let done = evicted.bytes.min(total);
        progress(Progress { done, total });
    }
    Ok(evicted)
}

/// The first files that may go, until they come to `short` bytes.
fn choose(oldest: &[FileRow], short: u64, in_use: impl Fn(&FileRow) -> bool) -> Vec<FileRow> {
    let mut sum = 0;
    let mut victims = Vec::new();
    for file in oldest.iter().filter(|file| !in_use(file)) {
        if sum >= short {
            break;
        }
        sum += file.size;
        victims.push(file.clone());
    }
    victims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config::Verify;
    use crate::core::Parts;
    use crate::db::Db;
    use crate::db::download::Limits;
    use crate::health::Health;
    use crate::mirrors::Mirrors;
    use crate::signature::Keyrings;
    use crate::store::budget::Budget;
    use crate::store::disk::Disk;
    use crate::truth::Judge;

    /// A store of `files` rows of ten bytes each that may hold `max_size` bytes.
    async fn crowded(files: u8, max_size: u64) -> (tempfile::TempDir, Arc<Core>) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::open(folder.path()).unwrap());
        let db = Db::open(&disk.database()).await.unwrap();
        for hash in 0..files {
            db.add_file([hash; 32], 10, 0).await.unwrap();
        }
        let used = u64::from(files) * 10;
        let core = Core::new(Parts {
            db,
            budget: Budget::new(max_size, 0, disk.root().to_owned(), used),
            disk,
            health: Health::from_rows(Vec::new()),
            mirrors: Mirrors::new(&[]).unwrap(),
            clock: ManualClock::at(0),
            download_limits: Limits {
                slots: 0,
                per_origin: 0,
                lease: 0,
            },
            judge: Judge {
                verify: Verify::Off,
                keyrings: Keyrings::new(Vec::new()),
            },
        });
        (folder, core)
    }

    #[tokio::test]
    async fn two_at_once_evict_no_more_than_one() {
        let (_folder, core) = crowded(6, 25).await;
        let (one, other) = tokio::join!(evict(&core, 0, |_| {}), evict(&core, 0, |_| {}));
        assert_eq!(one.unwrap().files + other.unwrap().files, 4);
        assert_eq!(core.budget.used(), 20);
    }

    #[test]
    fn the_oldest_go_until_it_is_enough_and_readers_are_spared() {
        let file = |id| FileRow {
            id,
            sha256: [0; 32],
            size: 10,
        };
        let oldest = [file(1), file(2), file(3), file(4)];
        let ids: Vec<_> = choose(&oldest, 15, |file| file.id == 2)
            .iter()
            .map(|file| file.id)
            .collect();
        assert_eq!(ids, [1, 3]);
    }
}
