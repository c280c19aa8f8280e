//! Who asked us lately: two Bloom filters that take turns.

use std::net::{IpAddr, SocketAddr};

use sha1::{Digest, Sha1};

use crate::clock::Millis;

/// A filter takes addresses in for so long and is kept for as long after: the
/// time that a NAT should keep a hole open (RFC 4787, REQ-5).
pub(super) const TURN: Millis = 5 * 60 * 1000;

/// Bits of a filter: 32 KiB. In a turn of the most forged queries that strangers
/// get answers to (150,000), seven of ten addresses seem to have asked, and
/// others in each turn.
const BITS: usize = 1 << 18;

/// Bits of an address.
const MARKS: usize = 2;

/// Those who asked in one turn, and a few who seem to have.
#[derive(Debug, Default)]
struct Filter {
    began: Millis,
    /// None before anybody asked, or [`BITS`].
    words: Vec<u64>,
}

impl Filter {
    /// The bits of an address: nobody who does not know the secret can choose
    /// them, and they are others in each turn.
    fn marks(&self, secret: &[u8; 16], addr: &SocketAddr) -> [usize; MARKS] {
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let hash = Sha1::new_with_prefix(secret)
            .chain_update(self.began.to_be_bytes())
            .chain_update(ip.octets())
            .chain_update(addr.port().to_be_bytes());
        let hash: [u8; 20] = hash.finalize().into();
        std::array::from_fn(|nth| {
            let bytes = hash.iter().skip(3 * nth).take(3);
            bytes.fold(0, |number, byte| number << 8 | usize::from(*byte)) % BITS
        })
    }

    fn note(&mut self, secret: &[u8; 16], addr: &SocketAddr) {
        self.words.resize(BITS / 64, 0);
        for mark in self.marks(secret, addr) {
            if let Some(word) = self.words.get_mut(mark / 64) {
                *word |= 1 << (mark % 64);
            }
        }
    }

    fn may_have(&self, secret: &[u8; 16], addr: &SocketAddr) -> bool {
        let is_set = |mark: usize| {
            let word = self.words.get(mark / 64);
            word.is_some_and(|word| word >> (mark % 64) & 1 == 1)
        };
        !self.words.is_empty() && self.marks(secret, addr).into_iter().all(is_set)
    }
}

/// Who asked in this turn and in the one before.
#[derive(Debug)]
pub(super) struct Asked {
    secret: [u8; 16],
    this_turn: Filter,
    before: Filter,
}

impl Asked {
    /// Nobody yet. `secret` is drawn at random.
    pub fn new(secret: [u8; 16]) -> Self {
        Self {
            secret,
            this_turn: Filter::default(),
            before: Filter::default(),
        }
    }

    pub fn note(&mut self, addr: &SocketAddr, now: Millis) {
        let turns = self.turns(now);
        if turns > 0 {
            let next = Filter {
                began: now,
                words: Vec::new(),
            };
            let last = std::mem::replace(&mut self.this_turn, next);
            self.before = match turns {
                1 => last,
                _ => Filter::default(),
            };
        }
        self.this_turn.note(&self.secret, addr);
    }

    /// Whether this address asked lately, or seems to have.
    pub fn may_have(&self, addr: &SocketAddr, now: Millis) -> bool {
        let turns = self.turns(now);
        turns < 2 && self.this_turn.may_have(&self.secret, addr)
            || turns < 1 && self.before.may_have(&self.secret, addr)
    }

    /// How many turns ago this one began, or is to begin by a clock that was set
    /// back.
    fn turns(&self, now: Millis) -> u64 {
        now.abs_diff(self.this_turn.began) / TURN.unsigned_abs()
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        8 * (self.this_turn.words.capacity() + self.before.words.capacity())
    }
}
