//! Writes what the DHT learns to rows, in batches: whom we know, what we keep
//! for others, what tokens are made from.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::jittered;
use crate::core::Core;
use crate::db::DbError;
use crate::dht::engine::Changes;
use crate::overlay::Overlay;

/// How often; what a killed process had learnt since then is lost.
const ROUND: Duration = Duration::from_secs(2);

/// How often rows are looked for whose values expired while nobody watched.
const EXPIRE: Duration = Duration::from_mins(10);

/// Writes until cancelled, and once more then.
pub async fn run(core: Arc<Core>, overlay: Overlay, stop: CancellationToken) {
    let mut held = Changes::default();
    let mut expire_at = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(jittered(ROUND)) => {}
            () = stop.cancelled() => {}
        }
        if let Err(error) = write(&core, &overlay, &mut held).await {
            tracing::warn!(%error, "what the DHT learnt can't be written");
        }
        if stop.is_cancelled() {
            return;
        }
        if expire_at <= Instant::now() {
            expire_at = Instant::now() + jittered(EXPIRE);
            if let Err(error) = core.db.expire_dht_values(core.now()).await {
                tracing::warn!(%error, "values that expired can't be removed");
            }
        }
    }
}

/// Writes what was held back and then what is new. What the database refuses
/// is held for the next time; until it is written, nothing more is taken, and
/// the engine keeps one change of a row and not many.
async fn write(core: &Core, overlay: &Overlay, held: &mut Changes) -> Result<(), DbError> {
    if !held.is_empty() {
        core.db.write_dht(held).await?;
    }
    *held = overlay.take_changes();
    if !held.is_empty() {
        core.db.write_dht(held).await?;
        *held = Changes::default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dht::id::NodeId;
    use crate::worker::testing::{core, overlay, until};

    #[tokio::test]
    async fn what_is_learnt_comes_to_rows_at_the_end_at_the_latest() {
        let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let core = core(folder.path()).await;
        let first = overlay(1, &[], &stop);
        let own = overlay(2, &[&first], &stop);
        until(async || own.is_ready()).await;
        let end = CancellationToken::new();
        end.cancel();
        run(Arc::clone(&core), own, end).await;
        let saved = core.db.load_dht(core.now()).await.unwrap();
        assert_eq!(saved.nodes[0].contact.id, NodeId([1; 20]));
        assert_eq!(saved.nodes[0].contact.addr, first.address());
        assert!(!saved.secrets.is_empty());
        stop.cancel();
    }

    #[tokio::test]
    async fn what_the_database_refuses_is_written_later() {
        let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let core = core(folder.path()).await;
        let first = overlay(1, &[], &stop);
        let own = overlay(2, &[&first], &stop);
        until(async || own.is_ready()).await;
        let mut held = Changes::default();
        core.db.refuse_changes(true).await;
        for _ in 0..2 {
            assert!(write(&core, &own, &mut held).await.is_err());
            assert!(!held.is_empty());
        }
        core.db.refuse_changes(false).await;
        write(&core, &own, &mut held).await.unwrap();
        assert!(held.is_empty());
        assert!(!core.db.dht_nodes().await.unwrap().is_empty());
        stop.cancel();
    }
}
