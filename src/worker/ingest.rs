//! Reads lists of the generations in use into rows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::dispatcher::Work;
use crate::clock::{jittered, millis};
use crate::core::{Core, CoreError};
use crate::db::DbError;
use crate::db::list::{Finished, ListClaim};
use crate::db::refusal::Kind;
use crate::db::release::Variant;
use crate::debian::archive::{by_hash, variants};
use crate::debian::compression::Compression;
use crate::debian::url::RepoUrl;
use crate::health::pause;
use crate::store::flight::State;
use crate::truth::gather::FORGOTTEN;
use crate::truth::ingest::Source;
use crate::truth::patch::PatchingError;

/// Lists at work at the same time: most of them wait for an origin.
const SLOTS: usize = 8;

/// How long a list may take to come.
const FETCHING: Duration = Duration::from_mins(10);

/// After so many failures in a row a list is given up: while it is behind,
/// nothing is known of its whole archive.
const MAX_FAILURES: i64 = 6;

/// The longest pause before a list that can't be had is tried again.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// The worker.
pub struct Ingest {
    /// Rows and bytes.
    pub core: Arc<Core>,
}

/// Why a list was not read.
enum Failure {
    /// It can't be had now.
    Unavailable(String),
    /// Rows or bytes.
    Core(CoreError),
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        Self::Core(error)
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Core(error.into())
    }
}

impl Work for Ingest {
    type Claim = ListClaim;
    const NAME: &'static str = "ingest";

    fn slots(&self) -> usize {
        SLOTS
    }

    fn born_leased(&self) -> (Vec<ListClaim>, bool) {
        (Vec::new(), true)
    }

    async fn claim(&self, free: usize) -> Result<Vec<ListClaim>, DbError> {
        let free = i64::try_from(free).unwrap_or(i64::MAX);
        self.core.db.claim_lists(self.core.now(), free).await
    }

    fn id(claim: &ListClaim) -> i64 {
        claim.lease.id
    }

    async fn run(&self, claim: ListClaim) {
        let error = match self.read(&claim).await {
            Ok(()) => return,
            Err(Failure::Unavailable(error)) => {
                tracing::warn!(
                    suite = claim.folder,
                    path = claim.path,
                    error,
                    "a list can't be had to be read"
                );
                error
            }
            Err(Failure::Core(error)) => {
                tracing::error!(suite = claim.folder, path = claim.path, %error, "a list can't be read");
                error.to_string()
            }
        };
        self.postpone(&claim, &error).await;
    }

    async fn abandoned(&self, claim: ListClaim) {
        self.postpone(&claim, "reading it failed inside aptmesh")
            .await;
    }

    async fn next_in(&self) -> Result<Option<Duration>, DbError> {
        let next = self.core.db.next_list_at().await?;
        Ok(next.map(|at| Duration::from_millis(u64::try_from(at - self.core.now()).unwrap_or(0))))
    }

    async fn upkeep(&self, running: &[i64]) -> Result<(), DbError> {
        self.core.db.renew_lists(running, self.core.now()).await
    }

    fn wanted(&self) -> &Notify {
        &self.core.truth.list_wanted
    }
}

impl Ingest {
    async fn postpone(&self, claim: &ListClaim, error: &str) {
        let failures = u32::try_from(claim.lease.failures + 1).unwrap_or(u32::MAX);
        let at = self.core.now() + millis(jittered(pause(failures, LONGEST_PAUSE)));
        if let Err(error) = self.core.db.postpone_list(&claim.lease, at, error).await {
            tracing::warn!(%error, "the end of a reading can't be written down");
        }
    }

    async fn read(&self, claim: &ListClaim) -> Result<(), Failure> {
        let core = &self.core;
        let Some(release) = claim.target else {
            return Ok(core.db.drop_list(&claim.lease).await?);
        };
        let listed = core.db.variants(release, &variants(&claim.path)).await?;
        if listed.is_empty() || !self.is_wanted(claim, &listed).await? {
            core.db.end_all_packages(claim.lease.id, release).await?;
            core.db.drop_list(&claim.lease).await?;
            return Ok(core.reload_truth().await?);
        }
        let source = match timeout(FETCHING, self.source(claim, release, &listed)).await {
            Ok(Ok(source)) => source,
            Ok(Err(Failure::Unavailable(reason))) if claim.lease.failures >= MAX_FAILURES => {
                tracing::warn!(
                    suite = claim.folder,
                    path = claim.path,
                    error = reason,
                    "a list is given up until it comes by itself"
                );
                self.know_nothing(claim, release, &reason).await?;
                return Ok(core.reload_truth().await?);
            }
            Ok(Err(failure)) => return Err(failure),
            Err(_) => return Err(Failure::Unavailable("its origin takes too long".to_owned())),
        };
        match core.ingest(claim, release, &source).await? {
            Ok(finished) => {
                core.db.finish_list(&claim.lease, &finished, None).await?;
                if let Some(old) = &claim.read {
                    core.drop_patched(old, &source).await;
                }
            }
            Err(reason) => self.refuse(claim, release, &source, &reason).await?,
        }
        Ok(core.reload_truth().await?)
    }

    /// Whether anybody wants a list brought up to date: it came by itself, or
    /// clients used it not too long ago. It may be of an architecture that no
    /// client has any more.
    async fn is_wanted(&self, claim: &ListClaim, listed: &[Variant]) -> Result<bool, Failure> {
        if listed.iter().any(|file| file.stored.is_some()) {
            return Ok(true);
        }
        let core = &self.core;
        core.write_uses().await?;
        core.write_index_uses().await?;
        let mut paths = variants(&claim.path);
        paths.push(format!("{}.diff/Index", claim.path));
        let since = core.now() - millis(FORGOTTEN);
        Ok(core.db.is_used(claim.suite_id, &paths, since).await?)
    }

    /// A list that can't be read says nothing: what an earlier one said does
    /// not hold any more either.
    async fn refuse(
        &self,
        claim: &ListClaim,
        release: i64,
        source: &Source,
        reason: &str,
    ) -> Result<(), Failure> {
        let core = &self.core;
        let address = format!("{}{}{}", claim.folder, claim.path, source.suffix);
        if let Ok(url) = RepoUrl::parse(&address) {
            core.note_refusal(Kind::Malformed, &url, reason).await;
        }
        self.know_nothing(claim, release, reason).await
    }

    async fn know_nothing(
        &self,
        claim: &ListClaim,
        release: i64,
        reason: &str,
    ) -> Result<(), Failure> {
        let core = &self.core;
        core.db.end_all_packages(claim.lease.id, release).await?;
        let nothing = Finished {
            release,
            read: None,
            packages: 0,
            patches: 0,
        };
        Ok(core
            .db
            .finish_list(&claim.lease, &nothing, Some(reason))
            .await?)
    }

    /// A file in the store with the list's text: one that a client fetched,
    /// else made by patches, else fetched whole.
    async fn source(
        &self,
        claim: &ListClaim,
        release: i64,
        listed: &[Variant],
    ) -> Result<Source, Failure> {
        let core = &self.core;
        let plain = listed.iter().find(|file| file.path == claim.path);
        let plain = plain.map(|file| file.vouched);
        let source = |path: &str, body| Source {
            body,
            suffix: path
                .strip_prefix(&claim.path)
                .unwrap_or_default()
                .to_owned(),
            plain,
            patches: 0,
        };
        let cheapest = listed
            .iter()
            .filter(|file| file.stored.is_some())
            .min_by_key(|file| Compression::split(&file.path).1.cost());
        if let Some((file, body)) = cheapest.and_then(|file| Some((file, file.stored?))) {
            return Ok(source(&file.path, body));
        }
        match core.patch(claim, release).await {
            Ok(source) => return Ok(source),
            Err(PatchingError::NoWay) => {}
            Err(PatchingError::Core(error)) => return Err(error.into()),
            Err(error) => {
                tracing::info!(suite = claim.folder, path = claim.path, %error, "a list is fetched whole");
            }
        }
        let mut whole: Vec<_> = listed
            .iter()
            .filter(|file| file.vouched.digest.is_strong())
            .collect();
        whole.sort_by_key(|file| file.vouched.size);
        let mut why = "it is listed with weak hashes only".to_owned();
        // A Release may list forms that its archive does not have.
        for file in whole {
            let address = by_hash(
                &format!("{}{}", claim.folder, file.path),
                &file.vouched.digest,
            );
            let Ok(url) = RepoUrl::parse(&address) else {
                continue;
            };
            match core.obtain(&url).await {
                State::Stored(entry) | State::Fetched(entry, _) | State::Unchanged(entry) => {
                    return Ok(source(&file.path, entry.sha256));
                }
                State::Refused(refusal) => why = refusal.reason,
                State::Waiting | State::Streaming(_) | State::Uncached => {
                    "it can't be kept".clone_into(&mut why);
                }
            }
        }
        Err(Failure::Unavailable(why))
    }
}
