//! Fetches one address: asks its origins in order, keeps what they send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use axum::http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::dispatcher::Work;
use super::errand::Errand;
use super::receive::{Received, Receiver, length_of};
use super::swarm::{Gather, Gathered, Swarm, Target};
use crate::clock::{Millis, millis};
use crate::core::{Core, CoreError};
use crate::db::DbError;
use crate::db::download::{Claim, LeftBehind};
use crate::db::refusal::Kind as RefusalKind;
use crate::db::url::UrlRow;
use crate::debian::digest::Digest;
use crate::debian::url::RepoUrl;
use crate::store::disk::Temp;
use crate::store::flight::{Course, Flight, Refusal, State};
use crate::store::growing::Whence;
use crate::store::hot::Entry;
use crate::store::incoming::hash_file;
use crate::truth::lookup::Plan;
use crate::upstream::{Answer, Upstream, UpstreamError};
use crate::validators::Validators;

/// The longest pause before a stored copy is checked again.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// A stored copy that could not be checked so often is left as it is until a
/// client asks for it.
const MAX_ATTEMPTS: i64 = 60;

/// The worker.
pub struct FetchFile {
    /// Rows and bytes.
    pub core: Arc<Core>,
    /// Origins.
    pub upstream: Upstream,
    /// Other nodes, where they are asked.
    pub swarm: Option<Swarm>,
}

/// What came of a claim.
pub(super) enum Outcome {
    /// A body arrived and is in the store; its rows are written.
    Stored(Arc<Entry>, Whence),
    /// The stored copy is current, or was when the origin was asked.
    Unchanged(Arc<Entry>, Millis),
    /// It can be had but not kept.
    Uncached,
    /// No origin had it.
    Refused(Refusal),
}

impl Work for FetchFile {
    type Claim = Claim;
    const NAME: &'static str = "fetch_file";

    fn slots(&self) -> usize {
        usize::try_from(self.core.download_limits.slots).unwrap_or(1)
    }

    fn born_leased(&self) -> (Vec<Claim>, bool) {
        let wanted = self.core.take_wanted();
        (wanted.born_leased, wanted.others)
    }

    async fn claim(&self, free: usize) -> Result<Vec<Claim>, DbError> {
        let free = i64::try_from(free).unwrap_or(i64::MAX);
        let limits = &self.core.download_limits;
        let now = self.core.now();
        self.core.db.claim_downloads(now, free, limits).await
    }

    fn id(claim: &Claim) -> i64 {
        claim.id
    }

    async fn run(&self, claim: Claim) {
        let (flight, _) = self.core.flights.join(&claim.url);
        let outcome = match RepoUrl::parse(&claim.url) {
            Ok(url) => self.fetch(&claim, &url, &flight).await,
            Err(error) => Ok(Outcome::Refused(Refusal::own_fault(&error.to_string()))),
        };
        let outcome = outcome.unwrap_or_else(|error| {
            tracing::error!(url = claim.url, %error, "a download goes on without the cache");
            Outcome::Uncached
        });
        self.land(claim, &flight, outcome).await;
    }

    async fn abandoned(&self, claim: Claim) {
        let (flight, _) = self.core.flights.join(&claim.url);
        let refusal = Refusal::own_fault("the download failed inside aptmesh; its log says more");
        self.land(claim, &flight, Outcome::Refused(refusal)).await;
    }

    async fn next_in(&self) -> Result<Option<Duration>, DbError> {
        let next = self.core.db.next_download_at().await?;
        Ok(next.map(|at| Duration::from_millis(u64::try_from(at - self.core.now()).unwrap_or(0))))
    }

    async fn upkeep(&self, running: &[i64]) -> Result<(), DbError> {
        for claim in self.core.unsettled() {
            self.core.db.drop_download(&claim).await?;
            self.core.settled(&claim);
        }
        let now = self.core.now();
        let until = now + self.core.download_limits.lease;
        let lost = self.core.db.renew_downloads(running, now, until).await?;
        if lost > 0 {
            tracing::warn!(
                downloads = lost,
                "downloads without a worker are wanted again"
            );
        }
        Ok(())
    }

    fn wanted(&self) -> &Notify {
        &self.core.download_wanted
    }
}

impl FetchFile {
    /// Writes how it ended and tells who waits. Where it can't be written, the
    /// row goes on saying that it runs; until that is mended, its address is
    /// served past the store.
    async fn land(&self, claim: Claim, flight: &Flight, outcome: Outcome) {
        if let Err(error) = self.settle(&claim, flight, outcome).await {
            tracing::error!(url = claim.url, %error, "the end of a download can't be written down");
            self.core.add_unsettled(claim);
            self.core.flights.land(flight, State::Uncached);
        }
    }

    async fn fetch(
        &self,
        claim: &Claim,
        url: &RepoUrl,
        flight: &Arc<Flight>,
    ) -> Result<Outcome, CoreError> {
        // Opened before it loses its name.
        let left = claim.left_behind.as_ref().and_then(|left| {
            let path = self.core.disk.temp_path(&left.temp);
            std::fs::File::open(path).ok()
        });
        if let Some(left) = &claim.left_behind
            && let Some(entry) = self.adopt(claim, url, left).await?
        {
            return Ok(Outcome::Stored(entry, Whence::default()));
        }
        let stored = if claim.has_copy {
            self.core.find(url).await?
        } else {
            None
        };
        let told = self.core.spoilt.told(claim.url.as_str());
        let plan = self.core.plan(url).await?;
        let target = plan.target().filter(|(_, size)| {
            let may_be_kept = *size <= self.core.budget.max_size();
            self.swarm.is_some() && stored.is_none() && may_be_kept
        });
        let underway = target.map(|(sha256, size)| self.core.coming.begin(sha256, size, flight));
        let errand = Errand {
            claim,
            url,
            flight,
            stored,
            plan,
            arrival: underway.as_ref().map(|it| Arc::clone(&it.arrival)),
            is_repair: AtomicBool::new(told.is_some()),
            told: AtomicI64::new(told.unwrap_or(0)),
        };
        if let (Some(swarm), Some((sha256, size))) = (&self.swarm, target) {
            let target = Target { sha256, size };
            let gather = Gather::new(self, swarm, &errand, target);
            if let Gathered::Done(outcome) = Box::pin(gather.run(left)).await? {
                return Ok(outcome);
            }
        }
        flight.take_course(Course::InOrder);
        let mut refusal = None::<Refusal>;
        for origin in self.in_order(&errand.plan) {
            match self.ask(&errand, &origin).await? {
                Outcome::Refused(next) => refusal = Some(worse(refusal, next)),
                settled => return Ok(settled),
            }
        }
        let mut refusal =
            refusal.unwrap_or_else(|| Refusal::own_fault("the mirror has no origins"));
        // A copy that is not what the indexes say is none that may stand in, or
        // that would be asked for again and again.
        refusal.stale_may_serve &= errand.stored.is_some() || !claim.has_copy;
        Ok(Outcome::Refused(refusal))
    }

    /// The origins in the order of the configuration, those that are down last.
    pub(super) fn in_order(&self, plan: &Plan) -> Vec<RepoUrl> {
        let now = self.core.now();
        let mut origins = plan.sources.clone();
        origins.sort_by_key(|origin| self.core.health.is_down(origin.origin(), now));
        origins
    }

    /// A body that a killed process had got whole: it only needs its rows.
    async fn adopt(
        &self,
        claim: &Claim,
        url: &RepoUrl,
        left: &LeftBehind,
    ) -> Result<Option<Arc<Entry>>, CoreError> {
        let temp = Temp::named(&self.core.disk, left.temp.clone());
        let path = self.core.disk.temp_path(temp.name());
        let hashed = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::open(path)?;
            let hashed = hash_file(&file)?;
            file.sync_data()?;
            std::io::Result::Ok(hashed)
        });
        let Ok(Ok((whole, size))) = hashed.await else {
            return Ok(None);
        };
        let plan = self.core.plan(url).await?;
        let as_vouched = match plan.digest() {
            Some(digest) => digest == Digest::Sha256(whole),
            // It may be as long as it should be and have holes.
            None if Temp::is_of_parts(&left.temp) => false,
            None => plan.allows(whole, size),
        };
        if size != left.size || !as_vouched {
            return Ok(None);
        }
        let Ok(room) = self.core.budget.promise(left.size).await else {
            return Ok(None);
        };
        let row = UrlRow {
            url: claim.url.clone(),
            file_id: 0,
            sha256: whole,
            size: left.size,
            validators: left.validators.clone(),
            // When its origin was asked is not on record.
            checked_at: 0,
            index_changed_at: 0,
            proof: None,
        };
        let vouched = plan.is_known();
        let placed = self
            .core
            .place(temp, (row, vouched), claim.id, claim.lease)
            .await?;
        if let Some((entry, _)) = &placed {
            self.core.learn(entry).await;
        }
        Ok(placed.map(|(entry, new)| {
            if new {
                room.keep(entry.size);
            }
            entry
        }))
    }

    /// One question to one origin.
    ///
    /// # Errors
    /// Why it has no answer, after the origin's health was noted.
    pub(super) async fn question(
        &self,
        errand: &Errand<'_>,
        origin: &RepoUrl,
        headers: &HeaderMap,
    ) -> Result<Answer, Refusal> {
        let asked_at = Instant::now();
        let answer = match self.upstream.ask(&Method::GET, origin, headers).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.failed(errand, origin, &error).await),
        };
        let lag = millis(asked_at.elapsed());
        self.core.origins.answered(origin.origin(), lag);
        let is_expected = match answer.status {
            StatusCode::OK => true,
            StatusCode::NOT_MODIFIED => errand.stored.is_some(),
            StatusCode::PARTIAL_CONTENT => headers.contains_key(RANGE),
            _ => false,
        };
        if !is_expected {
            return Err(self.refused(errand, origin, answer.status).await);
        }
        self.answered(origin).await;
        Ok(answer)
    }

    /// Asks one origin for all of it.
    ///
    /// # Errors
    /// Where rows or disk refuse.
    pub(super) async fn ask(
        &self,
        errand: &Errand<'_>,
        origin: &RepoUrl,
    ) -> Result<Outcome, CoreError> {
        let conditions = errand
            .stored
            .as_ref()
            .map(|entry| conditions(&entry.validators))
            .unwrap_or_default();
        let asked_at = self.core.now();
        let answer = match self.question(errand, origin, &conditions).await {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        match &errand.stored {
            Some(entry) if answer.status == StatusCode::NOT_MODIFIED => {
                Ok(Outcome::Unchanged(Arc::clone(entry), asked_at))
            }
            _ => self.receive(errand, origin, answer, asked_at).await,
        }
    }

    async fn receive(
        &self,
        errand: &Errand<'_>,
        origin: &RepoUrl,
        answer: Answer,
        asked_at: Millis,
    ) -> Result<Outcome, CoreError> {
        let receiver = Receiver {
            core: &self.core,
            upstream: &self.upstream,
            errand,
            said: errand.said_by(&answer, asked_at),
            asked_at,
            shares: self.swarm.is_some(),
            whence: Whence::default(),
        };
        match receiver.receive(origin, answer).await? {
            Received::Stored(entry) => Ok(Outcome::Stored(entry, Whence::default())),
            Received::Same(entry) => Ok(Outcome::Unchanged(entry, asked_at)),
            Received::Uncached => Ok(Outcome::Uncached),
            // One file that does not come right says little of its origin.
            Received::Failed(reason) => Ok(Outcome::Refused(Refusal {
                status: 502,
                reason,
                stale_may_serve: true,
            })),
        }
    }

    /// An origin sends another length than the indexes say.
    pub(super) async fn unfit(&self, errand: &Errand<'_>, answer: &Answer) -> Refusal {
        let length =
            length_of(answer).map_or("an unknown number of".into(), |length| length.to_string());
        let reason = format!("{} has {length} bytes, which is another length", answer.url);
        self.core.doubt(errand.url).await;
        self.core
            .note_refusal(RefusalKind::Mismatch, &answer.url, &reason)
            .await;
        Refusal {
            status: 502,
            reason,
            stale_may_serve: true,
        }
    }

    async fn answered(&self, origin: &RepoUrl) {
        if !self.core.health.answered(origin.origin()) {
            return;
        }
        tracing::info!(origin = origin.origin(), "the origin answers again");
        let recovered = self
            .core
            .db
            .mirror_recovered(origin.origin(), self.core.now());
        if let Err(error) = recovered.await {
            tracing::warn!(%error, "an origin's recovery can't be written down");
        }
        self.core.ring(None);
    }

    async fn failed(
        &self,
        errand: &Errand<'_>,
        origin: &RepoUrl,
        error: &UpstreamError,
    ) -> Refusal {
        if error.is_outage() {
            let (reason, status) = (error.to_string(), error.status());
            return self.outage(errand, origin, (&reason, status), true).await;
        }
        Refusal {
            status: error.status(),
            reason: error.to_string(),
            stale_may_serve: true,
        }
    }

    async fn refused(&self, errand: &Errand<'_>, origin: &RepoUrl, status: StatusCode) -> Refusal {
        let reason = format!("{} answered {status}", origin.origin());
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return self.outage(errand, origin, (&reason, 502), false).await;
        }
        self.answered(origin).await;
        let told = if status.is_client_error() {
            status.as_u16()
        } else {
            502
        };
        Refusal {
            status: told,
            reason,
            stale_may_serve: false,
        }
    }

    /// An origin does not answer. It is spared for a while where that helps,
    /// and people are told: where there is a stored copy or another origin.
    /// Where no answer came at all, indexes of its archive that are here do,
    /// too: any host that a client mistypes is an origin. An error that it
    /// answers with may be the trouble of that one file.
    async fn outage(
        &self,
        errand: &Errand<'_>,
        origin: &RepoUrl,
        (error, status): (&str, u16),
        is_silent: bool,
    ) -> Refusal {
        let is_silent_and_known = || {
            is_silent
                && !self
                    .core
                    .truth
                    .book
                    .speakers_of(errand.url.key())
                    .is_empty()
        };
        if errand.stored.is_some()
            || self.core.mirrors.origins(errand.url).len() > 1
            || is_silent_and_known()
        {
            let row = self
                .core
                .health
                .failed(origin.origin(), error, self.core.now());
            if row.failures == 1 {
                tracing::warn!(
                    origin = origin.origin(),
                    error,
                    "the origin fails; it is spared for a while"
                );
            }
            if let Err(error) = self.core.db.mirror_failed(&row).await {
                tracing::warn!(%error, "an origin's failure can't be written down");
            }
        }
        Refusal {
            status,
            reason: error.to_owned(),
            stale_may_serve: true,
        }
    }

    /// Writes how it ended, then tells who waits: in this order, so that
    /// whoever comes next finds what is in the rows.
    async fn settle(
        &self,
        claim: &Claim,
        flight: &Flight,
        outcome: Outcome,
    ) -> Result<(), CoreError> {
        let db = &self.core.db;
        let state = match outcome {
            Outcome::Stored(entry, whence) => State::Fetched(entry, whence),
            Outcome::Unchanged(entry, asked_at) => {
                db.finish_unchanged(&claim.url, claim.id, claim.lease, asked_at)
                    .await?;
                entry.checked(asked_at);
                State::Unchanged(entry)
            }
            Outcome::Uncached => {
                db.drop_download(claim).await?;
                State::Uncached
            }
            Outcome::Refused(refusal) => {
                self.settle_refused(claim, &refusal).await?;
                State::Refused(refusal)
            }
        };
        self.core.flights.land(flight, state);
        Ok(())
    }

    async fn settle_refused(&self, claim: &Claim, refusal: &Refusal) -> Result<(), CoreError> {
        let db = &self.core.db;
        if !claim.has_copy || claim.attempts >= MAX_ATTEMPTS || !refusal.stale_may_serve {
            if claim.has_copy && matches!(refusal.status, 404 | 410) {
                self.core.hot.forget(&claim.url);
                db.forget_url(&claim.url).await?;
            }
            return Ok(db.drop_download(claim).await?);
        }
        let pause = crate::health::pause(
            u32::try_from(claim.attempts).unwrap_or(u32::MAX),
            LONGEST_PAUSE,
        );
        let at = self.core.now() + millis(crate::clock::jittered(pause));
        Ok(db.postpone_download(claim, at, &refusal.reason).await?)
    }
}

/// The refusal that tells a client more: that an origin is out outweighs that
/// another one says there is no such file.
pub(super) fn worse(before: Option<Refusal>, next: Refusal) -> Refusal {
    match before {
        Some(before) if before.stale_may_serve && !next.stale_may_serve => before,
        _ => next,
    }
}

fn conditions(said: &Validators) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let fields = [
        (IF_NONE_MATCH, &said.upstream_etag),
        (IF_MODIFIED_SINCE, &said.upstream_last_modified),
    ];
    for (name, value) in fields {
        if let Some(value) = value
            .as_deref()
            .and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(name, value);
        }
    }
    headers
}
