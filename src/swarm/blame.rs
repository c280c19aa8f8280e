//! Whose bytes were wrong.
//!
//! What every source sent is kept as evidence, and judged only by the truth:
//! the pieces of a file whose whole SHA-256 passed. Before that nothing is said
//! of anybody: neither a torrent string nor a majority of peers proves a peer
//! wrong, since both can be a liar's.

/// SHA-1 of a piece's bytes.
pub type PieceHash = [u8; 20];

/// Who sends pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A peer, by the number that the caller knows it by.
    Peer(u32),
    /// The mirror, of whatever origin.
    Mirror,
}

/// A piece that came, right or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    /// Who sent it.
    pub source: Source,
    /// Which it was asked for, counted from 0.
    pub piece: usize,
    /// What the bytes were.
    pub hash: PieceHash,
    /// In which round of [`super::rounds`]; 0 is the first download.
    pub round: u32,
}

/// A piece of a peer that is not the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashError {
    /// Whose.
    pub peer: u32,
    /// Which, counted from 0.
    pub piece: usize,
}

/// What the truth says of everything that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// One for each wrong delivery of a peer, in the order in which they came.
    pub hash_errors: Vec<HashError>,
    /// Pieces of the mirror that were wrong. It is no peer and has no score, but
    /// somebody may want to know.
    pub wrong_from_mirror: Vec<usize>,
}

/// Everything that came for a file, in the order in which it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence(Vec<Delivery>);

impl Evidence {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps what came.
    pub fn note(&mut self, delivery: Delivery) {
        self.0.push(delivery);
    }

    /// What came so far.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.0
    }

    /// Compares everything with the `truth`: the hash of each piece of a file
    /// whose whole SHA-256 passed, and nothing less. Of a piece that the truth
    /// does not have, nothing is said.
    #[must_use]
    pub fn judge(&self, truth: &[PieceHash]) -> Verdict {
        let mut verdict = Verdict {
            hash_errors: Vec::new(),
            wrong_from_mirror: Vec::new(),
        };
        for came in &self.0 {
            let piece = came.piece;
            if truth.get(piece).is_none_or(|right| *right == came.hash) {
                continue;
            }
            match came.source {
                Source::Peer(peer) => verdict.hash_errors.push(HashError { peer, piece }),
                Source::Mirror => verdict.wrong_from_mirror.push(piece),
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [PieceHash; 2] = [[1; 20], [2; 20]];

    fn judged(came: &[(Source, usize, u8)]) -> Verdict {
        let mut evidence = Evidence::new();
        for &(source, piece, byte) in came {
            evidence.note(Delivery {
                source,
                piece,
                hash: [byte; 20],
                round: 0,
            });
        }
        evidence.judge(&TRUTH)
    }

    #[test]
    fn each_wrong_delivery_is_one_hash_error_of_its_sender() {
        let (honest, liar) = (Source::Peer(7), Source::Peer(8));
        let verdict = judged(&[
            (honest, 0, 1),
            (liar, 0, 9),
            (liar, 1, 2),
            (honest, 1, 2),
            (liar, 0, 9),
            (liar, 1, 1),
        ]);
        let error = |piece| HashError { peer: 8, piece };
        assert_eq!(verdict.hash_errors, [error(0), error(0), error(1)]);
        assert!(verdict.wrong_from_mirror.is_empty());
    }

    #[test]
    fn the_mirror_is_noticed_and_not_blamed() {
        let verdict = judged(&[(Source::Mirror, 0, 1), (Source::Mirror, 1, 9)]);
        assert!(verdict.hash_errors.is_empty());
        assert_eq!(verdict.wrong_from_mirror, [1]);
    }

    #[test]
    fn nothing_is_said_of_a_piece_that_the_truth_does_not_have() {
        let verdict = judged(&[(Source::Peer(0), 2, 9)]);
        assert!(verdict.hash_errors.is_empty());
    }
}
