//! A file without usable piece hashes: nobody published any, or the whole file
//! was wrong although every piece matched. Only the whole file's SHA-256 tells
//! right from wrong then, and the pieces come in rounds.
//!
//! # Life
//!
//! ```text
//!            every ask answered             passed
//!   Asking ───────────────────────▶ Testing ──────▶ Obtained
//!     ▲                               │  │
//!     └── something is still to ask ──┘  └────────▶ NotObtained
//!         (the next round)                 nothing is
//! ```
//!
//! The invariant: an ask is planned, in flight or over, and is in one of them
//! only. A round ends when none is planned or in flight; only then are
//! assemblies given out, one at a time, and nothing is asked meanwhile. So
//! whatever was sent before a test was there for it.
//!
//! # What is asked
//!
//! A piece is *settled* when as many peers sent the same bytes as are wanted: one
//! in the first download, then two. The others are *open*, and are asked of one
//! more source in each round, shifted by one. Where nothing is open and the file
//! is still wrong, peers agreed on a wrong piece: all is open again, and one more
//! has to agree. The mirror settles any doubt: it is asked for pieces that differ,
//! for everything once agreement proved worth nothing, and where no peer is left;
//! what it sent is settled, until nothing else is open and the file is still
//! wrong.
//!
//! Nobody is asked twice for a piece that it sent, until everybody was asked for
//! everything and no assembly passed. Then who lies only at times gets a second
//! chance for the pieces that are in doubt. So it ends, after at most [`LAPS`]
//! asks for each source and piece.

mod candidates;
mod choices;
mod roster;
#[cfg(test)]
mod tests;
mod tries;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use self::candidates::{Candidates, Pick};
use self::roster::Roster;
use self::tries::Tries;
use super::blame::{Delivery, Evidence, PieceHash, Source, Verdict};

/// How often a source may be asked for one piece.
pub const LAPS: u8 = 2;

/// Assemblies tested between two rounds. A round may fetch the whole file, which
/// takes about as long as hashing it ten times.
pub const TESTS_A_ROUND: usize = 8;

/// Pieces hashed when nobody is left to be asked: 64 GiB at 512 KiB a piece,
/// minutes of one core. It is the last resort, and a hostile one.
const WORK: usize = 1 << 17;

/// Assemblies tested when nobody is left to be asked, for a file of so many
/// pieces: enough for each set of liars among nine sources up to 256 pieces.
#[must_use]
pub const fn tests_at_the_end(pieces: usize) -> usize {
    match pieces {
        0..=32 => 4096,
        33..=1024 => WORK / pieces,
        _ => 128,
    }
}

/// A piece to be asked of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// Which, counted from 0.
    pub piece: usize,
    /// Whom.
    pub source: Source,
    /// In which round; 0 is the first download.
    pub round: u32,
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask a source for a piece, and say [`Rounds::delivered`] or
    /// [`Rounds::failed`] of it once.
    Ask(Ask),
    /// Put the file together from the pieces that have these hashes, one for each
    /// place, and say whether its SHA-256 passed ([`Rounds::tested`]).
    Test(Vec<PieceHash>),
    /// Wait for what is under way.
    Wait,
    /// Nothing: an assembly passed.
    Obtained,
    /// Nothing: all were asked for all, and no assembly passed. Nobody is to
    /// blame before the truth is known from elsewhere; then
    /// [`Rounds::evidence`] can still be judged.
    NotObtained,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Asking,
    Testing,
    Obtained,
    NotObtained,
}

/// When a piece is settled: ever stricter.
#[derive(Debug)]
struct Demand {
    /// How many have to send the same.
    votes: usize,
    /// Whether the mirror alone settles a piece.
    trust_mirror: bool,
    /// How often a source may have been asked for a piece.
    lap: u8,
}

/// The rounds of one file.
pub struct Rounds {
    evidence: Evidence,
    candidates: Arc<Candidates>,
    roster: Roster,
    demand: Demand,
    round: u32,
    phase: Phase,
    planned: VecDeque<Ask>,
    in_flight: Vec<Ask>,
    tries: Tries,
    tests_left: usize,
    testing: Option<Pick>,
    tried: HashSet<Pick>,
    /// How many candidates there were when all assemblies were tried.
    searched: Option<usize>,
}

impl Rounds {
    /// Of a file of so many pieces, with the peers that may be asked, the best
    /// first, and the mirror if it may be. What came before counts as sent in
    /// round 0; its senders are asked again only if they are among the peers.
    #[must_use]
    pub fn new(pieces: usize, peers: &[u32], mirror: bool, before: &Evidence) -> Self {
        let mut rounds = Self {
            evidence: Evidence::new(),
            candidates: Arc::new(Candidates::new(pieces)),
            roster: Roster::new(pieces, peers, mirror),
            demand: Demand {
                votes: 1,
                trust_mirror: true,
                lap: 1,
            },
            round: 0,
            phase: Phase::Asking,
            planned: VecDeque::new(),
            in_flight: Vec::new(),
            tries: Box::new(std::iter::empty()),
            tests_left: 0,
            testing: None,
            tried: HashSet::new(),
            searched: None,
        };
        for came in before.deliveries() {
            if came.piece < pieces {
                let who = rounds.roster.sent_before(came.source, came.piece);
                rounds.note(Delivery { round: 0, ..*came }, who);
            }
        }
        rounds.plan();
        rounds
    }

    /// What is to be done next. To be called again after each thing done, and as
    /// often as more may be in flight.
    pub fn step(&mut self) -> Step {
        loop {
            match self.phase {
                Phase::Asking => {
                    if let Some(ask) = self.planned.pop_front() {
                        self.in_flight.push(ask);
                        return Step::Ask(ask);
                    }
                    if !self.in_flight.is_empty() {
                        return Step::Wait;
                    }
                    self.test(TESTS_A_ROUND, tries::plausible);
                }
                Phase::Testing => {
                    if self.testing.is_some() {
                        return Step::Wait;
                    }
                    match self.untried() {
                        Some(pick) => {
                            let hashes = self.candidates.hashes(&pick);
                            self.testing = Some(pick);
                            return Step::Test(hashes);
                        }
                        None => self.go_on(),
                    }
                }
                Phase::Obtained => return Step::Obtained,
                Phase::NotObtained => return Step::NotObtained,
            }
        }
    }

    /// A piece came, with this SHA-1. What was not asked for, or was given up, is
    /// not taken.
    pub fn delivered(&mut self, ask: Ask, hash: PieceHash) {
        if !self.over(ask) {
            return;
        }
        if let Some(who) = self.roster.find(ask.source) {
            self.roster.sent(who, ask.piece);
            let Ask {
                piece,
                source,
                round,
            } = ask;
            let delivery = Delivery {
                source,
                piece,
                hash,
                round,
            };
            self.note(delivery, who);
        }
    }

    /// A piece did not come, or too late: it goes to the next source.
    pub fn failed(&mut self, ask: Ask) {
        if self.over(ask) {
            self.assign(ask.piece);
        }
    }

    /// A source is gone: all that it has in flight failed, and it is not asked
    /// again.
    pub fn lost(&mut self, source: Source) {
        let Some(who) = self.roster.find(source) else {
            return;
        };
        self.roster.lose(who);
        let mut pieces = Vec::new();
        let mut keep = |ask: &Ask| {
            if ask.source == source {
                pieces.push(ask.piece);
            }
            ask.source != source
        };
        self.in_flight.retain(&mut keep);
        self.planned.retain(&mut keep);
        for piece in pieces {
            self.assign(piece);
        }
    }

    /// Whether the assembly under test passed. If so it is the truth, and the
    /// verdict names every wrong piece and who sent it.
    pub fn tested(&mut self, passed: bool) -> Option<Verdict> {
        let pick = self.testing.take()?;
        if !passed {
            return None;
        }
        self.phase = Phase::Obtained;
        Some(self.evidence.judge(&self.candidates.hashes(&pick)))
    }

    /// In which round it is.
    #[must_use]
    pub const fn round(&self) -> u32 {
        self.round
    }

    /// Everything that came, also before the rounds.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    fn note(&mut self, delivery: Delivery, who: usize) {
        Arc::make_mut(&mut self.candidates).note(delivery.piece, delivery.hash, who);
        self.evidence.note(delivery);
    }

    fn over(&mut self, ask: Ask) -> bool {
        let at = self.in_flight.iter().position(|other| *other == ask);
        at.map(|at| self.in_flight.swap_remove(at)).is_some()
    }

    fn test(&mut self, tests: usize, tries: fn(&Arc<Candidates>, arbiter: Option<usize>) -> Tries) {
        self.phase = Phase::Testing;
        if self.candidates.complete() {
            self.tests_left = tests;
            self.tries = tries(&self.candidates, self.arbiter());
        }
    }

    fn untried(&mut self) -> Option<Pick> {
        self.tests_left = self.tests_left.checked_sub(1)?;
        let tried = &mut self.tried;
        self.tries.find(|pick| tried.insert(pick.clone()))
    }

    /// No assembly passed: the next round, or everything that is left to try.
    fn go_on(&mut self) {
        self.tries = Box::new(std::iter::empty());
        self.tests_left = 0;
        loop {
            self.round += 1;
            self.plan();
            if !self.planned.is_empty() {
                self.phase = Phase::Asking;
                return;
            }
            self.round -= 1;
            if self.demand.stricter(self.roster.len()) {
                continue;
            }
            let known = Some(self.candidates.count());
            if self.searched != known {
                self.searched = known;
                let tests = tests_at_the_end(self.candidates.pieces());
                return self.test(tests, tries::all);
            }
            if !self.demand.once_more() {
                self.phase = Phase::NotObtained;
                return;
            }
        }
    }

    fn plan(&mut self) {
        for piece in 0..self.candidates.pieces() {
            if self.is_open(piece) {
                self.assign(piece);
            }
        }
    }

    /// Gives a piece to the source whose turn it is, if there is one.
    fn assign(&mut self, piece: usize) {
        if let Some(who) = self.whose_turn(piece) {
            self.roster.asked(who, piece);
            self.planned.push_back(Ask {
                piece,
                source: self.roster.source(who),
                round: self.round,
            });
        }
    }

    fn is_open(&self, piece: usize) -> bool {
        let votes = self.candidates.votes(piece);
        if self.demand.lap > 1 {
            return votes < 2 || self.candidates.disputed(piece);
        }
        let sent_by = |mirror| self.candidates.sent(piece, mirror);
        votes < self.demand.votes && !self.arbiter().is_some_and(sent_by)
    }

    fn whose_turn(&self, piece: usize) -> Option<usize> {
        let free = |who: &usize| self.roster.may_be_asked(*who, piece, self.demand.lap);
        let mirror = self.roster.mirror().filter(free);
        let mirror = mirror.filter(|who| !self.candidates.sent(piece, *who));
        let doubt = self.demand.votes > 2 || self.candidates.disputed(piece);
        let peer = || self.roster.turns(piece, self.demand.votes == 1).find(free);
        if doubt {
            mirror.or_else(peer)
        } else {
            peer().or(mirror)
        }
    }

    /// Whoever settles any doubt: the mirror, while nothing speaks against it.
    fn arbiter(&self) -> Option<usize> {
        self.roster.mirror().filter(|_| self.demand.trust_mirror)
    }
}

impl Demand {
    /// Nothing was open: what was settled so far is not any more.
    const fn stricter(&mut self, sources: usize) -> bool {
        if self.votes < sources {
            self.votes += 1;
        } else if self.trust_mirror {
            self.trust_mirror = false;
        } else {
            return false;
        }
        true
    }

    /// Everybody was asked: once more.
    const fn once_more(&mut self) -> bool {
        let more = self.lap < LAPS;
        if more {
            self.lap += 1;
        }
        more
    }
}
