//! Tells requests apart and sends each where it is answered.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use futures_util::TryStreamExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::body::Body;
use super::file::Files;
use super::pages;
use super::problem::Problem;
use super::status::StatusSource;
use super::target::{Target, parse};
use super::tunnel;
use crate::truth::views::Client;
use crate::visitors::Face;

/// The apt face.
#[derive(Clone)]
pub struct Front(Arc<Inner>);

struct Inner {
    files: Files,
    pages: Router,
    tunnels: Option<Arc<Semaphore>>,
    stop: CancellationToken,
}

impl Front {
    /// The face over these files and pages; `tunnels` are places for tunnels,
    /// where there may be any, and `stop` ends them.
    #[must_use]
    pub fn new(
        files: Files,
        status: StatusSource,
        tunnels: Option<Arc<Semaphore>>,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            files,
            pages: pages::router(status),
            tunnels,
            stop,
        }))
    }

    /// A client will ask for this in a moment: begins to fetch it.
    pub fn expect(&self, target: &Uri) {
        let files = &self.0.files;
        if let Ok(Target::File(url)) = parse(&Method::GET, target, &files.core.mirrors) {
            files.expect(url);
        }
    }

    /// A connection from this address.
    #[must_use]
    pub fn client(&self, address: IpAddr) -> Client {
        Client::new(self.0.files.core.visitors.of(Face::Apt, address))
    }

    /// Answers one request of a client that is allowed here.
    ///
    /// # Errors
    /// Never: whatever is wrong is an answer too.
    pub async fn call(
        &self,
        client: &Client,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let inner = &self.0;
        let target = match parse(request.method(), request.uri(), &inner.files.core.mirrors) {
            Ok(target) => target,
            Err(problem) => return Ok(problem.into_response()),
        };
        if let Target::File(url) = &target
            && request.method() == Method::GET
            && let Some(response) = inner.files.hit(client, url, request.headers())
        {
            return Ok(response);
        }
        // Boxed, so that the hit above does not move a large future about.
        Ok(Box::pin(inner.answer(client, target, request)).await)
    }
}

impl Inner {
    async fn answer(
        &self,
        client: &Client,
        target: Target,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let method = request.method();
        match target {
            Target::Tunnel(host, port) => self.tunnel(request, host, port).await,
            _ if !matches!(*method, Method::GET | Method::HEAD) => not_allowed(method),
            Target::File(url) => {
                self.files
                    .serve(client, method, &url, request.headers())
                    .await
            }
            Target::Own => match self.pages.clone().oneshot(request).await {
                Ok(page) => from_axum(page),
                Err(never) => match never {},
            },
        }
    }

    async fn tunnel(&self, request: Request<Incoming>, host: String, port: u16) -> Response<Body> {
        let Some(places) = &self.tunnels else {
            let sentence = "CONNECT tunnels are switched off here: set upstream.connect to true to allow them.";
            return Problem::new(StatusCode::FORBIDDEN, sentence).into_response();
        };
        let tasks = (&self.files.tasks, places, &self.stop);
        tunnel::open(request, (host, port), &self.files.upstream, tasks)
            .await
            .unwrap_or_else(Problem::into_response)
    }
}

fn not_allowed(method: &Method) -> Response<Body> {
    let sentence = format!("{method} is not served here: apt needs GET and HEAD.");
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, sentence).into_response();
    let allowed = HeaderValue::from_static("GET, HEAD, CONNECT");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// An answer of axum's with our kind of body.
#[must_use]
pub fn from_axum(response: axum::response::Response) -> Response<Body> {
    response.map(|body| {
        let length = body.size_hint().exact();
        Body::frames(body.into_data_stream().map_err(Into::into), length)
    })
}

/// The answer to every request of a client that is not allowed here.
#[must_use]
pub fn stranger(peer: IpAddr) -> Response<Body> {
    let sentence =
        format!("{peer} is not among the clients of this cache: add its network to apt.allow.");
    Problem::new(StatusCode::FORBIDDEN, sentence).into_response()
}
