//! From the origin to the client, past the store: what can't be kept, what
//! must not be shared, and the rest of a body whose store failed.

use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use bytes::{Buf, Bytes};
use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::answer::{CACHE_STATUS, MISS};
use super::body::{Body, BodyError};
use super::problem::Problem;
use crate::core::Core;
use crate::debian::url::RepoUrl;
use crate::meter::Kind;
use crate::store::growing::{ReadError, Reader};
use crate::store::hot::Described;
use crate::upstream::{Answer, Upstream};
use crate::visitors::Visitor;
use std::sync::Arc;

/// Fields of the client's that the origin gets to see.
const FORWARDED: [HeaderName; 6] = [
    RANGE,
    IF_RANGE,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    AUTHORIZATION,
    axum::http::header::CACHE_CONTROL,
];

/// Fields of the origin's that the client gets to see.
const RETURNED: [HeaderName; 6] = [
    CONTENT_TYPE,
    CONTENT_RANGE,
    ACCEPT_RANGES,
    ETAG,
    LAST_MODIFIED,
    WWW_AUTHENTICATE,
];

/// Asks the origins in order on behalf of one client and hands on the answer
/// as it comes.
///
/// # Errors
/// Where no origin answers.
pub async fn pass_through(
    core: &Arc<Core>,
    upstream: &Upstream,
    visitor: &Arc<Visitor>,
    (method, url, request): (&Method, &RepoUrl, &HeaderMap),
) -> Result<Response<Body>, Problem> {
    let mut asked = pick(request, &FORWARDED);
    if core.spoilt.told(url.key()).is_some() {
        // Who has a part of the wrong bytes gets all of the right ones.
        asked.remove(RANGE);
        asked.remove(IF_RANGE);
    }
    let mut failure = None;
    for origin in sources(core, url).await {
        match upstream.ask(method, &origin, &asked).await {
            Ok(answer) if answer.status.is_server_error() => {
                let sentence = format!("{} answered {}.", origin.origin(), answer.status);
                failure = Some(Problem::new(StatusCode::BAD_GATEWAY, sentence));
            }
            Ok(answer) => return Ok(hand_on(core, visitor, method, answer)),
            Err(error) => failure = Some(error.into()),
        }
    }
    Err(failure
        .unwrap_or_else(|| Problem::new(StatusCode::BAD_GATEWAY, "The mirror has no origins.")))
}

/// Where the bytes of an address can be asked for.
async fn sources(core: &Arc<Core>, url: &RepoUrl) -> Vec<RepoUrl> {
    match core.plan(url).await {
        Ok(plan) => plan.sources,
        Err(_) => core.mirrors.origins(url),
    }
}

fn pick(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut picked = HeaderMap::new();
    for name in names {
        if let Some(value) = from.get(name) {
            picked.insert(name.clone(), value.clone());
        }
    }
    picked
}

fn hand_on(
    core: &Arc<Core>,
    visitor: &Arc<Visitor>,
    method: &Method,
    answer: Answer,
) -> Response<Body> {
    let mut headers = pick(&answer.headers, &RETURNED);
    headers.insert(CACHE_STATUS, MISS);
    let status = answer.status;
    let length = answer
        .header(CONTENT_LENGTH)
        .and_then(|text| text.parse().ok());
    let body = if method == Method::HEAD {
        if let Some(length) = answer.headers.get(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, length.clone());
        }
        Body::empty()
    } else {
        Body::frames(chunks(Arc::clone(core), answer, 0), length)
            .counted(visitor, Kind::ClientsFromMirrors)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The body of an answer without its first `skip` bytes.
fn chunks(
    core: Arc<Core>,
    answer: Answer,
    skip: u64,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    try_unfold(
        (core, answer, skip),
        async |(core, mut answer, mut skip)| {
            loop {
                let Some(mut bytes) = answer.chunk().await? else {
                    return Ok(None);
                };
                core.meters.add(Kind::FromMirrors, bytes.len() as u64);
                let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
                bytes.advance(skipped);
                skip -= skipped as u64;
                if !bytes.is_empty() {
                    return Ok(Some((bytes, (core, answer, skip))));
                }
            }
        },
    )
}

/// A body that is being read from the store, and what is needed to go on
/// without the store.
pub struct Following {
    pub core: Arc<Core>,
    pub upstream: Upstream,
    pub url: RepoUrl,
    /// Who gets it.
    pub visitor: Arc<Visitor>,
    /// Whether all of it was stored before it was asked for.
    pub is_hit: bool,
    pub described: Described,
    pub reader: Reader,
    /// Offset up to which the client is to get bytes; `None`: all there are.
    pub end: Option<u64>,
}

impl Following {
    /// The bytes as they come; where the store fails, the rest comes straight
    /// from the origin, and the client does not notice.
    pub fn frames(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        try_unfold(Source::Store(Box::new(self)), async |source| {
            source.next().await
        })
    }

    /// Counts the bytes that were just read.
    fn count(&self, bytes: u64) {
        if self.is_hit {
            return self.visitor.sent(Kind::ClientsFromCache, bytes);
        }
        let from_peers = self.reader.from_peers(bytes);
        self.visitor.sent(Kind::ClientsFromPeers, from_peers);
        self.visitor
            .sent(Kind::ClientsFromMirrors, bytes - from_peers);
    }

    async fn go_on_without_store(self: Box<Self>) -> Result<Rest, BodyError> {
        let at = self.reader.at();
        let left = self.end.map(|end| end - at);
        let (etag, modified) = (
            self.described.etag.to_str().ok(),
            self.described.last_modified.to_str().ok(),
        );
        let mut asked = HeaderMap::new();
        asked.insert(RANGE, HeaderValue::from_str(&format!("bytes={at}-"))?);
        for origin in sources(&self.core, &self.url).await {
            let Ok(answer) = self.upstream.ask(&Method::GET, &origin, &asked).await else {
                continue;
            };
            let skip = if answer.is_rest(at, None, etag, modified) {
                0
            } else if answer.status == StatusCode::OK && answer.is_version(etag, modified) {
                at
            } else {
                continue;
            };
            let chunks = Box::pin(chunks(self.core, answer, skip));
            let visitor = self.visitor;
            return Ok(Rest {
                chunks,
                left,
                visitor,
            });
        }
        Err("the rest of the file can't be had from its origin".into())
    }
}

struct Rest {
    chunks: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>,
    left: Option<u64>,
    visitor: Arc<Visitor>,
}

enum Source {
    Store(Box<Following>),
    Origin(Rest),
}

impl Source {
    async fn next(self) -> Result<Option<(Bytes, Self)>, BodyError> {
        use futures_util::TryStreamExt;
        let mut rest = match self {
            Self::Store(mut following) => match following.reader.next().await {
                Ok(Some(frame)) => {
                    following.count(frame.len() as u64);
                    return Ok(Some((frame, Self::Store(following))));
                }
                Ok(None) => return Ok(None),
                Err(error) if may_go_on(&error) => {
                    tracing::warn!(url = following.url.key(), %error, "the rest of a body comes straight from its origin");
                    following.go_on_without_store().await?
                }
                Err(error) => return Err(error.into()),
            },
            Self::Origin(rest) => rest,
        };
        if rest.left == Some(0) {
            return Ok(None);
        }
        let Some(mut bytes) = rest.chunks.try_next().await? else {
            return Ok(None);
        };
        if let Some(left) = &mut rest.left {
            bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= bytes.len() as u64;
        }
        rest.visitor
            .sent(Kind::ClientsFromMirrors, bytes.len() as u64);
        Ok(Some((bytes, Self::Origin(rest))))
    }
}

/// Whether the bytes that follow can be had elsewhere: not where they are wrong
/// or the origin itself gave up.
const fn may_go_on(error: &ReadError) -> bool {
    use crate::store::growing::Break;
    matches!(
        error,
        ReadError::Disk(_) | ReadError::Broken(Break::StoreFull)
    )
}
