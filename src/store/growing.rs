//! A body on its way in, followed by any number of readers.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::extents::Extents;
use super::hot::Described;
use super::mapped::{Cursor, FRAME, MappedFile};

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes from the first on that readers may take.
    pub len: u64,
    /// How it stands.
    pub end: End,
}

/// How a body on its way in stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// More may come.
    Open,
    /// All of it is here.
    Whole,
    /// No more will come this way.
    Broken(Break),
}

/// Why a body stopped short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// The origins failed, again and again.
    #[error("the origin broke off")]
    Upstream,
    /// The disk is full; the bytes can still be had from the origin.
    #[error("the disk is full")]
    StoreFull,
    /// The bytes turned out to be wrong.
    #[error("the origin's bytes do not have the hash they should")]
    Wrong,
}

/// Who sent a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Came {
    /// An origin.
    #[default]
    Mirror,
    /// Other nodes.
    Peers,
    /// Both.
    Mixed,
}

impl Came {
    /// As the status and `Cache-Status` spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Peers => "peers",
            Self::Mixed => "mixed",
        }
    }

    /// Who sent it, where this one sent some of it as well.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Mixed }
    }
}

/// Who sent a body that came just now, and what of it.
#[derive(Debug, Clone, Default)]
pub struct Whence {
    /// Who sent it.
    pub came: Came,
    by_peers: Arc<Extents>,
}

impl Whence {
    /// How many of the bytes from `from` up to `to` other nodes sent.
    #[must_use]
    pub fn from_peers(&self, from: u64, to: u64) -> u64 {
        self.by_peers.overlap(from, to)
    }
}

/// A body on its way in.
#[derive(Debug)]
pub struct Growing {
    /// What clients are told of it.
    pub described: Described,
    /// Its length in bytes, where the origin said.
    pub total: Option<u64>,
    file: Arc<MappedFile>,
    written: watch::Sender<Written>,
}

/// What the writer did, and how much of it may be shown.
#[derive(Debug)]
struct Written {
    /// Up to here everything is written.
    len: u64,
    /// What is written beyond.
    ahead: Extents,
    /// What of it other nodes sent.
    by_peers: Extents,
    /// From here on nothing is shown.
    limit: u64,
    end: End,
    noted: bool,
    proved: bool,
    held: bool,
    came: Option<Came>,
}

impl Written {
    /// Nothing of so many bytes.
    fn nothing(total: Option<u64>) -> Self {
        let mut nothing = Self {
            len: 0,
            ahead: Extents::default(),
            by_peers: Extents::default(),
            limit: 0,
            end: End::Open,
            noted: false,
            proved: false,
            held: false,
            came: None,
        };
        nothing.set_limit(total);
        nothing
    }

    /// Where showing has to stop. Whoever has the last byte must be able to
    /// count on the row that a restart finds, and on the hash.
    fn set_limit(&mut self, total: Option<u64>) {
        let kept_back = match (self.noted, self.proved) {
            // The note is a matter of microseconds: a small body waits for it
            // and goes out in one piece.
            (false, _) => FRAME,
            (true, false) => 1,
            (true, true) => 0,
        };
        self.limit = match total {
            _ if self.held && !self.proved => 0,
            Some(total) => total.saturating_sub(kept_back),
            None => u64::MAX,
        };
    }

    /// Bytes from the first on that readers may take.
    fn shown(&self) -> u64 {
        self.len.min(self.limit)
    }

    /// Up to where a reader may take the bytes from `at` on, where it may.
    fn reach(&self, at: u64) -> Option<u64> {
        let shown = self.shown();
        if at < shown {
            return Some(shown);
        }
        let to = self.ahead.reach(at)?.min(self.limit);
        (at < to).then_some(to)
    }
}

impl Growing {
    /// A body of which nothing is here yet.
    #[must_use]
    pub fn new(described: Described, total: Option<u64>, file: Arc<MappedFile>) -> Arc<Self> {
        Arc::new(Self {
            described,
            total,
            file,
            written: watch::Sender::new(Written::nothing(total)),
        })
    }

    /// A body that is all there.
    #[must_use]
    pub fn whole(described: Described, size: u64, file: Arc<MappedFile>) -> Arc<Self> {
        let growing = Self::new(described, Some(size), file);
        growing.noted();
        growing.proved();
        growing.publish(size);
        growing.end(End::Whole);
        growing
    }

    /// Bytes up to `len` are in the file now.
    pub fn publish(&self, len: u64) {
        self.change(|written| written.len = len);
    }

    /// Bytes up to `len` are in the file now, and those of `ahead`, which lie
    /// beyond. Other nodes sent those of `by_peers`.
    pub fn publish_parts(&self, len: u64, ahead: &Extents, by_peers: &Extents) {
        self.written.send_if_modified(|written| {
            let shown = written.shown();
            written.len = len;
            let moved = written.shown() > shown || written.ahead != *ahead;
            written.ahead.copy(ahead);
            written.by_peers.copy(by_peers);
            moved
        });
    }

    /// A row says which file holds what, so that a restart finds it.
    pub fn noted(&self) {
        self.change(|written| written.noted = true);
    }

    /// Nothing of it is to be shown before it is proved: should it turn out
    /// wrong, somebody else has it right.
    pub fn hold(&self) {
        self.change(|written| written.held = true);
    }

    /// It takes too long to prove: what is here is shown.
    pub fn unhold(&self) {
        self.change(|written| written.held = false);
    }

    /// The bytes are what they should be, as far as anybody knows.
    pub fn proved(&self) {
        self.change(|written| written.proved = true);
    }

    fn change(&self, change: impl FnOnce(&mut Written)) {
        self.written.send_if_modified(|written| {
            let (shown, limit) = (written.shown(), written.limit);
            change(written);
            written.set_limit(self.total);
            written.shown() > shown || (written.limit > limit && !written.ahead.is_empty())
        });
    }

    /// Some of it came from there.
    pub fn came_from(&self, came: Came) {
        self.change(|written| {
            written.came = Some(written.came.map_or(came, |before| before.and(came)));
        });
    }

    /// Where it came from so far.
    #[must_use]
    pub fn came(&self) -> Came {
        self.written.borrow().came.unwrap_or_default()
    }

    /// Who sent what of it so far.
    #[must_use]
    pub fn whence(&self) -> Whence {
        let written = self.written.borrow();
        Whence {
            came: written.came.unwrap_or_default(),
            by_peers: Arc::new(written.by_peers.clone()),
        }
    }

    /// This is who sent it.
    pub fn set_whence(&self, whence: &Whence) {
        self.change(|written| {
            written.came = Some(whence.came);
            written.by_peers.copy(&whence.by_peers);
        });
    }

    /// Bytes that are here, shown or not.
    #[must_use]
    pub fn written(&self) -> u64 {
        let written = self.written.borrow();
        written.len + written.ahead.bytes()
    }

    /// Waits for the byte at `at`, or for the end where there is none.
    pub async fn begun(&self, at: u64) {
        let mut written = self.written.subscribe();
        let begun = |written: &Written| written.reach(at).is_some() || written.end != End::Open;
        if self.total != Some(0) {
            // The sender lives as long as `self` does.
            let _ = written.wait_for(begun).await;
        }
    }

    /// No more will change. The first word holds.
    pub fn end(&self, end: End) {
        self.written.send_if_modified(|written| {
            let open = written.end == End::Open;
            if open {
                written.end = end;
            }
            open
        });
    }

    /// The file that it grows in.
    #[must_use]
    pub fn file(&self) -> &std::fs::File {
        self.file.file()
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let written = self.written.borrow();
        Progress {
            len: written.shown(),
            end: written.end,
        }
    }

    /// A reader of the bytes from `start` up to `end`, or to wherever the body ends.
    #[must_use]
    pub fn reader(self: &Arc<Self>, start: u64, end: Option<u64>) -> Reader {
        Reader {
            cursor: Cursor::new(Arc::clone(&self.file)),
            written: self.written.subscribe(),
            at: start,
            end: end.or(self.total),
        }
    }
}

/// Why a reader got no further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The body stopped short.
    #[error(transparent)]
    Broken(#[from] Break),
    /// The disk failed.
    #[error("the cached copy can't be read: {0}")]
    Disk(#[from] io::Error),
}

/// Follows a body on its way in.
#[derive(Debug)]
pub struct Reader {
    cursor: Cursor,
    written: watch::Receiver<Written>,
    at: u64,
    end: Option<u64>,
}

impl Reader {
    /// Offset of the next byte.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// How many of the bytes before [`Reader::at`], `length` of them, other
    /// nodes sent.
    #[must_use]
    pub fn from_peers(&self, length: u64) -> u64 {
        let by_peers = &self.written.borrow().by_peers;
        by_peers.overlap(self.at.saturating_sub(length), self.at)
    }

    /// The next bytes; waits for them, `None` at the end.
    ///
    /// # Errors
    /// [`ReadError::Broken`] where no more will come: the reader stands at
    /// [`Reader::at`], and what follows may be had elsewhere.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if self.end.is_some_and(|end| self.at >= end) {
            return Ok(None);
        }
        let (at, mut reach) = (self.at, None);
        let seen = self
            .written
            .wait_for(|written| {
                reach = written.reach(at);
                reach.is_some() || written.end != End::Open
            })
            .await
            .map_err(|_| Break::Upstream)?
            .end;
        if let Some(reach) = reach {
            let end = self.end.map_or(reach, |end| end.min(reach));
            let frame = self.cursor.frame(at, end).await?;
            self.at += frame.len() as u64;
            return Ok(Some(frame));
        }
        match seen {
            End::Broken(cause) => Err(cause.into()),
            End::Whole | End::Open => Ok(None),
        }
    }
}
