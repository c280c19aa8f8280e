//! Whether strangers reach us, or a NAT or firewall lets in only whom we sent
//! to before.

use std::net::SocketAddr;

use super::lately::Lately;
use crate::clock::Millis;

/// Whom we sent to counts as no stranger for so long, at most twice: no NAT
/// keeps a hole open for longer.
const TURN: Millis = 60 * 60 * 1000;

/// Bits of a filter of those: 4 KiB. Of 5,000 addresses in a turn, one stranger
/// in fourteen is taken for one of them, which only makes him no proof.
const BITS: usize = 1 << 15;

/// That a stranger came proves something for so long.
const PROOF: Millis = 3 * TURN;

/// That none came says nothing earlier than so long after the start: in a quiet
/// network, strangers come when their buckets are refreshed, each hour.
const PATIENCE: Millis = TURN + TURN / 2;

/// Who comes so soon after the start may be one whom an earlier run sent to
/// through a hole that is still open.
const UNSETTLED: Millis = 10 * 60 * 1000;

/// What is known of strangers.
#[derive(Debug)]
pub(super) struct Reach {
    since: Millis,
    sent_to: Lately,
    /// When a stranger last came.
    stranger: Option<Millis>,
}

impl Reach {
    /// Nobody came yet. `secret` is drawn at random.
    pub fn new(secret: [u8; 16], now: Millis) -> Self {
        Self {
            since: now,
            sent_to: Lately::new(secret, TURN, BITS),
            stranger: None,
        }
    }

    /// A packet goes out: it may open a NAT for all of that host's ports.
    pub fn sent(&mut self, to: &SocketAddr, now: Millis) {
        self.sent_to.note(&host(to), now);
    }

    /// A query came in.
    pub fn came(&mut self, from: &SocketAddr, now: Millis) {
        let is_settled = now.saturating_sub(self.since) >= UNSETTLED;
        if is_settled && !self.sent_to.may_have(&host(from), now) {
            self.stranger = Some(now);
        }
    }

    /// Whether strangers reach us; `None` where that can't be told. Nobody
    /// misses them in a network of `estimated` nodes of which we know `known`
    /// if those are all the nodes that there are.
    pub fn verdict(&self, known: usize, estimated: u64, now: Millis) -> Option<bool> {
        let recent = |at: Millis| now.saturating_sub(at) < PROOF;
        if self.stranger.is_some_and(recent) {
            return Some(true);
        }
        let has_strangers = known > 0 && estimated > 2 * known as u64;
        let is_old = now.saturating_sub(self.since) >= PATIENCE;
        (has_strangers && is_old).then_some(false)
    }
}

fn host(addr: &SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = 1_750_000_000_000;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_stranger_is_proof_for_three_hours_but_not_soon_after_the_start() {
        let mut reach = Reach::new([7; 16], START);
        let stranger = addr("8.8.1.1:1");
        reach.came(&stranger, START + UNSETTLED - 1);
        assert_eq!(reach.verdict(8, 100, START + UNSETTLED), None);
        let came = START + UNSETTLED;
        reach.came(&stranger, came);
        assert_eq!(reach.verdict(8, 100, came + PROOF - 1), Some(true));
        assert_eq!(reach.verdict(8, 100, came + PROOF), Some(false));
    }

    #[test]
    fn whom_we_sent_to_is_no_stranger_on_any_port() {
        let mut reach = Reach::new([7; 16], START);
        reach.sent(&addr("8.8.1.1:1"), START);
        let later = START + TURN + TURN / 2;
        reach.came(&addr("8.8.1.1:2"), later);
        assert_eq!(reach.verdict(8, 100, later), Some(false));
        reach.came(&addr("8.8.1.1:2"), START + 2 * TURN);
        assert_eq!(reach.verdict(8, 100, START + 2 * TURN), Some(true));
    }

    #[test]
    fn nobody_is_missed_early_or_where_there_are_no_strangers() {
        let reach = Reach::new([7; 16], START);
        assert_eq!(reach.verdict(50, 101, START + PATIENCE - 1), None);
        assert_eq!(reach.verdict(50, 101, START + PATIENCE), Some(false));
        assert_eq!(reach.verdict(50, 100, START + PATIENCE), None);
        assert_eq!(reach.verdict(0, 100, START + PATIENCE), None);
    }
}
