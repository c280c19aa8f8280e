//! Importing: packages that already lie on this machine's disk.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::core::{Core, CoreError};
use crate::store::budget::{NoRoom, Room};
use crate::store::disk::Temp;
use crate::store::growing::Growing;
use crate::store::hot::Described;
use crate::store::incoming::{Incoming, WriteError};
use crate::store::mapped::MappedFile;
use crate::validators::Validators;

/// How every Debian package starts (deb(5): an ar archive).
pub const DEB_MAGIC: &[u8] = b"!<arch>\n";

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It does not start as a package does.
    #[error("it is not a Debian package")]
    NotADeb,
    /// The limits leave no room for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Rows or folders failed.
    #[error(transparent)]
    Core(#[from] CoreError),
}

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// False where the cache had it already.
    pub new: bool,
}

/// One file on its way in; dropped before its end, it leaves nothing behind.
pub struct Import {
    core: Arc<Core>,
    room: Room,
    temp: Temp,
    incoming: Incoming,
    begun: bool,
}

impl Import {
    /// Makes room for a file of `size` bytes.
    ///
    /// # Errors
    /// Where there is no room or no file can be made.
    pub async fn begin(core: &Arc<Core>, size: u64) -> Result<Self, ImportError> {
        let room = core.budget.promise(size).await?;
        let temp = Temp::new(&core.disk);
        let file = temp.create().map_err(CoreError::from)?;
        let described = Described::new(&Validators::default());
        let growing = Growing::new(described, Some(size), MappedFile::new(file));
        Ok(Self {
            core: Arc::clone(core),
            room,
            temp,
            incoming: Incoming::start(growing, None, false),
            begun: false,
        })
    }

    /// Takes the next bytes; the first chunk must hold the first eight.
    ///
    /// # Errors
    /// Where they can't be those of a package, or can't be written.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), ImportError> {
        if !std::mem::replace(&mut self.begun, true) && !bytes.starts_with(DEB_MAGIC) {
            return Err(ImportError::NotADeb);
        }
        // Where the writer gave up, finishing says why.
        self.incoming.push(bytes).await;
        Ok(())
    }

    /// All bytes came: the file is part of the cache from now on.
    ///
    /// # Errors
    /// Where the bytes or their row could not be written.
    pub async fn finish(self) -> Result<Imported, ImportError> {
        if !self.begun {
            return Err(ImportError::NotADeb);
        }
        let received = self.incoming.finish_if(true).await?;
        let (sha256, size) = (received.sha256, received.size);
        let new = self.core.place_unnamed(self.temp, sha256, size).await?;
        if new {
            self.room.keep(size);
        }
        Ok(Imported { new })
    }
}
