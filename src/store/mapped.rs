//! A file on disk as slices that go to a socket without a copy of ours.
//!
//! Two traps of mappings, and why they don't bite here. A page that is not in
//! memory would block the thread that touches it: each frame is asked for with
//! `RWF_NOWAIT` first and read in on the blocking pool where the kernel would
//! have to wait. A disk error or a truncated file would be SIGBUS: mapped
//! bytes are only ever handed to the kernel (`writev`), which answers `EFAULT`.
//! So nothing in this process may look into a frame of a mapping.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// The most that is handed to a socket at once, in bytes.
pub const FRAME: u64 = 256 * 1024;

/// The unit of mapping in bytes. Only segments that someone reads are mapped,
/// so that a large file does not count as resident memory as a whole.
const SEGMENT: u64 = 8 * 1024 * 1024;

/// An open file that is read in frames, by any number of readers.
#[derive(Debug)]
pub struct MappedFile {
    file: File,
    segments: Mutex<HashMap<u64, Weak<Segment>>>,
}

#[derive(Debug)]
struct Segment(Mmap);

struct SharedSegment(Arc<Segment>);

impl AsRef<[u8]> for SharedSegment {
    fn as_ref(&self) -> &[u8] {
        &self.0.0
    }
}

impl MappedFile {
    /// Takes an open file whose bytes are written once.
    #[must_use]
    pub fn new(file: File) -> Arc<Self> {
        Arc::new(Self {
            file,
            segments: Mutex::default(),
        })
    }

    /// The file itself, to be written.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    fn segment(&self, index: u64) -> io::Result<Arc<Segment>> {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(segment) = segments.get(&index).and_then(Weak::upgrade) {
            return Ok(segment);
        }
        let length = usize::try_from(SEGMENT).map_err(io::Error::other)?;
        // SAFETY: bytes of a body are written once and never change or go by
        // our hand afterwards; pages that are not written yet are never
        // touched, since frames stop at what is known to be written; and
        // should someone else truncate the file, only the kernel reads the
        // mapping (see the module's comment).
        let map = unsafe {
            MmapOptions::new()
                .offset(index * SEGMENT)
                .len(length)
                .map(&self.file)?
        };
        let segment = Arc::new(Segment(map));
        segments.retain(|_, segment| segment.strong_count() > 0);
        segments.insert(index, Arc::downgrade(&segment));
        Ok(segment)
    }

    /// Whether the byte at `offset` can be had without waiting for the disk.
    fn in_memory(&self, offset: u64) -> io::Result<bool> {
        let mut byte = [0];
        match preadv2(
            &self.file,
            &mut [io::IoSliceMut::new(&mut byte)],
            offset,
            ReadWriteFlags::NOWAIT,
        ) {
            Ok(0) => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the file was cut short",
            )),
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a range so that its pages are in memory.
    fn warm(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut buffer = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut buffer, offset)
    }
}

/// One reader's place in a file.
#[derive(Debug)]
pub struct Cursor {
    file: Arc<MappedFile>,
    segment: Option<(u64, Arc<Segment>)>,
}

impl Cursor {
    /// A reader of this file.
    #[must_use]
    pub const fn new(file: Arc<MappedFile>) -> Self {
        Self {
            file,
            segment: None,
        }
    }

    /// The bytes from `offset`, at most up to `end` and at most [`FRAME`];
    /// all of them must have been written.
    ///
    /// # Errors
    /// What the disk says, or `UnexpectedEof` for a file that was cut short.
    pub async fn frame(&mut self, offset: u64, end: u64) -> io::Result<Bytes> {
        let index = offset / SEGMENT;
        let end = end.min(offset + FRAME).min((index + 1) * SEGMENT);
        if !(self.file.in_memory(offset)? && self.file.in_memory(end - 1)?) {
            let file = Arc::clone(&self.file);
            tokio::task::spawn_blocking(move || file.warm(offset, end - offset))
                .await
                .map_err(io::Error::other)??;
        }
        let segment = match &self.segment {
            Some((held, segment)) if *held == index => Arc::clone(segment),
            _ => {
                let segment = self.file.segment(index)?;
                self.segment = Some((index, Arc::clone(&segment)));
                segment
            }
        };
        let start = usize::try_from(offset % SEGMENT).map_err(io::Error::other)?;
        let length = usize::try_from(end - offset).map_err(io::Error::other)?;
        Ok(Bytes::from_owner(SharedSegment(segment)).slice(start..start + length))
    }
}
