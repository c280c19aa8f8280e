//! How an origin behaves for one path.

use std::time::Duration;

/// How a body's end is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    #[default]
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Neither: the connection's close.
    Close,
}

/// An origin's behaviour for a path; the default is a healthy server with `ETag`, `Last-Modified`,
/// ranges and 304.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    pub(super) dumb: bool,
    pub(super) framing: Framing,
    pub(super) delay: Duration,
    pub(super) pace: Option<u64>,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) hold_after: Option<usize>,
    pub(super) cut_after: Option<usize>,
    pub(super) claim_more: u64,
    pub(super) silent: bool,
    pub(super) status: Option<u16>,
    pub(super) redirect: Option<String>,
    pub(super) corrupt: bool,
    pub(super) times: Option<usize>,
    pub(super) clock: Option<i64>,
}

impl Manner {
    /// Healthy.
    pub fn good() -> Self {
        Self::default()
    }

    /// No validators, no 304, and 200 with the whole body to a Range.
    pub fn dumb() -> Self {
        Self {
            dumb: true,
            ..Self::default()
        }
    }

    /// Takes the request and never says a word.
    pub fn silent() -> Self {
        Self {
            silent: true,
            ..Self::default()
        }
    }

    /// This status instead of the file.
    pub fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// 302 to another URL.
    pub fn redirect(target: &str) -> Self {
        Self {
            redirect: Some(target.to_owned()),
            ..Self::default()
        }
    }

    /// The right length, but some bytes are others.
    pub fn corrupt() -> Self {
        Self {
            corrupt: true,
            ..Self::default()
        }
    }

    /// Closes the connection after so many bytes of the body.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// Sends so many bytes of the body, then waits for [`super::Origin::release`].
    pub fn hold_after(mut self, bytes: usize) -> Self {
        self.hold_after = Some(bytes);
        self
    }

    /// Waits before the head.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// At most so many bytes a second.
    pub fn pace(mut self, bytes: u64) -> Self {
        self.pace = Some(bytes);
        self
    }

    /// So many bytes, a pause, so many bytes.
    pub fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    /// Says so many bytes more than it sends, then closes.
    pub fn claim_more(mut self, bytes: u64) -> Self {
        self.claim_more = bytes;
        self
    }

    /// How the body's end is told.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Dates its answers, by a clock that is so many seconds ahead of this machine's.
    pub fn clock(mut self, ahead: i64) -> Self {
        self.clock = Some(ahead);
        self
    }

    /// Behaves so for the next requests only, then is healthy (or dumb, where it was dumb).
    pub fn times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }

    /// What holds after the counted requests are over.
    pub(super) fn afterwards(&self) -> Self {
        Self {
            dumb: self.dumb,
            ..Self::default()
        }
    }
}
