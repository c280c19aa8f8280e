//! Who has the file, and what they say of its pieces.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::net::SocketAddr;

use futures_util::stream::StreamExt;
use tokio::time::{Instant, sleep_until};

use super::Holder;
use super::event::Event;
use super::gather::Gather;
use super::hashes::Proof;
use super::lan::{ANSWER, Asking};
use crate::dht::id::Key;
use crate::overlay::Finding;
use crate::swarm::schedule::Source;
use crate::swarm::torrent::TorrentString;
use crate::upstream::peer::Word;

/// Peers of one file. Those that come later are not needed.
const MOST_PEERS: usize = 64;

/// The share of its score that a peer has who refers to another torrent
/// string than most.
const SUSPICION: f64 = 0.5;

/// The longest file, in bytes, that is taken from a neighbour without a look
/// at the mirror's.
const CHEAP: u64 = 8 * 1024 * 1024;

/// What a peer is worth that would not be asked if there were a mirror.
const LEAST: f64 = 0.01;

/// What comes of something, or never anything where there is nothing.
async fn some<F: Future>(of: Option<F>) -> F::Output {
    match of {
        Some(of) => of.await,
        None => pending().await,
    }
}

impl Gather<'_> {
    /// Finds somebody who has the file, or probably has. Whether it is worth
    /// going on.
    pub(super) async fn find(&mut self) -> bool {
        if self.target.is_small() && self.guess() {
            return true;
        }
        let is_found = self.search().await;
        self.begun = Instant::now();
        self.help.begin(0);
        is_found
    }

    /// Asks neighbours and the DHT who has the file, and waits a moment for
    /// the first of them; or for a neighbour that is about to have it. Whether
    /// it is worth going on.
    pub(super) async fn search(&mut self) -> bool {
        let (core, began) = (&self.fetch.core, Instant::now());
        let mut asking = self.swarm.ask_neighbours(core, self.target);
        let mut finding = self.swarm.find(Key::of_hash(&self.target.sha256));
        let asks_dht = finding.is_some();
        let (heard_by, found_by) = (began + ANSWER, began + self.swarm.head_start());
        let (mut heard, mut is_decided) = (Vec::new(), false);
        let mut awaited = None;
        while !self.has_others() {
            let is_due = |by: Instant| by <= Instant::now();
            let listens = asking.is_some() && !is_due(heard_by);
            let finds = finding.is_some() && !is_due(found_by);
            if !listens && !is_decided {
                is_decided = true;
                // What has begun to come is not waited for.
                let may_wait = self.body.is_none() && !self.front.is_open();
                let leader = may_wait.then(|| self.follow(&heard)).flatten();
                awaited = leader.map(|leader| (leader.contact, Box::pin(self.wait_for(leader))));
            }
            if !listens && !finds && awaited.is_none() {
                break;
            }
            let until = match (listens, finds) {
                (true, _) => Some(heard_by),
                (false, true) => Some(found_by),
                (false, false) => None,
            };
            tokio::select! {
                word = some(asking.as_mut().map(Asking::next)) => match word {
                    Some(word) => match word.word {
                        Word::Has(torrent) => self.is_near(word.contact, torrent),
                        Word::Coming(_) | Word::Missing => heard.push(word),
                    },
                    None => asking = None,
                },
                values = some(finding.as_mut().map(Finding::next)) => match values {
                    Some(values) => self.take_values(&values),
                    None => finding = None,
                },
                came = some(awaited.as_mut().map(|(_, came)| came)) => {
                    let leader = awaited.take().map(|(leader, _)| leader);
                    if let (Some(torrent), Some(leader)) = (came, leader) {
                        self.is_near(leader, torrent);
                    }
                }
                Some(came) = self.parts.next() => {
                    self.came = Some(came);
                    break;
                }
                Some(event) = self.events.next() => self.backlog.push(event),
                () = some(until.map(sleep_until)) => {}
            }
        }
        if let Some(arrival) = &self.errand.arrival {
            arrival.fetch();
        }
        let found = !self.holders.is_empty();
        let is_by_neighbour = self.holders.iter().any(|holder| holder.is_near);
        if asks_dht && !is_by_neighbour {
            self.swarm.was_found(found);
        }
        if let Some(finding) = finding {
            self.search_on(finding);
        }
        if let Some(asking) = asking {
            self.listen_on(asking);
        }
        let may_hear = self.searching.on_link && !self.target.is_small();
        self.has_others() || self.searching.in_dht || may_hear
    }

    /// Asks neighbours and the DHT who else has the file, while it comes.
    pub(super) fn search_beside(&mut self) {
        if let Some(asking) = self.swarm.ask_neighbours(&self.fetch.core, self.target) {
            self.listen_on(asking);
        }
        if let Some(finding) = self.swarm.find(Key::of_hash(&self.target.sha256)) {
            self.search_on(finding);
        }
    }

    /// Whether somebody but who was guessed in vain has the file.
    fn has_others(&self) -> bool {
        self.holders.len() > self.lost
    }

    /// Takes a peer that probably has the file, where one is known.
    pub(super) fn guess(&mut self) -> bool {
        let now = self.fetch.core.now();
        let mut likely = self.swarm.likely(self.errand.url.origin(), now);
        let near: HashSet<_> = (self.fetch.core.neighbours().all())
            .map(|(_, contact)| contact)
            .collect();
        // A neighbour that left is no better than any private address.
        likely.retain(|contact| near.contains(contact) || self.swarm.may_ask(contact));
        let best = self.fetch.core.peers().ranked(&likely, now);
        let Some((contact, _)) = best.into_iter().find(|(_, score)| *score > 0.0) else {
            return false;
        };
        self.guessed = Some(self.schedule.add(0.0));
        self.holders.push(Holder {
            contact,
            is_near: false,
        });
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
        self.lost = 1;
        self.is_lost = true;
    }

    pub(super) fn search_on(&mut self, mut finding: Finding) {
        self.searching.in_dht = true;
        self.events.push(Box::pin(async {
            let values = finding.next().await;
            Event::Found(values.map(|values| (values, finding)))
        }));
    }

    pub(super) fn listen_on(&mut self, mut asking: Asking) {
        self.searching.on_link = true;
        self.events.push(Box::pin(async {
            let heard = asking.next().await;
            Event::Heard(heard.map(|heard| (heard, asking)))
        }));
    }

    /// Whether somebody is known to have the file there.
    pub(super) fn is_holder(&self, contact: SocketAddr) -> bool {
        let mut others = self.holders.iter().skip(self.lost);
        others.any(|holder| holder.contact == contact)
    }

    pub(super) fn take_values(&mut self, values: &[Vec<u8>]) {
        for value in values {
            let Some(value) = self.swarm.read(value) else {
                continue;
            };
            let is_full = self.holders.len() >= MOST_PEERS;
            if is_full || self.is_holder(value.contact) {
                continue;
            }
            let source = self.schedule.add(0.0);
            self.holders.push(Holder {
                contact: value.contact,
                is_near: false,
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
        if !self.is_cheap() {
            self.sample();
        }
    }

    /// Whether a neighbour stands for the torrent string of a file so short
    /// that, should it be false, fetching it again costs next to nothing.
    fn is_cheap(&self) -> bool {
        let best = self.references.best();
        let mut supporters = best.into_iter().flat_map(|best| &best.supporters);
        self.target.size <= CHEAP && supporters.any(|source| self.holders[*source].is_near)
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
