//! Sources as they behave: what they answer when they are asked for a piece.

use aptmesh::swarm::blame::PieceHash;

use crate::dice::{Dice, mix};

/// When a source lies.
#[derive(Debug, Clone)]
pub enum Lies {
    Never,
    Always,
    /// With this chance, anew for each answer.
    Sometimes(f64),
    /// For these pieces, always.
    On(Vec<bool>),
}

/// What it sends when it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Its own bytes, the same each time.
    Consistent,
    /// Other bytes each time.
    Different,
    /// The bytes that all colluders send.
    Common,
}

#[derive(Debug, Clone)]
pub struct Behaviour {
    pub lies: Lies,
    pub wrong: Wrong,
    /// After so many answers it never answers again.
    pub stops_after: Option<usize>,
    /// Pieces for which it never answers.
    pub silent_on: Vec<bool>,
}

impl Behaviour {
    pub fn honest(pieces: usize) -> Self {
        Self {
            lies: Lies::Never,
            wrong: Wrong::Consistent,
            stops_after: None,
            silent_on: vec![false; pieces],
        }
    }

    pub const fn never_lies(&self) -> bool {
        matches!(self.lies, Lies::Never)
    }

    /// Whether it answers truly for this piece whenever and however often it is
    /// asked.
    pub fn is_sure_of(&self, piece: usize) -> bool {
        self.never_lies() && self.stops_after.is_none() && !self.silent_on[piece]
    }
}

/// The hash of a piece: the true one is `variant` 0.
pub fn hash(file: u64, piece: usize, variant: u64) -> PieceHash {
    let mut hash = [0; 20];
    let first = mix(file ^ mix(piece as u64 + 1) ^ mix(variant << 20));
    hash[..8].copy_from_slice(&first.to_le_bytes());
    hash[8..16].copy_from_slice(&mix(first).to_le_bytes());
    hash
}

/// The bytes that all colluders have in mind.
pub const COMMON: u64 = 1;

/// A source that is being asked.
#[derive(Debug)]
pub struct Player {
    pub behaviour: Behaviour,
    number: u64,
    answers: usize,
}

impl Player {
    pub const fn new(behaviour: Behaviour, number: u64) -> Self {
        Self {
            behaviour,
            number,
            answers: 0,
        }
    }

    pub fn has_stopped(&self) -> bool {
        self.behaviour
            .stops_after
            .is_some_and(|last| self.answers >= last)
    }

    /// The hash of what it sends, if it sends anything.
    pub fn answer(&mut self, file: u64, piece: usize, dice: &mut Dice) -> Option<PieceHash> {
        if self.has_stopped() || self.behaviour.silent_on[piece] {
            return None;
        }
        self.answers += 1;
        let lies = match &self.behaviour.lies {
            Lies::Never => false,
            Lies::Always => true,
            Lies::Sometimes(chance) => dice.chance(*chance),
            Lies::On(pieces) => pieces[piece],
        };
        let variant = match self.behaviour.wrong {
            _ if !lies => 0,
            Wrong::Consistent => 2 + self.number,
            Wrong::Different => dice.number(),
            Wrong::Common => COMMON,
        };
        Some(hash(file, piece, variant))
    }
}
