//! Plays one case to its end, and holds it against what is promised.

use std::collections::{BTreeMap, BTreeSet};

use aptmesh::swarm::blame::{Delivery, Evidence, HashError, PieceHash, Source, Verdict};
use aptmesh::swarm::rounds::{Ask, LAPS, Rounds, Step, TESTS_A_ROUND, tests_at_the_end};

use crate::case::{Before, Case};
use crate::dice::Dice;
use crate::peer::{Behaviour, COMMON, Player, hash};

/// Asks in flight.
const IN_FLIGHT: usize = 4;

/// What came of a case.
#[derive(Debug, Default)]
pub struct Outcome {
    pub obtained: bool,
    /// Whether it had to be.
    pub promised: bool,
    pub asks: usize,
    pub tests: usize,
    pub hash_errors: usize,
}

pub struct Play<'a> {
    case: &'a Case,
    dice: Dice,
    truth: Vec<PieceHash>,
    peers: Vec<Player>,
    mirror: Option<Player>,
    /// Everything that was sent: what the rounds ought to know.
    sent: Vec<Delivery>,
    asked: BTreeMap<(usize, Source), u8>,
    outcome: Outcome,
}

impl<'a> Play<'a> {
    pub fn new(case: &'a Case) -> Self {
        let player =
            |(number, behaviour): (usize, &_)| Player::new(Clone::clone(behaviour), number as u64);
        Self {
            case,
            dice: Dice::new(!case.seed),
            truth: (0..case.pieces).map(|at| hash(case.seed, at, 0)).collect(),
            peers: case.peers.iter().enumerate().map(player).collect(),
            mirror: case.mirror.iter().enumerate().map(player).next(),
            sent: Vec::new(),
            asked: BTreeMap::new(),
            outcome: Outcome::default(),
        }
    }

    /// Plays it.
    pub fn run(mut self) -> Outcome {
        let before = self.before();
        let (peers, mirror) = self.still_there();
        let mut rounds = Rounds::new(self.case.pieces, &peers, mirror, &before);
        let mut in_flight = Vec::new();
        let mut verdict = None;
        let obtained = loop {
            match rounds.step() {
                Step::Ask(ask) => {
                    self.check_ask(ask);
                    in_flight.push(ask);
                    if in_flight.len() == IN_FLIGHT {
                        self.answer(&mut rounds, &mut in_flight);
                    }
                }
                Step::Wait => self.answer(&mut rounds, &mut in_flight),
                Step::Test(assembly) => {
                    assert!(in_flight.is_empty(), "a test while something is asked");
                    let passed = self.test(&assembly);
                    verdict = rounds.tested(passed);
                    assert_eq!(verdict.is_some(), passed);
                }
                Step::Obtained => break true,
                Step::NotObtained => break false,
            }
        };
        assert_eq!(obtained, verdict.is_some());
        assert_eq!(rounds.evidence().deliveries(), self.sent);
        self.outcome.obtained = obtained;
        self.check_end(&rounds, verdict.as_ref());
        self.outcome
    }

    /// The download before the rounds.
    fn before(&mut self) -> Evidence {
        let torrent: Vec<Option<PieceHash>> = match &self.case.before {
            Before::Nothing => return Evidence::new(),
            Before::Unverified => vec![None; self.case.pieces],
            Before::FalseTorrent(wrong) => (0..self.case.pieces)
                .map(|at| hash(self.case.seed, at, if wrong[at] { COMMON } else { 0 }))
                .map(Some)
                .collect(),
        };
        let mut sources: Vec<Source> = (0..).map(Source::Peer).take(self.peers.len()).collect();
        sources.extend(self.mirror.iter().map(|_| Source::Mirror));
        for (piece, expected) in torrent.into_iter().enumerate() {
            for step in 0..sources.len() {
                let source = sources[(piece + step) % sources.len()];
                let came = self.send(source, piece, 0);
                if came.is_some_and(|hash| expected.is_none_or(|right| right == hash)) {
                    break;
                }
            }
        }
        let mut evidence = Evidence::new();
        self.sent.iter().for_each(|came| evidence.note(*came));
        evidence
    }

    /// Whom the rounds may ask: of who stopped before, some are known to be gone.
    fn still_there(&mut self) -> (Vec<u32>, bool) {
        let mut gone = |player: &Player| player.has_stopped() && self.dice.chance(0.5);
        let mirror = self.mirror.as_ref().is_some_and(|mirror| !gone(mirror));
        let peers = (0..).zip(&self.peers).filter(|(_, peer)| !gone(peer));
        (peers.map(|(number, _)| number).collect(), mirror)
    }

    fn player(&mut self, source: Source) -> &mut Player {
        match source {
            Source::Peer(peer) => &mut self.peers[peer as usize],
            Source::Mirror => self.mirror.as_mut().expect("there is a mirror"),
        }
    }

    fn send(&mut self, source: Source, piece: usize, round: u32) -> Option<PieceHash> {
        let (file, mut dice) = (self.case.seed, self.dice.clone());
        let hash = self.player(source).answer(file, piece, &mut dice)?;
        self.dice = dice;
        self.sent.push(Delivery {
            source,
            piece,
            hash,
            round,
        });
        Some(hash)
    }

    fn check_ask(&mut self, ask: Ask) {
        self.outcome.asks += 1;
        let times = self.asked.entry((ask.piece, ask.source)).or_default();
        *times += 1;
        assert!(*times <= LAPS, "asked too often: {ask:?}");
    }

    /// Answers any of what is in flight.
    fn answer(&mut self, rounds: &mut Rounds, in_flight: &mut Vec<Ask>) {
        assert!(!in_flight.is_empty(), "waits for nothing");
        let ask = in_flight.swap_remove(self.dice.below(in_flight.len()));
        if let Some(hash) = self.send(ask.source, ask.piece, ask.round) {
            rounds.delivered(ask, hash);
            if self.dice.chance(0.05) {
                // What was not asked for, or no longer, is not taken.
                rounds.delivered(ask, [9; 20]);
                rounds.failed(ask);
            }
        } else if self.player(ask.source).has_stopped() && self.dice.chance(0.5) {
            rounds.lost(ask.source);
            in_flight.retain(|other| other.source != ask.source);
        } else {
            rounds.failed(ask);
        }
    }

    fn test(&mut self, assembly: &[PieceHash]) -> bool {
        self.outcome.tests += 1;
        assert_eq!(assembly.len(), self.case.pieces);
        assembly == self.truth
    }

    /// The promises.
    fn check_end(&mut self, rounds: &Rounds, verdict: Option<&Verdict>) {
        let Case { pieces, peers, .. } = self.case;
        let asks = usize::from(LAPS) * pieces * (peers.len() + 1);
        assert!(self.outcome.asks <= asks, "{} asks", self.outcome.asks);
        let between = (rounds.round() as usize + 1) * TESTS_A_ROUND;
        let tests = usize::from(LAPS) * tests_at_the_end(*pieces) + between;
        assert!(self.outcome.tests <= tests, "{} tests", self.outcome.tests);

        self.outcome.promised = self.is_promised();
        assert!(
            self.outcome.obtained || !self.outcome.promised,
            "not obtained"
        );
        if let Some(verdict) = verdict {
            self.check_blame(verdict);
        }
    }

    /// Who sent what was not the file's is blamed, for each time, and nobody
    /// else is.
    fn check_blame(&mut self, verdict: &Verdict) {
        let mut errors = Vec::new();
        let mut mirror = Vec::new();
        for came in &self.sent {
            let Delivery { piece, hash, .. } = *came;
            match came.source {
                _ if hash == self.truth[piece] => {}
                Source::Peer(peer) => errors.push(HashError { peer, piece }),
                Source::Mirror => mirror.push(piece),
            }
        }
        assert_eq!(verdict.hash_errors, errors);
        assert_eq!(verdict.wrong_from_mirror, mirror);
        for error in &verdict.hash_errors {
            let peer = &self.case.peers[error.peer as usize];
            assert!(!peer.never_lies(), "an honest peer is blamed");
        }
        self.outcome.hash_errors = errors.len();
    }

    /// Whether the file has to be obtained. It has to be where
    /// - sources that never lie answer for every piece among them, or
    /// - they did, though some of them stopped later, or
    /// - every piece was sent rightly by somebody, and all combinations of what
    ///   was sent can be tested.
    ///
    /// What is left: each source lied somewhere, and what they sent can be
    /// combined in more ways than can be tested, or the right bytes of a piece
    /// never came.
    fn is_promised(&self) -> bool {
        let never_lies = |source| match source {
            Source::Peer(peer) => self.case.peers[peer as usize].never_lies(),
            Source::Mirror => self.case.mirror.iter().all(Behaviour::never_lies),
        };
        let mut by_honest = vec![false; self.case.pieces];
        let mut came = vec![BTreeSet::new(); self.case.pieces];
        for delivery in &self.sent {
            by_honest[delivery.piece] |= never_lies(delivery.source);
            came[delivery.piece].insert(delivery.hash);
        }
        let limit = tests_at_the_end(self.case.pieces);
        let ways = came.iter().try_fold(1, |ways: usize, hashes| {
            ways.checked_mul(hashes.len()).filter(|ways| *ways <= limit)
        });
        let mut both = came.iter().zip(&self.truth);
        let came_right = both.all(|(hashes, right)| hashes.contains(right));
        self.case.is_sure() || by_honest.iter().all(|it| *it) || (came_right && ways.is_some())
    }
}
