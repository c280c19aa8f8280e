//! The body of a download that comes in parts.

use std::sync::Arc;

use crate::clock::Millis;
use crate::core::CoreError;
use crate::store::budget::Room;
use crate::store::disk::Temp;
use crate::store::growing::{Break, Came, End, Growing};
use crate::store::hot::{Described, Entry};
use crate::store::incoming::{Incoming, WriteError};
use crate::store::mapped::MappedFile;
use crate::swarm::torrent::TorrentString;
use crate::validators::Validators;
use crate::worker::errand::Errand;
use crate::worker::fetch_file::FetchFile;
use crate::worker::receive::{HELD, Received, Receiver};

use super::Target;

/// A body on its way, and what is said of it.
pub(super) struct Body {
    pub temp: Temp,
    pub growing: Arc<Growing>,
    pub incoming: Incoming,
    pub room: Room,
    pub said: Validators,
    pub asked_at: Millis,
    /// Whether the writer gave up; it says why when it is finished.
    pub is_failed: bool,
}

/// How a body ended.
pub(super) enum Finished {
    /// It is what it should be, and has its rows.
    Stored(Arc<Entry>, Option<TorrentString>),
    /// It is another file: readers were cut off before its end.
    Wrong(Temp, Arc<Growing>),
    /// It can't be kept.
    Uncached,
}

impl Body {
    /// Room and a file for it; `None` where there is neither.
    pub(super) async fn begin(
        fetch: &FetchFile,
        errand: &Errand<'_>,
        target: Target,
        (said, asked_at): (Validators, Millis),
        came: Came,
    ) -> Option<Self> {
        let room = fetch.core.budget.promise(target.size).await.ok()?;
        let temp = Temp::of_parts(&fetch.core.disk);
        let file = temp.create().inspect_err(|error| {
            tracing::warn!(%error, "no file can be made in the cache: bodies pass through uncached");
        });
        let total = Some(target.size);
        let growing = Growing::new(Described::new(&said), total, MappedFile::new(file.ok()?));
        growing.came_from(came);
        // A mirror may be wrong, and peers right.
        if came == Came::Mirror && target.size <= HELD {
            growing.hold();
        }
        let is_shared_in_pieces = !target.is_small();
        let digest = errand.plan.digest();
        let incoming = Incoming::start(Arc::clone(&growing), digest, is_shared_in_pieces);
        Some(Self {
            temp,
            growing,
            incoming,
            room,
            said,
            asked_at,
            is_failed: false,
        })
    }

    /// Everything came: makes it durable, looks whether it is right, and
    /// writes its rows.
    ///
    /// # Errors
    /// Where rows can't be written; readers are told that it is not kept.
    pub(super) async fn finish(
        self,
        fetch: &FetchFile,
        errand: &Errand<'_>,
    ) -> Result<Finished, CoreError> {
        let growing = self.growing;
        let bytes = match self.incoming.finish_if(true).await {
            Ok(bytes) if bytes.as_vouched && errand.plan.allows(bytes.sha256, bytes.size) => bytes,
            Ok(_) | Err(WriteError::Changed | WriteError::TooLong(_)) => {
                growing.end(End::Broken(Break::Wrong));
                return Ok(Finished::Wrong(self.temp, growing));
            }
            Err(error) => {
                tracing::warn!(url = errand.url.key(), %error, "a body passes through uncached");
                growing.end(End::Broken(Break::StoreFull));
                return Ok(Finished::Uncached);
            }
        };
        let receiver = Receiver {
            core: &fetch.core,
            upstream: &fetch.upstream,
            errand,
            said: self.said,
            asked_at: self.asked_at,
            shares: true,
            whence: growing.whence(),
        };
        let placed = receiver.place(self.temp, &bytes, self.room).await;
        let finished = match (placed, bytes.torrent) {
            (Ok(Received::Stored(entry)), torrent) => {
                fetch.core.learn(&entry).await;
                Ok(Finished::Stored(entry, torrent))
            }
            (Err(error), _) => Err(error),
            _ => Ok(Finished::Uncached),
        };
        // Rows speak of it by now, whether its note was written or not.
        growing.noted();
        growing.proved();
        growing.end(End::Whole);
        finished
    }
}
