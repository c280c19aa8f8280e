//! Pieces that came: what is right, what is wrong, and what nothing tells of yet.

use std::sync::Arc;

use bytes::Bytes;

use super::gather::{Gather, Unproved};
use super::hashes::{Proof, print_of};
use crate::clock::{Millis, millis};
use crate::core::CoreError;
use crate::db::piece::PieceState;
use crate::store::growing::Came;
use crate::swarm::blame::{self, Delivery, PieceHash};
use crate::swarm::schedule::{Ask, Source};
use crate::upstream::peer::{IDLE, Part, PeerError};
use crate::worker::fetch_file::Outcome;

impl Gather<'_> {
    /// Pieces that came before they could be proved.
    pub(super) async fn prove(&mut self) -> Result<Option<Outcome>, CoreError> {
        let is_known = !matches!(self.proof, Proof::None);
        if !is_known && !self.is_unprovable() {
            return Ok(None);
        }
        for Unproved { ask, part } in std::mem::take(&mut self.unproved) {
            if let Some(outcome) = self.whole_part(ask, part).await? {
                return Ok(Some(outcome));
            }
        }
        if !is_known {
            return Ok(None);
        }
        for (piece, hash) in std::mem::take(&mut self.doubtful) {
            let bytes = self.store.read(piece, hash).await?;
            match bytes.filter(|bytes| self.proof.passes(piece, bytes) == Some(true)) {
                Some(bytes) => {
                    if !self.keep(piece, hash, bytes, (Came::Peers, None)).await? {
                        return Ok(Some(Outcome::Uncached));
                    }
                }
                None => self.schedule.reopen(piece),
            }
        }
        Ok(None)
    }

    /// Everything is here. Whether it is right, as far as that can be told
    /// before the end; else what is doubtful is up to the mirror.
    pub(super) async fn is_proved(&mut self) -> Result<bool, CoreError> {
        if self.doubtful.is_empty() {
            return Ok(true);
        }
        if let Some(body) = &self.body {
            let growing = Arc::clone(&body.growing);
            // What was pushed has to be written before it is read.
            body.incoming.settled().await;
            self.store.lend(&growing, None, self.target, &self.kept)?;
        }
        let hash_of = |piece| self.doubtful.get(&piece).or_else(|| self.kept.get(&piece));
        let hashes: Option<Vec<_>> = (0..self.schedule.count())
            .map(|piece| hash_of(piece).copied())
            .collect();
        let is_right = match hashes {
            Some(hashes) => self.store.test(self.target, &hashes).await?,
            None => false,
        };
        for (piece, hash) in std::mem::take(&mut self.doubtful) {
            if !is_right {
                self.schedule.reopen(piece);
                continue;
            }
            let Some(bytes) = self.store.read(piece, hash).await? else {
                continue;
            };
            self.keep(piece, hash, bytes, (Came::Peers, None)).await?;
        }
        self.is_mirror_alone |= !is_right;
        Ok(is_right)
    }

    /// Writes a piece that is right, or that the file turns out wrong with;
    /// with who sent it, and since when it is as it is, where that was said.
    /// Whether there is room for the file.
    pub(super) async fn keep(
        &mut self,
        piece: usize,
        hash: PieceHash,
        bytes: Bytes,
        (came, said): (Came, Option<Millis>),
    ) -> Result<bool, CoreError> {
        if self.body.is_none() {
            let said = self.said_by_peer(said);
            if !self.begin(said, self.fetch.core.now(), Came::Peers).await {
                return Ok(false);
            }
        }
        if let Some(body) = &self.body {
            body.growing.came_from(came);
        }
        let (from, _) = self.target.range_of(piece);
        self.write(from, bytes, came).await;
        self.kept.insert(piece, hash);
        Ok(true)
    }

    /// Hands bytes to the writer. What it can't write, it says at its end.
    pub(super) async fn write(&mut self, at: u64, bytes: Bytes, came: Came) {
        if let Some(body) = &mut self.body {
            body.is_failed |= !body.incoming.push_part(at, bytes, came).await;
        }
    }

    /// A request to a peer is over.
    pub(super) async fn part(
        &mut self,
        ask: Ask,
        result: Result<Part, PeerError>,
    ) -> Result<Option<Outcome>, CoreError> {
        if self.given_up.remove(&ask).is_none() {
            return Ok(None);
        }
        let (now, contact) = (self.fetch.core.now(), self.holders[ask.source].contact);
        match result {
            Ok(part) => {
                tracing::trace!(piece = ask.piece, peer = %contact, "a piece came");
                let idle = now + millis(IDLE);
                self.fetch.core.peers().connected(contact, idle);
                return self.whole_part(ask, part).await;
            }
            Err(PeerError::Missing) => {
                if self.guessed != Some(ask.source) {
                    self.fetch.core.peers().missing(contact, now);
                }
                let asked = self.schedule.dismiss(ask.source);
                self.give_up_on(asked);
            }
            Err(error) => {
                tracing::debug!(peer = %contact, piece = ask.piece, %error, "a peer does not send a piece");
                self.fetch
                    .core
                    .peers()
                    .failed(contact, &error.to_string(), now);
                self.schedule.failed(ask);
            }
        }
        self.note_row(ask, PieceState::Failed, None);
        self.guessed_wrong(ask.source);
        Ok(None)
    }

    pub(super) async fn whole_part(
        &mut self,
        ask: Ask,
        part: Part,
    ) -> Result<Option<Outcome>, CoreError> {
        let Some(is_right) = self.proof.passes(ask.piece, &part.bytes) else {
            return self.unproved(ask, part).await;
        };
        let hash = print_of(&part.bytes);
        self.note_evidence(peer(ask.source), ask.piece, hash);
        let contact = self.holders[ask.source].contact;
        if !is_right {
            self.note_row(ask, PieceState::Wrong, Some(hash));
            tracing::debug!(peer = %contact, piece = ask.piece, "a piece is not what it should be");
            self.schedule.wrong(ask);
            self.was_wrong = true;
            if self.target.is_small() {
                // Its hash is the file's, which an index vouches for.
                self.blame(contact, Some(0));
            }
            self.guessed_wrong(ask.source);
            return Ok(None);
        }
        self.note_row(ask, PieceState::Verified, Some(hash));
        self.swarm
            .is_likely(self.errand.url.origin(), contact, self.fetch.core.now());
        let elapsed = millis(part.lag + part.took);
        self.fetch.core.peers().measured(
            contact,
            part.bytes.len() as u64,
            elapsed,
            millis(part.lag),
            self.fetch.core.now(),
        );
        if self.schedule.is_here(ask.piece) {
            self.schedule.brought(ask, self.now());
            return Ok(None);
        }
        if !self
            .keep(
                ask.piece,
                hash,
                part.bytes,
                (Came::Peers, part.last_modified),
            )
            .await?
        {
            return Ok(Some(Outcome::Uncached));
        }
        let others = self.schedule.brought(ask, self.now());
        self.give_up_on(others);
        Ok(None)
    }

    pub(super) fn note_evidence(&mut self, source: blame::Source, piece: usize, hash: PieceHash) {
        self.evidence.note(Delivery {
            source,
            piece,
            hash,
            round: 0,
        });
    }

    /// A piece came, and nothing tells whether it is right: it waits for its
    /// hash, or for all the others.
    pub(super) async fn unproved(
        &mut self,
        ask: Ask,
        part: Part,
    ) -> Result<Option<Outcome>, CoreError> {
        if !self.is_unprovable() {
            self.note_row(ask, PieceState::Unproved, None);
            self.unproved.push(Unproved { ask, part });
            return Ok(None);
        }
        let hash = print_of(&part.bytes);
        self.note_row(ask, PieceState::Unproved, Some(hash));
        self.note_evidence(peer(ask.source), ask.piece, hash);
        let form = (ask.piece, hash);
        let put = self.store.put(&self.fetch.core, form, part.bytes);
        if !self.backlog.while_polling(&mut self.events, put).await? {
            self.schedule.failed(ask);
            return Ok(None);
        }
        if !self.schedule.is_here(ask.piece) {
            self.doubtful.insert(ask.piece, hash);
        }
        let others = self.schedule.brought(ask, self.now());
        self.give_up_on(others);
        Ok(None)
    }
}

/// As evidence names a source.
pub(super) fn peer(source: Source) -> blame::Source {
    blame::Source::Peer(u32::try_from(source).unwrap_or(u32::MAX))
}
