//! The working set of peers: what is known of each. Made from rows at a start,
//! and written to them as it changes.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::score::{MOST_HASH_ERRORS, Properties};
use crate::clock::{Millis, millis};
use crate::health::pause;

/// Peers remembered.
pub const MOST_PEERS: usize = 4096;

/// How long a hash error counts, and what was measured is recent. A peer that
/// was not used for so long is as if it had never been measured, so that
/// nobody stays out for ever because of one bad hour.
pub const DAY: Millis = 24 * 60 * 60 * 1000;

/// Times of hash errors remembered of one peer; 3 make its score 0.
const MOST_ERRORS: usize = 100;

/// A transfer of fewer bytes tells of lag, and nothing of speed.
const SMALL: u64 = 64 * 1024;

/// The latest bytes that a peer's speed is made from, about: each transfer
/// weighs as much as it has bytes, and what was before never more than this.
const WINDOW: u64 = 2 * 1024 * 1024;

/// The latest lag weighs one part in so many.
const LAG_PARTS: Millis = 4;

/// The longest lag that is told apart.
const LONGEST_LAG: Millis = 60_000;

/// The longest time that a peer which does not answer is spared.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Characters of an error that are kept.
const LONGEST_ERROR: usize = 200;

/// A row of the `peer` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRow {
    /// Where it is reached over HTTP.
    pub address: SocketAddr,
    /// Bytes a second, smoothed; at least 1.
    pub speed: Option<u64>,
    /// Milliseconds from request to first byte, smoothed.
    pub lag: Option<Millis>,
    /// A kept-alive connection is presumably open until then.
    pub connected_until: Millis,
    /// Bytes received from it and verified.
    pub bytes: u64,
    /// What went wrong last, for people.
    pub last_error: Option<String>,
    /// When it last answered or failed.
    pub last_used: Millis,
}

/// A row of the `hash_error` table: a peer's bytes were shown to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashError {
    /// Whose.
    pub peer: SocketAddr,
    /// When.
    pub at: Millis,
    /// SHA-256 of the file that was wanted.
    pub file: [u8; 32],
    /// `None` for the whole file or its torrent string.
    pub piece: Option<u64>,
}

/// What an earlier run left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Peers.
    pub peers: Vec<PeerRow>,
    /// Their errors of the last 24 hours, the earliest first.
    pub errors: Vec<HashError>,
}

/// What is new, to be written in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Peers forgotten for want of room.
    pub gone: Vec<SocketAddr>,
    /// Peers that are new or different.
    pub peers: Vec<PeerRow>,
    /// Errors that came to light.
    pub errors: Vec<HashError>,
}

impl Changes {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.peers.is_empty() && self.errors.is_empty()
    }
}

/// How a peer stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Where it is reached over HTTP.
    pub address: SocketAddr,
    /// 0 to 1.
    pub score: f64,
    /// What the score is made of.
    pub properties: Properties,
    /// Bytes received from it and verified.
    pub bytes: u64,
    /// What went wrong last, for people.
    pub last_error: Option<String>,
    /// When it last answered or failed.
    pub last_used: Millis,
}

#[derive(Debug)]
struct Known {
    row: PeerRow,
    /// Bytes that `row.speed` was measured with, no more than the window.
    measured: u64,
    /// When its bytes were wrong, the earliest first.
    errors: VecDeque<Millis>,
    /// Failures in a row; those that come together count once.
    failures: u32,
    spared_until: Millis,
    pending: u32,
    is_changed: bool,
}

impl Known {
    fn new(row: PeerRow) -> Self {
        Self {
            measured: row.speed.map_or(0, |_| row.bytes.min(WINDOW)),
            row,
            errors: VecDeque::new(),
            failures: 0,
            spared_until: 0,
            pending: 0,
            is_changed: false,
        }
    }

    fn speed(&self, now: Millis) -> Option<u64> {
        let speed = self.row.speed;
        speed.filter(|_| is_recent(self.row.last_used, now))
    }

    fn lag(&self, now: Millis) -> Option<Millis> {
        let lag = self.row.lag;
        lag.filter(|_| is_recent(self.row.last_used, now))
    }

    fn hash_errors(&self, now: Millis) -> u64 {
        let recent = self.errors.iter().filter(|at| is_recent(**at, now));
        recent.count() as u64
    }

    fn properties(&self, fastest: u64, now: Millis) -> Properties {
        Properties {
            hash_errors: self.hash_errors(now),
            speed: self.speed(now),
            fastest,
            lag: self.lag(now),
            pending: self.pending,
            connected: now < self.row.connected_until,
        }
    }

    fn answered(&mut self) {
        self.failures = 0;
        self.spared_until = 0;
    }

    fn went_wrong(&mut self, why: &str) {
        self.row.last_error = Some(why.chars().take(LONGEST_ERROR).collect());
    }
}

/// What lies far ahead, since the clock was put back, is as old as what lies
/// far behind.
const fn is_recent(at: Millis, now: Millis) -> bool {
    at.abs_diff(now) < DAY.unsigned_abs()
}

/// The peers.
#[derive(Debug, Default)]
pub struct Book {
    peers: HashMap<SocketAddr, Known>,
    /// When the book was last told something.
    latest: Millis,
    gone: Vec<SocketAddr>,
    errors: Vec<HashError>,
}

impl Book {
    /// Takes what rows say. Connections of an earlier process are no more.
    pub fn load(&mut self, saved: Saved) {
        for row in saved.peers {
            self.latest = self.latest.max(row.last_used);
            let known = self.known(row.address);
            *known = Known::new(PeerRow {
                connected_until: 0,
                ..row
            });
        }
        for error in saved.errors {
            if let Some(known) = self.peers.get_mut(&error.peer) {
                known.errors.push_back(error.at);
            }
        }
    }

    /// What is to be written since the last call.
    pub fn changes(&mut self) -> Changes {
        let changed = self.peers.values_mut().filter(|known| known.is_changed);
        let peers = changed.map(|known| {
            known.is_changed = false;
            known.row.clone()
        });
        Changes {
            peers: peers.collect(),
            gone: std::mem::take(&mut self.gone),
            errors: std::mem::take(&mut self.errors),
        }
    }

    /// A peer sent `bytes` that were then verified: the first of them
    /// `lag_ms` after the request, the last `elapsed_ms` after the request.
    /// Where `bytes` is 0, it tells of the lag alone.
    pub fn measured(
        &mut self,
        addr: SocketAddr,
        bytes: u64,
        elapsed_ms: Millis,
        lag_ms: Millis,
        now: Millis,
    ) {
        let known = self.told(addr, now);
        known.answered();
        let row = &mut known.row;
        row.bytes = row.bytes.saturating_add(bytes);
        let lag = lag_ms.clamp(0, LONGEST_LAG);
        row.lag = Some(
            row.lag
                .map_or(lag, |before| before + (lag - before) / LAG_PARTS),
        );
        if bytes >= SMALL {
            let speed = bytes.saturating_mul(1000) / elapsed_ms.max(1).unsigned_abs();
            let before = (row.speed.unwrap_or(0), known.measured);
            row.speed = Some(mean(before, (speed, bytes)).max(1));
            known.measured = known.measured.saturating_add(bytes).min(WINDOW);
        }
    }

    /// A peer did not answer, or broke off. It is spared for a second, and
    /// twice as long each time again until it answers, but for no more than
    /// ten minutes. Failures that come together count once.
    pub fn failed(&mut self, addr: SocketAddr, why: &str, now: Millis) {
        let known = self.told(addr, now);
        if now >= known.spared_until {
            known.failures = known.failures.saturating_add(1);
            known.spared_until = now + millis(pause(known.failures, LONGEST_PAUSE));
        }
        known.row.connected_until = 0;
        known.went_wrong(why);
    }

    /// A peer does not have a file that it is said to have: no failure, for
    /// anybody may have said so.
    pub fn missing(&mut self, addr: SocketAddr, now: Millis) {
        let known = self.told(addr, now);
        known.answered();
        known.went_wrong("it does not have a file that it is said to have");
    }

    /// A peer's bytes were shown to be wrong; `piece` is `None` for the whole
    /// file or its torrent string.
    pub fn hash_error(
        &mut self,
        addr: SocketAddr,
        file: [u8; 32],
        piece: Option<u64>,
        now: Millis,
    ) {
        let known = self.told(addr, now);
        known.answered();
        known.went_wrong("it sent wrong bytes");
        known.errors.retain(|at| is_recent(*at, now));
        if known.errors.len() >= MOST_ERRORS {
            known.errors.pop_front();
        }
        known.errors.push_back(now);
        self.errors.push(HashError {
            peer: addr,
            at: now,
            file,
            piece,
        });
    }

    /// A request to a peer begins. Each needs its [`Book::end`].
    pub fn begin(&mut self, addr: SocketAddr) {
        let known = self.known(addr);
        known.pending = known.pending.saturating_add(1);
    }

    /// A request to a peer is over, however it went.
    pub fn end(&mut self, addr: SocketAddr) {
        if let Some(known) = self.peers.get_mut(&addr) {
            known.pending = known.pending.saturating_sub(1);
        }
    }

    /// A connection to a peer is presumably open until then; 0: it was closed.
    pub fn connected(&mut self, addr: SocketAddr, until: Millis) {
        let known = self.known(addr);
        known.row.connected_until = until;
        known.is_changed = true;
    }

    /// Whether a peer sent so much that was wrong that it is asked no more.
    #[must_use]
    pub fn is_liar(&self, addr: SocketAddr, now: Millis) -> bool {
        let properties = self.properties(addr, 0, now);
        properties.hash_errors >= MOST_HASH_ERRORS
    }

    /// Bytes that came from a peer and were right.
    #[must_use]
    pub fn bytes(&self, addr: SocketAddr) -> u64 {
        self.peers.get(&addr).map_or(0, |known| known.row.bytes)
    }

    /// When a peer last answered, in milliseconds since 1970; 0 where it did
    /// not, or failed since.
    #[must_use]
    pub fn last_answer(&self, addr: SocketAddr) -> Millis {
        let known = self.peers.get(&addr).filter(|known| known.failures == 0);
        known.map_or(0, |known| known.row.last_used)
    }

    /// A peer's score. Who is not known is as one that was never measured.
    #[must_use]
    pub fn score(&self, addr: SocketAddr, now: Millis) -> f64 {
        self.properties(addr, self.fastest(now), now).score()
    }

    /// Whether a peer is not to be asked now unless there is no other way: its
    /// score is 0, or it is spared because it did not answer.
    #[must_use]
    pub fn excluded(&self, addr: SocketAddr, now: Millis) -> bool {
        self.is_spared(addr, now) || self.score(addr, now) <= 0.0
    }

    /// These peers with their scores, the best first; equals stay in the order
    /// in which they came. Those that are [`Book::excluded`] stand at the end
    /// with 0, of these the likeliest first.
    #[must_use]
    pub fn ranked(&self, peers: &[SocketAddr], now: Millis) -> Vec<(SocketAddr, f64)> {
        let fastest = self.fastest(now);
        let mut ranked: Vec<_> = peers
            .iter()
            .map(|addr| {
                let score = self.properties(*addr, fastest, now).score();
                let usable = if self.is_spared(*addr, now) {
                    0.0
                } else {
                    score
                };
                (*addr, usable, score)
            })
            .collect();
        ranked.sort_by(|one, other| {
            let usable = other.1.total_cmp(&one.1);
            usable.then(other.2.total_cmp(&one.2))
        });
        ranked
            .into_iter()
            .map(|(addr, usable, _)| (addr, usable))
            .collect()
    }

    /// How every known peer stands, the best first.
    #[must_use]
    pub fn standings(&self, now: Millis) -> Vec<Standing> {
        let fastest = self.fastest(now);
        let mut standings: Vec<_> = self
            .peers
            .values()
            .map(|known| {
                let properties = known.properties(fastest, now);
                Standing {
                    address: known.row.address,
                    score: properties.score(),
                    properties,
                    bytes: known.row.bytes,
                    last_error: known.row.last_error.clone(),
                    last_used: known.row.last_used,
                }
            })
            .collect();
        standings.sort_by(|one, other| {
            let score = other.score.total_cmp(&one.score);
            score.then(one.address.cmp(&other.address))
        });
        standings
    }

    fn properties(&self, addr: SocketAddr, fastest: u64, now: Millis) -> Properties {
        let stranger = Properties {
            fastest,
            ..Properties::default()
        };
        self.peers
            .get(&addr)
            .map_or(stranger, |known| known.properties(fastest, now))
    }

    fn fastest(&self, now: Millis) -> u64 {
        let speeds = self.peers.values().filter_map(|known| known.speed(now));
        speeds.max().unwrap_or(0)
    }

    fn is_spared(&self, addr: SocketAddr, now: Millis) -> bool {
        self.peers
            .get(&addr)
            .is_some_and(|known| now < known.spared_until)
    }

    /// The entry of a peer that answered or failed.
    fn told(&mut self, addr: SocketAddr, now: Millis) -> &mut Known {
        self.latest = now;
        let known = self.known(addr);
        if !is_recent(known.row.last_used, now) {
            (known.row.speed, known.row.lag, known.measured) = (None, None, 0);
        }
        known.row.last_used = now;
        known.is_changed = true;
        known
    }

    fn known(&mut self, addr: SocketAddr) -> &mut Known {
        if self.peers.len() >= MOST_PEERS && !self.peers.contains_key(&addr) {
            self.forget_one();
        }
        let last_used = self.latest;
        self.peers.entry(addr).or_insert_with(|| {
            Known::new(PeerRow {
                address: addr,
                speed: None,
                lag: None,
                connected_until: 0,
                bytes: 0,
                last_error: None,
                last_used,
            })
        })
    }

    /// Makes room: a liar must not be forgotten because it has many names.
    fn forget_one(&mut self) {
        let last = self.peers.values().min_by_key(|known| {
            let is_liar = known.hash_errors(self.latest) > 0;
            let row = &known.row;
            (known.pending > 0, is_liar, row.last_used, row.address)
        });
        if let Some(address) = last.map(|known| known.row.address) {
            self.peers.remove(&address);
            self.gone.push(address);
        }
    }
}

/// The mean of two values by their weights; 0 where both weigh nothing.
fn mean(one: (u64, u64), other: (u64, u64)) -> u64 {
    let sum = u128::from(one.0) * u128::from(one.1) + u128::from(other.0) * u128::from(other.1);
    let weight = u128::from(one.1) + u128::from(other.1);
    u64::try_from(sum / weight.max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
