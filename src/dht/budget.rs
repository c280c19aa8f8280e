//! Limits on what is done for strangers.

mod rate;
mod recent;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use self::rate::Rate;
use self::recent::{Recent, make_room};
use super::contact::network_of;
use super::lately::Lately;
use crate::clock::Millis;

/// Of an address that did not answer us lately: 30 at once, 30 a minute.
const STRANGER: Rate = Rate::new(30, 2_000_000);

/// Of all those together: 2,000 at once, 500 a second.
const STRANGERS: Rate = Rate::new(2000, 2000);

/// Of an address that answered us lately: 250 at once, 100 a second.
const KNOWN: Rate = Rate::new(250, 10_000);

/// Of everybody together: 5,000 at once, 2,500 a second.
const EVERYBODY: Rate = Rate::new(5000, 400);

/// An address that answered us counts as known for so long.
const KNOWN_FOR: Millis = 60 * 60 * 1000;

/// Networks remembered that answered us.
const REMEMBERED: usize = 4096;

/// A filter of those who asked takes addresses in for so long and is kept for
/// as long after: the time that a NAT should keep a hole open (RFC 4787, REQ-5).
const TURN: Millis = 5 * 60 * 1000;

/// Bits of such a filter: 32 KiB. In a turn of the most forged queries that
/// strangers get answers to (150,000), seven of ten addresses seem to have
/// asked, and others in each turn.
const ASKED_BITS: usize = 1 << 18;

/// An IPv4 address or an IPv6 /48, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Network([u8; 8]);

impl Network {
    fn of(ip: IpAddr) -> Self {
        match network_of(ip) {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                // Where an IPv6 network would be multicast.
                Self([0xff, 0xff, 0xff, 0xff, a, b, c, d])
            }
            IpAddr::V6(ip) => {
                let [network @ .., _, _, _, _, _, _, _, _] = ip.octets();
                Self(network)
            }
        }
    }
}

/// How many answers may still be given, and to whom.
#[derive(Debug)]
pub struct Budget {
    /// Buckets that are not full. A full one is as good as none.
    buckets: HashMap<Network, rate::FullAt>,
    strangers: rate::FullAt,
    everybody: rate::FullAt,
    answered: Recent<Network>,
    asked: Lately,
}

impl Budget {
    /// All there is for everybody. `secret` is drawn at random.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self {
            buckets: HashMap::new(),
            strangers: rate::FULL,
            everybody: rate::FULL,
            answered: Recent::new(REMEMBERED, KNOWN_FOR),
            asked: Lately::new(secret, TURN, ASKED_BITS),
        }
    }

    /// Whether a query from this address may be answered; it counts as
    /// answered with that.
    ///
    /// Nobody gets a fresh budget by a flood that pushes others out: a bucket
    /// is kept until it is full again.
    pub fn may_answer(&mut self, ip: IpAddr, now: Millis) -> bool {
        let network = Network::of(ip);
        let is_known = self.answered.has(&network, now);
        let rate = if is_known { KNOWN } else { STRANGER };
        let bucket = self.buckets.get_mut(&network);
        let mut full = rate::FULL;
        let is_new = bucket.is_none();
        let bucket = bucket.unwrap_or(&mut full);
        let has_own = rate.has(bucket, now);
        let have_all = EVERYBODY.has(&mut self.everybody, now);
        let have_strangers = is_known || STRANGERS.has(&mut self.strangers, now);
        if !(has_own && have_all && have_strangers) {
            return false;
        }
        rate.take(bucket);
        EVERYBODY.take(&mut self.everybody);
        if !is_known {
            STRANGERS.take(&mut self.strangers);
        }
        if is_new {
            // No more than `REMEMBERED` of known ones are not full, and of
            // strangers what two seconds allow: no other bound is needed.
            make_room(&mut self.buckets, usize::MAX, |full_at| {
                *full_at > rate::micros(now)
            });
            self.buckets.insert(network, full);
        }
        true
    }

    /// An address answered a query of ours. What it took as a stranger it has
    /// taken of what it may take now.
    pub fn answered(&mut self, ip: IpAddr, now: Millis) {
        let network = Network::of(ip);
        if !self.answered.has(&network, now)
            && let Some(bucket) = self.buckets.get_mut(&network)
        {
            *bucket = STRANGER.converted(*bucket, KNOWN, now);
        }
        self.answered.note(network, now);
    }

    /// An address sent a query.
    pub fn note_query(&mut self, addr: SocketAddr, now: Millis) {
        self.asked.note(&addr, now);
    }

    /// Whether this address sent a query in the last 5 minutes, or in the last
    /// 10, or seems to have.
    #[must_use]
    pub fn asked_recently(&self, addr: &SocketAddr, now: Millis) -> bool {
        self.asked.may_have(addr, now)
    }
}
