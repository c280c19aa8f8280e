//! Claims wanted rows and runs them: one dispatcher a kind of work.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::jittered;
use crate::db::DbError;

/// How long a claim lasts without being renewed.
pub const LEASE: Duration = Duration::from_secs(60);

/// How often leases are renewed and lost ones found.
const UPKEEP: Duration = Duration::from_secs(20);

/// How often rows are looked at although nobody rang.
const POLL: Duration = Duration::from_secs(5);

/// One kind of work whose queue is rows.
pub trait Work: Send + Sync + 'static {
    /// A claimed row.
    type Claim: Clone + Send + Sync + 'static;

    /// Name in logs.
    const NAME: &'static str;

    /// Rows that run at the same time.
    fn slots(&self) -> usize;

    /// Claims up to `slots` rows.
    fn claim(&self, slots: usize)
    -> impl Future<Output = Result<Vec<Self::Claim>, DbError>> + Send;

    /// The claimed row's id.
    fn id(claim: &Self::Claim) -> i64;

    /// Does the work and finishes or gives back the row.
    fn run(&self, claim: Self::Claim) -> impl Future<Output = ()> + Send;

    /// Gives back a row whose task panicked.
    fn abandoned(&self, claim: Self::Claim) -> impl Future<Output = ()> + Send;

    /// How long until the next row may be claimed; `None` where none waits.
    fn next_in(&self) -> impl Future<Output = Result<Option<Duration>, DbError>> + Send;

    /// Renews the leases of these rows and frees those that ran out.
    fn upkeep(&self, running: &[i64]) -> impl Future<Output = Result<(), DbError>> + Send;

    /// Rung after rows were committed.
    fn wanted(&self) -> &Notify;
}

/// Runs one kind of work until `soft` is cancelled, then waits for what runs;
/// when `hard` is cancelled too, what still runs is dropped, and its rows are
/// found by the next start.
pub async fn dispatch<W: Work>(work: Arc<W>, soft: CancellationToken, hard: CancellationToken) {
    let mut running = Running {
        tasks: JoinSet::new(),
        claims: HashMap::new(),
    };
    let mut upkeep_at = Instant::now() + UPKEEP;
    while !soft.is_cancelled() {
        // Interest is registered before the query, so that a row committed in
        // between is not slept over.
        let wanted = work.wanted().notified();
        tokio::pin!(wanted);
        wanted.as_mut().enable();
        let pause = running.fill(&work).await;
        tokio::select! {
            () = &mut wanted => {}
            () = sleep_until(Instant::now() + pause) => {}
            () = sleep_until(upkeep_at) => {
                upkeep_at = Instant::now() + UPKEEP;
                let ids: Vec<_> = running.claims.values().map(W::id).collect();
                if let Err(error) = work.upkeep(&ids).await {
                    tracing::warn!(worker = W::NAME, %error, "leases can't be renewed");
                }
            }
            () = running.reap(&work), if !running.tasks.is_empty() => {}
            () = soft.cancelled() => {}
        }
    }
    while !running.tasks.is_empty() {
        tokio::select! {
            () = running.reap(&work) => {}
            () = hard.cancelled() => break,
        }
    }
}

struct Running<W: Work> {
    tasks: JoinSet<()>,
    claims: HashMap<Id, W::Claim>,
}

impl<W: Work> Running<W> {
    /// Claims rows for the free slots and starts them. Answers how long to
    /// sleep when nobody rings.
    async fn fill(&mut self, work: &Arc<W>) -> Duration {
        let free = work.slots().saturating_sub(self.tasks.len());
        if free == 0 {
            return POLL;
        }
        match self.claim(work, free).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(worker = W::NAME, %error, "no work can be claimed");
                jittered(POLL)
            }
        }
    }

    async fn claim(&mut self, work: &Arc<W>, free: usize) -> Result<Duration, DbError> {
        let claims = work.claim(free).await?;
        let full = claims.len() == free;
        for claim in claims {
            let (worker, mine) = (Arc::clone(work), claim.clone());
            let task = self.tasks.spawn(async move { worker.run(mine).await });
            self.claims.insert(task.id(), claim);
        }
        if full {
            return Ok(POLL);
        }
        // A row whose time came but that was not claimed waits for a slot of
        // its origin, which the end of a task tells.
        let next = work.next_in().await?.filter(|next| !next.is_zero());
        Ok(next.unwrap_or(POLL).min(jittered(POLL)))
    }

    /// Waits for one task to end.
    async fn reap(&mut self, work: &Arc<W>) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => {
                self.claims.remove(&id);
            }
            Some(Err(error)) => {
                tracing::error!(worker = W::NAME, %error, "a task ended unasked");
                if let Some(claim) = self.claims.remove(&error.id()) {
                    work.abandoned(claim).await;
                }
            }
            None => {}
        }
    }
}
