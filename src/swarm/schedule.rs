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

/// Requests in flight to one source that has brought something: while one
/// piece comes, the next one is asked for, so that its link is never idle. The
/// first piece has the link for itself: it says what the source is worth.
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

/// Wrong pieces after which it is asked no more: as many as make its score 0.
const WRONG: u32 = 3;

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
    /// Pieces that were not what they should be.
    wrong: u32,
    out: bool,
}

impl Place {
    /// Whether it has room for another request; `queue`: behind one that is
    /// under way.
    const fn is_free(&self, queue: bool) -> bool {
        self.running
            < if queue && self.brought > 0 {
                PER_SOURCE
            } else {
                1
            }
    }

    /// What it is worth, as if all that seems wrong were: in the end the truth
    /// may say otherwise.
    fn worth(&self) -> f64 {
        let left = WRONG.saturating_sub(self.wrong);
        if self.out {
            0.0
        } else {
            self.score * f64::from(left) / f64::from(WRONG)
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Running {
    ask: Ask,
    since: Millis,
    /// Counted from the first request of the file.
    number: u64,
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
    /// Requests so far.
    sent: u64,
    /// Whether there are more pieces to ask for than sources: else a piece that
    /// waits behind another one is in bad hands.
    are_plenty: bool,
    is_forgiven: bool,
    /// Asks that came to nothing: not of this source again.
    refused: Vec<Ask>,
    limit: Limit,
    /// How long pieces lately took, smoothed.
    typical: Option<Millis>,
    /// The piece that the mirror is sending.
    streamed: Option<usize>,
    /// From which piece up to before which one somebody waits.
    preferred: Vec<(usize, usize)>,
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
            sent: 0,
            are_plenty: true,
            is_forgiven: false,
            refused: Vec::new(),
            limit: Limit::first(now),
            typical: None,
            streamed: None,
            preferred: Vec::new(),
        }
    }

    /// Another source, by the number that it has from now on.
    pub fn add(&mut self, score: f64) -> Source {
        self.sources.push(Place {
            score,
            running: 0,
            brought: 0,
            failures: 0,
            wrong: 0,
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

    /// Somebody waits for the pieces of these ranges, from one up to before
    /// another: they are asked for before all others, in their order.
    pub fn prefer(&mut self, ranges: &[(usize, usize)]) {
        let count = self.count();
        let within = ranges
            .iter()
            .map(|(from, to)| ((*from).min(count), (*to).min(count)));
        self.preferred.clear();
        self.preferred.extend(within);
    }

    /// Sources that may still be asked.
    fn usable(&self) -> usize {
        let usable = |place: &&Place| place.worth() > 0.0;
        self.sources.iter().filter(usable).count()
    }

    /// Sources that may still be asked and have sent nothing wrong.
    #[must_use]
    pub fn sound(&self) -> usize {
        let sound = |place: &&Place| place.worth() > 0.0 && place.wrong == 0;
        self.sources.iter().filter(sound).count()
    }

    /// Pieces of the file.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.here.len()
    }

    /// Whether anything that is missing can be asked for, now or when a request
    /// under way is over.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        let mut missing = (0..self.here.len()).filter(|piece| !self.here[*piece]);
        !self.running.is_empty() || missing.any(|piece| self.best_for(piece).is_some())
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
        let unasked = (0..self.here.len()).filter(|piece| self.is_unasked(*piece));
        self.are_plenty = unasked.count() > self.usable();
        let ask = self
            .fresh(order)
            .or_else(|| self.overdue(now))
            .or_else(|| self.queued())?;
        self.sources[ask.source].running += 1;
        self.asked[ask.piece] += 1;
        self.running.push(Running {
            ask,
            since: now,
            number: self.sent,
        });
        self.sent += 1;
        Some(ask)
    }

    /// A piece that nobody was asked for.
    fn fresh(&self, order: Order) -> Option<Ask> {
        let is_free = |piece: &usize| self.is_unasked(*piece);
        let pieces = 0..self.here.len();
        let ask = |piece| self.best_for(piece).map(|source| Ask { piece, source });
        // Of several ranges, first what its reader comes to first.
        let first = |(from, to): &(usize, usize)| {
            let ask = (*from..*to).filter(is_free).find_map(ask)?;
            Some((ask.piece - from, ask))
        };
        let preferred = self.preferred.iter().filter_map(first);
        if let Some((_, ask)) = preferred.min_by_key(|(distance, _)| *distance) {
            return Some(ask);
        }
        match order {
            Order::Front => pieces.filter(is_free).find_map(ask),
            Order::Back => pieces.rev().filter(is_free).find_map(ask),
        }
    }

    fn is_unasked(&self, piece: usize) -> bool {
        !self.here[piece] && self.asked[piece] == 0 && self.streamed != Some(piece)
    }

    /// When nothing else is left to ask for, a piece that takes so long is asked
    /// of another source as well.
    #[must_use]
    pub fn late(&self) -> Millis {
        (self.typical.unwrap_or(UNKNOWN) * HURRIED).max(SHORTEST)
    }

    /// Where there is no other way: who failed may be asked again, once. What
    /// was wrong is not forgotten. Answers whether that changes anything.
    pub fn forgive(&mut self) -> bool {
        if std::mem::replace(&mut self.is_forgiven, true) {
            return false;
        }
        let failed = |place: &&mut Place| place.failures > 0;
        let mut changes = false;
        for place in self.sources.iter_mut().filter(failed) {
            (place.failures, place.out) = (0, false);
            changes = true;
        }
        if changes {
            self.refused.clear();
        }
        changes
    }

    /// A piece that takes too long where it was asked for.
    fn overdue(&self, now: Millis) -> Option<Ask> {
        let is_last = !(0..self.here.len()).any(|piece| self.is_unasked(piece));
        let late = if is_last {
            self.late()
        } else {
            self.late() / HURRIED * STALLED
        };
        let mut latest: Vec<_> = self.running.iter().collect();
        latest.sort_by_key(|running| running.since);
        let asked_of = |piece| {
            let of = self
                .running
                .iter()
                .filter(move |other| other.ask.piece == piece);
            of.map(|other| other.since).max().unwrap_or(now)
        };
        latest
            .iter()
            .map(|running| running.ask.piece)
            .filter(|piece| now - asked_of(*piece) > late)
            .find_map(|piece| self.best_for(piece).map(|source| Ask { piece, source }))
    }

    /// Nothing else is left to ask for: a piece that waits behind another one at
    /// its source, for a source that has nothing to do.
    fn queued(&self) -> Option<Ask> {
        let is_second = |running: &&Running| {
            let of_source = |other: &&Running| other.ask.source == running.ask.source;
            let of_piece = self.asked[running.ask.piece];
            let first = self
                .running
                .iter()
                .filter(of_source)
                .map(|other| other.number);
            of_piece == 1 && first.min().is_some_and(|first| first < running.number)
        };
        let mut seconds = self.running.iter().filter(is_second);
        seconds.find_map(|running| {
            let piece = running.ask.piece;
            let source = self.best_for(piece)?;
            let is_idle = self.sources[source].running == 0;
            is_idle.then_some(Ask { piece, source })
        })
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
            place.worth() / (1.0 + load)
        };
        let free = self.sources.iter().enumerate().filter(|(source, place)| {
            place.worth() > 0.0 && place.is_free(self.are_plenty) && !busy(*source)
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
            self.typical = Some(
                self.typical
                    .map_or(took, |typical| (typical * 3 + took) / 4),
            );
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
        let others: Vec<_> = self
            .running
            .iter()
            .filter(is_of)
            .map(|other| other.ask)
            .collect();
        for other in &others {
            self.end(*other);
        }
        others
    }

    /// A piece that counted as here is not.
    pub fn reopen(&mut self, piece: usize) {
        if std::mem::replace(&mut self.here[piece], false) {
            self.missing += 1;
        }
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

    /// A piece came and is not what it should be.
    pub fn wrong(&mut self, ask: Ask) {
        if self.end(ask).is_some() {
            self.refused.push(ask);
        }
        self.sources[ask.source].wrong += 1;
    }

    /// A source does not have the file, can't be reached, or sent what is not
    /// the file: it is asked for nothing more of it. Answers what it was asked
    /// for.
    pub fn dismiss(&mut self, source: Source) -> Vec<Ask> {
        self.sources[source].out = true;
        let is_of = |running: &&Running| running.ask.source == source;
        let asked: Vec<_> = self
            .running
            .iter()
            .filter(is_of)
            .map(|running| running.ask)
            .collect();
        for ask in &asked {
            self.end(*ask);
        }
        asked
    }
}

#[cfg(test)]
mod tests;
