//! Pages of the node itself: for people, scripts and monitors.

use std::future::ready;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;

use super::page::{ICON, Page, SCRIPT, STYLE};
use super::status::StatusSource;
use crate::db::DbError;

/// Nothing but the node's own style, script and icon; no frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All pages.
pub fn router(source: StatusSource) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/acng-report.html", get(page))
        .route("/api/status", get(json))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/favicon.ico", get(StatusCode::NOT_FOUND))
        .route(
            "/status.css",
            get(|asked: HeaderMap| ready(STYLE.answer(&asked))),
        )
        .route(
            "/status.js",
            get(|asked: HeaderMap| ready(SCRIPT.answer(&asked))),
        )
        .route(
            "/icon.svg",
            get(|asked: HeaderMap| ready(ICON.answer(&asked))),
        )
        .layer(map_response(unsniffed))
        .with_state(source)
}

/// What a file is, only its Content-Type says.
async fn unsniffed(mut response: Response) -> Response {
    let only = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, only);
    response
}

/// Rows that can't be read, told to whoever looks at a page.
pub(super) struct Unreadable(DbError);

impl From<DbError> for Unreadable {
    fn from(error: DbError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0, "the status can't be read");
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{}.\n", self.0)).into_response()
    }
}

/// All that the node tells of itself.
pub(super) async fn json(State(source): State<StatusSource>) -> Result<Response, Unreadable> {
    Ok(Json(&*source.status().await?).into_response())
}

async fn healthz(State(source): State<StatusSource>) -> Result<&'static str, Unreadable> {
    source.core.db.ping().await?;
    Ok("ready\n")
}

async fn page(
    State(source): State<StatusSource>,
    headers: HeaderMap,
) -> Result<Response, Unreadable> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let status = source.status().await?;
    let mut response = match Page::new(&status, host).render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}.\n")).into_response(),
    };
    let told = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        told.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

async fn metrics(
    State(source): State<StatusSource>,
    headers: axum::http::HeaderMap,
) -> Result<Response, Unreadable> {
    let status = source.status().await?;
    let in_rows = source.core.meters.in_rows();
    Ok(super::metrics::answer(&status, &in_rows, &headers))
}
