//! A download whose process was killed is taken up where its rows say it was.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use super::gather::Gather;
use super::hashes::print_of;
use super::store::read_at;
use crate::core::CoreError;
use crate::db::piece::{PieceRow, PieceState};
use crate::store::growing::Came;

/// Whether the bytes were right, or the mirror's.
fn is_good(row: &PieceRow) -> bool {
    match row.state {
        PieceState::Verified => true,
        PieceState::Unproved => row.peer.is_none(),
        PieceState::Running | PieceState::Wrong | PieceState::Failed => false,
    }
}

impl Gather<'_> {
    /// Takes the pieces that an earlier process wrote to this file. Their rows
    /// may be ahead of the bytes, and the bytes of the rows: only what has the
    /// hash of its row counts.
    ///
    /// # Errors
    /// Where rows can't be read.
    pub(super) async fn resume(&mut self, left: File) -> Result<(), CoreError> {
        let rows = self.fetch.core.db.pieces_of(self.errand.claim.id).await?;
        let hashes: HashMap<_, _> = rows
            .into_iter()
            .filter(is_good)
            .filter_map(|row| {
                let came = row.peer.map_or(Came::Mirror, |_| Came::Peers);
                Some((usize::try_from(row.piece).ok()?, (row.sha1?, came)))
            })
            .filter(|(piece, _)| *piece < self.schedule.count())
            .collect();
        let left = Arc::new(left);
        if let Some(before) = &self.errand.claim.left_behind
            && !hashes.is_empty()
        {
            // What clients have of it goes on to fit.
            let said = self.errand.of_version(before.validators.clone());
            self.begin(said, self.fetch.core.now(), Came::Mixed).await;
        }
        for (piece, (hash, came)) in hashes {
            let (from, to) = self.target.range_of(piece);
            let length = usize::try_from(to - from).unwrap_or(0);
            let Ok(bytes) = read_at(&left, from, length).await else {
                continue;
            };
            if print_of(&bytes) != hash {
                continue;
            }
            if !self.keep(piece, hash, bytes, (came, None)).await? {
                return Ok(());
            }
            self.schedule.arrived(piece);
        }
        Ok(())
    }
}
