//! Who probably has the next small file.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::clock::Millis;

/// Who brought something is expected to have more for so long, in milliseconds.
const FRESH: Millis = 60_000;

/// Archives that are remembered.
const MOST: usize = 100;

/// Peers of one archive.
const MOST_PEERS: usize = 8;

/// One in so many files is looked for in the DHT all the same, so that others
/// who have as much come to notice.
const LOOK: u32 = 64;

/// Peers that lately brought files of an archive. Files of one archive are
/// often at the same peers: asking one of them takes one round trip, and a
/// lookup in the DHT several for each of hundreds of small files.
#[derive(Debug, Default)]
pub struct Hunches {
    archives: HashMap<String, Vec<(SocketAddr, Millis)>>,
    asked: u32,
}

impl Hunches {
    /// Who may have another file of this archive.
    pub fn of(&mut self, archive: &str, now: Millis) -> Vec<SocketAddr> {
        self.asked = self.asked.wrapping_add(1);
        if self.asked.is_multiple_of(LOOK) {
            return Vec::new();
        }
        let peers = self.archives.get(archive).into_iter().flatten();
        peers
            .filter(|(_, at)| now - at < FRESH)
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// A peer brought a file of this archive.
    pub fn right(&mut self, archive: &str, peer: SocketAddr, now: Millis) {
        if self.archives.len() >= MOST && !self.archives.contains_key(archive) {
            self.archives.clear();
        }
        let peers = self.archives.entry(archive.to_owned()).or_default();
        peers.retain(|(other, _)| *other != peer);
        if peers.len() >= MOST_PEERS {
            peers.remove(0);
        }
        peers.push((peer, now));
    }

    /// A peer did not.
    pub fn wrong(&mut self, archive: &str, peer: SocketAddr) {
        if let Some(peers) = self.archives.get_mut(archive) {
            peers.retain(|(other, _)| *other != peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 9977).into()
    }

    #[test]
    fn who_brought_one_file_is_asked_for_the_next_until_it_has_none() {
        let mut hunches = Hunches::default();
        assert!(hunches.of("a", 0).is_empty());
        hunches.right("a", peer(1), 0);
        hunches.right("a", peer(2), 0);
        hunches.right("a", peer(1), 1);
        assert_eq!(hunches.of("a", 2), [peer(2), peer(1)]);
        assert!(hunches.of("b", 2).is_empty());
        hunches.wrong("a", peer(2));
        assert_eq!(hunches.of("a", 2), [peer(1)]);
        assert!(hunches.of("a", FRESH + 1).is_empty());
    }

    #[test]
    fn now_and_then_others_get_a_chance() {
        let mut hunches = Hunches::default();
        hunches.right("a", peer(1), 0);
        let looked = (0..10 * LOOK).filter(|_| hunches.of("a", 1).is_empty());
        assert_eq!(looked.count(), 10);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut hunches = Hunches::default();
        for archive in 0..1000 {
            for last in 0..20 {
                hunches.right(&archive.to_string(), peer(last), 0);
            }
        }
        assert!(hunches.archives.len() <= MOST);
        assert_eq!(hunches.of("999", 0).len(), MOST_PEERS);
    }
}
