//! Who has the file, and what they say of its pieces.

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::time::{Instant, timeout_at};

use super::Holder;
use super::event::Event;
use super::gather::Gather;
use super::hashes::Proof;
use crate::dht::id::Key;
use crate::overlay::Finding;
use crate::swarm::schedule::Source;
use crate::swarm::torrent::TorrentString;

/// Peers of one file. Those that come later are not needed.
const MOST_PEERS: usize = 64;

/// The share of its score that a peer has who refers to another torrent
/// string than most.
const SUSPICION: f64 = 0.5;

/// What a peer is worth that would not be asked if there were a mirror.
const LEAST: f64 = 0.01;

impl Gather<'_> {
    /// Asks who has the file, and waits a moment for the first of them.
    /// Whether it is worth going on.
    pub(super) async fn find(&mut self) -> bool {
        if self.target.is_small() && self.guess() {
            return true;
        }
        let Some(mut finding) = self.swarm.find(Key::of_hash(&self.target.sha256)) else {
            return false;
        };
        let deadline = Instant::now() + self.swarm.head_start();
        while self.holders.is_empty() {
            match timeout_at(deadline, finding.next()).await {
                Ok(Some(values)) => self.take_values(&values),
                Ok(None) => {
                    self.swarm.was_found(!self.holders.is_empty());
                    self.searching = false;
                    self.begun = Instant::now();
                    return !self.holders.is_empty();
                }
                Err(_) => break,
            }
        }
        self.swarm.was_found(!self.holders.is_empty());
        self.begun = Instant::now();
        self.search_on(finding);
        true
    }

    /// Takes a peer that probably has the file, where one is known.
    pub(super) fn guess(&mut self) -> bool {
        let now = self.fetch.core.now();
        let likely = self.swarm.likely(self.errand.url.origin(), now);
        let best = self.fetch.core.peers().ranked(&likely, now);
        let Some((contact, _)) = best.into_iter().find(|(_, score)| *score > 0.0) else {
            return false;
        };
        self.guessed = Some(self.schedule.add(0.0));
        self.holders.push(Holder { contact });
        self.rank();
        true
    }

    /// The peer that probably had the file does not send it: who else has it?
    pub(super) fn guessed_wrong(&mut self, source: Source) {
        if self.guessed != Some(source) {
            return;
        }
        self.guessed = None;
        let contact = self.holders[source].contact;
        self.swarm.is_unlikely(self.errand.url.origin(), contact);
        match self.swarm.find(Key::of_hash(&self.target.sha256)) {
            Some(finding) => self.search_on(finding),
            None => self.searching = false,
        }
    }

    pub(super) fn search_on(&mut self, mut finding: Finding) {
        self.events.push(Box::pin(async {
            let values = finding.next().await;
            Event::Found(values.map(|values| (values, finding)))
        }));
    }

    pub(super) fn take_values(&mut self, values: &[Vec<u8>]) {
        for value in values {
            let Some(value) = self.swarm.read(value) else {
                continue;
            };
            let known = |holder: &Holder| holder.contact == value.contact;
            let is_full = self.holders.len() >= MOST_PEERS;
            if is_full || self.holders.iter().any(known) {
                continue;
            }
            let source = self.schedule.add(0.0);
            self.holders.push(Holder {
                contact: value.contact,
            });
            self.references.add(source, value.pieces.as_ref());
        }
        self.rank();
    }

    /// What peers are worth by now. Where there is no mirror, even those that
    /// are busy or failed lately are asked.
    pub(super) fn rank(&mut self) {
        let now = self.fetch.core.now();
        let contacts: Vec<_> = self.holders.iter().map(|holder| holder.contact).collect();
        let peers = self.fetch.core.peers();
        let scores: HashMap<_, _> = peers.ranked(&contacts, now).into_iter().collect();
        let least = if self.front.refusal().is_some() {
            LEAST
        } else {
            0.0
        };
        for (source, contact) in contacts.iter().enumerate() {
            let least = if peers.is_liar(*contact, now) {
                0.0
            } else {
                least
            };
            let score = scores.get(contact).copied().unwrap_or(0.0);
            self.schedule.set_score(source, score.max(least));
        }
        if let Some(best) = self.references.best() {
            for source in self.references.others(&best.reference) {
                let score = scores.get(&contacts[source]).copied().unwrap_or(0.0);
                self.schedule.set_score(source, score * SUSPICION);
            }
        }
    }

    pub(super) fn fetch_hashes(&mut self) {
        if self.fetching.is_some() || !matches!(self.proof, Proof::None) {
            return;
        }
        let Some(best) = self.references.best() else {
            return;
        };
        self.fetching = Some(best.reference);
        if let Some(torrent) = best.torrent.clone() {
            self.take_torrent(torrent);
            return;
        }
        let (swarm, target, reference) = (self.swarm, self.target, best.reference);
        let supporters = self.best_first(&best.supporters);
        self.events.push(Box::pin(async move {
            let (torrent, liars) = swarm.torrent(reference, target, supporters).await;
            Event::Torrent(reference, torrent, liars)
        }));
    }

    pub(super) fn best_first(&self, sources: &[Source]) -> Vec<(Source, SocketAddr)> {
        let contact = |source: &Source| (*source, self.holders[*source].contact);
        let of: Vec<_> = sources.iter().map(contact).collect();
        let contacts: Vec<_> = of.iter().map(|(_, contact)| *contact).collect();
        let ranked = self
            .fetch
            .core
            .peers()
            .ranked(&contacts, self.fetch.core.now());
        let source = |contact| of.iter().find(|(_, other)| *other == contact).copied();
        ranked
            .into_iter()
            .filter_map(|(contact, _)| source(contact))
            .collect()
    }

    pub(super) fn take_torrent(&mut self, torrent: TorrentString) {
        self.fetching = None;
        self.proof = Proof::Torrent(torrent);
        self.sample();
    }

    pub(super) fn torrent(
        &mut self,
        reference: [u8; 20],
        torrent: Option<TorrentString>,
        liars: &[Source],
    ) {
        for source in liars {
            self.blame(self.holders[*source].contact, None);
        }
        if let Some(torrent) = torrent.filter(|torrent| self.references.fits(torrent)) {
            return self.take_torrent(torrent);
        }
        self.fetching = None;
        self.references.dismiss(&reference);
    }
}
