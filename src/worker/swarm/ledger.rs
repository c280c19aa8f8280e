//! The account of one download: bytes from peers, and rows of pieces.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Millis;
use crate::db::piece::{PieceRow, PieceState};
use crate::swarm::blame::PieceHash;

/// How often rows are written, in milliseconds.
const WRITE: Millis = 100;

/// So many rows are worth a statement of their own.
const MANY: usize = 16;

/// What is counted, and what is to be written.
#[derive(Default)]
pub(super) struct Ledger {
    received: Arc<AtomicU64>,
    counted: u64,
    rows: Vec<PieceRow>,
    written_at: Millis,
    is_writing: bool,
}

impl Ledger {
    /// Where requests count bytes as they come.
    pub(super) fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }

    /// Bytes that came since the last call, and in all.
    pub(super) fn count(&mut self) -> (u64, u64) {
        let all = self.received.load(Ordering::Relaxed);
        let fresh = all - std::mem::replace(&mut self.counted, all);
        (fresh, all)
    }

    /// What came of an assignment; without a `peer`, of the mirror's.
    pub(super) fn note(
        &mut self,
        (piece, round): (usize, u32),
        peer: Option<SocketAddr>,
        state: PieceState,
        sha1: Option<PieceHash>,
        at: Millis,
    ) {
        self.rows.push(PieceRow {
            piece: piece as u64,
            round,
            peer,
            state,
            sha1,
            at,
        });
    }

    /// Rows to be written now. There are none again before these are
    /// [`Ledger::written`].
    pub(super) fn due(&mut self, now: Millis) -> Option<Vec<PieceRow>> {
        if self.is_writing || self.rows.is_empty() || now - self.written_at < WRITE {
            return None;
        }
        (self.is_writing, self.written_at) = (true, now);
        Some(std::mem::take(&mut self.rows))
    }

    /// Rows to be written, if they are many.
    pub(super) fn many(&mut self) -> Option<Vec<PieceRow>> {
        (self.rows.len() >= MANY).then(|| std::mem::take(&mut self.rows))
    }

    pub(super) const fn written(&mut self) {
        self.is_writing = false;
    }
}
