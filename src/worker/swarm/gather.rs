//! One download from peers and its mirror.

use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::StreamExt;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::body::Body;
use super::event::{Backlog, Event, Events, Parts};
use super::front::Front;
use super::hashes::Proof;
use super::ledger::Ledger;
use super::readers::Heard;
use super::store::Store;
use super::{Holder, Swarm, Target};
use crate::clock::{Millis, millis};
use crate::core::{Core, CoreError};
use crate::db::piece::PieceState;
use crate::dht::id::Key;
use crate::meter::Kind;
use crate::overlay::Finding;
use crate::store::disk::Temp;
use crate::store::growing::Growing;
use crate::swarm::blame::{Evidence, PieceHash};
use crate::swarm::help::{HEAD_START, Help};
use crate::swarm::references::References;
use crate::swarm::schedule::{Ask, Order, Schedule, Source};
use crate::swarm::torrent::{TorrentString, pieces};
use crate::upstream::peer::Part;
use crate::validators::Validators;
use crate::worker::fetch_file::{Errand, FetchFile, Outcome};
use crate::worker::receive::HELD_FOR;

/// How often it is looked how things go.
const TICK: Duration = Duration::from_millis(20);

/// Peers of one file. Those that come later are not needed.
const MOST_PEERS: usize = 64;

/// How long, in milliseconds, a peer that probably has a file may take for its
/// first byte before others are looked for.
const GUESS: Millis = 50;

/// Pieces that are fetched before it can be told whether they are right.
const UNPROVED: usize = 4;

/// The share of its score that a peer has who refers to another torrent
/// string than most.
const SUSPICION: f64 = 0.5;

/// What a peer is worth that would not be asked if there were a mirror.
const LEAST: f64 = 0.01;

/// What came of a download.
pub(in crate::worker) enum Gathered {
    /// It is over.
    Done(Outcome),
    /// Nobody else has it: it is up to its origins.
    Alone,
}

/// A piece that came before it could be told whether it is right.
pub(super) struct Unproved {
    pub ask: Ask,
    pub part: Part,
}

/// One download.
pub(in crate::worker) struct Gather<'a> {
    pub(super) fetch: &'a FetchFile,
    pub(super) swarm: &'a Swarm,
    pub(super) errand: &'a Errand<'a>,
    pub(super) target: Target,
    pub(super) events: Events<'a>,
    pub(super) backlog: Backlog,
    /// Requests to peers.
    pub(super) parts: Parts,
    pub(super) holders: Vec<Holder>,
    pub(super) schedule: Schedule,
    pub(super) evidence: Evidence,
    pub(super) proof: Proof,
    pub(super) help: Help,
    pub(super) front: Front,
    pub(super) body: Option<Body>,
    pub(super) references: References,
    /// The torrent string that is being fetched.
    pub(super) fetching: Option<[u8; 20]>,
    /// Pieces that wait for the torrent string.
    pub(super) unproved: Vec<Unproved>,
    /// Pieces of which nobody says the hash.
    pub(super) store: Store,
    /// Their hashes, of those that the file is to be made of.
    pub(super) doubtful: HashMap<usize, PieceHash>,
    /// Whether such pieces are of no use: a file of them was wrong.
    pub(super) is_mirror_alone: bool,
    pub(super) given_up: HashMap<Ask, CancellationToken>,
    /// Whether others may still turn out to have it.
    pub(super) searching: bool,
    /// Who is asked because it had others, without anybody having said so.
    pub(super) guessed: Option<Source>,
    pub(super) ledger: Ledger,
    pub(super) heard: Heard,
    pub(super) begun: Instant,
    /// Whether a piece was not what its hash says.
    pub(super) was_wrong: bool,
    /// What clients were told of the file.
    pub(super) said: Validators,
    /// The hash of each piece that was written.
    pub(super) kept: HashMap<usize, PieceHash>,
    /// A body that turned out wrong, or came to nothing.
    pub(super) wrong: Option<(Temp, Arc<Growing>)>,
}

/// A request to a peer under way.
pub(super) struct Pending {
    core: Arc<Core>,
    contact: SocketAddr,
}

impl Pending {
    pub(super) fn begin(core: &Arc<Core>, contact: SocketAddr) -> Self {
        core.peers().begin(contact);
        Self {
            core: Arc::clone(core),
            contact,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.core.peers().end(self.contact);
    }
}

impl<'a> Gather<'a> {
    pub(in crate::worker) fn new(
        fetch: &'a FetchFile,
        swarm: &'a Swarm,
        errand: &'a Errand<'a>,
        target: Target,
    ) -> Self {
        let count = usize::try_from(pieces(target.size)).unwrap_or(usize::MAX);
        let is_small = count <= 1;
        let min_peers = if is_small { 1 } else { swarm.min_peers };
        let origin = errand.plan.sources.first();
        let known = origin.and_then(|origin| swarm.rate_of(origin.origin()));
        Self {
            fetch,
            swarm,
            errand,
            target,
            events: Events::new(),
            backlog: Backlog::default(),
            parts: Parts::new(),
            holders: Vec::new(),
            schedule: Schedule::new(count, 0),
            evidence: Evidence::new(),
            proof: if is_small {
                Proof::Whole(target.sha256)
            } else {
                Proof::None
            },
            help: Help::new(min_peers, known, 0),
            front: Front::default(),
            body: None,
            references: References::new(target.size),
            fetching: None,
            unproved: Vec::new(),
            store: Store::default(),
            doubtful: HashMap::new(),
            is_mirror_alone: false,
            given_up: HashMap::new(),
            searching: true,
            guessed: None,
            ledger: Ledger::default(),
            heard: Heard::default(),
            begun: Instant::now(),
            was_wrong: false,
            said: Validators::default(),
            kept: HashMap::new(),
            wrong: None,
        }
    }

    /// Milliseconds since the download began.
    pub(super) fn now(&self) -> Millis {
        millis(self.begun.elapsed())
    }

    /// Downloads. `left`: what an earlier process wrote.
    ///
    /// # Errors
    /// Where rows or disk refuse.
    pub(in crate::worker) async fn run(
        mut self,
        left: Option<File>,
    ) -> Result<Gathered, CoreError> {
        if let Some(left) = left {
            self.resume(left).await?;
        }
        if !self.find().await && self.body.is_none() {
            return Ok(Gathered::Alone);
        }
        self.begin_to_tick();
        loop {
            self.dispatch();
            if let Some(outcome) = self.prove().await? {
                return Ok(Gathered::Done(outcome));
            }
            if self.schedule.missing() == 0 && self.is_proved().await? {
                return self.finish().await.map(Gathered::Done);
            }
            if self.body.as_ref().is_some_and(|body| body.is_failed) {
                return self.finish().await.map(Gathered::Done);
            }
            if let Some(refusal) = self.hopeless() {
                if self.schedule.forgive() {
                    self.rank();
                    continue;
                }
                return self.give_up(refusal).await.map(Gathered::Done);
            }
            if let Some(event) = self.backlog.pop() {
                if let Some(outcome) = self.take(event).await? {
                    return Ok(Gathered::Done(outcome));
                }
                continue;
            }
            let outcome = tokio::select! {
                Some(event) = self.events.next() => self.take(event).await?,
                Some(came) = self.parts.next() => match came {
                    (ask, Some(result)) => self.part(ask, result).await?,
                    (_, None) => None,
                },
                else => return Ok(Gathered::Alone),
            };
            if let Some(outcome) = outcome {
                return Ok(Gathered::Done(outcome));
            }
        }
    }

    /// Asks who has the file, and waits a moment for the first of them.
    /// Whether it is worth going on.
    async fn find(&mut self) -> bool {
        if self.target.is_small() && self.guess() {
            return true;
        }
        let Some(mut finding) = self.swarm.find(Key::of_hash(&self.target.sha256)) else {
            return false;
        };
        let deadline = Instant::now() + self.swarm.head_start();
        while self.holders.is_empty() {
            match timeout_at(deadline, finding.next()).await {
                Ok(Some(values)) => self.take_values(&values),
                Ok(None) => {
                    self.swarm.was_found(!self.holders.is_empty());
                    self.searching = false;
                    self.begun = Instant::now();
                    return !self.holders.is_empty();
                }
                Err(_) => break,
            }
        }
        self.swarm.was_found(!self.holders.is_empty());
        self.begun = Instant::now();
        self.search_on(finding);
        true
    }

    /// Takes a peer that probably has the file, where one is known.
    fn guess(&mut self) -> bool {
        let now = self.fetch.core.now();
        let likely = self.swarm.likely(self.errand.url.origin(), now);
        let best = self.fetch.core.peers().ranked(&likely, now);
        let Some((contact, _)) = best.into_iter().find(|(_, score)| *score > 0.0) else {
            return false;
        };
        self.guessed = Some(self.schedule.add(0.0));
        self.holders.push(Holder { contact });
        self.rank();
        true
    }

    /// The peer that probably had the file does not send it: who else has it?
    pub(super) fn guessed_wrong(&mut self, source: Source) {
        if self.guessed != Some(source) {
            return;
        }
        self.guessed = None;
        let contact = self.holders[source].contact;
        self.swarm.is_unlikely(self.errand.url.origin(), contact);
        match self.swarm.find(Key::of_hash(&self.target.sha256)) {
            Some(finding) => self.search_on(finding),
            None => self.searching = false,
        }
    }

    fn search_on(&mut self, mut finding: Finding) {
        self.events.push(Box::pin(async {
            let values = finding.next().await;
            Event::Found(values.map(|values| (values, finding)))
        }));
    }

    fn take_values(&mut self, values: &[Vec<u8>]) {
        for value in values {
            let Some(value) = self.swarm.read(value) else {
                continue;
            };
            let known = |holder: &Holder| holder.contact == value.contact;
            let is_full = self.holders.len() >= MOST_PEERS;
            if is_full || self.holders.iter().any(known) {
                continue;
            }
            let source = self.schedule.add(0.0);
            self.holders.push(Holder {
                contact: value.contact,
            });
            self.references.add(source, value.pieces.as_ref());
        }
        self.rank();
    }

    /// What peers are worth by now. Where there is no mirror, even those that
    /// are busy or failed lately are asked.
    pub(super) fn rank(&mut self) {
        let now = self.fetch.core.now();
        let contacts: Vec<_> = self.holders.iter().map(|holder| holder.contact).collect();
        let peers = self.fetch.core.peers();
        let scores: HashMap<_, _> = peers.ranked(&contacts, now).into_iter().collect();
        let least = if self.front.refusal().is_some() {
            LEAST
        } else {
            0.0
        };
        for (source, contact) in contacts.iter().enumerate() {
            let least = if peers.is_liar(*contact, now) {
                0.0
            } else {
                least
            };
            let score = scores.get(contact).copied().unwrap_or(0.0);
            self.schedule.set_score(source, score.max(least));
        }
        if let Some(best) = self.references.best() {
            for source in self.references.others(&best.reference) {
                let score = scores.get(&contacts[source]).copied().unwrap_or(0.0);
                self.schedule.set_score(source, score * SUSPICION);
            }
        }
    }

    fn begin_to_tick(&mut self) {
        self.events.push(Box::pin(async {
            sleep(TICK).await;
            Event::Tick
        }));
    }

    /// Sends what is to be sent.
    fn dispatch(&mut self) {
        self.fetch_hashes();
        self.ask_mirror();
        self.heed_readers();
        let order = if self.front.is_open() {
            Order::Back
        } else {
            Order::Front
        };
        let now = self.now();
        while self.may_ask()
            && let Some(ask) = self.schedule.next(order, now)
        {
            self.ask(ask);
        }
    }

    /// Whether what comes can be proved, or kept until it can.
    fn may_ask(&self) -> bool {
        match self.proof {
            Proof::None if self.is_unprovable() => !self.is_mirror_alone,
            Proof::None => self.schedule.in_flight() < UNPROVED,
            Proof::Whole(_) | Proof::Torrent(_) => true,
        }
    }

    fn fetch_hashes(&mut self) {
        if self.fetching.is_some() || !matches!(self.proof, Proof::None) {
            return;
        }
        let Some(best) = self.references.best() else {
            return;
        };
        self.fetching = Some(best.reference);
        if let Some(torrent) = best.torrent.clone() {
            self.take_torrent(torrent);
            return;
        }
        let (swarm, target, reference) = (self.swarm, self.target, best.reference);
        let supporters = self.best_first(&best.supporters);
        self.events.push(Box::pin(async move {
            let (torrent, liars) = swarm.torrent(reference, target, supporters).await;
            Event::Torrent(reference, torrent, liars)
        }));
    }

    fn best_first(&self, sources: &[Source]) -> Vec<(Source, SocketAddr)> {
        let contact = |source: &Source| (*source, self.holders[*source].contact);
        let of: Vec<_> = sources.iter().map(contact).collect();
        let contacts: Vec<_> = of.iter().map(|(_, contact)| *contact).collect();
        let ranked = self
            .fetch
            .core
            .peers()
            .ranked(&contacts, self.fetch.core.now());
        let source = |contact| of.iter().find(|(_, other)| *other == contact).copied();
        ranked
            .into_iter()
            .filter_map(|(contact, _)| source(contact))
            .collect()
    }

    pub(super) fn take_torrent(&mut self, torrent: TorrentString) {
        self.fetching = None;
        self.proof = Proof::Torrent(torrent);
        self.sample();
    }

    fn ask(&mut self, ask: Ask) {
        let wanted = self.target.part(ask.piece);
        let contact = self.holders[ask.source].contact;
        tracing::trace!(piece = ask.piece, peer = %contact, now = self.now(), "a piece is asked for");
        let (peers, received) = (self.swarm.peers.clone(), self.ledger.received());
        let token = CancellationToken::new();
        self.given_up.insert(ask, token.clone());
        self.note_row(ask, PieceState::Running, None);
        let pending = Pending::begin(&self.fetch.core, contact);
        self.parts.push(Box::pin(async move {
            let _pending = pending;
            let part = token.run_until_cancelled(peers.part(contact, &wanted, &received));
            (ask, part.await)
        }));
    }

    pub(super) fn give_up_on(&mut self, asks: Vec<Ask>) {
        for ask in asks {
            if let Some(token) = self.given_up.remove(&ask) {
                token.cancel();
                self.note_row(ask, PieceState::Failed, None);
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<Option<Outcome>, CoreError> {
        match event {
            Event::Found(None) => self.searching = false,
            Event::Found(Some((values, finding))) => {
                let before = self.holders.len();
                self.take_values(&values);
                // Who would have been found in time is waited for the next time.
                if before == 0 && !self.holders.is_empty() && self.now() < HEAD_START {
                    self.swarm.was_found(true);
                }
                self.search_on(finding);
            }
            Event::Torrent(reference, torrent, liars) => {
                self.torrent(reference, torrent, &liars);
            }
            Event::Opened(opened) => return self.opened(opened).await,
            Event::Streamed(stream, next) => return self.streamed(stream, next).await,
            Event::Sample(piece, asked_at, bytes) => {
                return self.compare(piece, asked_at, bytes).await;
            }
            Event::Noted => {
                if let Some(body) = &self.body {
                    body.growing.noted();
                }
            }
            Event::Written => self.ledger.written(),
            Event::Tick => self.tick(),
        }
        Ok(None)
    }

    fn tick(&mut self) {
        let now = self.now();
        let received = self.count();
        self.schedule.measured(received, now);
        self.help.note(received, self.front.received(), now);
        self.rank();
        if now >= millis(HELD_FOR)
            && let Some(body) = &self.body
        {
            body.growing.unhold();
        }
        self.look_at_mirror(now);
        if received == 0
            && now > GUESS
            && let Some(source) = self.guessed
        {
            self.guessed_wrong(source);
        }
        self.tell_course(received);
        self.write_rows(now);
        self.begin_to_tick();
    }

    /// Counts what came since it was last counted. Answers what came in all.
    pub(super) fn count(&mut self) -> u64 {
        let (fresh, all) = self.ledger.count();
        self.fetch.core.meters.add(Kind::FromPeers, fresh);
        all
    }

    fn write_rows(&mut self, now: Millis) {
        let Some(rows) = self.ledger.due(now) else {
            return;
        };
        let core = Arc::clone(&self.fetch.core);
        let (id, lease) = (self.errand.claim.id, self.errand.claim.lease);
        // As with the note of the body.
        let written = tokio::spawn(async move { core.db.write_pieces(id, lease, &rows).await });
        self.events.push(Box::pin(async {
            if let Ok(Err(error)) = written.await {
                tracing::debug!(%error, "pieces can't be written down");
            }
            Event::Written
        }));
    }

    pub(super) fn note_row(&mut self, ask: Ask, state: PieceState, sha1: Option<PieceHash>) {
        let contact = self.holders[ask.source].contact;
        let at = self.fetch.core.now();
        self.ledger
            .note((ask.piece, 0), Some(contact), state, sha1, at);
    }

    fn torrent(&mut self, reference: [u8; 20], torrent: Option<TorrentString>, liars: &[Source]) {
        for source in liars {
            self.blame(self.holders[*source].contact, None);
        }
        if let Some(torrent) = torrent.filter(|torrent| self.references.fits(torrent)) {
            return self.take_torrent(torrent);
        }
        self.fetching = None;
        self.references.dismiss(&reference);
    }
}
