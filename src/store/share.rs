//! What other nodes may have of the store, in memory: no SQL statement a
//! request for what was asked for lately.

use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;

use super::hot::Described;
use super::memory::Memory;
use crate::clock::Millis;
use crate::debian::naming::to_hex;
use crate::validators::Validators;

/// Bodies and shares in memory, in bytes.
const CAPACITY: u64 = 16 * 1024 * 1024;

/// What a share weighs beside its body.
const OVERHEAD: usize = 512;

/// What the date of a body is said to be that no origin gave one:
/// 2000-01-01 00:00 UTC. It never changes, as the body of a hash does not.
const UNDATED: Millis = 946_684_800_000;

/// What other nodes ask by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// The SHA-256 of a file.
    File([u8; 32]),
    /// The SHA-1 of a torrent string.
    Torrent([u8; 20]),
}

impl Name {
    /// What other nodes are told of the body: nothing of where it came from
    /// but its date.
    #[must_use]
    pub fn described(&self, last_modified: Option<Millis>) -> Described {
        let (etag, content_type) = match self {
            Self::File(hash) => (to_hex(&hash[..16]), None),
            Self::Torrent(hash) => (to_hex(hash), Some("application/x-bencoded".to_owned())),
        };
        Described::new(&Validators {
            etag: format!("\"{etag}\""),
            last_modified: last_modified.unwrap_or(UNDATED),
            content_type,
            ..Validators::default()
        })
    }
}

/// A body that other nodes may have.
#[derive(Debug)]
pub struct Share {
    /// What they are told of it.
    pub described: Described,
    /// Length in bytes.
    pub size: u64,
    /// SHA-1 of the torrent string of a file, where it has one.
    pub torrent: Option<[u8; 20]>,
    /// Where it is.
    pub content: Content,
}

/// Where a shared body is.
#[derive(Debug)]
pub enum Content {
    /// It is small.
    Memory(Bytes),
    /// In the store.
    Disk {
        /// Row id of the file.
        file_id: i64,
        /// Hash of its bytes.
        sha256: [u8; 32],
    },
}

/// How long a file may take to get its row of `announcement`.
const ENLISTED: Duration = Duration::from_mins(2);

/// Files that came a moment ago.
const MOST_FRESH: u64 = 10_000;

/// Files that came a moment ago, and that an index vouches for: which files
/// have a row of `announcement` is looked at now and then only, and who waits
/// for this one is to have it at once.
pub struct Fresh(Cache<[u8; 32], ()>);

impl Default for Fresh {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MOST_FRESH)
            .time_to_live(ENLISTED);
        Self(cache.build())
    }
}

impl Fresh {
    /// A file with this SHA-256 came.
    pub fn came(&self, sha256: [u8; 32]) {
        self.0.insert(sha256, ());
    }

    /// Whether it came a moment ago.
    #[must_use]
    pub fn has(&self, sha256: &[u8; 32]) -> bool {
        self.0.contains_key(sha256)
    }
}

/// Shares by name, bounded by the bytes they hold.
pub type Shares = Memory<Name, Share>;

impl Default for Shares {
    fn default() -> Self {
        Self::new(CAPACITY, |_, share| match &share.content {
            Content::Memory(bytes) => bytes.len() + OVERHEAD,
            Content::Disk { .. } => OVERHEAD,
        })
    }
}
