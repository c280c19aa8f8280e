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

/// How often leases are renewed and lost ones found; a lease lasts several times as long.
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

    /// Takes up rows that were committed with a lease, and tells whether
    /// others were committed without one.
    fn born_leased(&self) -> (Vec<Self::Claim>, bool);

    /// Claims up to `free` rows.
    fn claim(&self, free: usize) -> impl Future<Output = Result<Vec<Self::Claim>, DbError>> + Send;

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
        backlog: true,
        poll_at: Instant::now(),
    };
    let mut upkeep_at = Instant::now() + UPKEEP;
    // Interest is registered before the query, so that a row committed in
    // between is not slept over.
    let mut wanted = Box::pin(work.wanted().notified());
    wanted.as_mut().enable();
    running.fill(&work).await;
    while !soft.is_cancelled() {
        tokio::select! {
            () = &mut wanted => {
                wanted.set(work.wanted().notified());
                wanted.as_mut().enable();
                let (claims, others) = work.born_leased();
                running.start(&work, claims);
                if others {
                    running.fill(&work).await;
                }
            }
            () = sleep_until(running.poll_at) => running.fill(&work).await,
            abandoned = running.reap(), if !running.tasks.is_empty() => {
                if let Some(claim) = abandoned {
                    work.abandoned(claim).await;
                }
                if running.backlog {
                    running.fill(&work).await;
                }
            }
            () = sleep_until(upkeep_at) => {
                upkeep_at = Instant::now() + UPKEEP;
                running.upkeep(&work).await;
            }
            () = soft.cancelled() => {}
        }
    }
    while !running.tasks.is_empty() {
        tokio::select! {
            abandoned = running.reap() => {
                if let Some(claim) = abandoned {
                    work.abandoned(claim).await;
                }
            }
            () = hard.cancelled() => break,
        }
    }
}

struct Running<W: Work> {
    tasks: JoinSet<()>,
    claims: HashMap<Id, W::Claim>,
    /// Rows wait for a slot, so that the end of a task is a reason to look.
    backlog: bool,
    /// When to look although nobody rang.
    poll_at: Instant,
}

impl<W: Work> Running<W> {
    /// Claims rows for the free slots and starts them.
    async fn fill(&mut self, work: &Arc<W>) {
        self.poll_at = Instant::now() + jittered(POLL);
        let free = work.slots().saturating_sub(self.tasks.len());
        self.backlog = free == 0;
        if free == 0 {
            return;
        }
        if let Err(error) = self.claim(work, free).await {
            tracing::warn!(worker = W::NAME, %error, "no work can be claimed");
        }
    }

    async fn claim(&mut self, work: &Arc<W>, free: usize) -> Result<(), DbError> {
        let claims = work.claim(free).await?;
        self.backlog = claims.len() >= free;
        self.start(work, claims);
        if !self.backlog
            && let Some(next) = work.next_in().await?
        {
            // A row whose time has come but that was not claimed waits for a
            // slot of its origin.
            self.backlog = next.is_zero();
            if !next.is_zero() {
                self.poll_at = self.poll_at.min(Instant::now() + next);
            }
        }
        Ok(())
    }

    fn start(&mut self, work: &Arc<W>, claims: Vec<W::Claim>) {
        for claim in claims {
            let (worker, mine) = (Arc::clone(work), claim.clone());
            let task = self.tasks.spawn(async move { worker.run(mine).await });
            self.claims.insert(task.id(), claim);
        }
    }

    async fn upkeep(&self, work: &Arc<W>) {
        let ids: Vec<_> = self.claims.values().map(W::id).collect();
        if let Err(error) = work.upkeep(&ids).await {
            tracing::warn!(worker = W::NAME, %error, "leases can't be renewed");
        }
    }

    /// Waits for one task to end. Answers its claim where it panicked.
    async fn reap(&mut self) -> Option<W::Claim> {
        match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => {
                self.claims.remove(&id);
                None
            }
            Err(error) => {
                tracing::error!(worker = W::NAME, %error, "a task ended unasked");
                self.claims.remove(&error.id())
            }
        }
    }
}
