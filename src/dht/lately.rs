//! Which addresses had to do with us lately: two Bloom filters that take turns.

use std::net::{IpAddr, SocketAddr};

use sha1::{Digest, Sha1};

use crate::clock::Millis;

/// Bits of an address.
const MARKS: usize = 2;

/// Those of one turn, and a few who seem to be.
#[derive(Debug, Default)]
struct Filter {
    began: Millis,
    /// None before anybody came, or all bits of the filter.
    words: Vec<u64>,
}

impl Filter {
    /// The bits of an address: nobody who does not know the secret can choose
    /// them, and they are others in each turn.
    fn marks(&self, secret: &[u8; 16], addr: &SocketAddr) -> [usize; MARKS] {
        let bits = 64 * self.words.len().max(1);
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
            bytes.fold(0, |number, byte| number << 8 | usize::from(*byte)) % bits
        })
    }

    fn note(&mut self, secret: &[u8; 16], addr: &SocketAddr) {
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

/// Who came in this turn and in the one before.
#[derive(Debug)]
pub(super) struct Lately {
    secret: [u8; 16],
    turn: Millis,
    words: usize,
    this_turn: Filter,
    before: Filter,
}

impl Lately {
    /// Nobody yet. `secret` is drawn at random. A filter of so many bits, at
    /// least 64 and at most 2^24, takes addresses in for a `turn` and is kept
    /// for as long after.
    pub fn new(secret: [u8; 16], turn: Millis, bits: usize) -> Self {
        Self {
            secret,
            turn,
            words: bits / 64,
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
        self.this_turn.words.resize(self.words, 0);
        self.this_turn.note(&self.secret, addr);
    }

    /// Whether this address came lately, or seems to have.
    pub fn may_have(&self, addr: &SocketAddr, now: Millis) -> bool {
        let turns = self.turns(now);
        turns < 2 && self.this_turn.may_have(&self.secret, addr)
            || turns < 1 && self.before.may_have(&self.secret, addr)
    }

    /// How many turns ago this one began, or is to begin by a clock that was set
    /// back.
    fn turns(&self, now: Millis) -> u64 {
        now.abs_diff(self.this_turn.began) / self.turn.unsigned_abs().max(1)
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        8 * (self.this_turn.words.capacity() + self.before.words.capacity())
    }
}
