//! Tells other nodes which files are here, and again before they forget.
//!
//! Every file that an index vouches for has a row of `announcement`
//! ([`enlist`]), and the row says when to tell next. Starts are spaced, so that
//! ten thousand files are no burst either after a start or two and a half hours
//! later.

mod enlist;
mod pieces;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

pub use self::enlist::enlist;
use super::dispatcher::Work;
use crate::clock::{Millis, jittered, millis};
use crate::core::{Core, CoreError};
use crate::db::DbError;
use crate::db::announcement::{Announced, AnnouncementClaim};
use crate::db::torrent::TorrentRow;
use crate::debian::naming::to_hex;
use crate::dht::announce::next_time;
use crate::dht::id::Key;
use crate::dht::krpc::store_fits;
use crate::health::pause;
use crate::overlay::Overlay;
use crate::store::share::Name;
use crate::swarm::torrent::{TorrentString, pieces};
use crate::swarm::value::{FileValue, Pieces};

/// Files under way at the same time.
const SLOTS: usize = 8;

/// Between two starts, where the files leave time for that.
const PACE: Duration = Duration::from_millis(100);

/// The shortest and the longest pause after nobody took a value.
const PAUSES: [Duration; 2] = [Duration::from_secs(30), Duration::from_mins(30)];

/// How soon what could not even be tried is tried.
const SOON: Duration = Duration::from_secs(10);

/// The worker.
pub struct Announce {
    core: Arc<Core>,
    overlay: Overlay,
    key_refresh: Millis,
    /// One file at a time, so that a core is left for clients.
    hashing: Semaphore,
    pace: Mutex<Pace>,
    wanted: Notify,
}

/// When the next announcement may start.
struct Pace {
    next: Instant,
    between: Duration,
}

/// What came of an announcement that did not fail.
enum Outcome {
    /// Others know.
    Stored(Announced),
    /// Nobody is there to be told, or we do not know how they see us.
    NotNow,
    /// The file is not there.
    Missing,
}

/// Why an announcement failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no node took it")]
    NotTaken,
    #[error("its pieces can't be hashed: {0}")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Core(error.into())
    }
}

impl Announce {
    /// A worker that tells of a file every `key_refresh`.
    #[must_use]
    pub fn new(core: Arc<Core>, overlay: Overlay, key_refresh: Duration) -> Self {
        Self {
            core,
            overlay,
            key_refresh: millis(key_refresh),
            hashing: Semaphore::new(1),
            pace: Mutex::new(Pace {
                next: Instant::now(),
                between: PACE,
            }),
            wanted: Notify::new(),
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As many starts as there are files fit into half of `key_refresh`.
    fn set_pace(&self, files: usize) {
        let starts = u32::try_from(files).unwrap_or(u32::MAX).max(1);
        let half = u64::try_from(self.key_refresh / 2).unwrap_or(0);
        self.pace().between = PACE.min(Duration::from_millis(half) / starts);
    }

    /// Whether there is anybody to be told, and we know what to tell.
    fn is_possible(&self) -> bool {
        self.overlay.is_ready() && self.overlay.contact().is_some()
    }

    async fn announce(&self, claim: &AnnouncementClaim) -> Result<Outcome, Failure> {
        let Some(torrent) = self.torrent(claim).await? else {
            return Ok(Outcome::Missing);
        };
        let Some(contact) = self.overlay.contact().filter(|_| self.is_possible()) else {
            return Ok(Outcome::NotNow);
        };
        // Before the value that refers to it.
        if let Some(torrent) = &torrent {
            let body = torrent.encode();
            if store_fits(body.len()) {
                let key = Key::of_hash(&torrent.reference());
                if self.overlay.announce(key, body).await == 0 {
                    return self.not_taken();
                }
            }
        }
        let value = FileValue {
            contact,
            pieces: torrent.as_ref().and_then(Pieces::of),
        };
        let key = Key::of_hash(&claim.file.sha256);
        let nodes = self.overlay.announce(key, value.encode()).await;
        if nodes == 0 {
            return self.not_taken();
        }
        let now = self.core.now();
        Ok(Outcome::Stored(Announced {
            at: now,
            contact,
            nodes,
            next: next_time(now, self.key_refresh, &mut rand::rng()),
        }))
    }

    /// Nobody took it: because nobody is there, or in spite of it.
    fn not_taken(&self) -> Result<Outcome, Failure> {
        if self.is_possible() {
            Err(Failure::NotTaken)
        } else {
            Ok(Outcome::NotNow)
        }
    }

    /// The hashes of the file's pieces; of one piece there are none. The outer
    /// `None` where the file is not there.
    async fn torrent(
        &self,
        claim: &AnnouncementClaim,
    ) -> Result<Option<Option<TorrentString>>, Failure> {
        let file = &claim.file;
        if pieces(file.size) < 2 {
            return Ok(Some(None));
        }
        if let Some(body) = &claim.torrent
            && let Ok(torrent) = TorrentString::decode(body, Some(file.size))
        {
            return Ok(Some(Some(torrent)));
        }
        let Ok(_place) = self.hashing.acquire().await else {
            return Err(io::Error::other("the node stops").into());
        };
        let path = self.core.disk.body_path(&file.sha256);
        let Some(torrent) = pieces::hash(path, file.size, file.sha256).await? else {
            return Ok(None);
        };
        let row = TorrentRow {
            sha1: torrent.reference(),
            file: file.sha256,
            size: file.size,
            body: torrent.encode(),
        };
        self.core.db.keep_torrent(&claim.lease, &row).await?;
        // What is in memory of it does not refer to the string yet.
        self.core.shares.forget(&Name::File(file.sha256));
        Ok(Some(Some(torrent)))
    }

    async fn fail(&self, claim: &AnnouncementClaim, error: &str) -> Result<(), DbError> {
        let failures = u32::try_from(claim.lease.failures + 1).unwrap_or(u32::MAX);
        let [shortest, longest] = PAUSES;
        let at = self.core.now() + millis(jittered(pause(failures, longest).max(shortest)));
        let db = &self.core.db;
        db.postpone_announcement(&claim.lease, at, error).await
    }

    async fn finish(
        &self,
        claim: &AnnouncementClaim,
        outcome: Result<Outcome, Failure>,
    ) -> Result<(), CoreError> {
        let db = &self.core.db;
        match outcome {
            Ok(Outcome::Stored(how)) => db.finish_announcement(&claim.lease, &how).await?,
            Ok(Outcome::NotNow) => {
                let at = self.core.now() + millis(jittered(SOON));
                db.return_announcement(&claim.lease, at).await?;
            }
            Ok(Outcome::Missing) => {
                tracing::warn!(
                    sha256 = to_hex(&claim.file.sha256),
                    "a cached body is missing or damaged: it is forgotten"
                );
                self.core.forget(vec![claim.file.clone()]).await?;
            }
            Err(error) => {
                tracing::debug!(sha256 = to_hex(&claim.file.sha256), %error, "a file can't be announced");
                self.fail(claim, &error.to_string()).await?;
            }
        }
        Ok(())
    }
}

impl Work for Announce {
    type Claim = AnnouncementClaim;
    const NAME: &'static str = "announce";

    fn slots(&self) -> usize {
        SLOTS
    }

    fn born_leased(&self) -> (Vec<AnnouncementClaim>, bool) {
        (Vec::new(), true)
    }

    async fn claim(&self, _free: usize) -> Result<Vec<AnnouncementClaim>, DbError> {
        if !self.is_possible() || self.pace().next > Instant::now() {
            return Ok(Vec::new());
        }
        let claim = self.core.db.claim_announcement(self.core.now()).await?;
        if claim.is_some() {
            let mut pace = self.pace();
            pace.next = Instant::now() + pace.between;
        }
        Ok(claim.into_iter().collect())
    }

    fn id(claim: &AnnouncementClaim) -> i64 {
        claim.lease.id
    }

    async fn run(&self, claim: AnnouncementClaim) {
        let outcome = self.announce(&claim).await;
        if let Err(error) = self.finish(&claim, outcome).await {
            tracing::warn!(%error, "the end of an announcement can't be written down");
        }
    }

    async fn abandoned(&self, claim: AnnouncementClaim) {
        let reason = "announcing it failed inside aptmesh";
        if let Err(error) = self.fail(&claim, reason).await {
            tracing::warn!(%error, "the end of an announcement can't be written down");
        }
    }

    async fn next_in(&self) -> Result<Option<Duration>, DbError> {
        if !self.is_possible() {
            return Ok(None);
        }
        let next = self.core.db.next_announcement_at().await?;
        let paced = self.pace().next.saturating_duration_since(Instant::now());
        // Never zero, which would mean that a slot has to become free first.
        Ok(next.map(|at| {
            let due = u64::try_from(at - self.core.now()).unwrap_or(0);
            Duration::from_millis(due.max(1)).max(paced)
        }))
    }

    async fn upkeep(&self, running: &[i64]) -> Result<(), DbError> {
        let now = self.core.now();
        self.core.db.renew_announcements(running, now).await
    }

    fn wanted(&self) -> &Notify {
        &self.wanted
    }
}
