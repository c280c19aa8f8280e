//! A body as an origin sends it, taken up again where it breaks off.

use std::slice::Iter;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use tokio::time::Instant;

use super::length_of;
use crate::clock::millis;
use crate::core::Core;
use crate::debian::url::RepoUrl;
use crate::meter::Kind;
use crate::upstream::{Answer, Upstream};
use crate::validators::Validators;

/// Pauses before a download that broke off is taken up again.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// So many bytes of progress since the last break earn all pauses anew: a
/// large file over a bad line comes through, and an origin that always breaks
/// off at the same place is not asked for ever.
const PROGRESS: u64 = 1024 * 1024;

/// What an origin sends next.
#[derive(Debug)]
pub(in crate::worker) enum Next {
    /// The next bytes.
    Bytes(Bytes),
    /// From here on all of it comes again, from the first byte.
    Rewound,
    /// That was all.
    End,
}

/// A body on its way from its origin.
pub(in crate::worker) struct OriginStream {
    /// Counts what comes.
    pub core: Arc<Core>,
    pub upstream: Upstream,
    pub origin: RepoUrl,
    /// What it said of the body: the rest must be of the same.
    pub said: Validators,
    pub answer: Answer,
    /// Length of the body, where it is known.
    pub total: Option<u64>,
    /// Offset of the next byte.
    pub at: u64,
    farthest: u64,
    came: Came,
    pauses: Iter<'static, Duration>,
}

/// What came, from when until when.
struct Came {
    bytes: u64,
    since: Instant,
    last: Instant,
}

/// An answer to a question for the rest.
enum Rest {
    /// What is missing.
    From(Answer),
    /// All of it, from the first byte.
    All(Answer),
}

impl OriginStream {
    /// The body of an answer, which begins at byte `at`.
    pub(in crate::worker) fn new(
        (core, upstream): (&Arc<Core>, &Upstream),
        (origin, said): (&RepoUrl, &Validators),
        answer: Answer,
        (at, total): (u64, Option<u64>),
    ) -> Self {
        let now = Instant::now();
        Self {
            core: Arc::clone(core),
            upstream: upstream.clone(),
            origin: origin.clone(),
            said: said.clone(),
            answer,
            total,
            at,
            farthest: at,
            came: Came {
                bytes: 0,
                since: now,
                last: now,
            },
            pauses: PAUSES.iter(),
        }
    }

    /// What comes next.
    ///
    /// # Errors
    /// Why the rest can't be had, in a sentence.
    pub(in crate::worker) async fn next(&mut self) -> Result<Next, String> {
        let why = match self.answer.chunk().await {
            Ok(Some(bytes)) => {
                self.at += bytes.len() as u64;
                self.core.meters.add(Kind::FromMirrors, bytes.len() as u64);
                self.came.bytes += bytes.len() as u64;
                self.came.last = Instant::now();
                if self.total.is_some_and(|total| self.at > total) {
                    let origin = self.answer.url.origin();
                    return Err(format!("{origin} sent more than it announced"));
                }
                return Ok(Next::Bytes(bytes));
            }
            Ok(None) if self.total.is_none_or(|total| self.at == total) => return Ok(Next::End),
            Ok(None) => format!(
                "{} sent another length than it announced",
                self.answer.url.origin()
            ),
            Err(error) => error.to_string(),
        };
        tracing::debug!(
            url = self.origin.key(),
            offset = self.at,
            error = why,
            "a download broke off"
        );
        if self.at >= self.farthest + PROGRESS {
            (self.farthest, self.pauses) = (self.at, PAUSES.iter());
        }
        loop {
            let Some(pause) = self.pauses.next() else {
                return Err(why);
            };
            tokio::time::sleep(*pause).await;
            match self.ask_rest().await {
                Some(Rest::From(answer)) => {
                    self.answer = answer;
                    // What is empty is asked for no more.
                    return Ok(Next::Bytes(Bytes::new()));
                }
                Some(Rest::All(answer)) => {
                    (self.answer, self.at) = (answer, 0);
                    return Ok(Next::Rewound);
                }
                None => {}
            }
        }
    }

    /// Asks for what is missing.
    async fn ask_rest(&self) -> Option<Rest> {
        let (at, total) = (self.at, self.total);
        let mut headers = HeaderMap::new();
        if let Some(same) = self
            .said
            .if_range()
            .and_then(|text| HeaderValue::from_str(text).ok())
            && at > 0
        {
            headers.insert(RANGE, HeaderValue::from_str(&format!("bytes={at}-")).ok()?);
            headers.insert(IF_RANGE, same);
        }
        let answer = self
            .upstream
            .ask(&Method::GET, &self.origin, &headers)
            .await
            .ok()?;
        let (etag, modified) = (
            self.said.upstream_etag.as_deref(),
            self.said.upstream_last_modified.as_deref(),
        );
        if answer.is_rest(at, total, etag, modified) {
            return Some(Rest::From(answer));
        }
        let all = answer.status == StatusCode::OK
            && answer.is_version(etag, modified)
            && (total.is_none() || length_of(&answer) == total);
        all.then_some(Rest::All(answer))
    }
}

impl Drop for OriginStream {
    fn drop(&mut self) {
        let Came { bytes, since, last } = self.came;
        let (origin, took) = (self.origin.origin(), millis(last - since));
        self.core.origins.brought(origin, bytes, took);
    }
}
