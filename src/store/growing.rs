//! A body on its way in, followed by any number of readers.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::hot::Described;
use super::mapped::{Cursor, FRAME, MappedFile};

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that readers may take.
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

/// A body on its way in.
#[derive(Debug)]
pub struct Growing {
    /// What clients are told of it.
    pub described: Described,
    /// Its length in bytes, where the origin said.
    pub total: Option<u64>,
    file: Arc<MappedFile>,
    progress: watch::Sender<Progress>,
    written: Mutex<Written>,
}

/// What the writer did, and how much of it may be shown.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    len: u64,
    noted: bool,
    proved: bool,
    held: bool,
}

impl Written {
    /// Bytes that readers may take. Whoever has the last byte must be able to
    /// count on the row that a restart finds, and on the hash.
    fn shown(&self, total: Option<u64>) -> u64 {
        if self.held && !self.proved {
            return 0;
        }
        let kept_back = match (self.noted, self.proved) {
            // The note is a matter of microseconds: a small body waits for it
            // and goes out in one piece.
            (false, _) => FRAME,
            (true, false) => 1,
            (true, true) => 0,
        };
        total.map_or(self.len, |total| {
            self.len.min(total.saturating_sub(kept_back))
        })
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
            progress: watch::Sender::new(Progress {
                len: 0,
                end: End::Open,
            }),
            written: Mutex::default(),
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
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut written);
        let shown = written.shown(self.total);
        self.progress.send_if_modified(|progress| {
            let moved = shown > progress.len;
            progress.len = shown.max(progress.len);
            moved
        });
    }

    /// Bytes that are here, shown or not.
    #[must_use]
    pub fn written(&self) -> u64 {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.len
    }

    /// Waits for the first byte, or for the end where there is none.
    pub async fn begun(&self) {
        let mut progress = self.progress.subscribe();
        let begun = |progress: &Progress| progress.len > 0 || progress.end != End::Open;
        if self.total != Some(0) {
            // The sender lives as long as `self` does.
            let _ = progress.wait_for(begun).await;
        }
    }

    /// No more will change. The first word holds.
    pub fn end(&self, end: End) {
        self.progress.send_if_modified(|progress| {
            let open = progress.end == End::Open;
            if open {
                progress.end = end;
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
        *self.progress.borrow()
    }

    /// A reader of the bytes from `start` up to `end`, or to wherever the body ends.
    #[must_use]
    pub fn reader(self: &Arc<Self>, start: u64, end: Option<u64>) -> Reader {
        Reader {
            cursor: Cursor::new(Arc::clone(&self.file)),
            progress: self.progress.subscribe(),
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
    progress: watch::Receiver<Progress>,
    at: u64,
    end: Option<u64>,
}

impl Reader {
    /// Offset of the next byte.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
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
        let at = self.at;
        let seen = *self
            .progress
            .wait_for(|progress| progress.len > at || progress.end != End::Open)
            .await
            .map_err(|_| Break::Upstream)?;
        if seen.len > at {
            let end = self.end.map_or(seen.len, |end| end.min(seen.len));
            let frame = self.cursor.frame(at, end).await?;
            self.at += frame.len() as u64;
            return Ok(Some(frame));
        }
        match seen.end {
            End::Broken(cause) => Err(cause.into()),
            End::Whole | End::Open => Ok(None),
        }
    }
}
