//! What this machine's own command line asks of a running daemon.
//!
//! A Unix socket in the data folder: whoever may write there owns the cache,
//! and no browser can be tricked into it. Answers are lines of JSON, progress
//! first and the result last.

use std::fs::File;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{FromRef, Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::front::from_axum;
use super::pages;
use super::server::{Stops, connection};
use super::status::StatusSource;
use crate::core::Core;
use crate::debian::naming::from_hex;
use crate::dht::id::Key;
use crate::overlay::Overlay;
use crate::swarm::value::FileValue;
use crate::upkeep::Progress;
use crate::upkeep::evict::{Evicted, evict};
use crate::upkeep::import::{Import, ImportError, Imported};
use crate::upkeep::verify::{Verified, verify};

/// Lines that wait for a slow reader.
const LINES: usize = 16;

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// How far it has come.
    Progress(Progress),
    /// The end of a verification.
    Verified(Verified),
    /// The end of an eviction.
    Evicted(Evicted),
    /// The end of an import.
    Imported(Imported),
    /// Another node says that it has the file.
    Peer(SocketAddr),
    /// The end of a search.
    Searched,
    /// The end, badly.
    Failed(String),
}

/// The socket's address: by way of the open folder, for a socket's path may
/// have 108 bytes and a data folder's may have more.
///
/// # Errors
/// Where the folder can't be opened.
pub fn socket(data_dir: &Path) -> io::Result<(File, PathBuf)> {
    let folder = File::open(data_dir)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd()));
    Ok((folder, path))
}

/// Opens the socket, in place of one that an earlier process left. The data
/// folder's lock must be held.
///
/// # Errors
/// What the system says.
pub fn listen(data_dir: &Path) -> io::Result<UnixListener> {
    let (_folder, path) = socket(data_dir)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// What the command line may reach.
#[derive(Clone)]
pub struct Reach {
    /// Rows and bytes.
    pub core: Arc<Core>,
    /// The place in the DHT; `None` where it is switched off.
    pub overlay: Option<Overlay>,
    /// How the node is.
    pub status: StatusSource,
}

impl FromRef<Reach> for StatusSource {
    fn from_ref(reach: &Reach) -> Self {
        reach.status.clone()
    }
}

impl FromRef<Reach> for Arc<Core> {
    fn from_ref(reach: &Reach) -> Self {
        Self::clone(&reach.core)
    }
}

impl FromRef<Reach> for Option<Overlay> {
    fn from_ref(reach: &Reach) -> Self {
        reach.overlay.clone()
    }
}

/// Serves the socket until told to stop.
pub async fn serve(listener: UnixListener, reach: Reach, tasks: TaskTracker, stops: Stops) {
    let soft = stops.soft.clone();
    let find = move |overlay, sha256| ready(find(overlay, sha256, soft.clone()));
    let router = Router::new()
        .route("/verify", post(verify_all))
        .route("/gc", post(gc))
        .route("/import", put(import))
        .route("/find/{sha256}", get(find))
        .route("/status", get(pages::json))
        .with_state(reach);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stops.soft.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stops) = (router.clone(), stops.clone());
                tasks.spawn(async move {
                    let answer = |request| {
                        let router = router.clone();
                        async move { router.oneshot(request).await.map(from_axum) }
                    };
                    connection(stream, answer, &stops).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket accepts nothing for the moment");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn verify_all(State(core): State<Arc<Core>>) -> Response {
    lines(async move |tell| {
        let progress = |at| drop(tell.try_send(Line::Progress(at)));
        match verify(&core, progress).await {
            Ok(verified) => Line::Verified(verified),
            Err(error) => Line::Failed(error.to_string()),
        }
    })
}

async fn gc(State(core): State<Arc<Core>>) -> Response {
    lines(async move |tell| {
        let progress = |at| drop(tell.try_send(Line::Progress(at)));
        match evict(&core, 0, progress).await {
            Ok(evicted) => Line::Evicted(evicted),
            Err(error) => Line::Failed(error.to_string()),
        }
    })
}

/// Who has a file, as they are found. A stop does not wait for those who are
/// slow to answer.
fn find(
    State(overlay): State<Option<Overlay>>,
    UrlPath(sha256): UrlPath<String>,
    stop: CancellationToken,
) -> Response {
    let Some(sha256) = from_hex::<32>(&sha256) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    lines(async move |tell| {
        let Some(overlay) = overlay else {
            return Line::Failed("the DHT is switched off (dht.enabled)".into());
        };
        let search = stop.run_until_cancelled(search(&overlay, &sha256, &tell));
        match search.await {
            Some(()) => Line::Searched,
            None => Line::Failed("the daemon stops".into()),
        }
    })
}

async fn search(overlay: &Overlay, sha256: &[u8; 32], tell: &mpsc::Sender<Line>) {
    let mut finding = overlay.find(Key::of_hash(sha256));
    while let Some(values) = finding.next().await {
        for value in values {
            if let Ok(value) = FileValue::decode(&value) {
                // The reader may have left; the search ends by itself.
                let _ = tell.send(Line::Peer(value.contact)).await;
            }
        }
    }
}

async fn import(State(core): State<Arc<Core>>, headers: HeaderMap, body: AxumBody) -> Response {
    let size = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let Some(size) = size else {
        return StatusCode::LENGTH_REQUIRED.into_response();
    };
    let line = match receive(&core, size, body.into_data_stream()).await {
        Ok(imported) => Line::Imported(imported),
        Err(error) => Line::Failed(error),
    };
    text(&line).into_response()
}

async fn receive(
    core: &Arc<Core>,
    size: u64,
    mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
) -> Result<Imported, String> {
    let told = |error: ImportError| error.to_string();
    let mut import = Import::begin(core, size).await.map_err(told)?;
    while let Some(chunk) = body.next().await {
        let bytes = chunk.map_err(|error| error.to_string())?;
        import.push(bytes).await.map_err(told)?;
    }
    import.finish().await.map_err(told)
}

fn text(line: &Line) -> String {
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}

/// Runs a chore and answers with its lines as they come. Who stops reading
/// does not stop the chore.
fn lines<F>(chore: impl FnOnce(mpsc::Sender<Line>) -> F) -> Response
where
    F: Future<Output = Line> + Send + 'static,
{
    let (tell, lines) = mpsc::channel(LINES);
    let chore = chore(tell.clone());
    tokio::spawn(async move {
        let _ = tell.send(chore.await).await;
    });
    let lines = unfold(lines, async |mut lines| {
        let line = lines.recv().await?;
        Some((Ok::<_, io::Error>(Bytes::from(text(&line))), lines))
    });
    AxumBody::from_stream(lines).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::dht::contact::Contact;
    use crate::dht::engine::{Engine, Saved, Settings};
    use crate::dht::id::NodeId;
    use crate::dht::routing::Node;
    use crate::overlay;

    /// A place in the DHT among one node that never answers: a search waits for
    /// it for nine seconds.
    fn among_the_silent(silent: &UdpSocket) -> Overlay {
        let settings = Settings {
            allow_private: true,
            ..Settings::default()
        };
        let now = SystemClock.now();
        let node = Node {
            contact: Contact::new(NodeId([1; 20]), silent.local_addr().unwrap()),
            confirmed: true,
            failures: 0,
            last_answer: now,
            last_try: now,
        };
        let saved = Saved {
            nodes: vec![node],
            ..Saved::default()
        };
        let engine = Engine::new(NodeId([2; 20]), settings, saved, 1, now);
        let socket = overlay::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let contact = overlay::Contact::Seen { port: 1 };
        Overlay::open(socket, contact, now, engine).unwrap()
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_a_search() {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (place, stop) = (among_the_silent(&silent), CancellationToken::new());
        tokio::spawn(place.clone().run(Vec::new(), stop.clone()));
        let soft = CancellationToken::new();
        let sha256 = UrlPath("7".repeat(64));
        let answer = find(State(Some(place)), sha256, soft.clone());
        let mut lines = answer.into_body().into_data_stream();
        let early = tokio::time::timeout(Duration::from_millis(500), lines.next()).await;
        assert!(early.is_err(), "the search goes on");
        soft.cancel();
        let last = tokio::time::timeout(Duration::from_secs(2), lines.next()).await;
        let line = last.unwrap().unwrap().unwrap();
        assert_eq!(line, text(&Line::Failed("the daemon stops".into())));
        assert!(lines.next().await.is_none());
        stop.cancel();
    }
}
