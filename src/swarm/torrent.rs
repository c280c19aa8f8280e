//! Hashes of a file's pieces, so that each can be checked as it arrives.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha1::{Digest as _, Sha1};

use crate::bencode::{self, Malformed};

/// Bytes of a piece, where we cut a file ourselves.
pub const PIECE: u64 = 524_288;

/// Bytes of a SHA-1.
pub const SHA1_LEN: u8 = 20;

/// Bytes of a SHA-256.
pub const SHA256_LEN: u8 = 32;

/// What a stranger's piece size may be.
const PIECE_SIZES: std::ops::RangeInclusive<u64> = 16 << 10..=16 << 20;

/// How many pieces of [`PIECE`] bytes a file of this size has, the last one
/// perhaps shorter.
#[must_use]
pub const fn pieces(size: u64) -> u64 {
    size.div_ceil(PIECE)
}

/// Why bytes are no torrent string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TorrentError {
    /// No bencode, or not with the keys of one.
    #[error("the torrent string {0}")]
    Malformed(#[from] Malformed),
    /// Its keys are not sorted: it would be another once written again.
    #[error("the torrent string is not in canonical form")]
    NotCanonical,
    /// Neither SHA-1 nor SHA-256.
    #[error("the torrent string has hashes of {0} bytes, which are neither SHA-1 nor SHA-256")]
    HashLen(u8),
    /// Its pieces are of an odd size.
    #[error("the torrent string has pieces of {0} bytes, not a power of two from 16 KiB to 16 MiB")]
    PieceSize(u64),
    /// Its hashes end within one.
    #[error("the torrent string ends within a hash")]
    CutHash,
    /// It is not of this file.
    #[error("the torrent string has {found} hashes for a file of {expected} pieces")]
    Count {
        /// How many hashes there are.
        found: u64,
        /// How many the file's size asks for.
        expected: u64,
    },
}

/// The torrent dictionary: hashes of a file's pieces in order. Bencoded it is
/// the torrent string, whose SHA-1 is its reference.
///
/// Its hashes are 20 (SHA-1) or 32 bytes long (SHA-256), and its piece size is
/// a power of two between 16 KiB and 16 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorrentString {
    hash_len: u8,
    piece: u64,
    hashes: Vec<u8>,
}

/// As it lies on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dictionary {
    l: u8,
    p: u64,
    t: ByteBuf,
}

impl TorrentString {
    /// Puts one together.
    ///
    /// # Errors
    /// [`TorrentError`] where hash length, piece size or hashes are not as
    /// they have to be.
    pub fn new(hash_len: u8, piece: u64, hashes: Vec<u8>) -> Result<Self, TorrentError> {
        if !matches!(hash_len, SHA1_LEN | SHA256_LEN) {
            return Err(TorrentError::HashLen(hash_len));
        }
        if !piece.is_power_of_two() || !PIECE_SIZES.contains(&piece) {
            return Err(TorrentError::PieceSize(piece));
        }
        if !hashes.len().is_multiple_of(usize::from(hash_len)) {
            return Err(TorrentError::CutHash);
        }
        Ok(Self {
            hash_len,
            piece,
            hashes,
        })
    }

    /// Bytes of a hash: 20 or 32.
    #[must_use]
    pub const fn hash_len(&self) -> u8 {
        self.hash_len
    }

    /// Bytes of a piece; the last one may be shorter.
    #[must_use]
    pub const fn piece(&self) -> u64 {
        self.piece
    }

    /// All hashes, one behind the other.
    #[must_use]
    pub fn hashes(&self) -> &[u8] {
        &self.hashes
    }

    /// The hash of one piece, counted from 0.
    #[must_use]
    pub fn hash(&self, index: usize) -> Option<&[u8]> {
        self.hashes
            .chunks_exact(usize::from(self.hash_len))
            .nth(index)
    }

    /// How many pieces it has hashes of.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.hashes.len() as u64 / self.hash_len as u64
    }

    /// Whether it may be that of a file of `file_size` bytes.
    ///
    /// # Errors
    /// [`TorrentError::Count`] where it has hashes of more or fewer pieces.
    pub const fn check_size(&self, file_size: u64) -> Result<(), TorrentError> {
        let (found, expected) = (self.count(), file_size.div_ceil(self.piece));
        if found == expected {
            Ok(())
        } else {
            Err(TorrentError::Count { found, expected })
        }
    }

    /// The torrent string.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        bencode::encode_as(&self.to_dictionary())
    }

    /// What a value says of it where it does not say it all: the SHA-1 of the
    /// torrent string.
    #[must_use]
    pub fn reference(&self) -> [u8; 20] {
        Sha1::digest(self.encode()).into()
    }

    /// Reads a torrent string, of a file of `file_size` bytes if that is known.
    /// Only what it would be written as is accepted, so that the reference of
    /// what was read is the SHA-1 of `bytes`.
    ///
    /// # Errors
    /// [`TorrentError`].
    pub fn decode(bytes: &[u8], file_size: Option<u64>) -> Result<Self, TorrentError> {
        let read = Self::from_dictionary(bencode::decode_as(bytes)?)?;
        if let Some(size) = file_size {
            read.check_size(size)?;
        }
        if read.encode() != bytes {
            return Err(TorrentError::NotCanonical);
        }
        Ok(read)
    }

    pub(super) fn to_dictionary(&self) -> Dictionary {
        Dictionary {
            l: self.hash_len,
            p: self.piece,
            t: ByteBuf::from(self.hashes.as_slice()),
        }
    }

    pub(super) fn from_dictionary(read: Dictionary) -> Result<Self, TorrentError> {
        Self::new(read.l, read.p, read.t.into_vec())
    }
}

/// Hashes a file's pieces as its bytes go by.
#[derive(Debug, Clone, Default)]
pub struct PieceHasher {
    piece: Sha1,
    /// Bytes in `piece`: fewer than [`PIECE`].
    filled: u64,
    hashes: Vec<u8>,
}

impl PieceHasher {
    /// One at a file's start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the file's next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(PIECE - self.filled).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.piece.update(now);
            self.filled += now.len() as u64;
            if self.filled == PIECE {
                self.close();
            }
            bytes = later;
        }
    }

    /// The hashes of everything that was pushed, with SHA-1 and pieces of
    /// [`PIECE`] bytes.
    #[must_use]
    pub fn finish(mut self) -> TorrentString {
        if self.filled > 0 {
            self.close();
        }
        TorrentString {
            hash_len: SHA1_LEN,
            piece: PIECE,
            hashes: self.hashes,
        }
    }

    fn close(&mut self) {
        self.hashes.extend_from_slice(&self.piece.finalize_reset());
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEN: usize = 524_288;

    fn sha1(bytes: &[u8]) -> [u8; 20] {
        Sha1::digest(bytes).into()
    }

    fn of(pieces: usize) -> TorrentString {
        TorrentString::new(20, PIECE, vec![7; 20 * pieces]).unwrap()
    }

    #[test]
    fn a_torrent_string_has_these_bytes() {
        let hashes = b"aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb".to_vec();
        let torrent = TorrentString::new(20, PIECE, hashes).unwrap();
        let bytes: &[u8] = b"d1:li20e1:pi524288e1:t40:aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbe";
        assert_eq!(torrent.encode(), bytes);
        assert_eq!(torrent.reference(), sha1(bytes));
        assert_eq!(torrent.hash(1), Some(&[b'b'; 20][..]));
        assert_eq!(torrent.hash(2), None);
        assert_eq!(TorrentString::decode(bytes, Some(2 * PIECE)), Ok(torrent));
    }

    #[test]
    fn what_is_not_sane_is_refused() {
        let decode = |text: &str| TorrentString::decode(text.as_bytes(), None).unwrap_err();
        let hash = "20:aaaaaaaaaaaaaaaaaaaa";
        assert!(
            TorrentString::decode(format!("d1:li20e1:pi16384e1:t{hash}e").as_bytes(), None).is_ok()
        );
        for len in [0, 16, 19, 21, 64] {
            assert_eq!(
                decode(&format!("d1:li{len}e1:pi524288e1:t{hash}e")),
                TorrentError::HashLen(len)
            );
        }
        for size in [0, 1, 8192, 524_287, 524_289, 33_554_432] {
            assert_eq!(
                decode(&format!("d1:li20e1:pi{size}e1:t{hash}e")),
                TorrentError::PieceSize(size)
            );
        }
        assert_eq!(
            decode(&format!("d1:li32e1:pi524288e1:t{hash}e")),
            TorrentError::CutHash
        );
        assert_eq!(
            decode(&format!("d1:pi524288e1:li20e1:t{hash}e")),
            TorrentError::NotCanonical
        );
        let shape = TorrentError::Malformed(Malformed::Shape);
        for text in [
            format!("d1:li20e1:pi524288e1:t{hash}1:x0:e"),
            format!("d1:li20e1:t{hash}e"),
            format!("d1:li20e1:pi-524288e1:t{hash}e"),
            format!("d1:li276e1:pi524288e1:t{hash}e"),
            format!("d1:l2:201:pi524288e1:t{hash}e"),
            "d1:li20e1:pi524288e1:tl20:aaaaaaaaaaaaaaaaaaaaee".to_owned(),
            "le".to_owned(),
            "i1e".to_owned(),
        ] {
            assert_eq!(decode(&text), shape, "{text}");
        }
        assert_eq!(decode(""), TorrentError::Malformed(Malformed::Truncated));
    }

    #[test]
    fn the_count_of_hashes_has_to_agree_with_the_size() {
        let bytes = of(3).encode();
        for size in [2 * PIECE + 1, 3 * PIECE] {
            assert!(TorrentString::decode(&bytes, Some(size)).is_ok(), "{size}");
        }
        for (size, expected) in [(0, 0), (2 * PIECE, 2), (3 * PIECE + 1, 4)] {
            let wrong = TorrentError::Count { found: 3, expected };
            assert_eq!(TorrentString::decode(&bytes, Some(size)), Err(wrong));
        }
        assert!(TorrentString::decode(&bytes, Some(u64::MAX)).is_err());
    }

    #[test]
    fn a_piece_begins_with_its_first_byte() {
        assert_eq!(
            [0, 1, PIECE, PIECE + 1, 5 * PIECE].map(pieces),
            [0, 1, 1, 2, 5]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_are_hashed_however_they_come(
            size in prop_oneof![0..4 * LEN, Just(LEN), Just(2 * LEN)],
            step in 1..2 * LEN,
        ) {
            let file: Vec<u8> = (0..size).map(|at| ((at * 31) >> 5).to_le_bytes()[0]).collect();
            let mut hasher = PieceHasher::new();
            for part in file.chunks(step) {
                hasher.push(part);
            }
            let torrent = hasher.finish();
            let expected: Vec<u8> = file.chunks(LEN).flat_map(sha1).collect();
            prop_assert_eq!(torrent.hashes(), expected);
            prop_assert_eq!(torrent.count(), pieces(size as u64));
            let read = TorrentString::decode(&torrent.encode(), Some(size as u64));
            prop_assert_eq!(read, Ok(torrent));
        }
    }
}
