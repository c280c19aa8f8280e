//! Which torrent string peers say that a file has.

use super::schedule::Source;
use super::torrent::{PIECE, TorrentString, pieces};
use super::value::Pieces;

/// One torrent string, and who says that it is the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its SHA-1.
    pub reference: [u8; 20],
    /// The string itself, where a value held it.
    pub torrent: Option<TorrentString>,
    /// Who says so, in the order of their coming.
    pub supporters: Vec<Source>,
    /// Whether it could not be had, or was shown to be false.
    is_out: bool,
}

/// What peers say of one file's pieces. They should agree; where they do not,
/// the most common word counts.
#[derive(Debug, Clone)]
pub struct References {
    size: u64,
    candidates: Vec<Candidate>,
}

impl References {
    /// Of a file of so many bytes.
    #[must_use]
    pub const fn new(size: u64) -> Self {
        Self {
            size,
            candidates: Vec::new(),
        }
    }

    /// What one source says. What can't be true of a file of this size, or is
    /// of pieces of another length than this node's, says nothing.
    pub fn add(&mut self, source: Source, said: Option<&Pieces>) {
        let (reference, torrent) = match said {
            Some(Pieces::Torrent(torrent)) if self.fits(torrent) => {
                (torrent.reference(), Some(torrent.clone()))
            }
            Some(Pieces::Reference(reference)) => (*reference, None),
            Some(Pieces::Torrent(_)) | None => return,
        };
        let known = self
            .candidates
            .iter_mut()
            .find(|candidate| candidate.reference == reference);
        match known {
            Some(candidate) => candidate.supporters.push(source),
            None => self.candidates.push(Candidate {
                reference,
                torrent,
                supporters: vec![source],
                is_out: false,
            }),
        }
    }

    /// Whether a torrent string can be this file's.
    #[must_use]
    pub fn fits(&self, torrent: &TorrentString) -> bool {
        torrent.piece() == PIECE && torrent.count() == pieces(self.size)
    }

    /// What most of them say; of two that as many say, the one that came first.
    #[must_use]
    pub fn best(&self) -> Option<&Candidate> {
        let standing = self.candidates.iter().filter(|candidate| !candidate.is_out);
        standing
            .rev()
            .max_by_key(|candidate| candidate.supporters.len())
    }

    /// A torrent string can't be had, or is false.
    pub fn dismiss(&mut self, reference: &[u8; 20]) {
        for candidate in &mut self.candidates {
            candidate.is_out |= candidate.reference == *reference;
        }
    }

    /// Who says something else than this: their pieces are used with suspicion.
    pub fn others<'a>(&'a self, reference: &'a [u8; 20]) -> impl Iterator<Item = Source> + 'a {
        self.candidates
            .iter()
            .filter(|candidate| candidate.reference != *reference)
            .flat_map(|candidate| candidate.supporters.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reference: u8) -> Pieces {
        Pieces::Reference([reference; 20])
    }

    #[test]
    fn the_most_common_reference_counts_and_then_the_first() {
        let mut references = References::new(10 * PIECE);
        assert_eq!(references.best(), None);
        references.add(0, Some(&said(1)));
        references.add(1, Some(&said(2)));
        assert_eq!(references.best().unwrap().reference, [1; 20]);
        references.add(2, None);
        references.add(3, Some(&said(2)));
        let best = references.best().unwrap();
        assert_eq!((best.reference, &*best.supporters), ([2; 20], &[1, 3][..]));
        assert_eq!(references.others(&[2; 20]).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn what_is_false_is_followed_by_what_others_say() {
        let mut references = References::new(10 * PIECE);
        references.add(0, Some(&said(1)));
        references.add(1, Some(&said(1)));
        references.add(2, Some(&said(2)));
        references.dismiss(&[1; 20]);
        assert_eq!(references.best().unwrap().reference, [2; 20]);
        references.dismiss(&[2; 20]);
        assert_eq!(references.best(), None);
    }

    #[test]
    fn hashes_in_the_value_itself_agree_with_their_reference() {
        let torrent = TorrentString::new(20, PIECE, vec![7; 40]).unwrap();
        let mut references = References::new(2 * PIECE);
        references.add(0, Some(&Pieces::Torrent(torrent.clone())));
        references.add(1, Some(&Pieces::Reference(torrent.reference())));
        let best = references.best().unwrap();
        assert_eq!(
            (best.torrent.as_ref(), best.supporters.len()),
            (Some(&torrent), 2)
        );
    }

    #[test]
    fn hashes_of_another_number_of_pieces_say_nothing() {
        let torrent = TorrentString::new(20, PIECE, vec![7; 40]).unwrap();
        let small = TorrentString::new(20, 16_384, vec![7; 40]).unwrap();
        let mut references = References::new(2 * PIECE + 1);
        references.add(0, Some(&Pieces::Torrent(torrent)));
        assert_eq!(references.best(), None);
        let mut references = References::new(20_000);
        references.add(0, Some(&Pieces::Torrent(small)));
        assert_eq!(references.best(), None);
    }
}
