//! How a download ends: with the right file, with a wrong one, or with none.

use std::net::SocketAddr;
use std::sync::Arc;

use super::body::{Body, Finished};
use super::event::Event;
use super::gather::Gather;
use super::hashes::Proof;
use crate::clock::Millis;
use crate::core::CoreError;
use crate::store::flight::{Refusal, State};
use crate::store::growing::{Break, Came, End};
use crate::swarm::torrent::TorrentString;
use crate::validators::Validators;
use crate::worker::fetch_file::Outcome;

/// Others are waited for so long, in milliseconds, when nobody known has it.
const SEARCH: Millis = 1500;

impl Gather<'_> {
    /// What clients are told of a file that no origin has said anything of.
    pub(super) fn said_by_peer(&self, said: Option<Millis>) -> Validators {
        let now = self.fetch.core.now();
        let said = said.filter(|said| (0..=now).contains(said));
        Validators {
            etag: format!("\"{:016x}\"", rand::random::<u64>()),
            last_modified: said.unwrap_or(now) / 1000 * 1000,
            ..Validators::default()
        }
    }

    /// Makes room for the body and tells who waits. Whether there is room.
    pub(super) async fn begin(&mut self, said: Validators, asked_at: Millis, came: Came) -> bool {
        self.said = said.clone();
        self.errand.is_told(&said);
        let said = (said, asked_at);
        let begun = Body::begin(self.fetch, self.errand, self.target, said, came);
        let Some(body) = self.backlog.while_polling(&mut self.events, begun).await else {
            return false;
        };
        let growing = Arc::clone(&body.growing);
        self.errand.flight.tell(State::Streaming(growing));
        // Of a small file nothing goes out before its own rows are written.
        if !self.target.is_small() {
            self.note(body.temp.name().to_owned());
        }
        self.body = Some(body);
        true
    }

    /// Has the row say which file the body is in.
    fn note(&mut self, temp: String) {
        let (core, said) = (Arc::clone(&self.fetch.core), self.said.clone());
        let (id, lease) = (self.errand.claim.id, self.errand.claim.lease);
        let size = self.target.size;
        // In a task of its own: it must get on while this one waits for room,
        // which is made by whoever waits for the database behind it.
        let noted =
            tokio::spawn(async move { core.db.note_answer(id, lease, &temp, size, &said).await });
        self.events.push(Box::pin(async {
            if let Ok(Err(error)) = noted.await {
                tracing::warn!(%error, "a download can't be noted and would not survive a crash");
            }
            Event::Noted
        }));
    }

    /// Everything came.
    pub(super) async fn finish(&mut self) -> Result<Outcome, CoreError> {
        self.count();
        self.remember_rate();
        // One of them may be next in line for the database, and would never
        // take its turn while it is not polled.
        self.events.clear();
        let Some(body) = self.body.take() else {
            return Ok(Outcome::Uncached);
        };
        let growing = Arc::clone(&body.growing);
        match body.finish(self.fetch, self.errand).await? {
            Finished::Stored(entry, torrent) => {
                let whence = growing.whence();
                if let Some(truth) = torrent {
                    self.judge(&truth);
                }
                Ok(Outcome::Stored(entry, whence))
            }
            Finished::Uncached => Ok(Outcome::Uncached),
            Finished::Wrong(temp, growing) => {
                self.wrong = Some((temp, growing));
                Box::pin(self.repair()).await
            }
        }
    }

    /// The truth is known: who sent something else is to blame.
    pub(super) fn judge(&mut self, truth: &TorrentString) {
        let truth: Vec<[u8; 20]> = truth
            .hashes()
            .chunks_exact(20)
            .filter_map(|hash| hash.try_into().ok())
            .collect();
        let verdict = std::mem::take(&mut self.evidence).judge(&truth);
        for error in verdict.hash_errors {
            if let Some(holder) = self.holders.get(error.peer as usize) {
                self.blame(holder.contact, Some(error.piece as u64));
            }
        }
    }

    /// A peer's bytes were compared with the truth, and were something else.
    pub(super) fn blame(&self, contact: SocketAddr, piece: Option<u64>) {
        tracing::warn!(peer = %contact, piece, url = self.errand.url.key(), "a peer sent wrong bytes");
        let now = self.fetch.core.now();
        let mut peers = self.fetch.core.peers();
        peers.hash_error(contact, self.target.sha256, piece, now);
    }

    /// Why nothing more can come, where that is so.
    pub(super) fn hopeless(&self) -> Option<Refusal> {
        let refusal = self.front.refusal()?;
        let is_quiet = self.given_up.is_empty() && self.fetching.is_none();
        let others = self.schedule.can_go_on() && !self.is_unprovable();
        (is_quiet && !others && (!self.searching.goes_on() || self.now() > SEARCH))
            .then(|| refusal.clone())
    }

    /// Whether nobody says what the pieces must be.
    pub(super) fn is_unprovable(&self) -> bool {
        matches!(self.proof, Proof::None)
            && self.fetching.is_none()
            && self.references.best().is_none()
    }

    /// Nothing more comes this way: if peers are left, in rounds.
    pub(super) async fn give_up(&mut self, refusal: Refusal) -> Result<Outcome, CoreError> {
        self.events.clear();
        if let Some(body) = self.body.take() {
            body.growing.end(End::Broken(Break::Upstream));
            if self.was_wrong {
                // Peers disagree with the hashes: so may have what was shown.
                self.is_spoilt();
            }
            self.wrong = Some((body.temp, body.growing));
        }
        if (self.is_unprovable() || self.was_wrong)
            && !self.target.is_small()
            && !self.in_standing().is_empty()
            && let Some(outcome) = self.in_rounds().await?
        {
            return Ok(outcome);
        }
        Ok(Outcome::Refused(refusal))
    }
}
