//! What HTTP and the workers share: rows and bytes together.
//!
//! Here stand the steps that need both the database and the store, so that the
//! order in which they change is decided once: bytes are in their place before
//! a row speaks of them, and rows are silent before bytes go.

mod placing;
mod share;
mod wanting;

pub use wanting::Wanted;

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
use crate::debian::naming::{Naming, to_hex};
use crate::debian::url::RepoUrl;
use crate::health::Health;
use crate::meter::{Meters, hour_of};
use crate::mirrors::Mirrors;
use crate::store::budget::Budget;
use crate::store::coming::Coming;
use crate::store::disk::Disk;
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
