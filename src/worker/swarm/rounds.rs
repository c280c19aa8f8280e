//! A file without usable piece hashes, in rounds; and what is done once a file
//! turned out wrong.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::gather::{Gather, Pending};
use super::hashes::print_of;
use super::ledger::Ledger;
use super::pieces::peer;
use super::store::Store;
use super::{Holder, Target};
use crate::core::{Core, CoreError};
use crate::db::piece::PieceState;
use crate::meter::Kind;
use crate::store::flight::{Course, Refusal};
use crate::store::growing::{Break, Came, End};
use crate::swarm::blame::{Evidence, PieceHash, Source};
use crate::swarm::rounds::{Ask, Rounds, Step};
use crate::swarm::torrent::TorrentString;
use crate::upstream::peer::{Part, PeerError, Peers, Wanted};
use crate::worker::errand::Errand;
use crate::worker::fetch_file::{FetchFile, Outcome, worse};

/// Requests in flight.
const IN_FLIGHT: usize = 8;

/// Peers that are asked: each piece may come in as many forms, and all are kept.
const MOST_PEERS: usize = 8;

/// Failures after which a peer is asked no more.
const FAILURES: u32 = 2;

impl Gather<'_> {
    /// Peers, or the mirror, said what turned out false. Whoever follows the
    /// body is cut off before its end, and the file is made anew.
    pub(super) async fn distrust(&mut self) -> Result<Option<Outcome>, CoreError> {
        let url = self.errand.url.key();
        tracing::warn!(
            url,
            "what peers say of a file's pieces is not what its mirror sends"
        );
        if let Some(body) = self.body.take() {
            body.growing.end(End::Broken(Break::Wrong));
            self.wrong = Some((body.temp, body.growing));
        }
        self.repair().await.map(Some)
    }

    /// Clients may have wrong bytes: what they get from now on is another
    /// version.
    pub(super) fn is_spoilt(&self) {
        self.errand.is_repair.store(true, Ordering::Relaxed);
        let told = self.errand.told.load(Ordering::Relaxed);
        self.fetch.core.spoilt.note(self.errand.url.key(), told);
    }

    /// The whole file was wrong: from the mirror, or else in rounds.
    pub(super) async fn repair(&mut self) -> Result<Outcome, CoreError> {
        let url = self.errand.url.key();
        tracing::warn!(
            url,
            "a file from peers is not what it should be: it is made anew"
        );
        self.is_spoilt();
        self.errand.flight.take_course(Course::InOrder);
        self.events.clear();
        match self.ask_mirror_for_all().await? {
            Outcome::Refused(refusal) => match self.in_rounds().await? {
                Some(outcome) => Ok(outcome),
                None => Ok(Outcome::Refused(refusal)),
            },
            outcome => Ok(outcome),
        }
    }

    /// The whole file from the mirror. What peers are still sending meanwhile
    /// is compared with it.
    async fn ask_mirror_for_all(&mut self) -> Result<Outcome, CoreError> {
        let mut parts = std::mem::take(&mut self.parts);
        let mut came = Vec::new();
        let asking = ask_origins(self.fetch, self.errand);
        let late = async {
            while let Some((ask, part)) = parts.next().await {
                if let Some(Ok(part)) = part {
                    came.push((ask, print_of(&part.bytes)));
                }
            }
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            outcome = asking => outcome?,
            never = late => match never {},
        };
        for (ask, hash) in came {
            self.note_evidence(peer(ask.source), ask.piece, hash);
        }
        if let Outcome::Stored(entry, _) = &outcome {
            let row = self.fetch.core.db.torrent_of(&entry.sha256).await?;
            if let Some(body) = row
                && let Ok(truth) = TorrentString::decode(&body, Some(entry.size))
            {
                self.judge(&truth);
            }
        }
        Ok(outcome)
    }

    /// Fetches the file in rounds from peers alone. `None` where that does not
    /// make it.
    pub(super) async fn in_rounds(&mut self) -> Result<Option<Outcome>, CoreError> {
        if let Some((temp, growing)) = self.wrong.take() {
            let target = self.target;
            self.store.lend(&growing, Some(temp), target, &self.kept)?;
        }
        // A wrong piece that was thrown away can't be put together again, and
        // its sender has to be asked once more: it may have been right.
        let mut before = Evidence::new();
        for came in self.evidence.deliveries() {
            if self.store.knows(came.piece, came.hash) {
                before.note(*came);
            }
        }
        let peers = self.in_standing();
        let mut rounds = Rounds::new(self.schedule.count(), &peers, false, &before);
        let mut turns = Turns {
            core: &self.fetch.core,
            peers: &self.swarm.peers,
            target: self.target,
            holders: self.holders.clone(),
            store: std::mem::take(&mut self.store),
            download: (self.errand.claim.id, self.errand.claim.lease),
            ledger: Ledger::default(),
        };
        let Some(truth) = turns.drive(&mut rounds).await? else {
            return Ok(None);
        };
        let store = turns.store;
        let news = rounds.evidence().deliveries().iter();
        for delivery in news.skip(before.deliveries().len()) {
            self.evidence.note(*delivery);
        }
        let said = self.errand.of_version(self.said.clone());
        let now = self.fetch.core.now();
        if !self.begin(said, now, Came::Peers).await {
            return Ok(Some(Outcome::Uncached));
        }
        for (piece, hash) in truth.into_iter().enumerate() {
            let Some(bytes) = store.read(piece, hash).await? else {
                break;
            };
            let (at, _) = self.target.range_of(piece);
            self.write(at, bytes, Came::Peers).await;
        }
        Box::pin(self.finish()).await.map(Some)
    }

    /// The peers that may be asked, the best first.
    pub(super) fn in_standing(&self) -> Vec<u32> {
        let now = self.fetch.core.now();
        let contacts: Vec<_> = self.holders.iter().map(|holder| holder.contact).collect();
        let peers = self.fetch.core.peers();
        let ranked = peers.ranked(&contacts, now);
        let place = |contact| contacts.iter().position(|other| *other == contact);
        ranked
            .into_iter()
            .filter(|(contact, _)| !peers.is_liar(*contact, now))
            .filter_map(|(contact, _)| u32::try_from(place(contact)?).ok())
            .take(MOST_PEERS)
            .collect()
    }
}

async fn ask_origins(fetch: &FetchFile, errand: &Errand<'_>) -> Result<Outcome, CoreError> {
    let mut refusal = None;
    for origin in fetch.in_order(&errand.plan) {
        match fetch.ask(errand, &origin).await? {
            Outcome::Refused(next) => refusal = Some(worse(refusal, next)),
            outcome => return Ok(outcome),
        }
    }
    let nobody = || Refusal::own_fault("no peer sends the file that it should be");
    Ok(Outcome::Refused(refusal.unwrap_or_else(nobody)))
}

/// What rounds are driven with.
struct Turns<'a> {
    core: &'a Arc<Core>,
    peers: &'a Peers,
    target: Target,
    holders: Vec<Holder>,
    store: Store,
    download: (i64, i64),
    ledger: Ledger,
}

impl Turns<'_> {
    /// Does what the rounds want done. Answers what the file is made of.
    async fn drive(&mut self, rounds: &mut Rounds) -> Result<Option<Vec<PieceHash>>, CoreError> {
        let received = self.ledger.received();
        let mut under_way = FuturesUnordered::new();
        let mut failures: HashMap<Source, u32> = HashMap::new();
        loop {
            while under_way.len() < IN_FLIGHT {
                match rounds.step() {
                    Step::Ask(ask) => {
                        self.note(ask, PieceState::Running, None);
                        under_way.push(ask_in_round(
                            (self.core, self.peers),
                            (ask, self.holder_of(ask)),
                            self.target.part(ask.piece),
                            &received,
                        ));
                    }
                    Step::Test(hashes) => {
                        let passed = self.store.test(self.target, &hashes).await?;
                        rounds.tested(passed);
                        if passed {
                            return Ok(Some(hashes));
                        }
                    }
                    Step::Wait => break,
                    Step::Obtained | Step::NotObtained => return Ok(None),
                }
            }
            let Some((ask, result)) = under_way.next().await else {
                return Ok(None);
            };
            let (fresh, _) = self.ledger.count();
            self.core.meters.add(Kind::FromPeers, fresh);
            self.write_rows().await;
            match result {
                Ok(part) => {
                    let hash = print_of(&part.bytes);
                    self.note(ask, PieceState::Unproved, Some(hash));
                    let form = (ask.piece, hash);
                    if !self.store.put(self.core, form, part.bytes).await? {
                        return Ok(None);
                    }
                    rounds.delivered(ask, hash);
                }
                Err(error) => {
                    self.note(ask, PieceState::Failed, None);
                    let failed = failures.entry(ask.source).or_default();
                    *failed += 1;
                    if error == PeerError::Missing || *failed >= FAILURES {
                        rounds.lost(ask.source);
                    } else {
                        rounds.failed(ask);
                    }
                }
            }
        }
    }

    fn note(&mut self, ask: Ask, state: PieceState, sha1: Option<PieceHash>) {
        let contact = self.holder_of(ask).map(|holder| holder.contact);
        let assignment = (ask.piece, ask.round);
        self.ledger
            .note(assignment, contact, state, sha1, self.core.now());
    }

    async fn write_rows(&mut self) {
        let Some(rows) = self.ledger.many() else {
            return;
        };
        let (id, lease) = self.download;
        if let Err(error) = self.core.db.write_pieces(id, lease, &rows).await {
            tracing::debug!(%error, "pieces can't be written down");
        }
    }

    fn holder_of(&self, ask: Ask) -> Option<Holder> {
        match ask.source {
            Source::Peer(peer) => self.holders.get(peer as usize).copied(),
            Source::Mirror => None,
        }
    }
}

async fn ask_in_round(
    (core, peers): (&Arc<Core>, &Peers),
    (ask, holder): (Ask, Option<Holder>),
    wanted: Wanted,
    received: &Arc<AtomicU64>,
) -> (Ask, Result<Part, PeerError>) {
    let Some(Holder { contact, .. }) = holder else {
        return (ask, Err(PeerError::Missing));
    };
    let _pending = Pending::begin(core, contact);
    let result = peers.part(contact, &wanted, received).await;
    if let Err(error) = &result {
        let now = core.now();
        core.peers().failed(contact, &error.to_string(), now);
    }
    (ask, result)
}
