//! Bodies of answers: whole in memory, or frames that come one by one.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Frame, SizeHint};

use crate::meter::{Kind, Meters};

/// Why a body breaks off: the client must not take it for whole.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The body of an answer.
pub struct Body {
    content: Content,
    /// Where its bytes are counted, and as what.
    meters: Option<(Arc<Meters>, Kind)>,
}

enum Content {
    Whole(Option<Bytes>),
    Frames { frames: Frames, left: Option<u64> },
}

impl Body {
    /// A body that is all there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty())),
            meters: None,
        }
    }

    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            content: Content::Whole(None),
            meters: None,
        }
    }

    /// Frames, of which `length` bytes in sum are announced; without a length
    /// the answer is chunked.
    pub fn frames(
        frames: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self {
            content: Content::Frames {
                frames: Box::pin(frames),
                left: length,
            },
            meters: None,
        }
    }

    /// Counts what goes out.
    #[must_use]
    pub fn counted(mut self, meters: &Arc<Meters>, kind: Kind) -> Self {
        self.meters = Some((Arc::clone(meters), kind));
        self
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let next = match &mut this.content {
            Content::Whole(bytes) => bytes.take().map(Ok),
            Content::Frames { frames, left } => {
                let next = std::task::ready!(frames.as_mut().poll_next(context));
                if let (Some(left), Some(Ok(bytes))) = (left, &next) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                next
            }
        };
        if let (Some((meters, kind)), Some(Ok(bytes))) = (&this.meters, &next) {
            meters.add(*kind, bytes.len() as u64);
        }
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Frames { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Content::Frames {
                left: Some(left), ..
            } => SizeHint::with_exact(*left),
            Content::Frames { left: None, .. } => SizeHint::default(),
        }
    }
}
