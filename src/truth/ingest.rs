//! Reading a list into rows: what is new or different is written, in batches
//! that leave others room, and what is gone ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::core::{Core, CoreError};
use crate::db::list::{Finished, ListClaim, PackageRow, ReadList};
use crate::debian::archive::{flat_root_of, root_of};
use crate::debian::compression::{Compression, unpack};
use crate::debian::digest::{Digest, Vouched};
use crate::debian::list::{ListError, ListKind, Listed, read};

/// Rows in one statement: a few milliseconds of the writer's time.
const BATCH: usize = 1000;

/// The most that a list may vouch for; the largest of Debian's have a tenth.
const MOST: usize = 1_000_000;

/// The most that their paths may take, in bytes; Debian's take about 5 MB.
const MOST_PATHS: usize = 64 * 1024 * 1024;

/// The longest text whose length no Release tells, in bytes.
const MAX_TEXT: u64 = 2 * 1024 * 1024 * 1024;

/// Buffers of a compression's both sides, in bytes.
const BUFFER: usize = 64 * 1024;

/// A file in the store that has a list's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// SHA-256 of the file.
    pub body: [u8; 32],
    /// Suffix of its compression.
    pub suffix: String,
    /// What the text must be, where the Release lists it plain.
    pub plain: Option<Vouched>,
    /// By how many patches it was just made of an earlier text.
    pub patches: u64,
}

/// What came of reading.
struct ReadThrough {
    content: [u8; 32],
    count: u64,
    gone: Vec<String>,
    first: Option<String>,
}

impl Source {
    /// Opens its text.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(&self, core: &Core) -> std::io::Result<impl Read + Send + 'static> {
        let file = File::open(core.disk.body_path(&self.body))?;
        let (_, compression) = Compression::split(&format!("list{}", self.suffix));
        let limit = self
            .plain
            .map_or(MAX_TEXT, |plain| plain.size.min(MAX_TEXT));
        let packed = BufReader::with_capacity(BUFFER, file);
        Ok(unpack(packed, compression, limit))
    }
}

impl Core {
    /// Reads a list's text into rows of this generation.
    ///
    /// # Errors
    /// Where rows or the file can't be read or written; inside, what is wrong
    /// with the text.
    pub async fn ingest(
        self: &Arc<Self>,
        claim: &ListClaim,
        release: i64,
        source: &Source,
    ) -> Result<Result<Finished, String>, CoreError> {
        let Some(kind) = ListKind::of(&claim.path) else {
            return Ok(Err("it is no list of packages".to_owned()));
        };
        let _working = self.truth.working.acquire().await;
        let id = claim.lease.id;
        let known = self.db.packages_of(id).await?;
        let (batches, mut arriving) = mpsc::channel(2);
        let (core, text) = (Arc::clone(self), source.clone());
        let reading =
            tokio::task::spawn_blocking(move || core.read_through(kind, &text, known, &batches));
        while let Some(batch) = arriving.recv().await {
            self.db.add_packages(id, release, &batch).await?;
        }
        let through = match reading.await.map_err(std::io::Error::other)?? {
            Ok(through) => through,
            Err(reason) => return Ok(Err(reason)),
        };
        for gone in through.gone.chunks(BATCH) {
            self.db.end_packages(id, release, gone).await?;
        }
        if let Some(first) = &through.first
            && root_of(&claim.folder) == claim.folder
        {
            let root = flat_root_of(&claim.folder, first);
            if root != claim.root {
                self.db.move_root(claim.suite_id, root).await?;
            }
        }
        Ok(Ok(Finished {
            release,
            read: Some(ReadList {
                content: through.content,
                body: source.body,
                suffix: source.suffix.clone(),
            }),
            packages: through.count,
            patches: source.patches,
        }))
    }

    fn read_through(
        &self,
        kind: ListKind,
        source: &Source,
        known: Vec<PackageRow>,
        batches: &mpsc::Sender<Vec<PackageRow>>,
    ) -> Result<Result<ReadThrough, String>, std::io::Error> {
        let text = source.open(self)?;
        let mut text = BufReader::with_capacity(
            BUFFER,
            Hashing {
                text,
                sha256: Sha256::new(),
            },
        );
        let mut rows = Rows::new(known, batches);
        match read(kind, &mut text, |listed| rows.take(listed)) {
            // The disk's fault, not the text's.
            Err(ListError::Read(error)) if error.raw_os_error().is_some() => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
            Ok(_) => {}
        }
        let content: [u8; 32] = text.into_inner().sha256.finalize().into();
        let listed = source.plain.map(|plain| plain.digest);
        if matches!(listed, Some(Digest::Sha256(wanted)) if wanted != content) {
            let reason = "it unpacks to another text than the Release lists";
            return Ok(Err(reason.to_owned()));
        }
        Ok(rows.finish(content))
    }
}

/// Compares what is listed with the rows there are.
struct Rows<'a> {
    /// By path: what it must be, and whether this text has it.
    known: HashMap<String, (Vouched, bool)>,
    batch: Vec<PackageRow>,
    batches: &'a mpsc::Sender<Vec<PackageRow>>,
    first: Option<String>,
    count: usize,
    paths: usize,
    wrong: Option<String>,
}

impl<'a> Rows<'a> {
    fn new(known: Vec<PackageRow>, batches: &'a mpsc::Sender<Vec<PackageRow>>) -> Self {
        Self {
            known: known
                .into_iter()
                .map(|row| (row.path, (row.vouched, false)))
                .collect(),
            batch: Vec::new(),
            batches,
            first: None,
            count: 0,
            paths: 0,
            wrong: None,
        }
    }

    fn take(&mut self, listed: Listed) {
        let Listed { path, vouched } = listed;
        if self.wrong.is_some() {
            return;
        }
        if self.first.is_none() {
            self.first = Some(path.clone());
        }
        let length = path.len();
        let known = match self.known.entry(path) {
            Slot::Occupied(mut slot) => {
                let path = slot.key().clone();
                let (before, seen) = slot.get_mut();
                let same = *before == vouched;
                if *seen {
                    if !same {
                        self.wrong =
                            Some(format!("it lists {path} twice, and as two different files"));
                    }
                    return;
                }
                (*before, *seen) = (vouched, true);
                same.then_some(()).ok_or(path)
            }
            Slot::Vacant(slot) => {
                let path = slot.key().clone();
                slot.insert((vouched, true));
                Err(path)
            }
        };
        self.count += 1;
        self.paths += length;
        if self.count > MOST || self.paths > MOST_PATHS {
            self.wrong = Some(format!("it lists more than {MOST} files"));
            return;
        }
        if let Err(path) = known {
            self.batch.push(PackageRow { path, vouched });
            if self.batch.len() >= BATCH {
                self.send();
            }
        }
    }

    fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if self.batches.blocking_send(batch).is_err() {
            self.wrong = Some("its rows can't be written".to_owned());
        }
    }

    fn finish(mut self, content: [u8; 32]) -> Result<ReadThrough, String> {
        if !self.batch.is_empty() && self.wrong.is_none() {
            self.send();
        }
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let gone = self.known.into_iter().filter(|(_, (_, seen))| !seen);
        Ok(ReadThrough {
            content,
            count: self.count as u64,
            gone: gone.map(|(path, _)| path).collect(),
            first: self.first,
        })
    }
}

struct Hashing<R> {
    text: R,
    sha256: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.text.read(buffer)?;
        self.sha256.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
