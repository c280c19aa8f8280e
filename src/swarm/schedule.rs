//! Which piece of a file is asked of whom.
//!
//! Invariant: a piece is either here, or missing with any number of asks under
//! way for it; who brings it first ends the others. Times are milliseconds of
//! any clock.

use crate::clock::Millis;

/// A source of a file, by the order in which it became known.
pub type Source = usize;

/// Requests in flight a file, to begin with.
const FIRST_LIMIT: usize = 4;

/// And at most.
const MOST: usize = 32;

/// Requests in flight to one source: while one piece comes, the next one is
/// asked for, so that its link is never idle.
const PER_SOURCE: usize = 2;

/// More in flight have to bring so many times the bytes a second, or it was in
/// vain.
const GAIN: f64 = 1.1;

/// What requests bring is measured for so long at least.
const WINDOW: Millis = 100;

/// A piece that takes so many times as long as pieces lately took is asked of
/// another source as well.
const STALLED: Millis = 3;

/// When nothing else is left to ask for: likewise, in half the time.
const HURRIED: Millis = 2;

/// How long a piece takes before one has come.
const UNKNOWN: Millis = 500;

/// No piece counts as stalled sooner than this.
const SHORTEST: Millis = 100;

/// Failures after which a source is asked no more for this file.
const FAILURES: u32 = 2;

/// One request: a piece, of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Index of the piece.
    pub piece: usize,
    /// Who is asked.
    pub source: Source,
}

/// Where to begin with missing pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// At the first byte: clients wait for it.
    Front,
    /// At the end: the mirror sends what comes first.
    Back,
}

#[derive(Debug, Clone)]
struct Place {
    score: f64,
    running: usize,
    brought: usize,
    failures: u32,
    out: bool,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    ask: Ask,
    since: Millis,
}

/// How many requests are in flight: twice as many as long as that helps.
#[derive(Debug, Clone)]
struct Limit {
    now: usize,
    /// Bytes that had come when the measuring began, and when that was. After
    /// a change the new requests get a moment to show what they bring.
    from: Millis,
    bytes: Option<u64>,
    rate_before: f64,
    is_settled: bool,
}

impl Limit {
    const fn first(now: Millis) -> Self {
        Self {
            now: FIRST_LIMIT,
            from: now,
            bytes: Some(0),
            rate_before: 0.0,
            is_settled: false,
        }
    }

    fn measured(&mut self, bytes: u64, window: Millis, now: Millis) {
        let Some(before) = self.bytes else {
            if now >= self.from {
                (self.from, self.bytes) = (now, Some(bytes));
            }
            return;
        };
        if now - self.from < window || bytes == before {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let rate = bytes.saturating_sub(before) as f64 / (now - self.from) as f64;
        if rate < GAIN * self.rate_before {
            self.is_settled = true;
            return;
        }
        *self = Self {
            now: (self.now * 2).min(MOST),
            from: now + window,
            bytes: None,
            rate_before: rate,
            is_settled: self.now * 2 >= MOST,
        };
    }
}

/// The pieces of one file and who brings them.
#[derive(Debug, Clone)]
pub struct Schedule {
    here: Vec<bool>,
    /// Requests under way for each piece.
    asked: Vec<u8>,
    missing: usize,
    sources: Vec<Place>,
    running: Vec<Running>,
    /// Asks that came to nothing: not of this source again.
    refused: Vec<Ask>,
    limit: Limit,
    /// How long pieces lately took, smoothed.
    typical: Option<Millis>,
    /// The piece that the mirror is sending.
    streamed: Option<usize>,
}

impl Schedule {
    /// A file of so many pieces, none of which is here.
    #[must_use]
    pub fn new(pieces: usize, now: Millis) -> Self {
        Self {
            here: vec![false; pieces],
            asked: vec![0; pieces],
            missing: pieces,
            sources: Vec::new(),
            running: Vec::new(),
            refused: Vec::new(),
            limit: Limit::first(now),
            typical: None,
            streamed: None,
        }
    }

    /// Another source, by the number that it has from now on.
    pub fn add(&mut self, score: f64) -> Source {
        self.sources.push(Place {
            score,
            running: 0,
            brought: 0,
            failures: 0,
            out: false,
        });
        self.sources.len() - 1
    }

    /// What is known of a source by now.
    pub fn set_score(&mut self, source: Source, score: f64) {
        self.sources[source].score = score;
    }

    /// The mirror sends this piece just now, or none.
    pub const fn stream(&mut self, piece: Option<usize>) {
        self.streamed = piece;
    }

    /// Sources that may still be asked.
    #[must_use]
    pub fn usable(&self) -> usize {
        let usable = |place: &&Place| !place.out && place.score > 0.0;
        self.sources.iter().filter(usable).count()
    }

    /// Whether a piece is here.
    #[must_use]
    pub fn is_here(&self, piece: usize) -> bool {
        self.here[piece]
    }

    /// Pieces that are not here.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// The first piece that is not here; the count of pieces where all are.
    #[must_use]
    pub fn front(&self) -> usize {
        self.next_missing(0)
    }

    /// The first piece from `from` on that is not here.
    #[must_use]
    pub fn next_missing(&self, from: usize) -> usize {
        let after = self.here[from..].iter().position(|here| !here);
        after.map_or(self.here.len(), |after| from + after)
    }

    /// The first piece from `from` on that is here: whoever streams stops there.
    #[must_use]
    pub fn next_here(&self, from: usize) -> usize {
        let after = self.here[from..].iter().position(|here| *here);
        after.map_or(self.here.len(), |after| from + after)
    }

    /// Requests under way.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// So many bytes have come from sources in all.
    pub fn measured(&mut self, bytes: u64, now: Millis) {
        // What is not in use says nothing.
        if !self.limit.is_settled && self.running.len() >= self.limit.now {
            let window = (self.typical.unwrap_or(0) / 2).max(WINDOW);
            self.limit.measured(bytes, window, now);
        }
    }

    /// The next request to send, if another one is to be sent now.
    pub fn next(&mut self, order: Order, now: Millis) -> Option<Ask> {
        if self.running.len() >= self.limit.now || self.missing == 0 {
            return None;
        }
        let ask = self.fresh(order).or_else(|| self.overdue(now))?;
        self.sources[ask.source].running += 1;
        self.asked[ask.piece] += 1;
        self.running.push(Running { ask, since: now });
        Some(ask)
    }

    /// A piece that nobody was asked for.
    fn fresh(&self, order: Order) -> Option<Ask> {
        let is_free = |piece: &usize| self.is_unasked(*piece);
        let pieces = 0..self.here.len();
        let ask = |piece| self.best_for(piece).map(|source| Ask { piece, source });
        match order {
            Order::Front => pieces.filter(is_free).find_map(ask),
            Order::Back => pieces.rev().filter(is_free).find_map(ask),
        }
    }

    fn is_unasked(&self, piece: usize) -> bool {
        !self.here[piece] && self.asked[piece] == 0 && self.streamed != Some(piece)
    }

    /// A piece that takes too long where it was asked for.
    fn overdue(&self, now: Millis) -> Option<Ask> {
        let is_last = !(0..self.here.len()).any(|piece| self.is_unasked(piece));
        let times = if is_last { HURRIED } else { STALLED };
        let late = (self.typical.unwrap_or(UNKNOWN) * times).max(SHORTEST);
        let mut latest: Vec<_> = self.running.iter().collect();
        latest.sort_by_key(|running| running.since);
        let asked_of = |piece| {
            let of = self.running.iter().filter(move |other| other.ask.piece == piece);
            of.map(|other| other.since).max().unwrap_or(now)
        };
        latest
            .iter()
            .map(|running| running.ask.piece)
            .filter(|piece| now - asked_of(*piece) > late)
            .find_map(|piece| self.best_for(piece).map(|source| Ask { piece, source }))
    }

    /// The best source with room for one more. Of equal ones, the one that
    /// brought least: they share alike.
    fn best_for(&self, piece: usize) -> Option<Source> {
        let busy = |source| {
            let ask = Ask { piece, source };
            self.refused.contains(&ask) || self.running.iter().any(|running| running.ask == ask)
        };
        let standing = |place: &Place| {
            #[allow(clippy::cast_precision_loss, reason = "two at most")]
            let load = place.running as f64;
            place.score / (1.0 + load)
        };
        let free = self.sources.iter().enumerate().filter(|(source, place)| {
            !place.out && place.score > 0.0 && place.running < PER_SOURCE && !busy(*source)
        });
        free.max_by(|(_, one), (_, other)| {
            standing(one)
                .total_cmp(&standing(other))
                .then(other.brought.cmp(&one.brought))
        })
        .map(|(source, _)| source)
    }

    fn end(&mut self, ask: Ask) -> Option<Millis> {
        let at = self.running.iter().position(|running| running.ask == ask)?;
        self.sources[ask.source].running -= 1;
        self.asked[ask.piece] -= 1;
        Some(self.running.swap_remove(at).since)
    }

    /// A piece came from this source and is right. Answers who else was asked
    /// for it and need not go on.
    pub fn brought(&mut self, ask: Ask, now: Millis) -> Vec<Ask> {
        if let Some(since) = self.end(ask) {
            let took = (now - since).max(1);
            self.typical = Some(self.typical.map_or(took, |typical| (typical * 3 + took) / 4));
            self.sources[ask.source].brought += 1;
            self.sources[ask.source].failures = 0;
        }
        self.arrived(ask.piece)
    }

    /// A piece is here, wherever it came from. Answers who was asked for it
    /// and need not go on.
    pub fn arrived(&mut self, piece: usize) -> Vec<Ask> {
        if !std::mem::replace(&mut self.here[piece], true) {
            self.missing -= 1;
        }
        let is_of = |running: &&Running| running.ask.piece == piece;
        let others: Vec<_> = self.running.iter().filter(is_of).map(|other| other.ask).collect();
        for other in &others {
            self.end(*other);
        }
        others
    }

    /// A piece did not come.
    pub fn failed(&mut self, ask: Ask) {
        if self.end(ask).is_none() {
            return;
        }
        let place = &mut self.sources[ask.source];
        place.failures += 1;
        place.out |= place.failures >= FAILURES;
        self.refused.push(ask);
    }

    /// A source does not have the file, can't be reached, or sent what is not
    /// the file: it is asked for nothing more of it. Answers what it was asked
    /// for.
    pub fn dismiss(&mut self, source: Source) -> Vec<Ask> {
        self.sources[source].out = true;
        let is_of = |running: &&Running| running.ask.source == source;
        let asked: Vec<_> = self.running.iter().filter(is_of).map(|running| running.ask).collect();
        for ask in &asked {
            self.end(*ask);
        }
        asked
    }
}

#[cfg(test)]
mod tests;
