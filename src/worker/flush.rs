//! Writes what requests and downloads changed to rows, in batches: last uses,
//! counters, who asks, and what is known of peers.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::jittered;
use crate::core::Core;
use crate::db::DbError;
use crate::meter::hour_of;
use crate::swarm::book::Changes;

/// How often; what a killed process had counted since then is lost.
const ROUND: Duration = Duration::from_secs(2);

/// Writes until cancelled, and once more then.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    let mut held = Changes::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(jittered(ROUND)) => {}
            () = stop.cancelled() => {}
        }
        if let Err(error) = flush(&core).await {
            tracing::warn!(%error, "counters can't be written");
        }
        if let Err(error) = write_peers(&core, &mut held).await {
            tracing::warn!(%error, "what is known of peers can't be written");
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

async fn flush(core: &Core) -> Result<(), DbError> {
    core.write_uses().await?;
    core.write_index_uses().await?;
    core.write_views().await?;
    write_numbers(core).await
}

/// Adds what was counted to rows. What the database refuses is still to be
/// written the next time.
async fn write_numbers(core: &Core) -> Result<(), DbError> {
    let now = core.now();
    let (amounts, hour) = (core.meters.pending(), hour_of(now));
    core.db.add_traffic(hour, &amounts).await?;
    core.meters.written(hour, &amounts);
    let visits = core.visitors.unwritten(now);
    let rows = core.db.add_visits(&visits).await?;
    core.visitors.written(&visits, &rows);
    Ok(())
}

/// Writes what was held back and then what is new. What the database refuses
/// is held for the next time.
async fn write_peers(core: &Core, held: &mut Changes) -> Result<(), DbError> {
    if !held.is_empty() {
        core.db.write_peers(held).await?;
    }
    *held = core.peers().changes();
    if !held.is_empty() {
        core.db.write_peers(held).await?;
        *held = Changes::default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::meter::Kind;
    use crate::visitors::Face;
    use crate::worker::testing::core;

    #[tokio::test]
    async fn what_the_database_refuses_to_count_is_counted_once_and_later() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        let client = core.visitors.of(Face::Apt, [192, 0, 2, 1].into());
        client.hit();
        client.sent(Kind::ClientsFromCache, 7);
        core.db.refuse_changes(true).await;
        assert!(write_numbers(&core).await.is_err());
        core.db.refuse_changes(false).await;
        client.sent(Kind::ClientsFromCache, 5);
        for _ in 0..2 {
            write_numbers(&core).await.unwrap();
        }
        let again = crate::visitors::Visitors::new(Arc::default());
        again.load(core.db.visitors(9).await.unwrap());
        let seen = again.latest(Face::Apt, 9, core.now());
        assert_eq!((seen[0].hits, seen[0].bytes), (1, 12));
        let rows = core.db.traffic(0).await.unwrap();
        assert_eq!(rows.all.of(Kind::ClientsFromCache), 12);
        assert_eq!(rows, core.meters.sums(hour_of(core.now())));
    }

    #[tokio::test]
    async fn what_the_database_refuses_to_know_of_peers_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        let (peer, now) = (SocketAddr::from(([192, 0, 2, 1], 9977)), core.now());
        let mut held = Changes::default();
        core.db.refuse_changes(true).await;
        core.peers().hash_error(peer, [7; 32], Some(1), now);
        assert!(write_peers(&core, &mut held).await.is_err());
        core.peers().measured(peer, 100, 10, 5, now);
        assert!(write_peers(&core, &mut held).await.is_err());
        core.db.refuse_changes(false).await;
        let end = CancellationToken::new();
        end.cancel();
        write_peers(&core, &mut held).await.unwrap();
        assert!(held.is_empty());
        core.peers().hash_error(peer, [7; 32], None, now + 1);
        run(Arc::clone(&core), end).await;
        let saved = core.db.load_peers(now).await.unwrap();
        assert_eq!((saved.peers[0].bytes, saved.peers[0].lag), (100, Some(5)));
        assert_eq!(saved.errors.len(), 2);
    }
}
