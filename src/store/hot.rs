//! What the hit path needs, in memory: no SQL statement a hit.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::SystemTime;

use axum::http::HeaderValue;
use bytes::Bytes;

use super::memory::Memory;
use crate::clock::{Millis, to_http_time};
use crate::debian::naming::Naming;
use crate::validators::Validators;

/// The largest body that is kept in memory, in bytes.
pub const SMALL: u64 = 512 * 1024;

/// Bodies and entries in memory, in bytes.
const CAPACITY: u64 = 24 * 1024 * 1024;

/// What an entry weighs beside its body.
const OVERHEAD: usize = 512;

/// What clients are told of a body, ready to be sent.
#[derive(Debug, Clone)]
pub struct Described {
    /// `ETag`
    pub etag: HeaderValue,
    /// `Last-Modified`
    pub last_modified: HeaderValue,
    /// The same as a time, to compare with.
    pub modified: SystemTime,
    /// `Content-Type`
    pub content_type: HeaderValue,
}

impl Described {
    /// Makes header values of what an origin said. What can't be a header
    /// value (it came from a damaged row) is left as empty text.
    #[must_use]
    pub fn new(said: &Validators) -> Self {
        let value =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        let modified = to_http_time(said.last_modified);
        Self {
            etag: value(&said.etag),
            last_modified: value(&httpdate::fmt_http_date(modified)),
            modified,
            content_type: value(
                said.content_type
                    .as_deref()
                    .unwrap_or("application/octet-stream"),
            ),
        }
    }
}

/// A cached file under one address.
#[derive(Debug)]
pub struct Entry {
    /// Canonical address.
    pub key: String,
    /// Row id of the file.
    pub file_id: i64,
    /// Hash of its bytes.
    pub sha256: [u8; 32],
    /// Length in bytes.
    pub size: u64,
    /// What clients are told of it.
    pub described: Described,
    /// What the origin is asked with.
    pub validators: Validators,
    /// What its name promises.
    pub naming: Naming,
    /// Whether an index in use says that it is what its address must be.
    pub vouched: bool,
    /// Its bytes, where it is small.
    pub body: Option<Bytes>,
    index_changed_at: Millis,
    checked_at: AtomicI64,
    used_at: AtomicI64,
    use_noted: AtomicBool,
}

impl Entry {
    /// An entry as rows and disk have it.
    #[must_use]
    pub fn new(
        key: String,
        (file_id, sha256, size): (i64, [u8; 32], u64),
        validators: Validators,
        (naming, vouched): (Naming, bool),
        (checked_at, index_changed_at): (Millis, Millis),
        body: Option<Bytes>,
    ) -> Self {
        Self {
            described: Described::new(&validators),
            key,
            file_id,
            sha256,
            size,
            validators,
            naming,
            vouched,
            body,
            index_changed_at,
            checked_at: AtomicI64::new(checked_at),
            used_at: AtomicI64::new(0),
            use_noted: AtomicBool::new(false),
        }
    }

    /// Whether it may be served without asking: an index in use says that it is
    /// right; or its name promises that it does not change, and no index of its
    /// archive changed since it was checked. (Whoever republishes a pool file
    /// must publish an index too.)
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.vouched
            || match self.naming {
                Naming::ByHash(_) => true,
                Naming::Pool => self.checked_at() >= self.index_changed_at,
                Naming::Mutable => false,
            }
    }

    /// When the origin last said that this is current.
    #[must_use]
    pub fn checked_at(&self) -> Millis {
        self.checked_at.load(Ordering::Relaxed)
    }

    /// The origin said again that this is current.
    pub fn checked(&self, at: Millis) {
        self.checked_at.store(at, Ordering::Relaxed);
    }

    /// Notes a use. Answers whether it is the first since the uses were last
    /// written, so that the caller lists the entry once.
    pub fn used(&self, at: Millis) -> bool {
        self.used_at.store(at, Ordering::Relaxed);
        !self.use_noted.load(Ordering::Relaxed) && !self.use_noted.swap(true, Ordering::AcqRel)
    }

    /// The file's id and when it was last used; the next use is a first again.
    pub fn take_use(&self) -> (i64, Millis) {
        self.use_noted.store(false, Ordering::Release);
        (self.file_id, self.used_at.load(Ordering::Relaxed))
    }
}

/// Entries by address, bounded by the bytes they hold.
pub type Hot = Memory<String, Entry>;

impl Default for Hot {
    fn default() -> Self {
        Self::new(CAPACITY, |key, entry| {
            let body = entry.body.as_ref().map_or(0, Bytes::len);
            2 * key.len() + body + OVERHEAD
        })
    }
}
