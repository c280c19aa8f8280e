//! Tells who watches the node that it works, as long as it does: the runtime's
//! timer runs, and the database answers a read.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::core::Core;

/// Nobody has to hear more often than so.
const SHORTEST: Duration = Duration::from_millis(10);

/// How often the node looks at itself while it is given up for lost after
/// `limit`. One look may fail altogether, by as much time as it has, and the
/// next one still comes before that.
fn round(limit: Duration) -> Duration {
    (limit / 4).max(SHORTEST)
}

/// Looks four times in each `limit` until cancelled, and calls `alive` each
/// time that the node works.
pub async fn run(
    core: Arc<Core>,
    limit: Duration,
    alive: impl Fn() + Send,
    stop: CancellationToken,
) {
    let (round, mut worked) = (round(limit), true);
    while stop.run_until_cancelled(sleep(round)).await.is_some() {
        let answer = timeout(round, core.db.ping()).await;
        let works = matches!(answer, Ok(Ok(())));
        if works {
            alive();
        }
        match answer {
            Ok(Ok(())) if !worked => tracing::info!("the database answers again"),
            Ok(Err(error)) if worked => {
                tracing::error!(%error, "the database does not answer: should it stay so, the watchdog restarts the node");
            }
            Err(_) if worked => {
                tracing::error!(
                    "the database does not answer in time: should it stay so, the watchdog restarts the node"
                );
            }
            _ => {}
        }
        worked = works;
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
    fn watch(core: &Arc<Core>) -> (Arc<AtomicUsize>, CancellationToken) {
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
        let (heard, stop) = watch(&core);
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
    async fn a_database_that_hangs_is_no_node_that_works() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        let mut held = Vec::new();
        while held.len() < crate::db::READERS as usize {
            held.push(core.db.reader().acquire().await.unwrap());
        }
        let (heard, _stop) = watch(&core);
        sleep(LIMIT * 2).await;
        assert_eq!(heard.load(Ordering::SeqCst), 0);
        held.clear();
        hears_more_than(&heard, 0).await;
    }

    #[tokio::test]
    async fn a_database_that_refuses_is_no_node_that_works() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        core.db.reader().close().await;
        let (heard, _stop) = watch(&core);
        sleep(LIMIT * 2).await;
        assert_eq!(heard.load(Ordering::SeqCst), 0);
    }
}
