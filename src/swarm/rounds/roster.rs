//! Who may still be asked for which piece, and whose turn it is.

use crate::swarm::blame::Source;

#[derive(Debug)]
struct Entry {
    source: Source,
    /// It is never asked again.
    gone: bool,
    /// How often it was asked for each piece.
    asked: Vec<u8>,
}

/// All sources. A source's place in it is its number here: the mirror first, if
/// there is one, then the peers, the best first, then those that sent something
/// before and are not there any more.
#[derive(Debug)]
pub(super) struct Roster {
    entries: Vec<Entry>,
    peers: std::ops::Range<usize>,
    /// Who sent each piece last.
    had: Vec<Option<usize>>,
}

impl Roster {
    pub fn new(pieces: usize, peers: &[u32], mirror: bool) -> Self {
        let mut roster = Self {
            entries: Vec::new(),
            peers: 0..0,
            had: vec![None; pieces],
        };
        if mirror {
            roster.enlist(Source::Mirror);
        }
        let first = roster.entries.len();
        for &peer in peers {
            roster.enlist(Source::Peer(peer));
        }
        roster.peers = first..roster.entries.len();
        roster
    }

    /// The place of a source, which gets one if it has none.
    fn enlist(&mut self, source: Source) -> usize {
        self.find(source).unwrap_or_else(|| {
            self.entries.push(Entry {
                source,
                gone: false,
                asked: vec![0; self.had.len()],
            });
            self.entries.len() - 1
        })
    }

    /// A source sent a piece before there were rounds.
    pub fn sent_before(&mut self, source: Source, piece: usize) -> usize {
        let known = self.entries.len();
        let who = self.enlist(source);
        if who == known {
            self.entries[who].gone = true;
        }
        self.entries[who].asked[piece] = 1;
        self.had[piece] = Some(who);
        who
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn find(&self, source: Source) -> Option<usize> {
        self.entries.iter().position(|entry| entry.source == source)
    }

    pub fn source(&self, who: usize) -> Source {
        self.entries[who].source
    }

    pub fn mirror(&self) -> Option<usize> {
        self.find(Source::Mirror)
    }

    pub fn asked(&mut self, who: usize, piece: usize) {
        self.entries[who].asked[piece] += 1;
    }

    pub fn sent(&mut self, who: usize, piece: usize) {
        self.had[piece] = Some(who);
    }

    pub fn lose(&mut self, who: usize) {
        self.entries[who].gone = true;
    }

    /// Whether it is there and was asked for the piece fewer than `times` times.
    pub fn may_be_asked(&self, who: usize, piece: usize, times: u8) -> bool {
        let entry = &self.entries[who];
        !entry.gone && entry.asked[piece] < times
    }

    /// The peers in the order in which it is their turn to send a piece.
    ///
    /// In the first download the pieces go round, the best peer has piece 0.
    /// Later the peers are shifted by one: who had the piece before this one is
    /// the first, and for piece 0 a peer that was never used, or else who had
    /// the last piece.
    pub fn turns(&self, piece: usize, first_download: bool) -> impl Iterator<Item = usize> {
        let count = self.peers.len();
        let before = piece.checked_sub(1).unwrap_or(self.had.len() - 1);
        let had = self.had[before].filter(|who| self.peers.contains(who));
        let start = match had {
            Some(who) if !first_download => who - self.peers.start,
            _ => piece,
        };
        let fresh = if piece == 0 && !first_download {
            self.peers.clone().find(|&who| self.is_fresh(who))
        } else {
            None
        };
        let round = (0..count).map(move |step| self.peers.start + (start + step) % count);
        fresh.into_iter().chain(round)
    }

    fn is_fresh(&self, who: usize) -> bool {
        let entry = &self.entries[who];
        !entry.gone && entry.asked.iter().all(|&times| times == 0)
    }
}
