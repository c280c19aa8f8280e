//! Pages of the node itself: for people, scripts and monitors.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use humansize::{BINARY, format_size};
use std::time::Duration;

use super::status::{Status, StatusSource, shape};
use crate::clock::to_http_time;
use crate::db::DbError;
use crate::db::view::SuiteStatus;

/// No script, no foreign resource, no frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All pages.
pub fn router(source: StatusSource) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/acng-report.html", get(page))
        .route("/api/status", get(json))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/favicon.ico", get(StatusCode::NOT_FOUND))
        .with_state(source)
}

/// Rows that can't be read, told to whoever looks at a page.
struct Unreadable(DbError);

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

async fn json(State(source): State<StatusSource>) -> Result<Json<Status>, Unreadable> {
    Ok(Json(source.status().await?))
}

async fn healthz(State(source): State<StatusSource>) -> Result<&'static str, Unreadable> {
    source.core.db.ping().await?;
    Ok("ready\n")
}

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    status: Status,
    host: String,
}

impl Page {
    fn size(bytes: u64) -> String {
        format_size(bytes, BINARY)
    }

    fn uptime(&self) -> String {
        humantime::format_duration(Duration::from_secs(self.status.uptime_seconds)).to_string()
    }

    fn hit_ratio(&self) -> String {
        let cache = &self.status.cache;
        match (cache.hits * 100).checked_div(cache.hits + cache.misses) {
            Some(percent) => format!("{percent} %"),
            None => "none yet".to_owned(),
        }
    }

    fn since(at: i64) -> String {
        httpdate::fmt_http_date(to_http_time(at))
    }

    fn date(at: Option<i64>) -> String {
        at.map_or_else(|| "none".to_owned(), Self::since)
    }

    fn signed_by(suite: &SuiteStatus) -> String {
        match (suite.signed.as_str(), &suite.signer, &suite.key) {
            (_, Some(signer), Some(key)) => format!("{signer} ({key})"),
            ("unknown", ..) => "a key that index.keyrings does not have".to_owned(),
            ("unsigned", ..) => "nobody".to_owned(),
            _ => "not checked (index.verify is off)".to_owned(),
        }
    }

    fn done(download: &shape::Download) -> u64 {
        (download.done * 100)
            .checked_div(download.size)
            .unwrap_or(0)
    }
}

async fn page(
    State(source): State<StatusSource>,
    headers: axum::http::HeaderMap,
) -> Result<Response, Unreadable> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost:3142")
        .to_owned();
    let page = Page {
        status: source.status().await?,
        host,
    };
    let mut response = match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}.\n")).into_response(),
    };
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    );
    Ok(response)
}

async fn metrics(
    State(source): State<StatusSource>,
    headers: axum::http::HeaderMap,
) -> Result<Response, Unreadable> {
    Ok(super::metrics::answer(&source.status().await?, &headers))
}
