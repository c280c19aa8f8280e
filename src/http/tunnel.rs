//! CONNECT: bytes go both ways and nothing is kept.

use std::sync::Arc;

use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::Body;
use super::problem::Problem;
use crate::upstream::Upstream;

/// The only port that tunnels lead to.
const TLS_PORT: u16 = 443;

/// Opens a tunnel.
///
/// # Errors
/// Where tunnels or this one are not allowed, or the host can't be reached.
pub async fn open(
    request: Request<Incoming>,
    (host, port): (String, u16),
    upstream: &Upstream,
    (tasks, places, stop): (&TaskTracker, &Arc<Semaphore>, &CancellationToken),
) -> Result<Response<Body>, Problem> {
    if port != TLS_PORT {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!("CONNECT leads to port 443 only, not to {host}:{port}; no key changes that."),
        ));
    }
    // Closed only with the node.
    let place = Arc::clone(places).acquire_owned().await.ok();
    let mut far = upstream.connect(&host, port).await?;
    let stop = stop.clone();
    tasks.spawn(async move {
        let near = match hyper::upgrade::on(request).await {
            Ok(near) => near,
            Err(error) => return tracing::debug!(host, %error, "a tunnel was not taken up"),
        };
        let mut near = TokioIo::new(near);
        tokio::select! {
            ended = copy_bidirectional(&mut near, &mut far) => {
                if let Err(error) = ended {
                    tracing::debug!(host, %error, "a tunnel broke");
                }
            }
            () = stop.cancelled() => {}
        }
        drop(place);
    });
    Ok(Response::new(Body::empty()))
}
