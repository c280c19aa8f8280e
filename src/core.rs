//! What HTTP and the workers share: rows and bytes together.
//!
//! Here stand the steps that need both the database and the store, so that the
//! order in which they change is decided once: bytes are in their place before
//! a row speaks of them, and rows are silent before bytes go.

mod share;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::clock::{Millis, SharedClock};
use crate::db::download::{Claim, Limits};
use crate::db::file::FileRow;
use crate::db::url::UrlRow;
use crate::db::{Db, DbError};
use crate::debian::digest::{Digest, Vouched};
use crate::debian::naming::{Naming, from_hex, to_hex};
use crate::debian::url::RepoUrl;
use crate::health::Health;
use crate::meter::{Meters, hour_of};
use crate::mirrors::Mirrors;
use crate::store::budget::Budget;
use crate::store::coming::Coming;
use crate::store::disk::{Disk, Temp};
use crate::store::expected::Expected;
use crate::store::flight::{Flight, Flights, State};
use crate::store::hot::{Entry, Hot, SMALL};
use crate::store::share::{Fresh, Shares};
use crate::store::spoilt::Spoilt;
use crate::swarm::book::Book;
use crate::swarm::neighbours::Neighbours;
use crate::swarm::origins::Origins;
use crate::truth::lookup::Claim as Said;
use crate::truth::{Judge, Truth};
use crate::validators::Validators;
use crate::visitors::{MOST, Visitors};

/// Why a cached file could not be looked up or changed.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The disk refused.
    #[error("the cache folder can't be used: {0}")]
    Disk(#[from] io::Error),
}

/// What HTTP and the workers share.
pub struct Core {
    /// Rows.
    pub db: Db,
    /// Bodies.
    pub disk: Arc<Disk>,
    /// Entries in memory.
    pub hot: Hot,
    /// What other nodes may have, in memory.
    pub shares: Shares,
    /// What they may have though no row says so yet.
    pub fresh: Fresh,
    /// What is on its way in, by its hash.
    pub coming: Coming,
    /// The account of the store's bytes.
    pub budget: Arc<Budget>,
    /// Who waits for what.
    pub flights: Flights,
    /// What is counted.
    pub meters: Arc<Meters>,
    /// Who asks for files.
    pub visitors: Arc<Visitors>,
    /// Origins that failed.
    pub health: Health,
    /// What origins took lately.
    pub origins: Origins,
    /// Configured mirrors.
    pub mirrors: Mirrors,
    /// What was fetched ahead of its request.
    pub expected: Expected,
    /// What clients got wrong bytes of.
    pub spoilt: Spoilt,
    /// What signed indexes say.
    pub truth: Truth,
    /// The time.
    pub clock: SharedClock,
    /// Rung after a row of `download` was committed.
    pub download_wanted: Notify,
    /// Rung after a file came into the store.
    pub placed: Notify,
    /// How many downloads run at the same time.
    pub download_limits: Limits,
    /// Rows that were committed with a lease and that nobody has taken up
    /// yet, and whether others were committed without one.
    wanted: Mutex<Wanted>,
    /// Claims whose end could not be written: their rows say that they run.
    unsettled: Mutex<Vec<Claim>>,
    used: Mutex<Vec<Arc<Entry>>>,
    peers: Mutex<Book>,
    neighbours: Mutex<Neighbours>,
    /// Held while a body comes to its place or leaves it, rows included: else
    /// an eviction could unlink what a download of the same bytes just placed.
    placing: tokio::sync::Mutex<()>,
    /// Held by whoever evicts: two that count the same shortfall would evict
    /// twice what is needed.
    pub evicting: tokio::sync::Mutex<()>,
}

/// Rows of `download` that were committed and that nobody has looked at.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Those that were committed with a lease.
    pub born_leased: Vec<Claim>,
    /// Whether there are others.
    pub others: bool,
}

/// How things stood when a client came.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    /// The time.
    pub at: Millis,
    /// Flights that had landed.
    pub landings: u64,
    /// Whether the client wants the origin asked whatever is stored.
    pub insists: bool,
}

/// The parts that a [`Core`] is made of.
pub struct Parts {
    /// Rows.
    pub db: Db,
    /// Bodies.
    pub disk: Arc<Disk>,
    /// The account of the store's bytes.
    pub budget: Arc<Budget>,
    /// Origins that failed.
    pub health: Health,
    /// Configured mirrors.
    pub mirrors: Mirrors,
    /// The time.
    pub clock: SharedClock,
    /// How many downloads run at the same time.
    pub download_limits: Limits,
    /// How signatures are judged.
    pub judge: Judge,
}

impl Core {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let meters = Arc::<Meters>::default();
        Arc::new(Self {
            db: parts.db,
            disk: parts.disk,
            hot: Hot::default(),
            shares: Shares::default(),
            fresh: Fresh::default(),
            coming: Coming::default(),
            budget: parts.budget,
            flights: Flights::default(),
            visitors: Arc::new(Visitors::new(Arc::clone(&meters))),
            meters,
            expected: Expected::default(),
            spoilt: Spoilt::default(),
            truth: Truth::new(parts.judge),
            health: parts.health,
            origins: Origins::default(),
            mirrors: parts.mirrors,
            clock: parts.clock,
            download_wanted: Notify::new(),
            placed: Notify::new(),
            download_limits: parts.download_limits,
            wanted: Mutex::default(),
            unsettled: Mutex::default(),
            used: Mutex::default(),
            peers: Mutex::default(),
            neighbours: Mutex::default(),
            placing: tokio::sync::Mutex::default(),
            evicting: tokio::sync::Mutex::default(),
        })
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// What is known of peers; rows learn of it in a batch.
    pub fn peers(&self) -> MutexGuard<'_, Book> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the numbers up where rows have them.
    ///
    /// # Errors
    /// Where rows can't be read.
    pub async fn load_numbers(&self) -> Result<(), DbError> {
        let month = hour_of(self.now()) - 31 * 24;
        self.meters.load(self.db.traffic(month).await?);
        self.visitors.load(self.db.visitors(MOST).await?);
        Ok(())
    }

    /// How things stand.
    #[must_use]
    pub fn since_now(&self) -> Since {
        Since {
            at: self.now(),
            landings: self.flights.landings(),
            insists: false,
        }
    }

    /// The cached file for an address, from memory or rows.
    ///
    /// # Errors
    /// Where rows or disk can't be read.
    pub async fn find(self: &Arc<Self>, url: &RepoUrl) -> Result<Option<Arc<Entry>>, CoreError> {
        if let Some(entry) = self.hot.get(url.key()) {
            return Ok(Some(entry));
        }
        let forgettings = self.hot.forgettings();
        let Some(row) = self.db.find_url(url.key()).await? else {
            return Ok(None);
        };
        let said = self.claim(url).await?;
        let Some(standing) = Standing::of(&row, &said) else {
            // What is stored is not what the index says: as good as nothing.
            return Ok(None);
        };
        let file = FileRow {
            id: row.file_id,
            sha256: row.sha256,
            size: row.size,
        };
        let Some(body) = self.load(&file).await? else {
            self.forget_missing(file).await?;
            return Ok(None);
        };
        let entry = Arc::new(entry_of(row, standing, body));
        self.hot.put(&entry.key, &entry, forgettings);
        Ok(Some(entry))
    }

    /// Reads a small body; answers an empty inner option for a large one that
    /// is there, and `None` for one that is not.
    async fn load(&self, file: &FileRow) -> io::Result<Option<Option<Bytes>>> {
        let (disk, file) = (Arc::clone(&self.disk), file.clone());
        tokio::task::spawn_blocking(move || {
            if file.size > SMALL {
                return Ok(disk.body(&file.sha256, file.size)?.map(|_| None));
            }
            match std::fs::read(disk.body_path(&file.sha256)) {
                Ok(bytes) if bytes.len() as u64 == file.size => Ok(Some(Some(Bytes::from(bytes)))),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Notes that a client used a cached file; rows learn of it in a batch.
    pub fn note_use(&self, entry: &Arc<Entry>) {
        if entry.used(self.now()) {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.push(Arc::clone(entry));
        }
    }

    /// Writes noted uses to rows.
    ///
    /// # Errors
    /// Where the database refuses; the uses are lost then.
    pub async fn write_uses(&self) -> Result<(), DbError> {
        let entries =
            std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        for entry in entries
            .iter()
            .filter(|entry| matches!(entry.naming, Naming::ByHash(_)))
        {
            self.truth.note_use(&entry.key);
        }
        let uses: Vec<_> = entries.iter().map(|entry| entry.take_use()).collect();
        self.db.touch_files(&uses).await
    }

    /// Sees that an open flight is answered: from the store where that is
    /// possible without asking, else by a row for the fetch worker.
    ///
    /// `since` is how things stood when the client came. Where no flight has
    /// landed since then, its look into the store still holds.
    pub async fn answer(
        self: &Arc<Self>,
        flight: &Flight,
        url: &RepoUrl,
        naming: &Naming,
        since: Since,
    ) {
        let is_unsettled = self.unsettled().iter().any(|claim| claim.url == url.key());
        if is_unsettled {
            return self.flights.land(flight, State::Uncached);
        }
        let outcome = self.look_up(url, naming, since).await;
        let wanted = match outcome {
            Ok(Some(entry)) => return self.flights.land(flight, State::Stored(entry)),
            Ok(None) => self.want(url).await,
            Err(error) => Err(error),
        };
        if let Err(error) = wanted {
            tracing::error!(url = url.key(), %error, "a request goes on without the cache");
            self.flights.land(flight, State::Uncached);
        }
    }

    async fn look_up(
        self: &Arc<Self>,
        url: &RepoUrl,
        naming: &Naming,
        since: Since,
    ) -> Result<Option<Arc<Entry>>, CoreError> {
        // A copy that came or was checked since the client did is as current
        // as it could wish.
        if self.flights.landings() != since.landings
            && let Some(entry) = self.find(url).await?
            && (entry.checked_at() >= since.at
                || (entry.is_settled() && (!since.insists || entry.vouched)))
        {
            return Ok(Some(entry));
        }
        let digest = match naming {
            Naming::ByHash(digest) => Some(*digest),
            Naming::Pool | Naming::Mutable => {
                let said = self.claim(url).await?;
                match said.sure() {
                    [one] => Some(one.digest),
                    _ => None,
                }
            }
        };
        let hash = match digest {
            Some(Digest::Sha256(hash)) => Some(hash),
            Some(digest @ Digest::Sha512(_)) => self.db.sha256_of(&digest).await?,
            _ => None,
        };
        let Some(hash) = hash else {
            return Ok(None);
        };
        let Some(file) = self.db.file_by_hash(hash).await? else {
            return Ok(None);
        };
        let now = self.now();
        let said = Validators {
            etag: format!("\"{}\"", to_hex(&hash[..16])),
            last_modified: now / 1000 * 1000,
            ..Validators::default()
        };
        self.db.name_file(url.key(), file.id, &said, now).await?;
        let named = self.find(url).await?;
        if let Some(entry) = &named {
            self.learn(entry).await;
        }
        Ok(named)
    }

    /// Wants an address fetched or asked again, now.
    ///
    /// # Errors
    /// Where the database refuses.
    pub async fn want(&self, url: &RepoUrl) -> Result<(), CoreError> {
        let limits = &self.download_limits;
        let wanted = self
            .db
            .want_download(url.key(), url.origin(), self.now(), limits);
        self.ring(wanted.await?);
        Ok(())
    }

    /// Tells the fetch worker that a row was committed, with its lease where
    /// it was born with one.
    pub fn ring(&self, claim: Option<Claim>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        match claim {
            Some(claim) => wanted.born_leased.push(claim),
            None => wanted.others = true,
        }
        drop(wanted);
        self.download_wanted.notify_one();
    }

    fn unsettled_claims(&self) -> MutexGuard<'_, Vec<Claim>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of this claim could not be written.
    pub fn add_unsettled(&self, claim: Claim) {
        self.unsettled_claims().push(claim);
    }

    /// Claims whose end is still to be written.
    #[must_use]
    pub fn unsettled(&self) -> Vec<Claim> {
        self.unsettled_claims().clone()
    }

    /// The end of this claim is written.
    pub fn settled(&self, claim: &Claim) {
        self.unsettled_claims()
            .retain(|other| other.lease != claim.lease || other.id != claim.id);
    }

    /// Takes the rows committed with a lease since the last call, and if there are others.
    #[must_use]
    pub fn take_wanted(&self) -> Wanted {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wants an address asked again when its origin may be back, unless that
    /// is wanted already.
    pub async fn want_later(&self, url: &RepoUrl, not_before: Millis) {
        let wanted = self
            .db
            .want_download_later(url.key(), url.origin(), self.now(), not_before);
        match wanted.await {
            Ok(()) => self.ring(None),
            Err(error) => tracing::warn!(url = url.key(), %error, "a later check can't be noted"),
        }
    }

    /// Puts a durable body in its place and commits the rows that speak of
    /// it. `None` where the lease was lost.
    ///
    /// # Errors
    /// Where disk or database refuse. Then, and where the lease was lost,
    /// neither row nor body stays.
    pub async fn place(
        self: &Arc<Self>,
        temp: Temp,
        (row, vouched): (UrlRow, bool),
        download: i64,
        lease: i64,
    ) -> Result<Option<(Arc<Entry>, bool)>, CoreError> {
        let core = Arc::clone(self);
        // In a task of its own, so that it runs to its end.
        let placed = tokio::spawn(async move {
            let _placing = core.placing.lock().await;
            temp.keep(&row.sha256)?;
            let finished = core
                .db
                .finish_download(&row, download, lease, core.now())
                .await;
            let Some((file_id, new)) = core.or_remove(row.sha256, finished).await? else {
                return Ok(None);
            };
            core.hot.forget(&row.url);
            core.spoilt.is_mended(&row.url);
            core.placed.notify_one();
            let standing = Standing {
                vouched,
                pending_since: 0,
            };
            let entry = Arc::new(entry_of(UrlRow { file_id, ..row }, standing, None));
            Ok(Some((entry, new)))
        });
        placed.await.map_err(io::Error::other)?
    }

    /// Puts a durable body that no address names in its place. Answers
    /// whether it is new.
    ///
    /// # Errors
    /// Where disk or database refuse; then neither row nor body stays.
    pub async fn place_unnamed(
        &self,
        temp: Temp,
        sha256: [u8; 32],
        size: u64,
    ) -> Result<bool, CoreError> {
        let _placing = self.placing.lock().await;
        temp.keep(&sha256)?;
        let added = self.db.add_file(sha256, size, self.now()).await.map(Some);
        Ok(self.or_remove(sha256, added).await?.unwrap_or(false))
    }

    /// Removes a body that was just placed if no row came to speak of it.
    async fn or_remove<T>(
        &self,
        sha256: [u8; 32],
        rows: Result<Option<T>, DbError>,
    ) -> Result<Option<T>, DbError> {
        if !matches!(rows, Ok(Some(_))) && matches!(self.db.file_by_hash(sha256).await, Ok(None)) {
            self.disk.remove_body(&sha256);
        }
        rows
    }

    /// Removes files: first their rows and what memory holds of them, then
    /// their bytes. Answers which of them were there.
    ///
    /// # Errors
    /// Where the database refuses; then nothing is removed.
    pub async fn forget(self: &Arc<Self>, files: Vec<FileRow>) -> Result<Vec<FileRow>, CoreError> {
        let core = Arc::clone(self);
        // In a task of its own: who asks may leave between rows and bytes.
        let forgotten = tokio::spawn(async move {
            let _placing = core.placing.lock().await;
            let (urls, gone) = core.db.forget_files(&files).await?;
            for url in &urls {
                core.hot.forget(url);
            }
            core.shares.clear();
            let gone: Vec<_> = files
                .into_iter()
                .filter(|file| gone.contains(&file.id))
                .collect();
            for file in &gone {
                core.disk.remove_body(&file.sha256);
                core.budget.removed(file.size);
            }
            Ok(gone)
        });
        forgotten.await.map_err(io::Error::other)?
    }

    /// Removes those of these bodies that no row speaks of; names are hashes
    /// in hexadecimal digits. Answers how many.
    ///
    /// # Errors
    /// Where rows can't be read.
    pub async fn sweep(&self, names: &[String]) -> Result<u64, CoreError> {
        let _placing = self.placing.lock().await;
        let mut removed = 0;
        for sha256 in self
            .db
            .unknown_hashes(names)
            .await?
            .iter()
            .filter_map(|name| from_hex(name))
        {
            self.disk.remove_body(&sha256);
            removed += 1;
        }
        Ok(removed)
    }
}

/// What indexes say of a stored file.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// That it is right.
    vouched: bool,
    /// They may be out of date since then.
    pending_since: Millis,
}

impl Standing {
    /// `None` where they say that it is another file. Where lists disagree,
    /// one of them is behind its archive, and the origin is asked every time.
    fn of(row: &UrlRow, said: &Said) -> Option<Self> {
        let sure = said.sure();
        let is_right = |vouched: &Vouched| {
            vouched.size == row.size
                && (vouched.digest == Digest::Sha256(row.sha256)
                    || Some(vouched.digest) == row.proof)
        };
        let pending_since = said.pending_since.unwrap_or(0);
        match sure {
            [] => Some((false, pending_since)),
            [one] => is_right(one).then_some((true, 0)),
            several => several.iter().any(is_right).then_some((false, Millis::MAX)),
        }
        .map(|(vouched, pending_since)| Self {
            vouched,
            pending_since,
        })
    }
}

fn entry_of(row: UrlRow, standing: Standing, body: Option<Bytes>) -> Entry {
    let naming = RepoUrl::parse(&row.url).map_or(Naming::Mutable, |url| Naming::of(url.path()));
    Entry::new(
        row.url,
        (row.file_id, row.sha256, row.size),
        row.validators,
        (naming, standing.vouched),
        (
            row.checked_at,
            row.index_changed_at.max(standing.pending_since),
        ),
        body,
    )
}
