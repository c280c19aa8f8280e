//! What a client is told when it can't have what it asked for.

use axum::http::{HeaderValue, Response, StatusCode, header};

use super::body::Body;
use crate::debian::url::UrlError;
use crate::store::flight::Refusal;
use crate::upstream::UpstreamError;

/// A status and one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub sentence: String,
}

impl Problem {
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
        }
    }

    /// The sentence as an answer. It names paths that a client made up, so it
    /// is never anything but plain text.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::full(format!("{}\n", self.sentence)));
        *response.status_mut() = self.status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}

impl From<UrlError> for Problem {
    fn from(error: UrlError) -> Self {
        let status = match error {
            UrlError::Long => StatusCode::URI_TOO_LONG,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, format!("This address can't be fetched: {error}."))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
        Self::new(status, format!("{}.", refusal.reason))
    }
}

impl From<UpstreamError> for Problem {
    fn from(error: UpstreamError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        Self::new(status, format!("{error}."))
    }
}
