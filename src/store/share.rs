//! What other nodes may have of the store, in memory: no SQL statement a
//! request for what was asked for lately.

use bytes::Bytes;

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
