//! Ranges that start far beyond what is here: who resumes a large download
//! does not wait for what it has.

use std::pin::pin;
use std::time::Duration;

use axum::http::{Response, StatusCode, header};
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::part;
use super::body::Body;
use super::file::{Asked, Files, PATIENCE};
use super::problem::Problem;
use crate::store::flight::{Course, Range, State};
use crate::store::growing::Growing;

/// A range that starts so many bytes ahead of what is here is far.
const AHEAD: u64 = 1024 * 1024;

/// Peers that send something of the file, but not this, are waited for so long.
const STALLED: Duration = Duration::from_secs(3);

impl Files {
    /// The range that is asked for, where it starts far beyond what came of the
    /// file from its first byte on.
    pub(super) fn far_range(&self, asked: &Asked<'_>) -> Option<Range> {
        let range = range_of(asked).filter(|(start, _)| *start > AHEAD)?;
        let here = match self.core.flights.peek(asked.url.key()) {
            Some(State::Streaming(growing)) => growing.progress().len,
            _ => 0,
        };
        (range.0 > here + AHEAD).then_some(range)
    }

    /// Answers a far range: from a body that comes in parts, or past the store
    /// where none does.
    pub(super) async fn far(
        &self,
        asked: &Asked<'_>,
        range: Range,
    ) -> Result<Response<Body>, Problem> {
        if !self.may_come_in_parts(asked).await {
            return self.direct(asked).await;
        }
        let joined = self.join(asked).await;
        joined.flight.want(range);
        let course = joined.flight.course();
        let mut landing = pin!(joined.answerable_at(|growing| first_byte(asked, growing)));
        tokio::select! {
            biased;
            (state, late) = &mut landing => return self.landed(asked, state, late, None).await,
            () = in_order(course) => {}
        }
        tokio::select! {
            biased;
            (state, late) = &mut landing => return self.landed(asked, state, late, None).await,
            answer = self.past_store(asked) => if let Ok(answer) = answer && is_of_use(answer.status()) {
                asked.missed();
                return Ok(answer);
            }
        }
        // The mirror does not have it, but peers may.
        let (state, late) = landing.await;
        self.landed(asked, state, late, None).await
    }

    /// Whether other nodes can be asked for it.
    async fn may_come_in_parts(&self, asked: &Asked<'_>) -> bool {
        let plan = self.core.plan(asked.url);
        self.asks_peers && plan.await.is_ok_and(|plan| plan.target().is_some())
    }
}

/// A range with its first byte, as apt asks for it. Of several the first
/// counts.
fn range_of(asked: &Asked<'_>) -> Option<Range> {
    let text = asked.headers.get(header::RANGE)?.to_str().ok()?;
    let (start, rest) = text.strip_prefix("bytes=")?.split_once('-')?;
    let last = rest.split(',').next().and_then(|last| last.parse().ok());
    Some((
        start.parse().ok()?,
        last.map(|last: u64| last.saturating_add(1)),
    ))
}

/// The first byte that a client gets of a body, if it gets any.
fn first_byte(asked: &Asked<'_>, growing: &Growing) -> Option<u64> {
    let total = growing.total;
    let part = part(asked.method, asked.headers, &growing.described, total);
    part.span(total).map(|(start, _)| start)
}

/// Returns once it is no use to wait for a body that comes in parts.
async fn in_order(mut course: watch::Receiver<Course>) {
    let known = course.wait_for(|course| *course != Course::Unknown);
    if matches!(timeout(PATIENCE, known).await, Ok(Ok(known)) if *known == Course::InParts) {
        let changed = course.wait_for(|course| *course != Course::InParts);
        let _ = timeout(STALLED, changed).await;
    }
}

/// Whether an origin's answer settles a request for a range.
fn is_of_use(status: StatusCode) -> bool {
    status.is_success()
        || matches!(
            status,
            StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE
        )
}
