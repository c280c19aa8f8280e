//! Forgets generations that nobody needs any more, old refusals, and peers,
//! visitors and failures of origins of long ago.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::{jittered, millis};
use crate::core::Core;
use crate::db::DbError;
use crate::visitors::MOST;

/// How often.
const ROUND: Duration = Duration::from_mins(20);

/// Generations of a suite that are kept whatever their age, the one in use included.
const KEPT: i64 = 3;

/// How long a generation is kept after the next one came.
const AGE: Duration = Duration::from_hours(24);

/// A suite that no client asks for is forgotten after so long.
const UNUSED: Duration = Duration::from_hours(90 * 24);

/// How long refusals are remembered.
const REFUSALS: Duration = Duration::from_hours(7 * 24);

/// Refusals remembered at most.
const MOST_REFUSALS: i64 = 1000;

/// A peer that was not used for so long is forgotten.
const UNUSED_PEERS: Duration = Duration::from_hours(90 * 24);

/// Who did not ask for files for so long is forgotten.
const AWAY: Duration = Duration::from_hours(90 * 24);

/// An origin that failed and was not asked again for so long is forgotten.
const NOT_ASKED: Duration = Duration::from_hours(24);

/// How long it is remembered that a peer sent wrong bytes.
const HASH_ERRORS: Duration = Duration::from_hours(7 * 24);

/// Retires until cancelled.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    loop {
        if let Err(error) = retire(&core).await {
            tracing::warn!(%error, "what is old can't be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(ROUND)) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn retire(core: &Core) -> Result<(), DbError> {
    let now = core.now();
    if core.db.forget_suites(now - millis(UNUSED)).await? > 0 {
        core.reload_truth().await?;
    }
    let gone = core.db.retire(KEPT, now - millis(AGE)).await?;
    if gone > 0 {
        tracing::debug!(generations = gone, "old generations are forgotten");
    }
    core.db
        .forget_refusals(now - millis(REFUSALS), MOST_REFUSALS)
        .await?;
    let (unused, errors) = (now - millis(UNUSED_PEERS), now - millis(HASH_ERRORS));
    core.db.forget_peers(unused, errors).await?;
    let away = now - millis(AWAY);
    core.db.forget_visitors(away, MOST).await?;
    core.visitors.forget(away);
    let not_asked = now - millis(NOT_ASKED);
    core.health.forget(not_asked);
    core.db.forget_mirrors(not_asked).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[tokio::test]
    async fn origins_that_nobody_asks_any_more_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let core = testing::core(folder.path()).await;
        let day = millis(NOT_ASKED);
        for (origin, at) in [
            ("http://removed", core.now() - day - 60_000),
            ("http://asked", core.now() - day + 60_000),
        ] {
            let row = core.health.failed(origin, "refused", at);
            core.db.mirror_failed(&row).await.unwrap();
        }
        retire(&core).await.unwrap();
        let of = |rows: Vec<crate::health::Failing>| -> Vec<String> {
            rows.into_iter().map(|row| row.origin).collect()
        };
        assert_eq!(of(core.health.failing()), ["http://asked"]);
        let kept = core.db.failing_mirrors().await.unwrap();
        assert_eq!(of(kept), ["http://asked"]);
    }
}
