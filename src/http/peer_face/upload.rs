//! A body on its way to another node.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::guests::Guest;
use super::limit::UploadLimit;
use crate::http::body::BodyError;
use crate::store::growing::Reader;

/// Where the bytes come from.
pub enum Source {
    /// Memory.
    Memory(Option<Bytes>),
    /// A mapping of the file.
    Disk(Box<Reader>),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Memory(bytes) => Ok(bytes.take()),
            Self::Disk(reader) => Ok(reader.next().await?),
        }
    }
}

/// An upload, with what is to be asked before each frame.
pub struct Upload {
    source: Source,
    /// What was taken of the source and has not gone yet.
    rest: Bytes,
    limit: Option<(Arc<UploadLimit>, Arc<Guest>)>,
}

impl Upload {
    /// Takes its bytes to a guest, under this limit.
    pub fn new(source: Source, limit: Option<&Arc<UploadLimit>>, guest: &Arc<Guest>) -> Self {
        Self {
            source,
            rest: Bytes::new(),
            limit: limit.map(|limit| (Arc::clone(limit), Arc::clone(guest))),
        }
    }

    /// The bytes as they may go.
    pub fn frames(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        try_unfold(self, async |mut upload| {
            let frame = upload.next().await?;
            Ok(frame.map(|frame| (frame, upload)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.rest.is_empty() {
            match self.source.next().await? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(None),
            }
        }
        let Some((limit, guest)) = &self.limit else {
            return Ok(Some(std::mem::take(&mut self.rest)));
        };
        let most = usize::try_from(limit.frame()).unwrap_or(usize::MAX);
        let frame = self.rest.split_to(most.min(self.rest.len()));
        limit.pass(guest.turn(), frame.len() as u64).await;
        Ok(Some(frame))
    }
}
