//! Random cases: a file, its peers, perhaps a mirror, and what came before.

use crate::dice::Dice;
use crate::peer::{Behaviour, Lies, Wrong};

/// How the file was downloaded before the rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// It was not.
    Nothing,
    /// Once, each piece from one peer.
    Unverified,
    /// Against a torrent string that says what the colluders send for these
    /// pieces: what did not match was fetched again elsewhere.
    FalseTorrent(Vec<bool>),
}

#[derive(Debug, Clone)]
pub struct Case {
    pub seed: u64,
    pub pieces: usize,
    pub peers: Vec<Behaviour>,
    pub mirror: Option<Behaviour>,
    pub before: Before,
}

impl Case {
    pub fn random(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let pieces = if dice.chance(0.5) {
            1 + dice.below(6)
        } else {
            1 + dice.below(40)
        };
        let count = 2 + dice.below(7);
        let liars = *dice.one_of(&[0.1, 0.3, 0.5, 0.8, 1.0]);
        let stoppers = *dice.one_of(&[0.0, 0.0, 0.2, 0.5]);
        let one_kind = dice.chance(0.3).then(|| wrong(&mut dice));
        let mut peers: Vec<Behaviour> = (0..count)
            .map(|_| {
                let mut peer = Behaviour::honest(pieces);
                if dice.chance(liars) {
                    peer.lies = lies(&mut dice, pieces);
                    peer.wrong = one_kind.unwrap_or_else(|| wrong(&mut dice));
                }
                if dice.chance(stoppers) {
                    stop(&mut peer, &mut dice);
                }
                peer
            })
            .collect();
        // Files that nobody can put together cost thousands of tests each and
        // say little.
        let hopeless = |peer: &Behaviour| !peer.never_lies() || peer.stops_after.is_some();
        if peers.iter().all(hopeless) && dice.chance(0.9) {
            let who = dice.below(count);
            peers[who] = Behaviour::honest(pieces);
        }
        Self {
            seed,
            pieces,
            peers,
            mirror: mirror(&mut dice, pieces),
            before: before(&mut dice, pieces),
        }
    }

    /// Whether sources that never lie answer for every piece among them, however
    /// they are asked.
    pub fn is_sure(&self) -> bool {
        let sources = || self.peers.iter().chain(&self.mirror);
        (0..self.pieces).all(|piece| sources().any(|source| source.is_sure_of(piece)))
    }
}

fn some_of(dice: &mut Dice, pieces: usize) -> Vec<bool> {
    let share = *dice.one_of(&[0.05, 0.3, 0.7]);
    let mut some: Vec<bool> = (0..pieces).map(|_| dice.chance(share)).collect();
    let one = dice.below(pieces);
    some[one] = true;
    some
}

fn lies(dice: &mut Dice, pieces: usize) -> Lies {
    match dice.below(3) {
        0 => Lies::Always,
        1 => Lies::Sometimes(*dice.one_of(&[0.02, 0.1, 0.5, 0.9])),
        _ => Lies::On(some_of(dice, pieces)),
    }
}

fn wrong(dice: &mut Dice) -> Wrong {
    *dice.one_of(&[Wrong::Consistent, Wrong::Different, Wrong::Common])
}

fn stop(peer: &mut Behaviour, dice: &mut Dice) {
    let pieces = peer.silent_on.len();
    if dice.chance(0.5) {
        peer.stops_after = Some(dice.below(2 * pieces + 1));
    } else {
        peer.silent_on = some_of(dice, pieces);
    }
}

/// None, right, of another version, or soon gone.
fn mirror(dice: &mut Dice, pieces: usize) -> Option<Behaviour> {
    if dice.chance(0.6) {
        return None;
    }
    let mut mirror = Behaviour::honest(pieces);
    match dice.below(8) {
        0 => mirror.lies = Lies::Always,
        1 => mirror.lies = Lies::On(some_of(dice, pieces)),
        2 => stop(&mut mirror, dice),
        _ => {}
    }
    Some(mirror)
}

fn before(dice: &mut Dice, pieces: usize) -> Before {
    match dice.below(3) {
        0 => Before::Nothing,
        1 => Before::Unverified,
        _ => Before::FalseTorrent(some_of(dice, pieces)),
    }
}
