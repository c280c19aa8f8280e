//! What an address must be, and where its bytes can be asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::book::Speakers;
use crate::clock::Millis;
use crate::core::{Core, Since};
use crate::db::DbError;
use crate::debian::archive::{by_hash, folder_of_by_hash};
use crate::debian::digest::{Digest, Vouched};
use crate::debian::naming::Naming;
use crate::debian::url::RepoUrl;
use crate::store::flight::State;

/// Addresses whose claims are kept in memory.
const MOST: u64 = 10_000;

/// What the lists in use say of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// What it may be: with several suites in one archive, more than one is
    /// right. Empty: nothing is known.
    pub vouched: Arc<[Vouched]>,
    /// A list that may speak of it is behind since then, so that what is said
    /// here may be out of date.
    pub pending_since: Option<Millis>,
}

impl Claim {
    /// What it must be, if that is known for sure.
    #[must_use]
    pub fn sure(&self) -> &[Vouched] {
        if self.pending_since.is_some() {
            return &[];
        }
        &self.vouched
    }
}

/// Claims in memory.
#[derive(Debug)]
pub(super) struct Claims {
    cache: moka::sync::Cache<String, Claim>,
    forgettings: AtomicU64,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            cache: moka::sync::Cache::new(MOST),
            forgettings: AtomicU64::new(0),
        }
    }
}

impl Claims {
    fn forget_all(&self) {
        self.forgettings.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate_all();
    }
}

/// How the bytes of an address are to be had.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to ask, in order.
    pub sources: Vec<RepoUrl>,
    /// What they must be: one of these, where there are any.
    pub vouched: Arc<[Vouched]>,
    /// The hash that their name holds.
    named: Option<Digest>,
}

impl Plan {
    /// The one hash that they must have, where there is but one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match (self.named, &*self.vouched) {
            (Some(named), _) => Some(named),
            (None, [one]) => Some(one.digest),
            (None, _) => None,
        }
    }

    /// Their SHA-256 and their length in bytes, where both are known for sure:
    /// then anybody may send them.
    #[must_use]
    pub fn target(&self) -> Option<([u8; 32], u64)> {
        match (self.digest(), &*self.vouched) {
            (Some(Digest::Sha256(sha256)), [one]) => Some((sha256, one.size)),
            _ => None,
        }
    }

    /// Whether anything is known of them.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.named.is_some() || !self.vouched.is_empty()
    }

    /// Whether a body of this length may be right.
    #[must_use]
    pub fn allows_size(&self, size: u64) -> bool {
        self.vouched.is_empty() || self.vouched.iter().any(|vouched| vouched.size == size)
    }

    /// Whether a body of this SHA-256 and length is right, where the one hash
    /// that it must have, if there is one, is known to be right.
    #[must_use]
    pub fn allows(&self, sha256: [u8; 32], size: u64) -> bool {
        let one = self.digest().is_some();
        let is = Digest::Sha256(sha256);
        self.allows_size(size)
            && (one
                || self.vouched.is_empty()
                || self.vouched.iter().any(|vouched| vouched.digest == is))
    }
}

impl Core {
    /// Rows of suites or lists changed: memory takes them up.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn reload_truth(&self) -> Result<(), DbError> {
        // One at a time, so that the last to read rows is the last to load them.
        let _reading = self.truth.reading.lock().await;
        self.truth.book.load(self.db.suites().await?);
        self.truth.claims.forget_all();
        self.hot.clear();
        Ok(())
    }

    /// What the lists in use say of an address.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim(&self, url: &RepoUrl) -> Result<Claim, DbError> {
        let truth = &self.truth;
        let forgettings = truth.claims.forgettings.load(Ordering::SeqCst);
        let speakers = truth.book.speakers_of(url.key());
        if speakers.is_empty() && !url.path().contains(".diff/") {
            return Ok(Claim::default());
        }
        if let Some(claim) = truth.claims.cache.get(url.key()) {
            return Ok(claim);
        }
        let claim = self.read_claim(url, &speakers).await?;
        // Not what was read before something changed.
        if truth.claims.forgettings.load(Ordering::SeqCst) == forgettings {
            truth
                .claims
                .cache
                .insert(url.key().to_owned(), claim.clone());
            if truth.claims.forgettings.load(Ordering::SeqCst) != forgettings {
                truth.claims.cache.invalidate(url.key());
            }
        }
        Ok(claim)
    }

    async fn read_claim(&self, url: &RepoUrl, speakers: &[Speakers]) -> Result<Claim, DbError> {
        if let Some(vouched) = self.patch_claim(url).await? {
            return Ok(Claim {
                vouched: [vouched].into(),
                pending_since: None,
            });
        }
        let mut vouched = Vec::new();
        for of in speakers {
            let path = &url.key()[of.root.len()..];
            vouched.extend(self.db.packages_at(&of.suites, path).await?);
        }
        vouched.retain(|vouched: &Vouched| !matches!(vouched.digest, Digest::Md5(_)));
        Ok(Claim {
            vouched: vouched.into(),
            pending_since: speakers.iter().filter_map(|of| of.pending_since).max(),
        })
    }

    async fn patch_claim(&self, url: &RepoUrl) -> Result<Option<Vouched>, DbError> {
        if !url.path().contains(".diff/") {
            return Ok(None);
        }
        match self.truth.book.suite_of(url.key()) {
            Some((suite, path)) => self.db.patch(suite.id, path).await,
            None => Ok(None),
        }
    }

    /// How the bytes of an address are to be had.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn plan(&self, url: &RepoUrl) -> Result<Plan, DbError> {
        match Naming::of(url.path()) {
            Naming::ByHash(digest) if digest.is_strong() => self.plan_by_hash(url, digest).await,
            _ => {
                let claim = self.claim(url).await?;
                Ok(Plan {
                    sources: self.mirrors.origins(url),
                    vouched: claim.sure().into(),
                    named: None,
                })
            }
        }
    }

    /// What a by-hash name names can be had under the path, too, that the
    /// Release lists it by; from an origin without by-hash names only there.
    async fn plan_by_hash(&self, url: &RepoUrl, digest: Digest) -> Result<Plan, DbError> {
        let folder = folder_of_by_hash(url.key()).unwrap_or_default();
        let places = self.db.places_of(&digest, folder).await?;
        let mut addresses = Vec::new();
        if places.is_empty() || places.iter().any(|place| place.by_hash) {
            addresses.push(url.clone());
        }
        for place in &places {
            if let Ok(plain) = RepoUrl::parse(&format!("{}{}", place.folder, place.path))
                && !addresses.contains(&plain)
            {
                addresses.push(plain);
            }
        }
        let mut of_each: Vec<_> = addresses
            .iter()
            .map(|address| self.mirrors.origins(address).into_iter())
            .collect();
        let mut sources = Vec::new();
        // By origin, and there by address.
        loop {
            let before = sources.len();
            sources.extend(of_each.iter_mut().filter_map(Iterator::next));
            if sources.len() == before {
                break;
            }
        }
        let size = places.first().map(|place| place.size);
        Ok(Plan {
            sources,
            vouched: size
                .map(|size| Vouched { digest, size })
                .into_iter()
                .collect(),
            named: Some(digest),
        })
    }

    /// The by-hash address under which a path of a generation is kept.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn alias(
        &self,
        release: i64,
        url: &RepoUrl,
        path: &str,
    ) -> Result<Option<RepoUrl>, DbError> {
        let listed = self.db.index_file(release, path).await?;
        Ok(listed
            .filter(|vouched| vouched.digest.is_strong())
            .and_then(|vouched| RepoUrl::parse(&by_hash(url.key(), &vouched.digest)).ok()))
    }

    /// Gets an address as any client would, and waits until it is here or is
    /// known not to come.
    pub async fn obtain(self: &Arc<Self>, url: &RepoUrl) -> State {
        self.obtain_and_tell(url, || {}).await
    }

    /// Likewise, and tells when its first bytes come.
    pub async fn obtain_and_tell(
        self: &Arc<Self>,
        url: &RepoUrl,
        begun: impl FnOnce() + Send,
    ) -> State {
        if let Ok(Some(entry)) = self.find(url).await
            && entry.is_settled()
        {
            return State::Stored(entry);
        }
        let since = Since {
            insists: true,
            ..self.since_now()
        };
        let (flight, opened) = self.flights.join(url.key());
        let mut state = flight.watch();
        if opened {
            self.answer(&flight, url, &Naming::of(url.path()), since)
                .await;
        }
        drop(flight);
        let streams = state
            .wait_for(|state| !matches!(state, State::Waiting))
            .await
            .is_ok_and(|state| matches!(*state, State::Streaming(_)));
        if streams {
            begun();
        }
        let landed = state
            .wait_for(|state| !matches!(state, State::Waiting | State::Streaming(_)))
            .await;
        landed.map_or(State::Uncached, |state| state.clone())
    }

    /// Writes which indexes clients used.
    ///
    /// # Errors
    /// When the database refuses; the uses are lost then.
    pub async fn write_index_uses(&self) -> Result<(), DbError> {
        let mut uses = Vec::new();
        for address in self.truth.take_uses() {
            let Some(Naming::ByHash(digest)) = RepoUrl::parse(&address)
                .ok()
                .map(|url| Naming::of(url.path()))
            else {
                continue;
            };
            // What never comes right is of no use.
            if self.flights.peek(&address).is_some() {
                self.truth.note_use(&address);
                continue;
            }
            if self.db.find_url(&address).await?.is_none() {
                continue;
            }
            let folder = folder_of_by_hash(&address).unwrap_or_default();
            let places = self.db.places_of(&digest, folder).await?;
            uses.extend(places.into_iter().map(|place| (place.suite_id, place.path)));
        }
        if uses.is_empty() {
            return Ok(());
        }
        self.db.note_index_uses(&uses, self.now()).await
    }

    /// Writes which client was given what.
    ///
    /// # Errors
    /// When the database refuses; the views are lost then.
    pub async fn write_views(&self) -> Result<(), DbError> {
        let (views, since) = self.truth.views.unwritten(self.now());
        if views.is_empty() {
            return Ok(());
        }
        self.db.write_views(&views, since).await
    }
}

impl Core {
    /// A file is not what the lists say: those that speak of it may be behind
    /// their archive, and are asked after.
    pub async fn doubt(&self, url: &RepoUrl) {
        for of in self.truth.book.speakers_of(url.key()) {
            for suite in of.suites {
                if let Err(error) = self.db.want_suite_later(suite, self.now()).await {
                    tracing::warn!(url = url.key(), %error, "a suite can't be asked after");
                }
            }
        }
        self.truth.suite_wanted.notify_one();
    }
}
