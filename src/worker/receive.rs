//! One answer's body: into the store, to whoever follows, and on again where
//! it broke off.

pub(super) mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use futures_util::poll;

use self::stream::{Next, OriginStream};
use super::errand::Errand;
use crate::clock::Millis;
use crate::core::{Core, CoreError};
use crate::db::refusal::Kind as Refusal;
use crate::db::torrent::TorrentRow;
use crate::db::url::UrlRow;
use crate::debian::digest::Digest;
use crate::debian::naming::{Naming, to_hex};
use crate::debian::url::RepoUrl;
use crate::store::budget::{NoRoom, Room};
use crate::store::disk::Temp;
use crate::store::flight::State;
use crate::store::growing::{Break, End, Growing, Whence};
use crate::store::hot::{Described, Entry};
use crate::store::incoming::{Incoming, Received as Arrived, WriteError};
use crate::store::mapped::MappedFile;
use crate::swarm::torrent::{PIECE, TorrentString};
use crate::upstream::{Answer, Upstream};
use crate::validators::Validators;

/// Room that a body of unknown length takes at a time, in bytes.
const STEP: u64 = 4 * 1024 * 1024;

/// Up to this size, in bytes, a body that an origin without validators sends
/// again is first compared with the stored one, so that clients that have it
/// hear "not modified".
const COMPARED: u64 = 16 * 1024 * 1024;

/// Up to this size, in bytes, a body that other origins have too is not shown
/// before it is proved.
pub(super) const HELD: u64 = 4 * 1024 * 1024;

/// But for no longer than this.
pub(super) const HELD_FOR: Duration = Duration::from_secs(1);

/// What came of an answer.
pub(super) enum Received {
    /// It is in the store, rows included.
    Stored(Arc<Entry>),
    /// It is what was stored before.
    Same(Arc<Entry>),
    /// It can't be kept.
    Uncached,
    /// It never came whole, or not right, and why.
    Failed(String),
}

/// Why a body did not come whole.
enum Cut {
    Origin(String),
    /// The writer gave up; it says why when it is finished.
    Writer,
    NoRoom,
}

/// One body on its way in.
struct Body<'a> {
    temp: Temp,
    growing: Arc<Growing>,
    /// Whether it can be told from one that was cut short.
    provable: bool,
    /// The stored copy that it may be the same as.
    compared: Option<&'a Arc<Entry>>,
}

/// Receives one answer.
pub(super) struct Receiver<'a> {
    pub core: &'a Arc<Core>,
    pub upstream: &'a Upstream,
    pub errand: &'a Errand<'a>,
    pub said: Validators,
    /// When the origin was asked: the body is no younger than that.
    pub asked_at: Millis,
    /// Whether other nodes may get it from this one.
    pub shares: bool,
    /// Who sent it, and what of it.
    pub whence: Whence,
}

impl Receiver<'_> {
    pub(super) async fn receive(
        self,
        origin: &RepoUrl,
        answer: Answer,
    ) -> Result<Received, CoreError> {
        let total = length_of(&answer);
        if let Some(total) = total
            && !self.errand.plan.allows_size(total)
        {
            let what = format!("it has {total} bytes, which is another length");
            return Ok(self.mismatch(origin, &what).await);
        }
        let Ok(room) = self.core.budget.promise(total.unwrap_or(STEP)).await else {
            return Ok(Received::Uncached);
        };
        self.fill(origin, answer, total, room).await
    }

    async fn fill(
        &self,
        origin: &RepoUrl,
        answer: Answer,
        total: Option<u64>,
        mut room: Room,
    ) -> Result<Received, CoreError> {
        let temp = Temp::new(&self.core.disk);
        // On its way to the database while the file is made.
        let mut noted = Box::pin(self.note(temp.name().to_owned(), total));
        let noted_already = poll!(noted.as_mut()).is_ready();
        let file = match temp.create() {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, "no file can be made in the cache: bodies pass through uncached");
                if !noted_already {
                    noted.await;
                }
                return Ok(Received::Uncached);
            }
        };
        let growing = Growing::new(Described::new(&self.said), total, MappedFile::new(file));
        let plan = &self.errand.plan;
        let shares = self.shares && plan.is_known() && total.is_none_or(|total| total > PIECE);
        let incoming = Incoming::start(Arc::clone(&growing), plan.digest(), shares);
        let elsewhere = plan.is_known()
            && plan
                .sources
                .iter()
                .any(|other| other.origin() != origin.origin());
        if elsewhere && total.is_some_and(|total| total <= HELD) {
            growing.hold();
        }
        let body = Body {
            temp,
            // A body that ends with its connection can't be told from one cut
            // short, unless its name says what it should be.
            provable: total.is_some() || is_chunked(&answer) || plan.is_known(),
            compared: self.worth_comparing(total),
            growing,
        };
        if body.compared.is_none() {
            let streaming = State::Streaming(Arc::clone(&body.growing));
            self.errand.flight.tell(streaming);
        }
        let noted = async {
            if !noted_already {
                noted.await;
            }
            body.growing.noted();
            if !plan.is_known() {
                body.growing.proved();
            }
        };
        let stream = self.stream(origin, answer, total);
        let pumped = self.pump(stream, &mut room, &incoming);
        let ((), pumped) = tokio::select! {
            both = async { tokio::join!(noted, pumped) } => both,
            never = unhold_in_time(&body.growing) => match never {},
        };
        let finished = incoming.finish_if(pumped.is_ok()).await;
        match (pumped, finished) {
            (Ok(()), Ok(bytes)) => self.whole(origin, body, room, &bytes).await,
            (Err(Cut::Origin(why)), _) => {
                body.growing.end(End::Broken(Break::Upstream));
                Ok(Received::Failed(why))
            }
            (_, Err(error @ (WriteError::Changed | WriteError::TooLong(_)))) => {
                body.growing.end(End::Broken(Break::Upstream));
                tracing::warn!(url = self.errand.url.key(), %error, "a download is given up");
                Ok(Received::Failed(error.to_string()))
            }
            (pumped, finished) => {
                let no_room = matches!(pumped, Err(Cut::NoRoom));
                let why = finished
                    .err()
                    .filter(|_| !no_room)
                    .map(|error| error.to_string());
                let why = why.unwrap_or_else(|| NoRoom.to_string());
                tracing::warn!(
                    url = self.errand.url.key(),
                    error = why,
                    "a body passes through uncached"
                );
                body.growing.end(End::Broken(Break::StoreFull));
                Ok(Received::Uncached)
            }
        }
    }

    /// Everything came and is durable: it is kept if it is what it should be.
    async fn whole(
        &self,
        origin: &RepoUrl,
        body: Body<'_>,
        room: Room,
        bytes: &Arrived,
    ) -> Result<Received, CoreError> {
        let growing = body.growing;
        if !bytes.as_vouched || !self.errand.plan.allows(bytes.sha256, bytes.size) {
            growing.end(End::Broken(Break::Wrong));
            return Ok(self
                .mismatch(
                    origin,
                    &format!("its bytes have the hash {}", to_hex(&bytes.sha256)),
                )
                .await);
        }
        if let Some(stored) = body.compared.filter(|stored| stored.sha256 == bytes.sha256) {
            return Ok(Received::Same(Arc::clone(stored)));
        }
        let received = if body.provable {
            self.place(body.temp, bytes, room).await
        } else {
            Ok(Received::Uncached)
        };
        if let Ok(Received::Stored(entry)) = &received {
            self.core.learn(entry).await;
        }
        growing.proved();
        growing.end(End::Whole);
        received
    }

    /// The origin sent another file than it should have.
    async fn mismatch(&self, origin: &RepoUrl, what: &str) -> Received {
        if !matches!(Naming::of(self.errand.url.path()), Naming::ByHash(_)) {
            self.core.doubt(self.errand.url).await;
        }
        let wanted = self
            .errand
            .plan
            .digest()
            .map_or_else(String::new, |digest| {
                format!(", not {} {}", digest.algorithm(), digest.to_hex())
            });
        let reason = format!("{what}{wanted}");
        self.core
            .note_refusal(Refusal::Mismatch, origin, &reason)
            .await;
        Received::Failed(format!(
            "{origin} is not the file that it should be: {reason}"
        ))
    }

    /// The stored copy, where the body may well be the same and the origin has
    /// no way to say so.
    fn worth_comparing(&self, total: Option<u64>) -> Option<&Arc<Entry>> {
        self.errand.stored.as_ref().filter(|stored| {
            !self.said.from_origin() && total == Some(stored.size) && stored.size <= COMPARED
        })
    }

    pub(super) async fn note(&self, temp: String, size: Option<u64>) {
        let Some(size) = size else {
            return;
        };
        let (id, lease) = (self.errand.claim.id, self.errand.claim.lease);
        if let Err(error) = self
            .core
            .db
            .note_answer(id, lease, &temp, size, &self.said)
            .await
        {
            tracing::warn!(url = self.errand.url.key(), %error, "a download can't be noted and would not survive a crash");
        }
    }

    pub(super) async fn place(
        &self,
        temp: Temp,
        bytes: &Arrived,
        room: Room,
    ) -> Result<Received, CoreError> {
        let (sha256, size) = (bytes.sha256, bytes.size);
        let row = UrlRow {
            url: self.errand.url.key().to_owned(),
            file_id: 0,
            sha256,
            size,
            validators: self.said.clone(),
            checked_at: self.asked_at,
            index_changed_at: 0,
            proof: self
                .errand
                .plan
                .digest()
                .filter(|digest| !matches!(digest, Digest::Sha256(_))),
        };
        // Known before a client finds the file.
        self.core.expected.came(&row.url, &self.whence);
        let vouched = self.errand.plan.is_known();
        let placed = self
            .core
            .place(
                temp,
                (row, vouched),
                self.errand.claim.id,
                self.errand.claim.lease,
            )
            .await?;
        let Some((entry, new)) = placed else {
            return Ok(Received::Uncached);
        };
        if new {
            room.keep(size);
        }
        if self
            .errand
            .stored
            .as_ref()
            .is_some_and(|stored| stored.sha256 != sha256)
            && self.errand.url.path().contains("/dists/")
        {
            // An index changed: entries in memory don't know it yet, their rows do.
            self.core.hot.clear();
        }
        if let Some(torrent) = &bytes.torrent {
            self.keep_torrent(&entry, torrent).await;
        }
        if self.shares && self.errand.plan.target() == Some((sha256, size)) {
            self.core.fresh.came(sha256);
        }
        Ok(Received::Stored(entry))
    }

    /// The hashes of the pieces, which others will ask for. Without them the
    /// file would be read again.
    async fn keep_torrent(&self, entry: &Entry, torrent: &TorrentString) {
        if torrent.count() < 2 {
            return;
        }
        let row = TorrentRow {
            sha1: torrent.reference(),
            file: entry.sha256,
            size: entry.size,
            body: torrent.encode(),
        };
        if let Err(error) = self.core.db.add_torrent(&row).await {
            tracing::warn!(url = entry.key, %error, "the hashes of a file's pieces can't be written down");
        }
    }

    fn stream(&self, origin: &RepoUrl, answer: Answer, total: Option<u64>) -> OriginStream {
        let whence = (self.core, self.upstream);
        OriginStream::new(whence, (origin, &self.said), answer, (0, total))
    }

    /// Moves the body from the origin to the writer.
    async fn pump(
        &self,
        mut stream: OriginStream,
        room: &mut Room,
        incoming: &Incoming,
    ) -> Result<(), Cut> {
        loop {
            let next = stream.next().await.map_err(Cut::Origin)?;
            let goes_on = match next {
                Next::Bytes(bytes) => {
                    self.make_room(stream.at, room).await?;
                    incoming.push(bytes).await
                }
                Next::Rewound => incoming.rewind().await,
                Next::End => return Ok(()),
            };
            if !goes_on {
                return Err(Cut::Writer);
            }
        }
    }

    async fn make_room(&self, at: u64, room: &mut Room) -> Result<(), Cut> {
        while at > room.size() {
            let more = self
                .core
                .budget
                .promise(STEP)
                .await
                .map_err(|_| Cut::NoRoom)?;
            room.absorb(more);
        }
        Ok(())
    }
}

async fn unhold_in_time(growing: &Growing) -> Infallible {
    tokio::time::sleep(HELD_FOR).await;
    growing.unhold();
    std::future::pending().await
}

pub(super) fn length_of(answer: &Answer) -> Option<u64> {
    answer.header(CONTENT_LENGTH)?.parse().ok()
}

fn is_chunked(answer: &Answer) -> bool {
    answer
        .header(TRANSFER_ENCODING)
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
}
