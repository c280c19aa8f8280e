//! Bodies of answers: whole in memory, or frames that come one by one.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Frame, SizeHint};

use crate::meter::Kind;
use crate::visitors::Visitor;

/// Why a body breaks off: the client must not take it for whole.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The body of an answer.
pub struct Body {
    content: Content,
    /// Whose bytes they are counted as, and as what.
    counted: Option<(Arc<Visitor>, Kind)>,
    /// So many of the next bytes count as from peers.
    from_peers: u64,
}

enum Content {
    Whole(Option<Bytes>),
    Frames { frames: Frames, left: Option<u64> },
}

impl Body {
    /// A body that is all there.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty());
        Self::of(Content::Whole(bytes))
    }

    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self::of(Content::Whole(None))
    }

    /// Frames, of which `length` bytes in sum are announced; without a length
    /// the answer is chunked.
    pub fn frames(
        frames: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self::of(Content::Frames {
            frames: Box::pin(frames),
            left: length,
        })
    }

    const fn of(content: Content) -> Self {
        Self {
            content,
            counted: None,
            from_peers: 0,
        }
    }

    /// Counts what goes out.
    #[must_use]
    pub fn counted(mut self, visitor: &Arc<Visitor>, kind: Kind) -> Self {
        self.counted = Some((Arc::clone(visitor), kind));
        self
    }

    /// Other nodes sent so many of its bytes, whatever the others count as.
    #[must_use]
    pub const fn from_peers(mut self, bytes: u64) -> Self {
        self.from_peers = bytes;
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
        if let (Some((visitor, kind)), Some(Ok(bytes))) = (&this.counted, &next) {
            let mut left = bytes.len() as u64;
            if this.from_peers > 0 {
                let from_peers = this.from_peers.min(left);
                visitor.sent(Kind::ClientsFromPeers, from_peers);
                (this.from_peers, left) = (this.from_peers - from_peers, left - from_peers);
            }
            visitor.sent(*kind, left);
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
