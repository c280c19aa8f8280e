//! Keeps the store below its limits: least recently used bodies go first.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::jittered;
use crate::core::Core;
use crate::upkeep::evict::{Evicted, evict};

/// How often the limits are looked at although nobody waits for room: the
/// disk fills up without us too.
const ROUND: Duration = Duration::from_secs(30);

/// Evicts until cancelled.
pub async fn run(core: Arc<Core>, stop: CancellationToken) {
    // The limits may be smaller than those of the last run.
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = core.budget.pressed() => {}
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        pause = jittered(ROUND);
        let waiting = core.budget.take_waiting();
        let wanted = waiting
            .iter()
            .fold(0, |sum: u64, (size, _)| sum.saturating_add(*size));
        let wanted = wanted.min(core.budget.max_size());
        let evicted = tokio::select! {
            evicted = evict(&core, wanted, |_| {}) => evicted,
            () = stop.cancelled() => return,
        };
        match evicted {
            Ok(Evicted { files: 0, .. }) if core.budget.shortfall(wanted) > 0 => {
                // Dropping the senders tells those who wait that nothing can go.
            }
            Ok(_) => {
                for (_, tell) in waiting {
                    let _ = tell.send(());
                }
            }
            Err(error) => tracing::warn!(%error, "nothing can be evicted"),
        }
    }
}
