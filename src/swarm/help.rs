//! Whether the mirror has to help.
//!
//! Peers must never make a download slower than the mirror alone would be, and
//! the mirror is to be spared where they do without it.

use super::pace::Pace;
use crate::clock::Millis;

/// How long peers may take for the first byte before the mirror is asked, in
/// milliseconds.
pub const HEAD_START: Millis = 100;

/// Peers that bring the rest in so many seconds are fast enough, whatever the
/// mirror could do.
const SOON: f64 = 1.0;

/// What a mirror sends is measured for so long, in milliseconds, before it can
/// be told whether peers do without it.
const PROBE: Millis = 400;

/// Peers that are so many times as fast as the mirror do without it.
const ENOUGH: f64 = 1.1;

/// And so many times: it has to help again.
const TOO_SLOW: f64 = 0.8;

/// How one download goes.
#[derive(Debug, Clone)]
pub struct Help {
    begun: Millis,
    /// Peers that a file needs to do without the mirror.
    min_peers: usize,
    peers: Pace,
    peer_bytes: u64,
    mirror: Pace,
    /// The mirror's bytes a second, as measured when it was last asked.
    known: Option<f64>,
    since: Option<Millis>,
}

impl Help {
    /// A download begins. `known`: what its mirror lately brought, in bytes a
    /// second.
    #[must_use]
    pub fn new(min_peers: usize, known: Option<f64>, now: Millis) -> Self {
        Self {
            begun: now,
            min_peers,
            peers: Pace::new(now),
            peer_bytes: 0,
            mirror: Pace::new(now),
            known,
            since: None,
        }
    }

    /// Only now there is somebody to be asked.
    pub fn begin(&mut self, now: Millis) {
        self.begun = now;
        self.peers = Pace::new(now);
    }

    /// One peer does without the mirror, if it is fast enough: it is on the
    /// same link.
    pub fn one_is_enough(&mut self) {
        self.min_peers = self.min_peers.min(1);
    }

    /// So many bytes have come from peers in all, and from the mirror since it
    /// was last asked.
    pub fn note(&mut self, from_peers: u64, from_mirror: u64, now: Millis) {
        self.peer_bytes = from_peers;
        self.peers.note(from_peers, now);
        if self.since.is_some() {
            self.mirror.note(from_mirror, now);
            if self.mirror.span(now) >= PROBE {
                self.known = Some(self.mirror.rate(now));
            }
        }
    }

    /// The mirror sent so many bytes in so many milliseconds, from the question
    /// on. What it takes to answer at all makes it look slower than it is; peers
    /// that are just as fast call it soon enough.
    pub fn sampled(&mut self, bytes: u64, took: Millis) {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let rate = bytes as f64 * 1000.0 / took.max(1) as f64;
        self.known.get_or_insert(rate);
    }

    /// The mirror is asked, or is not any more.
    pub fn is_asked(&mut self, asked: bool, now: Millis) {
        if asked {
            self.mirror = Pace::new(now);
        }
        self.since = asked.then_some(now);
    }

    /// What the mirror brings, in bytes a second, as far as that is known.
    #[must_use]
    pub const fn mirror_rate(&self) -> Option<f64> {
        self.known
    }

    /// Whether the mirror is to be asked, or to go on. `usable`: peers that can
    /// be asked; `searching`: whether there may be more of them soon; `left`:
    /// bytes that are missing.
    #[must_use]
    pub fn is_wanted(&self, usable: usize, searching: bool, left: u64, now: Millis) -> bool {
        if usable < self.min_peers {
            return usable == 0 || !searching || now - self.begun >= HEAD_START;
        }
        if self.peer_bytes == 0 {
            return now - self.begun >= HEAD_START;
        }
        let rate = self.peers.rate(now);
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let is_soon = left as f64 <= SOON * rate;
        match (self.known, self.since) {
            (Some(mirror), Some(_)) => rate < ENOUGH * mirror,
            // Too early to say; and the first byte was not late.
            (_, None) if now - self.begun < PROBE => false,
            (_, None) if is_soon => false,
            (Some(mirror), None) => rate < TOO_SLOW * mirror,
            (None, _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: u64 = 60_000_000;

    /// Goes on until `end`, both bringing so many bytes a millisecond.
    fn run(help: &mut Help, from: Millis, end: Millis, peers: u64, mirror: u64) -> Vec<Millis> {
        let (mut wanted, mut asked_at) = (Vec::new(), None);
        for now in from..end {
            let of_mirror = asked_at.map_or(0, |at: Millis| (now - at).unsigned_abs() * mirror);
            help.note(now.unsigned_abs() * peers, of_mirror, now);
            let is_wanted = help.is_wanted(3, false, LEFT, now);
            if is_wanted != asked_at.is_some() {
                help.is_asked(is_wanted, now);
                asked_at = is_wanted.then_some(now);
            }
            if is_wanted {
                wanted.push(now);
            }
        }
        wanted
    }

    #[test]
    fn below_min_peers_the_mirror_helps_at_once() {
        let help = Help::new(3, None, 0);
        assert!(help.is_wanted(2, false, LEFT, 0));
        assert!(!help.is_wanted(3, false, LEFT, 0));
    }

    #[test]
    fn while_others_may_be_found_a_few_have_a_short_head_start() {
        let help = Help::new(3, None, 0);
        assert!(help.is_wanted(0, true, LEFT, 0));
        assert!(!help.is_wanted(2, true, LEFT, HEAD_START - 1));
        assert!(help.is_wanted(2, true, LEFT, HEAD_START));
    }

    #[test]
    fn a_neighbour_does_without_the_mirror_while_it_is_fast() {
        let mut help = Help::new(3, None, 0);
        help.one_is_enough();
        help.begin(5000);
        assert!(!help.is_wanted(1, false, LEFT, 5000));
        assert!(help.is_wanted(1, false, LEFT, 5000 + HEAD_START));
        help.note(60_000_000, 0, 5050);
        assert!(!help.is_wanted(1, false, LEFT, 5000 + HEAD_START));
        assert!(help.is_wanted(0, false, LEFT, 5000));
    }

    #[test]
    fn silent_peers_have_a_short_head_start() {
        let help = Help::new(3, Some(1.0), 0);
        assert!(!help.is_wanted(3, false, LEFT, HEAD_START - 1));
        assert!(help.is_wanted(3, false, LEFT, HEAD_START));
    }

    #[test]
    fn peers_faster_than_the_mirror_do_without_it_once_that_is_known() {
        let mut help = Help::new(3, None, 0);
        let wanted = run(&mut help, 0, 5000, 7500, 2500);
        assert!(
            wanted.len() <= 500 && !wanted.is_empty(),
            "{}",
            wanted.len()
        );
        let mut help = Help::new(3, Some(2_500_000.0), 0);
        assert!(run(&mut help, 0, 5000, 7500, 2500).is_empty());
    }

    #[test]
    fn a_mirror_faster_than_the_peers_goes_on() {
        let mut help = Help::new(3, None, 0);
        let wanted = run(&mut help, 0, 5000, 2000, 2500);
        assert!(wanted.len() >= 4500, "{}", wanted.len());
    }

    #[test]
    fn a_sample_of_a_slow_mirror_is_enough() {
        let mut help = Help::new(3, None, 0);
        help.sampled(524_288, 210);
        assert!(run(&mut help, 0, 5000, 7500, 2500).is_empty());
        let mut help = Help::new(3, None, 0);
        help.sampled(524_288, 20);
        assert!(!run(&mut help, 0, 5000, 7500, 25_000).is_empty());
    }

    #[test]
    fn peers_that_fall_silent_call_the_mirror() {
        let mut help = Help::new(3, Some(2_500_000.0), 0);
        assert!(run(&mut help, 0, 3000, 7500, 2500).is_empty());
        for now in 3000..4000 {
            help.note(3000 * 7500, 0, now);
        }
        assert!(help.is_wanted(3, false, LEFT, 4000));
    }

    #[test]
    fn what_is_done_in_a_moment_does_not_call_the_mirror() {
        let mut help = Help::new(3, None, 0);
        for now in 0..1000_i64 {
            help.note(now.unsigned_abs() * 7500, 0, now);
        }
        assert!(!help.is_wanted(3, false, 7_000_000, 1000));
        assert!(help.is_wanted(3, false, 8_000_000, 1000));
    }
}
