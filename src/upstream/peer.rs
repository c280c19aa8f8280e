//! Asking other nodes for files: the client of the peer face.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, LAST_MODIFIED, RANGE, USER_AGENT};
use axum::http::request::Builder;
use axum::http::{HeaderName, Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sha1::{Digest as _, Sha1};
use tokio::time::timeout;

use super::innermost;
use crate::clock::{Millis, to_millis};
use crate::debian::naming::{from_hex, to_hex};
use crate::dht::id::NodeId;
use crate::swarm::lead::{NODE, PROGRESS, Progress, TORRENT};
use crate::swarm::torrent::{TorrentError, TorrentString, pieces};

/// How long a peer may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// How long it may send nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a whole answer may take: who drips bytes holds a place.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a connection is kept for the next request: as long as the peer
/// face keeps one.
pub const IDLE: Duration = Duration::from_secs(25);

/// Connections kept to one peer.
const KEPT: usize = 2;

/// The most that is read from a peer at once, in bytes.
const CHUNK: usize = 512 * 1024;

/// A torrent string's bytes beside its hashes: more than its keys and numbers take.
const FRAME: u64 = 64;

/// Why a peer brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No connection, or it broke.
    #[error("it can't be reached: {0}")]
    Unreachable(String),
    /// Nothing came for too long.
    #[error("it was silent for too long")]
    Silent,
    /// It says that it does not have it.
    #[error("it does not have it")]
    Missing,
    /// It answered something else than it was asked.
    #[error("its answer is not what was asked: {0}")]
    Unfit(String),
    /// What it sent is not what its name says.
    #[error("what it sent is not what its name says")]
    Wrong,
}

/// A part of a file, as a peer sent it. Nothing says yet that it is right.
#[derive(Debug, Clone)]
pub struct Part {
    /// The bytes.
    pub bytes: Bytes,
    /// From the request to the first byte of the answer.
    pub lag: Duration,
    /// From the first byte of the answer to its last.
    pub took: Duration,
    /// What the peer says of the file's age.
    pub last_modified: Option<Millis>,
}

/// Bytes of a file from `from` up to before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
    /// The first byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
}

/// What a node says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It has it; SHA-1 of its torrent string, where it has one.
    Has(Option<[u8; 20]>),
    /// It is on its way there.
    Coming(Progress),
    /// It does not have it.
    Missing,
}

/// Asks peers.
#[derive(Debug, Clone)]
pub struct Peers(Client<HttpConnector, Empty<Bytes>>);

impl Default for Peers {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        Self(
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(KEPT)
                .http1_max_buf_size(CHUNK)
                .build(connector),
        )
    }
}

impl Peers {
    /// Asks for a part of a file; `received` counts bytes as they come.
    ///
    /// # Errors
    /// [`PeerError`]; never [`PeerError::Wrong`], which takes a hash to say.
    pub async fn part(
        &self,
        peer: SocketAddr,
        wanted: &Wanted,
        received: &Arc<AtomicU64>,
    ) -> Result<Part, PeerError> {
        let part = self.part_in_time(peer, wanted, received);
        timeout(LONGEST, part)
            .await
            .unwrap_or(Err(PeerError::Silent))
    }

    async fn part_in_time(
        &self,
        peer: SocketAddr,
        wanted: &Wanted,
        received: &Arc<AtomicU64>,
    ) -> Result<Part, PeerError> {
        let is_whole = wanted.from == 0 && wanted.to == wanted.size;
        let range = format!("bytes={}-{}", wanted.from, wanted.to.saturating_sub(1));
        let asked_at = Instant::now();
        let name = to_hex(&wanted.sha256);
        let response = self.ask(peer, &name, (!is_whole).then_some(range)).await?;
        check(&response, wanted)?;
        let last_modified = header(&response, LAST_MODIFIED)
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .map(to_millis);
        let length = wanted.to - wanted.from;
        let mut first = None;
        let bytes = read(response, length, |read| {
            first.get_or_insert_with(Instant::now);
            received.fetch_add(read, Ordering::Relaxed);
        });
        let bytes = bytes.await?;
        if bytes.len() as u64 != length {
            return Err(PeerError::Unfit("it has another length".into()));
        }
        let first = first.unwrap_or_else(Instant::now);
        Ok(Part {
            bytes,
            lag: first - asked_at,
            took: first.elapsed(),
            last_modified,
        })
    }

    /// Asks for the torrent string of a file of `size` bytes.
    ///
    /// # Errors
    /// [`PeerError`]; [`PeerError::Wrong`] where what came is another string.
    pub async fn torrent(
        &self,
        peer: SocketAddr,
        reference: &[u8; 20],
        size: u64,
    ) -> Result<TorrentString, PeerError> {
        let response = self.ask(peer, &to_hex(reference), None).await?;
        if response.status() != StatusCode::OK {
            return Err(PeerError::Unfit(format!("{}", response.status())));
        }
        // Hashes have 32 bytes at most.
        let most = FRAME + 32 * pieces(size);
        let bytes = read(response, most, |_| ()).await?;
        // The right string of another file is no lie of whoever sends it: that
        // it is this one's is what others said.
        if <[u8; 20]>::from(Sha1::digest(&bytes)) != *reference {
            return Err(PeerError::Wrong);
        }
        let unfit = |error: TorrentError| PeerError::Unfit(error.to_string());
        TorrentString::decode(&bytes, Some(size)).map_err(unfit)
    }

    /// Asks a neighbour for its word on a file of `size` bytes, in the name of
    /// the node `own`. Where the file is on its way there, it may take `wait`
    /// to say so.
    ///
    /// # Errors
    /// [`PeerError`], but neither [`PeerError::Missing`] nor
    /// [`PeerError::Wrong`].
    pub async fn word(
        &self,
        peer: SocketAddr,
        (sha256, size): (&[u8; 32], u64),
        own: &NodeId,
        wait: Option<Duration>,
    ) -> Result<Word, PeerError> {
        let mut request = Request::head(format!("http://{peer}/~/{}", to_hex(sha256)))
            .header(NODE, own.to_string());
        if let Some(wait) = wait {
            request = request.header("prefer", format!("wait={}", wait.as_secs()));
        }
        let response = self.send(request).await?;
        let said = |name: &'static str| header(&response, HeaderName::from_static(name));
        match response.status() {
            StatusCode::OK => {
                let length = header(&response, CONTENT_LENGTH).and_then(|text| text.parse().ok());
                if length != Some(size) {
                    return Err(PeerError::Unfit("it has another length".into()));
                }
                Ok(Word::Has(said(TORRENT).and_then(from_hex)))
            }
            StatusCode::NOT_FOUND => Ok(said(PROGRESS)
                .and_then(Progress::decode)
                .filter(|progress| progress.size == size)
                .map_or(Word::Missing, Word::Coming)),
            status => Err(PeerError::Unfit(status.to_string())),
        }
    }

    async fn ask(
        &self,
        peer: SocketAddr,
        name: &str,
        range: Option<String>,
    ) -> Result<Response<Incoming>, PeerError> {
        let mut request = Request::get(format!("http://{peer}/~/{name}"));
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(PeerError::Missing),
            _ => Ok(response),
        }
    }

    async fn send(&self, request: Builder) -> Result<Response<Incoming>, PeerError> {
        let request = request
            .header(USER_AGENT, concat!("aptmesh/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| PeerError::Unreachable(error.to_string()))?;
        let response = timeout(PATIENCE, self.0.request(request)).await;
        response
            .map_err(|_| PeerError::Silent)?
            .map_err(|error| PeerError::Unreachable(innermost(&error)))
    }
}

/// Whether an answer is the part that was asked for.
fn check(response: &Response<Incoming>, wanted: &Wanted) -> Result<(), PeerError> {
    let (from, to, size) = (wanted.from, wanted.to, wanted.size);
    let is_fit = match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let expected = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
            header(response, CONTENT_RANGE) == Some(&expected)
        }
        StatusCode::OK => {
            let length = header(response, CONTENT_LENGTH).and_then(|text| text.parse().ok());
            (from, to) == (0, size) && length == Some(size)
        }
        _ => false,
    };
    let unfit = || PeerError::Unfit(format!("{}, another part or length", response.status()));
    is_fit.then_some(()).ok_or_else(unfit)
}

/// Reads a body of at most so many bytes.
async fn read(
    response: Response<Incoming>,
    most: u64,
    mut came: impl FnMut(u64),
) -> Result<Bytes, PeerError> {
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    loop {
        let frame = timeout(PATIENCE, body.frame()).await;
        let Some(frame) = frame.map_err(|_| PeerError::Silent)? else {
            return Ok(bytes.freeze());
        };
        let frame = frame.map_err(|error| PeerError::Unreachable(innermost(&error)))?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        came(chunk.len() as u64);
        if (bytes.len() + chunk.len()) as u64 > most {
            return Err(PeerError::Unfit("it is longer than it may be".into()));
        }
        bytes.extend_from_slice(&chunk);
    }
}

fn header(response: &Response<Incoming>, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}
