//! Tells who watches the node that it works, as long as it does: the runtime's
//! timer runs, and the database's one writer, for which all work queues, comes
//! to answer. Readers are no sign of life: long reads may take them all.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::core::Core;

/// Nobody has to hear more often than so.
const SHORTEST: Duration = Duration::from_millis(10);

/// How often the node looks at itself while it is given up for lost after
/// `limit`.
fn round(limit: Duration) -> Duration {
    (limit / 4).max(SHORTEST)
}

/// Looks until cancelled, up to four times in each `limit`, and calls `alive`
/// each time that the node works.
pub async fn run(
    core: Arc<Core>,
    limit: Duration,
    alive: impl Fn() + Send,
    stop: CancellationToken,
) {
    let watch = watch(&core, round(limit), alive);
    stop.run_until_cancelled(watch).await;
}

async fn watch(core: &Core, round: Duration, alive: impl Fn() + Send) {
    let mut worked = true;
    loop {
        sleep(round).await;
        let mut look = pin!(core.db.ping_writer());
        let answer = if let Ok(answer) = timeout(round, &mut look).await {
            answer
        } else {
            if worked {
                tracing::error!(
                    "the database does not answer in time: should it stay so, the watchdog restarts the node"
                );
            }
            worked = false;
            // Not asked anew: it would lose its place in the writer's queue.
            look.await
        };
        match answer {
            Ok(()) => {
                alive();
                if !worked {
                    tracing::info!("the database answers again");
                }
                worked = true;
            }
            Err(error) => {
                if worked {
                    tracing::error!(%error, "the database does not answer: should it stay so, the watchdog restarts the node");
                }
                worked = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::worker::testing::core;

    const LIMIT: Duration = Duration::from_millis(400);

    /// A watchdog over this node, and how often it heard that all is well.
    fn watched(core: &Arc<Core>) -> (Arc<AtomicUsize>, CancellationToken) {
        let (heard, stop) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        let count = Arc::clone(&heard);
        let alive = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        tokio::spawn(run(Arc::clone(core), LIMIT, alive, stop.clone()));
        (heard, stop)
    }

    async fn hears_more_than(heard: &AtomicUsize, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while heard.load(Ordering::SeqCst) <= count {
            assert!(Instant::now() < end, "nothing was heard");
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_node_that_works_says_so_now_and_then() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        let started = Instant::now();
        let (heard, stop) = watched(&core);
        hears_more_than(&heard, 3).await;
        let (times, took) = (heard.load(Ordering::SeqCst), started.elapsed());
        let most = took.as_millis() / round(LIMIT).as_millis();
        assert!(times as u128 <= most, "{times} in {took:?}");
        stop.cancel();
        sleep(LIMIT / 2).await;
        let last = heard.load(Ordering::SeqCst);
        sleep(LIMIT).await;
        assert_eq!(heard.load(Ordering::SeqCst), last, "it was stopped");
    }

    #[tokio::test]
    async fn a_writer_that_is_not_given_back_is_no_node_that_works() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        let held = core.db.writer().await;
        let (heard, _stop) = watched(&core);
        sleep(LIMIT * 2 + round(LIMIT) / 2).await;
        assert_eq!(heard.load(Ordering::SeqCst), 0);
        // Who comes later is served later.
        let mut later = pin!(core.db.writer());
        assert!(futures_util::poll!(&mut later).is_pending());
        drop(held);
        hears_more_than(&heard, 0).await;
    }

    #[tokio::test]
    async fn long_reads_are_no_reason_to_end_a_node() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        let mut held = Vec::new();
        while held.len() < core.db.reader().options().get_max_connections() as usize {
            held.push(core.db.reader().acquire().await.unwrap());
        }
        let (heard, _stop) = watched(&core);
        hears_more_than(&heard, 3).await;
    }

    #[tokio::test]
    async fn a_database_that_refuses_is_no_node_that_works() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        core.db.refuse_pings().await;
        let (heard, _stop) = watched(&core);
        sleep(LIMIT * 2).await;
        assert_eq!(heard.load(Ordering::SeqCst), 0);
    }
}
