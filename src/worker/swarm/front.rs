//! The mirror as one more source: it sends what comes first, in order.

use axum::http::header::RANGE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::{Bytes, BytesMut};

use super::event::{Event, Opened};
use super::gather::Gather;
use super::hashes::print_of;
use crate::clock::Millis;
use crate::core::CoreError;
use crate::db::piece::PieceState;
use crate::debian::url::RepoUrl;
use crate::store::flight::Refusal;
use crate::store::growing::Came;
use crate::swarm::blame::Source;
use crate::swarm::torrent::PIECE;
use crate::worker::errand::Errand;
use crate::worker::fetch_file::{FetchFile, Outcome, worse};
use crate::worker::receive::length_of;
use crate::worker::receive::stream::{Next, OriginStream};

/// An origin that broke off so often is asked no more.
const TRIES: u32 = 2;

/// A mirror that is silent for so long, in milliseconds, does not keep its
/// piece from peers.
const SILENT: Millis = 500;

/// Pieces that are here and lie in the mirror's way: so many are worth another
/// request behind them.
const GAP: usize = 2;

/// From so many bytes on a mirror's speed is worth remembering.
const TELLING: u64 = 1024 * 1024;

/// How the mirror is asked.
#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Opening,
    Open,
    /// It does not have the file, or does not answer.
    Gone(Refusal),
}

/// The mirror's part in a download.
#[derive(Debug, Default)]
pub(super) struct Front {
    state: State,
    /// The first byte that it was asked for.
    asked_at: u64,
    /// What came of the piece that it is at.
    piece: BytesMut,
    /// Since it was last asked.
    received: u64,
    received_in_all: u64,
    last_byte: Millis,
    broken_off: u32,
    /// Whether it is to end with the piece that it is at.
    ends: bool,
    /// Whether it sends the whole file though it was asked for the rest.
    sends_all: bool,
    /// When the piece that it is at began to come.
    piece_since: Millis,
    /// Whether a piece of it was compared with what peers say.
    is_sampled: bool,
}

impl Front {
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Opening | State::Open)
    }

    /// Bytes since it was last asked.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    /// Why it has nothing to send, where that is so.
    pub(super) const fn refusal(&self) -> Option<&Refusal> {
        match &self.state {
            State::Gone(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl FetchFile {
    /// Asks the origins in order for the file from byte `at` on.
    async fn open(&self, errand: &Errand<'_>, (at, size): (u64, u64)) -> Result<Opened, Refusal> {
        let mut headers = HeaderMap::new();
        if at > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={at}-"))
        {
            headers.insert(RANGE, range);
        }
        let mut refusal = None;
        for origin in self.in_order(&errand.plan) {
            let asked_at = self.core.now();
            let next = match self.question(errand, &origin, &headers).await {
                Ok(answer) if answer.is_rest(at, Some(size), None, None) => {
                    return Ok(Opened {
                        origin,
                        answer,
                        at,
                        asked_at,
                    });
                }
                Ok(answer)
                    if answer.status == StatusCode::OK && length_of(&answer) == Some(size) =>
                {
                    return Ok(Opened {
                        origin,
                        answer,
                        at: 0,
                        asked_at,
                    });
                }
                Ok(answer) => self.unfit(errand, &answer).await,
                Err(next) => next,
            };
            refusal = Some(worse(refusal, next));
        }
        Err(refusal.unwrap_or_else(|| Refusal::own_fault("the mirror has no origins")))
    }
}

impl Gather<'_> {
    /// Asks the mirror where it has to help, and lets it end where it has not.
    pub(super) fn ask_mirror(&mut self) {
        let now = self.now();
        let usable = self.provable_peers();
        let left = self.schedule.missing() as u64 * PIECE;
        let wanted = self
            .help
            .is_wanted(usable, self.searching.goes_on(), left, now);
        match self.front.state {
            State::Closed if wanted && self.schedule.missing() > 0 => self.open(now),
            State::Open => self.front.ends = !wanted,
            _ => {}
        }
    }

    fn open(&mut self, now: Millis) {
        let (fetch, errand) = (self.fetch, self.errand);
        let (at, _) = self.target.range_of(self.schedule.front());
        let size = self.target.size;
        tracing::debug!(
            url = errand.url.key(),
            offset = at,
            peers = self.schedule.sound(),
            "the mirror helps"
        );
        if let Some(arrival) = &self.errand.arrival {
            arrival.fetch();
        }
        self.front.state = State::Opening;
        self.front.ends = false;
        self.front.asked_at = at;
        self.help.is_asked(true, now);
        self.events.push(Box::pin(async move {
            Event::Opened(fetch.open(errand, (at, size)).await)
        }));
    }

    fn close(&mut self) {
        self.remember_rate();
        self.front.state = State::Closed;
        self.schedule.stream(None);
        let now = self.now();
        self.help.is_asked(false, now);
    }

    /// What the mirror is worth, for the next download.
    pub(super) fn remember_rate(&self) {
        if let Some(rate) = self.help.mirror_rate()
            && self.front.received_in_all >= TELLING
            && let Some(origin) = self.errand.plan.sources.first()
        {
            self.swarm.set_rate(origin.origin(), rate);
        }
    }

    pub(super) async fn opened(
        &mut self,
        opened: Result<Opened, Refusal>,
    ) -> Result<Option<Outcome>, CoreError> {
        let opened = match opened {
            Ok(opened) => opened,
            Err(refusal) => {
                self.close();
                self.front.state = State::Gone(refusal);
                return Ok(None);
            }
        };
        let said = self.errand.said_by(&opened.answer, opened.asked_at);
        let whence = (&self.fetch.core, &self.fetch.upstream);
        let extent = (opened.at, Some(self.target.size));
        let stream = OriginStream::new(whence, (&opened.origin, &said), opened.answer, extent);
        if self.body.is_none() && !self.begin(said, opened.asked_at, Came::Mirror).await {
            return Ok(Some(Outcome::Uncached));
        }
        self.front.state = State::Open;
        self.front.piece.clear();
        self.front.received = 0;
        self.front.last_byte = self.now();
        self.front.piece_since = self.now();
        self.front.sends_all = opened.at < self.front.asked_at;
        self.schedule.stream(Some(piece_at(opened.at)));
        self.read_on(Box::new(stream));
        Ok(None)
    }

    fn read_on(&mut self, mut stream: Box<OriginStream>) {
        self.events.push(Box::pin(async move {
            let next = stream.next().await;
            Event::Streamed(stream, next)
        }));
    }

    /// The mirror sent something, or nothing more.
    pub(super) async fn streamed(
        &mut self,
        stream: Box<OriginStream>,
        next: Result<Next, String>,
    ) -> Result<Option<Outcome>, CoreError> {
        match next {
            Ok(Next::Bytes(bytes)) => return self.bytes(stream, bytes).await,
            Ok(Next::Rewound) => {
                self.front.piece.clear();
                self.read_on(stream);
            }
            Ok(Next::End) => self.close(),
            Err(why) => {
                self.close();
                self.front.broken_off += 1;
                if self.front.broken_off >= TRIES {
                    self.front.state = State::Gone(Refusal {
                        status: 502,
                        reason: why,
                        stale_may_serve: true,
                    });
                }
            }
        }
        Ok(None)
    }

    async fn bytes(
        &mut self,
        stream: Box<OriginStream>,
        bytes: Bytes,
    ) -> Result<Option<Outcome>, CoreError> {
        let length = bytes.len() as u64;
        self.front.received += length;
        self.front.received_in_all += length;
        self.front.last_byte = self.now();
        let mut at = stream.at - length;
        if let Some(body) = &self.body {
            body.growing.came_from(Came::Mirror);
        }
        self.write(at, bytes.clone(), Came::Mirror).await;
        let (mut rest, mut goes_on) = (bytes, true);
        while !rest.is_empty() {
            let piece = piece_at(at);
            let (_, end) = self.target.range_of(piece);
            let taken = rest.split_to(
                usize::try_from(end - at)
                    .unwrap_or(usize::MAX)
                    .min(rest.len()),
            );
            at += taken.len() as u64;
            self.front.piece.extend_from_slice(&taken);
            if at < end {
                continue;
            }
            if !self.whole_piece(piece) {
                return self.distrust().await;
            }
            goes_on &= self.goes_on_behind(piece);
        }
        if piece_at(at) != piece_at(stream.at - length) {
            self.front.piece_since = self.now();
            self.schedule.stream(Some(piece_at(at)));
        }
        if goes_on && at < self.target.size {
            self.read_on(stream);
        } else {
            self.close();
        }
        Ok(None)
    }

    /// The mirror sent all of a piece. Answers false where it is not the one
    /// that peers say: then they are not believed any more.
    fn whole_piece(&mut self, piece: usize) -> bool {
        let bytes = self.front.piece.split();
        let hash = print_of(&bytes);
        if self.proof.passes(piece, &bytes) == Some(false) && !self.target.is_small() {
            return false;
        }
        let at = self.fetch.core.now();
        let state = PieceState::Unproved;
        self.ledger.note((piece, 0), None, state, Some(hash), at);
        self.note_evidence(Source::Mirror, piece, hash);
        if !self.schedule.is_here(piece) {
            self.kept.insert(piece, hash);
        }
        let others = self.schedule.arrived(piece);
        self.give_up_on(others);
        true
    }

    /// Whether the mirror is to send what lies behind this piece.
    fn goes_on_behind(&self, piece: usize) -> bool {
        let next = self.schedule.next_missing(piece + 1);
        let is_last = next >= self.schedule.count();
        // An origin that sends all of it whatever it is asked for has no
        // shorter way.
        let is_near = next - piece <= GAP || self.front.sends_all;
        !self.front.ends && !is_last && is_near
    }

    /// A mirror that falls silent, or crawls, keeps nothing from peers.
    pub(super) fn look_at_mirror(&mut self, now: Millis) {
        let is_silent = now - self.front.last_byte > SILENT;
        let crawls = now - self.front.piece_since > self.schedule.late();
        if matches!(self.front.state, State::Open) && (is_silent || crawls) {
            self.schedule.stream(None);
        }
    }

    /// Fetches one piece from the mirror, to compare with what peers say: of
    /// peers that never brought anything one does not know whether they all lie.
    pub(super) fn sample(&mut self) {
        let is_known = self.is_trusted() && self.help.mirror_rate().is_some();
        if self.front.is_sampled || self.front.is_open() || is_known {
            return;
        }
        self.front.is_sampled = true;
        let missing = self.schedule.missing();
        if missing == 0 {
            return;
        }
        let pieces = usize::try_from(self.target.size / PIECE)
            .unwrap_or(1)
            .max(1);
        let piece = rand::random_range(0..pieces);
        let (fetch, errand, range) = (self.fetch, self.errand, self.target.range_of(piece));
        let size = self.target.size;
        let asked_at = self.now();
        self.events.push(Box::pin(async move {
            Event::Sample(piece, asked_at, fetch.sample(errand, range, size).await)
        }));
    }

    /// Whether somebody who stands for the torrent string has brought right
    /// bytes before.
    fn is_trusted(&self) -> bool {
        let peers = self.fetch.core.peers();
        let supporters = self.references.best().map(|best| &best.supporters);
        let mut supporters = supporters.into_iter().flatten();
        supporters.any(|source| peers.bytes(self.holders[*source].contact) > 0)
    }

    /// A piece of the mirror's came, to compare with.
    pub(super) async fn compare(
        &mut self,
        piece: usize,
        asked_at: Millis,
        bytes: Option<Bytes>,
    ) -> Result<Option<Outcome>, CoreError> {
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        self.help.sampled(bytes.len() as u64, self.now() - asked_at);
        if self.proof.passes(piece, &bytes) == Some(false) {
            return self.distrust().await;
        }
        Ok(None)
    }
}

impl FetchFile {
    /// A few bytes of the first origin that has them.
    async fn sample(
        &self,
        errand: &Errand<'_>,
        (from, to): (u64, u64),
        size: u64,
    ) -> Option<Bytes> {
        let mut headers = HeaderMap::new();
        let range = format!("bytes={from}-{}", to - 1);
        headers.insert(RANGE, HeaderValue::from_str(&range).ok()?);
        let origin: RepoUrl = self.in_order(&errand.plan).into_iter().next()?;
        let mut answer = self.question(errand, &origin, &headers).await.ok()?;
        if !answer.is_part(from, to, size) {
            return None;
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.ok()? {
            self.core
                .meters
                .add(crate::meter::Kind::FromMirrors, chunk.len() as u64);
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > to - from {
                return None;
            }
        }
        (bytes.len() as u64 == to - from).then(|| bytes.freeze())
    }
}

fn piece_at(at: u64) -> usize {
    usize::try_from(at / PIECE).unwrap_or(usize::MAX)
}
