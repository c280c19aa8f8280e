//! What a neighbour is told of a file that is not here: whether it is on its
//! way, and that it came.
//!
//! Strangers are told nothing of it: what is being fetched is nobody's business
//! but that of nodes on the same link.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::Inner;
use super::guests::Guest;
use crate::debian::naming::{from_hex, to_hex};
use crate::dht::id::NodeId;
use crate::http::body::Body;
use crate::store::share::{Name, Share};
use crate::swarm::lead::{NODE, PROGRESS, Progress, TORRENT};

/// The longest that anybody is kept waiting.
const HOLD: Duration = Duration::from_secs(5);

/// Why there is no body.
#[derive(Debug)]
pub(super) struct Absent {
    status: StatusCode,
    progress: Option<Progress>,
}

impl From<StatusCode> for Absent {
    fn from(status: StatusCode) -> Self {
        Self {
            status,
            progress: None,
        }
    }
}

impl Absent {
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if let Some(progress) = self.progress
            && let Ok(value) = HeaderValue::from_str(&progress.encode())
        {
            response
                .headers_mut()
                .insert(HeaderName::from_static(PROGRESS), value);
        }
        response
    }
}

/// Names the torrent string of the file that is answered with.
pub(super) fn refer(response: &mut Response<Body>, torrent: Option<[u8; 20]>) {
    if let Some(sha1) = torrent
        && let Ok(value) = HeaderValue::from_str(&to_hex(&sha1))
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static(TORRENT), value);
    }
}

/// How long who asks is ready to wait (RFC 7240).
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let said = headers.get("prefer")?.to_str().ok()?;
    let wait = |word: &str| word.trim().strip_prefix("wait=")?.parse().ok();
    let seconds = said.split([',', ';']).find_map(wait)?;
    Some(Duration::from_secs(seconds).min(HOLD))
}

impl Inner {
    /// Who asks, where that is a node on the same link.
    fn neighbour(&self, guest: &Guest, headers: &HeaderMap) -> Option<NodeId> {
        let id = NodeId(from_hex(headers.get(NODE)?.to_str().ok()?)?);
        let is = self.core.neighbours().is(&id, guest.from());
        is.then_some(id)
    }

    /// What is here by this name. A neighbour that is ready to wait gets what
    /// comes meanwhile.
    pub(super) async fn find(
        &self,
        guest: &Guest,
        name: Name,
        headers: &HeaderMap,
    ) -> Result<Arc<Share>, Absent> {
        // Looked at before the rows: what is in neither came in between.
        let arrival = match name {
            Name::File(sha256) => self.core.coming.get(&sha256),
            Name::Torrent(_) => None,
        };
        let missing = match self.look_up(name).await {
            Err(StatusCode::NOT_FOUND) => Absent::from(StatusCode::NOT_FOUND),
            found => return found.map_err(Absent::from),
        };
        let (Some(arrival), Name::File(sha256)) = (arrival, name) else {
            return Err(missing);
        };
        let Some(node) = self.neighbour(guest, headers) else {
            return Err(missing);
        };
        let progress = arrival.asked_by(node);
        let Some(wait) = preferred_wait(headers) else {
            return Err(Absent {
                progress: Some(progress),
                ..missing
            });
        };
        tokio::select! {
            () = arrival.settled() => {}
            () = tokio::time::sleep(wait) => {}
            () = self.stops.soft.cancelled() => {}
        }
        match self.look_up(name).await {
            Ok(share) => Ok(share),
            Err(status) => Err(Absent {
                status,
                progress: self
                    .core
                    .coming
                    .get(&sha256)
                    .map(|arrival| arrival.asked_by(node)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_and_bounded() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_str(text).unwrap());
            preferred_wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("wait=2"), Some(2));
        assert_eq!(wait("respond-async, wait=1"), Some(1));
        assert_eq!(wait("wait=10000"), Some(HOLD.as_secs()));
        for none in ["wait", "wait=", "wait=-1", "wait=x", "waiting=3", ""] {
            assert_eq!(wait(none), None, "{none}");
        }
        assert_eq!(preferred_wait(&HeaderMap::new()), None);
    }
}
