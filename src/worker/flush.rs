//! Writes what requests changed to rows, in batches: last uses and counters.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::jittered;
use crate::core::Core;
use crate::db::DbError;
use crate::meter::Kind;

/// How often; what a killed process had counted since then is lost.
const ROUND: Duration = Duration::from_secs(2);

/// Writes until cancelled, and once more then.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(jittered(ROUND)) => {}
            () = stop.cancelled() => {}
        }
        if let Err(error) = flush(&core).await {
            tracing::warn!(%error, "counters can't be written");
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
    let amounts = Kind::ALL.map(|kind| (kind, core.meters.pending(kind)));
    core.db.add_traffic(&amounts, core.now()).await?;
    core.meters.written(&amounts);
    Ok(())
}
