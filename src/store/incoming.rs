//! The writing end of a body on its way in: one blocking task that writes,
//! publishes and hashes, in that order, so that readers wait for neither hash
//! nor disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::extents::Extents;
use super::growing::{Came, Growing};
use crate::debian::digest::Digest;
use crate::swarm::torrent::{PieceHasher, TorrentString};

/// Chunks between network and disk; one is 512 KiB at most, and this is what
/// a download takes of memory where the disk is slower than the network.
const QUEUE: usize = 4;

/// Up to this many bytes a second a body is hashed while it comes; the time
/// spent waiting for the network hides it. What comes faster is served first
/// and hashed at the end, out of the page cache.
const HASHED_AT_ONCE: f64 = 300e6;

/// The step in which a body is read again to be hashed, in bytes.
const STEP: usize = 256 * 1024;

/// From this length on, the disk is asked for the whole room at once, so that
/// a full disk is known before the first byte and not in the middle.
const ALLOCATE_FROM: u64 = 1024 * 1024;

/// Why a body could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk refused, most likely because it is full.
    #[error("the disk refused: {0}")]
    Disk(#[from] io::Error),
    /// A download that started afresh brought other bytes than before.
    #[error("the file changed at its origin while it was fetched")]
    Changed,
    /// The origin sent more than it announced.
    #[error("the origin sent more than the {0} bytes it announced")]
    TooLong(u64),
}

/// A body that arrived and is durable in its temp file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Hash of its bytes.
    pub sha256: [u8; 32],
    /// Length in bytes.
    pub size: u64,
    /// Whether its bytes have the hash that it is known by; true where none is known.
    pub as_vouched: bool,
    /// The hashes of its pieces, where they were wanted.
    pub torrent: Option<TorrentString>,
}

enum Step {
    /// The next bytes of a body that comes in order.
    Chunk(Bytes),
    /// Bytes of a body that comes in parts.
    Part(u64, Bytes, Came),
    /// Tell when this is reached.
    Settle(oneshot::Sender<()>),
    /// The origin sends it all again from the first byte.
    Rewind,
    /// Everything came: make it durable.
    Finish,
}

/// The hashes that one pass over the bytes makes.
struct Hashes {
    sha256: Sha256,
    /// Another one that the file is known by.
    other: Option<Other>,
    /// Those of its pieces, where other nodes may want them.
    pieces: Option<PieceHasher>,
}

enum Other {
    Sha1(Sha1),
    Sha512(Sha512),
}

impl Hashes {
    fn new(vouched: Option<&Digest>, pieces: bool) -> Self {
        Self {
            sha256: Sha256::new(),
            pieces: pieces.then(PieceHasher::new),
            other: match vouched {
                Some(Digest::Sha1(_)) => Some(Other::Sha1(Sha1::new())),
                Some(Digest::Sha512(_)) => Some(Other::Sha512(Sha512::new())),
                _ => None,
            },
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(pieces) = &mut self.pieces {
            pieces.push(bytes);
        }
        match &mut self.other {
            Some(Other::Sha1(sha1)) => sha1.update(bytes),
            Some(Other::Sha512(sha512)) => sha512.update(bytes),
            None => {}
        }
    }

    fn finish(self, size: u64, vouched: Option<&Digest>) -> Received {
        let sha256: [u8; 32] = self.sha256.finalize().into();
        let is = match self.other {
            Some(Other::Sha1(sha1)) => Digest::Sha1(sha1.finalize().into()),
            Some(Other::Sha512(sha512)) => Digest::Sha512(sha512.finalize().into()),
            None => Digest::Sha256(sha256),
        };
        Received {
            sha256,
            size,
            torrent: self.pieces.map(PieceHasher::finish),
            // MD5 is not computed: it would prove nothing.
            as_vouched: vouched
                .is_none_or(|wanted| matches!(wanted, Digest::Md5(_)) || *wanted == is),
        }
    }
}

/// The writing end.
#[derive(Debug)]
pub struct Incoming {
    steps: mpsc::Sender<Step>,
    task: JoinHandle<Result<Received, WriteError>>,
}

impl Incoming {
    /// Starts writing to the file of `growing`, which is empty, for its
    /// readers. `pieces`: whether the hashes of pieces are wanted.
    #[must_use]
    pub fn start(growing: Arc<Growing>, vouched: Option<Digest>, pieces: bool) -> Self {
        let (steps, queue) = mpsc::channel(QUEUE);
        let task = tokio::task::spawn_blocking(move || {
            Writer {
                growing,
                hashes: Hashes::new(vouched.as_ref(), pieces),
                len: 0,
                ahead: Extents::default(),
                by_peers: Extents::default(),
                hashed: 0,
                started: Instant::now(),
                again: None,
            }
            .run(queue, vouched.as_ref())
        });
        Self { steps, task }
    }

    /// Hands over bytes. Answers false where the writer gave up:
    /// [`Incoming::finish_if`] says why.
    pub async fn push(&self, bytes: Bytes) -> bool {
        self.steps.send(Step::Chunk(bytes)).await.is_ok()
    }

    /// Hands over the bytes from `at` on, of a body that comes in parts. What
    /// is there already stays as it is, and whose it is. Answers as
    /// [`Incoming::push`].
    pub async fn push_part(&self, at: u64, bytes: Bytes, came: Came) -> bool {
        self.steps.send(Step::Part(at, bytes, came)).await.is_ok()
    }

    /// Waits until what was handed over is written.
    pub async fn settled(&self) {
        let (tell, told) = oneshot::channel();
        if self.steps.send(Step::Settle(tell)).await.is_ok() {
            let _ = told.await;
        }
    }

    /// From here on the bytes come again from the first.
    pub async fn rewind(&self) -> bool {
        self.steps.send(Step::Rewind).await.is_ok()
    }

    /// Ends the writing: where everything came (`whole`), the body is made
    /// durable, else it is given up. Readers are not told.
    ///
    /// # Errors
    /// Why the body could not be written.
    pub async fn finish_if(self, whole: bool) -> Result<Received, WriteError> {
        if whole {
            let _ = self.steps.send(Step::Finish).await;
        }
        drop(self.steps);
        self.task.await.map_err(io::Error::other)?
    }
}

struct Writer {
    growing: Arc<Growing>,
    hashes: Hashes,
    /// Up to here everything is written.
    len: u64,
    /// What is written beyond.
    ahead: Extents,
    /// What of it other nodes sent.
    by_peers: Extents,
    hashed: u64,
    started: Instant,
    /// After a rewind: how far the second coming was compared with the first.
    again: Option<u64>,
}

impl Writer {
    fn run(
        mut self,
        mut queue: mpsc::Receiver<Step>,
        vouched: Option<&Digest>,
    ) -> Result<Received, WriteError> {
        self.allocate()?;
        while let Some(step) = queue.blocking_recv() {
            match step {
                Step::Chunk(bytes) => self.write(&bytes)?,
                Step::Part(at, bytes, came) => self.write_part(at, &bytes, came)?,
                Step::Settle(tell) => drop(tell.send(())),
                Step::Rewind => self.again = Some(0),
                Step::Finish if self.again.is_some() => return Err(WriteError::Changed),
                Step::Finish => {
                    self.hash_up_to(self.len)?;
                    self.growing.file().sync_data()?;
                    return Ok(self.hashes.finish(self.len, vouched));
                }
            }
        }
        Err(io::Error::other("the download was given up").into())
    }

    fn allocate(&self) -> io::Result<()> {
        let Some(total) = self.growing.total.filter(|total| *total >= ALLOCATE_FROM) else {
            return Ok(());
        };
        match fallocate(self.growing.file(), FallocateFlags::KEEP_SIZE, 0, total) {
            Err(Errno::OPNOTSUPP) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let fresh = self.compare(bytes)?;
        if fresh.is_empty() {
            return Ok(());
        }
        if let Some(total) = self.growing.total
            && self.len + fresh.len() as u64 > total
        {
            return Err(WriteError::TooLong(total));
        }
        self.growing.file().write_all_at(fresh, self.len)?;
        self.len += fresh.len() as u64;
        self.growing.publish(self.len);
        if self.is_slow() {
            self.hash_up_to(self.len - fresh.len() as u64)?;
            self.hashes.update(fresh);
            self.hashed = self.len;
        }
        Ok(())
    }

    /// Writes what is not there yet of the bytes from `at` on.
    fn write_part(&mut self, mut at: u64, mut bytes: &[u8], came: Came) -> Result<(), WriteError> {
        if let Some(total) = self.growing.total
            && at + bytes.len() as u64 > total
        {
            return Err(WriteError::TooLong(total));
        }
        let end = at + bytes.len() as u64;
        while let Some((from, to)) = self.ahead.gap(at.max(self.len), end) {
            let skipped = usize::try_from(from - at).unwrap_or(usize::MAX);
            let (fresh, rest) = bytes[skipped..].split_at(usize::try_from(to - from).unwrap_or(0));
            self.growing.file().write_all_at(fresh, from)?;
            self.ahead.insert(from, to);
            if came == Came::Peers {
                self.by_peers.insert(from, to);
            }
            (at, bytes) = (to, rest);
        }
        let before = self.len;
        self.len = self.ahead.take(self.len);
        self.growing
            .publish_parts(self.len, &self.ahead, &self.by_peers);
        if self.len > before && self.is_slow() {
            self.hash_up_to(self.len)?;
        }
        Ok(())
    }

    /// Whether the network leaves time to hash.
    fn is_slow(&self) -> bool {
        let seconds = self.started.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = self.len as f64;
        bytes < HASHED_AT_ONCE * seconds
    }

    /// Hashes what was written and not hashed yet, up to `end`.
    fn hash_up_to(&mut self, end: u64) -> io::Result<()> {
        if self.hashed == end {
            return Ok(());
        }
        let mut buffer = vec![0; STEP];
        while self.hashed < end {
            let left = usize::try_from(end - self.hashed).unwrap_or(STEP);
            let step = &mut buffer[..left.min(STEP)];
            self.growing.file().read_exact_at(step, self.hashed)?;
            self.hashes.update(step);
            self.hashed += step.len() as u64;
        }
        Ok(())
    }

    /// What of `bytes` goes beyond what is written; what does not must be the
    /// same as before, for readers have it.
    fn compare<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], WriteError> {
        let Some(at) = self.again else {
            return Ok(bytes);
        };
        let known = usize::try_from(self.len - at)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let mut before = vec![0; known];
        self.growing.file().read_exact_at(&mut before, at)?;
        if before != bytes[..known] {
            return Err(WriteError::Changed);
        }
        let at = at + known as u64;
        self.again = (at < self.len).then_some(at);
        Ok(&bytes[known..])
    }
}

/// Hashes a file that lies on disk. Blocks.
///
/// # Errors
/// What the disk says.
pub fn hash_file(file: &File) -> io::Result<([u8; 32], u64)> {
    let mut buffer = vec![0; 256 * 1024];
    let (mut sha256, mut at) = (Sha256::new(), 0);
    loop {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            return Ok((sha256.finalize().into(), at));
        }
        sha256.update(&buffer[..read]);
        at += read as u64;
    }
}
