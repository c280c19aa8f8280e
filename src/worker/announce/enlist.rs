//! Which files have a row, and what else the rows have to keep up with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Announce;
use crate::clock::{jittered, millis};
use crate::core::Core;
use crate::db::DbError;
use crate::db::announcement::Enlisted;

/// How often it is looked whether there are other files to announce.
const ROUND: Duration = Duration::from_secs(10);

/// And at most: a file that just came is looked at sooner.
const SHORTEST: Duration = Duration::from_secs(1);

/// A look that read many rows is followed by a pause so many times as long.
const REST: u32 = 20;

/// How often torrent strings without a file are looked for, and files that
/// were announced at an address that is no longer ours.
const TIDY: Duration = Duration::from_mins(10);

/// What the last look found.
#[derive(Default)]
pub(super) struct Seen {
    mark: Option<String>,
    contact: Option<SocketAddr>,
    /// The address that all rows were compared with.
    compared: Option<SocketAddr>,
    tidied: Option<Instant>,
}

/// Keeps the rows in step with the files in the store, with what indexes say
/// and, where files are announced in the DHT, with our own address, until
/// cancelled.
pub async fn enlist(core: Arc<Core>, work: Option<Arc<Announce>>, stop: CancellationToken) {
    let mut seen = Seen::default();
    loop {
        let began = Instant::now();
        let looked = match &work {
            Some(work) => work.look(&mut seen).await,
            None => seen.rows_of(&core).await.map(drop),
        };
        if let Err(error) = looked {
            tracing::warn!(%error, "it can't be found out which files to announce");
        }
        let pause = SHORTEST.max(began.elapsed() * REST);
        let rung = async {
            tokio::time::sleep(pause).await;
            core.placed.notified().await;
        };
        tokio::select! {
            () = rung => {}
            () = tokio::time::sleep(jittered(ROUND).max(pause)) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Seen {
    /// Sees which files have a row; `None` where nothing changed since the
    /// last look.
    pub(super) async fn rows_of(&mut self, core: &Core) -> Result<Option<Enlisted>, DbError> {
        // Read before the rows that it is about: what changes in between makes
        // it another one for the next look.
        let mark = core.db.announceable_mark().await?;
        if self.mark.as_ref() == Some(&mark) {
            return Ok(None);
        }
        let enlisted = core.db.enlist(core.now()).await;
        // What lost its row is not shared any more; where that failed, a part
        // of it may be done.
        if enlisted.as_ref().map_or(true, |rows| rows.removed > 0) {
            core.shares.clear();
        }
        self.mark = Some(mark).filter(|_| enlisted.is_ok());
        enlisted.map(Some)
    }
}

impl Announce {
    pub(super) async fn look(&self, seen: &mut Seen) -> Result<(), DbError> {
        let (db, now) = (&self.core.db, self.core.now());
        if let Some(enlisted) = seen.rows_of(&self.core).await? {
            self.set_pace(enlisted.files);
            if enlisted.added > 0 {
                tracing::debug!(files = enlisted.added, "files are announced from now on");
                self.wanted.notify_one();
            }
        }
        let is_time = seen.tidied.is_none_or(|at| at.elapsed() >= TIDY);
        let contact = self.overlay.contact();
        // The first that others tell after a start need not be what most of
        // them do: an address counts when it was the same a look ago.
        let is_steady = contact == std::mem::replace(&mut seen.contact, contact);
        if let Some(contact) = contact.filter(|_| is_steady)
            && (is_time || seen.compared != Some(contact))
        {
            // Nor is anybody told again who was told a moment ago.
            let moved = db.moved_to(contact, now - millis(TIDY), now).await?;
            seen.compared = Some(contact);
            if moved > 0 {
                tracing::info!(files = moved, address = %contact, "files are announced at another address");
                self.wanted.notify_one();
            }
        }
        if is_time {
            db.forget_torrents().await?;
            db.clamp_announcements(now + self.key_refresh, now).await?;
            seen.tidied = Some(Instant::now());
        }
        Ok(())
    }
}
