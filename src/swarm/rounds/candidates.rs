//! The different bytes that came for each piece, and who sent which.

use std::cmp::Reverse;

use crate::swarm::blame::PieceHash;

/// One of the different bytes that came for a piece.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub hash: PieceHash,
    /// Who sent it, each once: places in the roster.
    pub senders: Vec<usize>,
    /// How many deliveries came before its last one.
    newest: usize,
}

/// For each piece, which of its candidates is used.
pub(super) type Pick = Vec<usize>;

/// What came for each piece.
#[derive(Debug, Clone)]
pub(super) struct Candidates {
    pieces: Vec<Vec<Candidate>>,
    deliveries: usize,
    count: usize,
}

impl Candidates {
    pub fn new(pieces: usize) -> Self {
        Self {
            pieces: std::iter::repeat_with(Vec::new).take(pieces).collect(),
            deliveries: 0,
            count: 0,
        }
    }

    /// A piece came.
    pub fn note(&mut self, piece: usize, hash: PieceHash, sender: usize) {
        let newest = self.deliveries;
        self.deliveries += 1;
        let of = &mut self.pieces[piece];
        if let Some(known) = of.iter_mut().find(|candidate| candidate.hash == hash) {
            known.newest = newest;
            if !known.senders.contains(&sender) {
                known.senders.push(sender);
            }
        } else {
            self.count += 1;
            of.push(Candidate {
                hash,
                senders: vec![sender],
                newest,
            });
        }
    }

    /// How many there are of all pieces.
    pub const fn count(&self) -> usize {
        self.count
    }

    pub const fn pieces(&self) -> usize {
        self.pieces.len()
    }

    pub fn of(&self, piece: usize) -> &[Candidate] {
        &self.pieces[piece]
    }

    /// Whether something came for every piece.
    pub fn complete(&self) -> bool {
        self.pieces.iter().all(|of| !of.is_empty())
    }

    /// Whether senders contradict each other, or one itself.
    pub fn disputed(&self, piece: usize) -> bool {
        self.pieces[piece].len() > 1
    }

    /// How many senders the candidate with the most has.
    pub fn votes(&self, piece: usize) -> usize {
        let votes = self.pieces[piece].iter().map(|c| c.senders.len());
        votes.max().unwrap_or(0)
    }

    /// Whether a source sent this piece.
    pub fn sent(&self, piece: usize, source: usize) -> bool {
        self.pieces[piece]
            .iter()
            .any(|candidate| candidate.senders.contains(&source))
    }

    /// Pieces and their hashes as picked.
    pub fn hashes(&self, pick: &[usize]) -> Vec<PieceHash> {
        let both = self.pieces.iter().zip(pick);
        both.map(|(of, &candidate)| of[candidate].hash).collect()
    }

    /// A piece's candidates, the likeliest first: what the `arbiter` sent, then
    /// what most others sent, then what came last. The word of a suspect does
    /// not count.
    pub fn ranked(
        &self,
        piece: usize,
        arbiter: Option<usize>,
        suspect: &impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let of = &self.pieces[piece];
        let mut ranked: Vec<usize> = (0..of.len()).collect();
        ranked.sort_by_cached_key(|&at| Reverse(likelihood(&of[at], arbiter, suspect)));
        ranked
    }

    /// The likeliest of every piece.
    pub fn likeliest(&self, arbiter: Option<usize>, suspect: &impl Fn(usize) -> bool) -> Pick {
        let best = |of: &Vec<Candidate>| {
            let likelihood = |&at: &usize| likelihood(&of[at], arbiter, suspect);
            (0..of.len()).max_by_key(likelihood).unwrap_or(0)
        };
        self.pieces.iter().map(best).collect()
    }

    /// What came last of every piece.
    pub fn newest(&self) -> Pick {
        let newest = |of: &Vec<Candidate>| (0..of.len()).max_by_key(|&at| of[at].newest);
        self.pieces
            .iter()
            .map(|of| newest(of).unwrap_or(0))
            .collect()
    }

    /// What one source sent, if it sent every piece.
    pub fn column(&self, source: usize) -> Option<Pick> {
        let newest = |of: &Vec<Candidate>| {
            (0..of.len())
                .filter(|&at| of[at].senders.contains(&source))
                .max_by_key(|&at| of[at].newest)
        };
        self.pieces.iter().map(newest).collect()
    }
}

fn likelihood(
    candidate: &Candidate,
    arbiter: Option<usize>,
    suspect: &impl Fn(usize) -> bool,
) -> (bool, usize, usize) {
    let mut votes = 0;
    let mut decided = false;
    for &sender in candidate.senders.iter().filter(|&&from| !suspect(from)) {
        votes += 1;
        decided |= arbiter == Some(sender);
    }
    (decided, votes, candidate.newest)
}
