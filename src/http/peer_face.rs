//! The face that other nodes see: files by their hash, torrent strings by
//! theirs, and nothing else.
//!
//! Anybody on the internet may ask. So nothing is told but what was asked for
//! by its hash, no name of a file or of its origin goes out, and places for
//! connections, statements and bytes a second are shared out among addresses.
//! That a peer has something does not count as a use of it: what stays in the
//! store is up to this node's own clients.

mod coming;
mod guests;
mod limit;
mod upload;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use self::coming::Absent;
use self::guests::{Guest, Guests};
use self::limit::UploadLimit;
use self::upload::{Source, Upload};
use super::answer::{Part, as_asked, bare_head, part};
use super::body::Body;
use super::server::{Stops, connection, keep_accepting, prepare};
use crate::core::Core;
use crate::db::file::FileRow;
use crate::debian::naming::from_hex;
use crate::meter::Kind;
use crate::store::growing::Growing;
use crate::store::share::{Content, Name, Share};

/// Names that are looked up in rows at the same time. Those who ask for what
/// is not here leave most readers of the database to apt.
const LOOKUPS: usize = 2;

/// The peer face; clones are the same face on other addresses.
#[derive(Clone)]
pub struct PeerFace(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    guests: Arc<Guests>,
    limit: Option<Arc<UploadLimit>>,
    lookups: Semaphore,
    tasks: TaskTracker,
    stops: Stops,
}

impl PeerFace {
    /// The face over this store, with places for so many connections, and so
    /// many bytes a second for all uploads (0: no limit). Connections run in
    /// `tasks`.
    #[must_use]
    pub fn new(
        core: Arc<Core>,
        connections: usize,
        upload_limit: u64,
        tasks: TaskTracker,
        stops: Stops,
    ) -> Self {
        Self(Arc::new(Inner {
            guests: Guests::new(connections, Arc::clone(&core.visitors)),
            core,
            limit: UploadLimit::new(upload_limit).map(Arc::new),
            lookups: Semaphore::new(LOOKUPS),
            tasks,
            stops,
        }))
    }

    /// Serves until told to stop. Where there is no place, a connection is
    /// closed at once: there are other peers.
    pub async fn serve(self, listener: TcpListener) {
        let take = |(stream, from): (TcpStream, SocketAddr)| {
            if let Some(guest) = self.0.guests.admit(from.ip()) {
                let face = self.clone();
                self.0.tasks.spawn(async move {
                    face.connection(stream, guest).await;
                });
            } else {
                tracing::debug!(peer = %from, "no place for one more connection of a peer");
            }
        };
        keep_accepting(&self.0.stops, || listener.accept(), take).await;
    }

    async fn connection(&self, stream: TcpStream, guest: Guest) {
        if let Err(error) = prepare(&stream) {
            tracing::debug!(peer = %guest.address(), %error, "a connection ended before it began");
            return;
        }
        let guest = Arc::new(guest);
        let answer = move |request: Request<Incoming>| {
            let (inner, guest) = (Arc::clone(&self.0), Arc::clone(&guest));
            async move { Ok(inner.call(&guest, request).await) }
        };
        connection(stream, answer, &self.0.stops).await;
    }
}

impl Inner {
    async fn call(&self, guest: &Arc<Guest>, request: Request<Incoming>) -> Response<Body> {
        let (asked, _) = request.into_parts();
        let answer = match asked_name(&asked.method, &asked.uri) {
            Some(name) => {
                self.answer(guest, &asked.method, name, &asked.headers)
                    .await
            }
            None => Err(StatusCode::NOT_FOUND.into()),
        };
        answer.unwrap_or_else(Absent::response)
    }

    async fn answer(
        &self,
        guest: &Arc<Guest>,
        method: &Method,
        name: Name,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Absent> {
        let share = match self.core.shares.get(&name) {
            Some(share) => share,
            // Boxed, so that what is in memory does not move a large future about.
            None => Box::pin(self.find(guest, name, headers)).await?,
        };
        let part = part(method, headers, &share.described, Some(share.size));
        let body = match &share.content {
            Content::Memory(bytes) => self.small(guest, part.of(bytes)),
            Content::Disk { file_id, sha256 } => {
                let file = FileRow {
                    id: *file_id,
                    sha256: *sha256,
                    size: share.size,
                };
                Box::pin(self.large(guest, &share, file, part)).await?
            }
        };
        if *method == Method::GET && part.span(Some(share.size)).is_some() {
            guest.visitor().took();
        }
        let body = body.counted(guest.visitor(), Kind::ToPeers);
        let mut response = bare_head(part, &share.described, Some(share.size), body);
        coming::refer(&mut response, share.torrent);
        Ok(as_asked(response, method))
    }

    async fn look_up(&self, name: Name) -> Result<Arc<Share>, StatusCode> {
        let place = self.lookups.acquire().await;
        let found = self.core.share(name).await;
        drop(place);
        match found {
            Ok(share) => share.ok_or(StatusCode::NOT_FOUND),
            Err(error) => {
                tracing::error!(%error, "a peer can't be answered");
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    fn small(&self, guest: &Arc<Guest>, bytes: bytes::Bytes) -> Body {
        if self.limit.is_none() {
            return Body::full(bytes);
        }
        let length = bytes.len() as u64;
        let source = Source::Memory(Some(bytes).filter(|bytes| !bytes.is_empty()));
        self.upload(guest, source, length)
    }

    async fn large(
        &self,
        guest: &Arc<Guest>,
        share: &Share,
        file: FileRow,
        part: Part,
    ) -> Result<Body, StatusCode> {
        let Some((start, Some(end))) = part.span(Some(share.size)) else {
            return Ok(Body::empty());
        };
        match self.core.open_body(file).await {
            Ok(Some(file)) => {
                let whole = Growing::whole(share.described.clone(), share.size, file);
                let source = Source::Disk(Box::new(whole.reader(start, Some(end))));
                Ok(self.upload(guest, source, end - start))
            }
            Ok(None) => Err(StatusCode::NOT_FOUND),
            Err(error) => {
                tracing::warn!(%error, "a file can't be opened for a peer");
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    fn upload(&self, guest: &Arc<Guest>, source: Source, length: u64) -> Body {
        let upload = Upload::new(source, self.limit.as_ref(), guest);
        Body::frames(upload.frames(), Some(length))
    }
}

/// What a request is for: `GET` or `HEAD` of `/~/` and a hash.
fn asked_name(method: &Method, target: &Uri) -> Option<Name> {
    if !matches!(*method, Method::GET | Method::HEAD) || target.query().is_some() {
        return None;
    }
    let hash = target.path().strip_prefix("/~/")?;
    from_hex(hash)
        .map(Name::File)
        .or_else(|| from_hex(hash).map(Name::Torrent))
}

/// Binds the addresses to listen on. Where nobody chose them, another port is
/// as good if theirs is taken: apt is served in any case.
///
/// # Errors
/// The address that can't be listened on, and what the system says.
pub fn listen(
    addresses: &[SocketAddr],
    are_default: bool,
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let bind = |address: &SocketAddr| match super::server::listen(*address) {
        Err(error) if are_default && error.kind() == io::ErrorKind::AddrInUse => {
            tracing::warn!(%address, "the port for other nodes is taken by another program: any other is used (peer.listen)");
            super::server::listen(SocketAddr::new(address.ip(), 0))
        }
        result => result,
    };
    let bound = addresses
        .iter()
        .map(|address| bind(address).map_err(|error| (*address, error)));
    bound.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &Method, target: &str) -> Option<Name> {
        asked_name(method, &target.parse().unwrap())
    }

    #[test]
    fn only_hashes_have_names() {
        let (file, torrent) = ("aB".repeat(32), "0f".repeat(20));
        for method in [Method::GET, Method::HEAD] {
            let found = asked(&method, &format!("/~/{file}"));
            assert_eq!(found, Some(Name::File([0xab; 32])));
            let found = asked(&method, &format!("/~/{torrent}"));
            assert_eq!(found, Some(Name::Torrent([0x0f; 20])));
        }
        let wrong = [
            "/".to_owned(),
            "/~/".to_owned(),
            format!("/{file}"),
            format!("/~/{file}/"),
            format!("/~//{file}"),
            format!("/~/{file}?x"),
            format!("/~/{}", &file[1..]),
            format!("/~/{file}0"),
            format!("/~/{}", "zz".repeat(32)),
            format!("/~/{}", "0x".repeat(20)),
            format!("/%7E/{torrent}"),
            "*".to_owned(),
        ];
        for target in wrong {
            assert_eq!(asked(&Method::GET, &target), None, "{target}");
        }
        for method in [Method::POST, Method::OPTIONS, Method::CONNECT] {
            assert_eq!(asked(&method, &format!("/~/{file}")), None);
        }
    }
}
