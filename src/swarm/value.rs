//! What stands in the DHT under a file's key: who has the file, and hashes of
//! its pieces or what to know them by.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::torrent::{Dictionary, TorrentError, TorrentString};
use crate::bencode::{self, Malformed};
use crate::dht::contact::{addr_from_compact, addr_to_compact};

/// How many pieces' hashes stand in the value itself.
const INLINE: std::ops::RangeInclusive<u64> = 2..=4;

/// Why a value says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No bencode, or not with the keys of one.
    #[error("the value {0}")]
    Malformed(#[from] Malformed),
    /// It would be another once written again.
    #[error("the value is not in canonical form")]
    NotCanonical,
    /// Its contact is neither 6 nor 18 bytes long.
    #[error("the value has a contact of a wrong length")]
    Contact,
    /// Its torrent dictionary makes no sense.
    #[error("in the value, {0}")]
    Torrent(#[from] TorrentError),
    /// Its torrent dictionary has one piece or more than four, its reference is
    /// not 20 bytes long, or it has both.
    #[error("the value has its piece hashes in a wrong form")]
    Pieces,
}

/// The value that a publisher of a file stores under the file's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileValue {
    /// Where the publisher serves it over HTTP. Of a stranger's value it may
    /// be any address.
    pub contact: SocketAddr,
    /// `None` for a file of one piece: its own hash says enough.
    pub pieces: Option<Pieces>,
}

/// What a value says of a file's pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pieces {
    /// All hashes, of 2 to 4 pieces.
    Torrent(TorrentString),
    /// The reference of the torrent string, of 5 pieces or more.
    Reference([u8; 20]),
}

impl Pieces {
    /// What a value says of a file with this torrent string; `None` where it
    /// has fewer than two pieces.
    #[must_use]
    pub fn of(torrent: &TorrentString) -> Option<Self> {
        match torrent.count() {
            0 | 1 => None,
            count if INLINE.contains(&count) => Some(Self::Torrent(torrent.clone())),
            _ => Some(Self::Reference(torrent.reference())),
        }
    }
}

/// As it lies on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    c: ByteBuf,
    h: Option<ByteBuf>,
    t: Option<Dictionary>,
}

impl FileValue {
    /// The value's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (h, t) = match &self.pieces {
            None => (None, None),
            Some(Pieces::Torrent(torrent)) => (None, Some(torrent.to_dictionary())),
            Some(Pieces::Reference(reference)) => (Some(ByteBuf::from(*reference)), None),
        };
        let c = ByteBuf::from(addr_to_compact(self.contact));
        bencode::encode_as(&Wire { c, h, t })
    }

    /// Reads a value. Only what it would be written as is accepted.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ValueError> {
        let wire: Wire = bencode::decode_as(bytes)?;
        let contact = addr_from_compact(&wire.c).ok_or(ValueError::Contact)?;
        let pieces = match (wire.h, wire.t) {
            (None, None) => None,
            (Some(reference), None) => {
                let reference = reference.into_vec().try_into();
                Some(Pieces::Reference(
                    reference.map_err(|_| ValueError::Pieces)?,
                ))
            }
            (None, Some(dictionary)) => {
                let torrent = TorrentString::from_dictionary(dictionary)?;
                if !INLINE.contains(&torrent.count()) {
                    return Err(ValueError::Pieces);
                }
                Some(Pieces::Torrent(torrent))
            }
            (Some(_), Some(_)) => return Err(ValueError::Pieces),
        };
        let value = Self { contact, pieces };
        if value.encode() != bytes {
            return Err(ValueError::NotCanonical);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::swarm::torrent::PIECE;

    fn torrent(pieces: usize) -> TorrentString {
        TorrentString::new(20, PIECE, vec![b'h'; 20 * pieces]).unwrap()
    }

    fn value(contact: &str, pieces: Option<Pieces>) -> FileValue {
        let contact = contact.parse().unwrap();
        FileValue { contact, pieces }
    }

    #[test]
    fn values_have_these_bytes() {
        let bytes: &[u8] = b"d1:c6:ABCD\x26\xf9e";
        let one = value("65.66.67.68:9977", None);
        assert_eq!(one.encode(), bytes);
        assert_eq!(FileValue::decode(bytes), Ok(one));

        let bytes: &[u8] = b"d1:c18:abcdefghijklmnop\x26\xf91:h20:rrrrrrrrrrrrrrrrrrrre";
        let many = value(
            "[6162:6364:6566:6768:696a:6b6c:6d6e:6f70]:9977",
            Some(Pieces::Reference([b'r'; 20])),
        );
        assert_eq!(many.encode(), bytes);
        assert_eq!(FileValue::decode(bytes), Ok(many));

        let bytes: &[u8] = b"d1:c6:ABCD\x26\xf91:td1:li20e1:pi524288e1:t40:\
            hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhee";
        let two = value("65.66.67.68:9977", Some(Pieces::Torrent(torrent(2))));
        assert_eq!(two.encode(), bytes);
        assert_eq!(FileValue::decode(bytes), Ok(two));
    }

    #[test]
    fn what_is_said_of_pieces_depends_on_their_count() {
        assert_eq!(Pieces::of(&torrent(1)), None);
        for count in 2..=4 {
            assert_eq!(
                Pieces::of(&torrent(count)),
                Some(Pieces::Torrent(torrent(count)))
            );
        }
        let reference = torrent(5).reference();
        assert_eq!(Pieces::of(&torrent(5)), Some(Pieces::Reference(reference)));
    }

    #[test]
    fn values_of_other_forms_are_refused() {
        let inline = |pieces: usize| {
            let hashes = "h".repeat(20 * pieces);
            format!("1:td1:li20e1:pi524288e1:t{}:{hashes}e", hashes.len())
        };
        let reference = "1:h20:rrrrrrrrrrrrrrrrrrrr";
        let shape = ValueError::Malformed(Malformed::Shape);
        for (text, error) in [
            ("d1:c5:ABCDEe".to_owned(), ValueError::Contact),
            ("d1:c7:ABCDEFGe".to_owned(), ValueError::Contact),
            ("d1:ci1ee".to_owned(), shape),
            ("de".to_owned(), shape),
            ("6:ABCDEF".to_owned(), shape),
            (format!("d{reference}e"), shape),
            ("d1:c6:ABCDEF1:x0:e".to_owned(), shape),
            ("d1:c6:ABCDEF1:\u{7f}0:e".to_owned(), shape),
            (
                "d1:c6:ABCDEF1:h19:rrrrrrrrrrrrrrrrrrre".to_owned(),
                ValueError::Pieces,
            ),
            (
                format!("d1:c6:ABCDEF{reference}{}e", inline(2)),
                ValueError::Pieces,
            ),
            (format!("d1:c6:ABCDEF{}e", inline(0)), ValueError::Pieces),
            (format!("d1:c6:ABCDEF{}e", inline(1)), ValueError::Pieces),
            (format!("d1:c6:ABCDEF{}e", inline(5)), ValueError::Pieces),
            (
                format!("d{reference}1:c6:ABCDEFe"),
                ValueError::NotCanonical,
            ),
            (
                format!("d1:c6:ABCDEF{}e", inline(2).replace("i524288e", "i524287e")),
                ValueError::Torrent(TorrentError::PieceSize(524_287)),
            ),
        ] {
            assert_eq!(FileValue::decode(text.as_bytes()), Err(error), "{text}");
        }
        let mapped = b"d1:c18:\0\0\0\0\0\0\0\0\0\0\xff\xffABCD\x26\xf9e";
        assert_eq!(FileValue::decode(mapped), Err(ValueError::NotCanonical));
    }

    proptest! {
        #[test]
        fn values_come_back(ip: [u8; 16], short: bool, port: u16, kind in 0..3, pieces in 2..=4_usize, hash: [u8; 32]) {
            let v4: [u8; 4] = ip[..4].try_into().unwrap();
            let contact = if short { SocketAddr::from((v4, port)) } else { SocketAddr::from((ip, port)) };
            let pieces = match kind {
                0 => None,
                1 => Some(Pieces::Torrent(TorrentString::new(32, PIECE, hash.repeat(pieces)).unwrap())),
                _ => Some(Pieces::Reference(hash[..20].try_into().unwrap())),
            };
            let value = FileValue { contact, pieces };
            prop_assert_eq!(FileValue::decode(&value.encode()), Ok(value));
        }
    }
}
