//! One download from peers and its mirror.

use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::StreamExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::body::Body;
use super::event::{Backlog, Delivered, Event, Events, Parts};
use super::front::Front;
use super::hashes::Proof;
use super::ledger::Ledger;
use super::readers::Heard;
use super::store::Store;
use super::{Holder, Swarm, Target};
use crate::clock::{Millis, millis};
use crate::core::{Core, CoreError};
use crate::db::piece::PieceState;
use crate::meter::Kind;
use crate::store::disk::Temp;
use crate::store::growing::Growing;
use crate::swarm::blame::{Evidence, PieceHash};
use crate::swarm::help::{HEAD_START, Help};
use crate::swarm::references::References;
use crate::swarm::schedule::{Ask, Order, Schedule, Source};
use crate::swarm::torrent::pieces;
use crate::upstream::peer::{Part, Word};
use crate::validators::Validators;
use crate::worker::errand::Errand;
use crate::worker::fetch_file::{FetchFile, Outcome};
use crate::worker::receive::HELD_FOR;

/// How often it is looked how things go.
const TICK: Duration = Duration::from_millis(20);

/// How long, in milliseconds, a peer that probably has a file may take for its
/// first byte before others are looked for.
const GUESS: Millis = 50;

/// Pieces that are fetched before it can be told whether they are right.
const UNPROVED: usize = 4;

/// What came of a download.
pub(in crate::worker) enum Gathered {
    /// It is over.
    Done(Outcome),
    /// Nobody else has it: it is up to its origins.
    Alone,
}

/// Where others may still turn out to have it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Searching {
    /// The DHT is being asked.
    pub in_dht: bool,
    /// Neighbours are.
    pub on_link: bool,
}

impl Searching {
    pub(super) const fn goes_on(self) -> bool {
        self.in_dht || self.on_link
    }
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
    pub(super) searching: Searching,
    /// Who is asked because it had others, without anybody having said so.
    pub(super) guessed: Option<Source>,
    /// Whether it does not have this one, and others are to be looked for.
    pub(super) is_lost: bool,
    /// How many of the holders are so: it is the first.
    pub(super) lost: usize,
    /// What came while others were looked for.
    pub(super) came: Option<Delivered>,
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
            searching: Searching::default(),
            guessed: None,
            is_lost: false,
            lost: 0,
            came: None,
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
            let is_lost = std::mem::take(&mut self.is_lost);
            if is_lost && (self.body.is_some() || self.front.is_open()) {
                self.search_beside();
            } else if is_lost {
                let goes_on = self.search().await || self.came.is_some();
                if !goes_on {
                    return Ok(Gathered::Alone);
                }
                self.help.begin(self.now());
            }
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
            if let Some((ask, Some(result))) = self.came.take() {
                if let Some(outcome) = self.part(ask, result).await? {
                    return Ok(Gathered::Done(outcome));
                }
                continue;
            }
            let outcome = tokio::select! {
                Some(event) = self.events.next() => self.take(event).await?,
                Some(came) = self.parts.next() => {
                    self.came = Some(came);
                    None
                }
                else => return Ok(Gathered::Alone),
            };
            if let Some(outcome) = outcome {
                return Ok(Gathered::Done(outcome));
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

    fn ask(&mut self, ask: Ask) {
        let wanted = self.target.part(ask.piece);
        let contact = self.holders[ask.source].contact;
        tracing::trace!(piece = ask.piece, peer = %contact, "a piece is asked for");
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
            Event::Found(None) => self.searching.in_dht = false,
            Event::Heard(None) => self.searching.on_link = false,
            Event::Heard(Some((heard, asking))) => {
                if let Word::Has(torrent) = heard.word {
                    self.is_near(heard.contact, torrent);
                }
                self.listen_on(asking);
            }
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
}
