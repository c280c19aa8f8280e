//! Which colour and letter a peer has in the piece maps.

use std::collections::{BTreeMap, BTreeSet};

use crate::http::status::shape::Download;

/// Colours of peers in `templates/status.css`: classes `h0`, `h1` and so on.
const COLOURS: usize = 8;

/// Letters; M is the mirror's.
const LETTERS: &[u8] = b"ABCDEFGHIJKLNOPQRSTUVWXYZ";

/// How a peer is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hue {
    /// Its colour's number.
    pub colour: usize,
    /// Its letter, for those to whom colours do not speak.
    pub letter: char,
}

/// The marks of the peers of all downloads under way.
#[derive(Debug, Default)]
pub struct Hues<'a>(BTreeMap<&'a str, Hue>);

impl<'a> Hues<'a> {
    /// The first colour of a peer follows from its address, so that most peers
    /// keep theirs when others come and go; up to [`COLOURS`] peers have
    /// different ones.
    pub fn of(downloads: &'a [Download]) -> Self {
        let pieces = downloads.iter().flat_map(|download| &download.pieces);
        let peers: BTreeSet<&str> = pieces.filter_map(|piece| piece.peer.as_deref()).collect();
        let mut marks = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (round, peer) in peers.into_iter().enumerate() {
            let first = round / COLOURS * COLOURS;
            let wanted = wanted(peer);
            let mut slots = (0..COLOURS).map(|step| (wanted + step) % COLOURS + first);
            let slot = slots.find(|slot| !taken.contains(slot));
            let slot = slot.unwrap_or(first + wanted);
            taken.insert(slot);
            let letter = LETTERS.get(slot % LETTERS.len()).copied().unwrap_or(b'?');
            let hue = Hue {
                colour: slot % COLOURS,
                letter: char::from(letter),
            };
            marks.insert(peer, hue);
        }
        Self(marks)
    }

    /// The mark of a peer that has one.
    pub fn get(&self, peer: &str) -> Option<Hue> {
        self.0.get(peer).copied()
    }
}

/// FNV-1a of the address.
fn wanted(peer: &str) -> usize {
    let hash = peer.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    usize::try_from(hash).unwrap_or(0) % COLOURS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::piece::PieceState;
    use crate::http::status::shape::Piece;

    fn downloads(peers: u16) -> Vec<Download> {
        let piece = |n: u16| Piece {
            piece: n.into(),
            round: 0,
            peer: Some(format!("192.0.2.{n}:9977")),
            state: PieceState::Running,
        };
        vec![Download {
            pieces: (0..peers).map(piece).collect(),
            ..Download::default()
        }]
    }

    #[test]
    fn few_peers_have_different_colours_and_letters() {
        let downloads = downloads(8);
        let hues = Hues::of(&downloads);
        let colours: BTreeSet<_> = hues.0.values().map(|hue| hue.colour).collect();
        let letters: BTreeSet<_> = hues.0.values().map(|hue| hue.letter).collect();
        assert_eq!((colours.len(), letters.len()), (8, 8));
    }

    #[test]
    fn many_peers_share_colours_before_letters() {
        let downloads = downloads(24);
        let hues = Hues::of(&downloads);
        let letters: BTreeSet<_> = hues.0.values().map(|hue| hue.letter).collect();
        assert_eq!(letters.len(), 24);
        assert!(!letters.contains(&'M'));
        assert!(hues.0.values().all(|hue| hue.colour < COLOURS));
    }
}
