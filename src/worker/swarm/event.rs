//! What a download waits for.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::lan::{Asking, Heard};
use crate::clock::Millis;
use crate::debian::url::RepoUrl;
use crate::overlay::Finding;
use crate::store::flight::Refusal;
use crate::swarm::schedule::{Ask, Source};
use crate::swarm::torrent::TorrentString;
use crate::upstream::Answer;
use crate::upstream::peer::{Part, PeerError};
use crate::worker::receive::stream::{Next, OriginStream};

/// What happened while something else was waited for.
#[derive(Default)]
pub(super) struct Backlog(VecDeque<Event>);

impl Backlog {
    /// Waits for some work to be done, and lets everything else get on
    /// meanwhile: what is under way may be next in line for the database, and
    /// the work may be waiting for somebody behind it.
    pub(super) async fn while_polling<T>(
        &mut self,
        events: &mut Events<'_>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(event) = events.next() => self.0.push_back(event),
            }
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.0.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}

/// Something that a download waited for.
pub(super) enum Event {
    /// More is known of who has the file; an empty list: nobody else will be.
    Found(Option<(Vec<Vec<u8>>, Finding)>),
    /// A neighbour's word came, or no more will.
    Heard(Option<(Heard, Asking)>),
    /// The torrent string with this reference, or that nobody has it; and who
    /// sent another one under its name.
    Torrent([u8; 20], Option<TorrentString>, Vec<Source>),
    /// The mirror answered, or no origin did.
    Opened(Result<Opened, Refusal>),
    /// What the mirror sends next.
    Streamed(Box<OriginStream>, Result<Next, String>),
    /// One piece of the mirror's, to compare with, and when it was asked for.
    Sample(usize, Millis, Option<bytes::Bytes>),
    /// A row says which file the body is in.
    Noted,
    /// Rows are written.
    Written,
    /// Time has passed.
    Tick,
}

/// An origin's answer to a request for the file or the rest of it.
pub(super) struct Opened {
    pub origin: RepoUrl,
    pub answer: Answer,
    /// Its first byte.
    pub at: u64,
    /// When it was asked.
    pub asked_at: Millis,
}

/// All that is under way.
pub(super) type Events<'a> = FuturesUnordered<BoxFuture<'a, Event>>;

/// What came of a request to a peer; `None` where it was given up.
pub(super) type Delivered = (Ask, Option<Result<Part, PeerError>>);

/// Requests to peers under way.
pub(super) type Parts = FuturesUnordered<BoxFuture<'static, Delivered>>;
