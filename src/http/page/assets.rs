//! Style, script and icon: in the binary, so that no page needs another host.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha1::{Digest, Sha1};

use crate::debian::naming::to_hex;

/// A file that the page needs.
pub struct Asset {
    kind: &'static str,
    text: &'static str,
    version: String,
}

/// How the page looks.
pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "text/css; charset=utf-8",
        include_str!("../../../templates/status.css"),
    )
});

/// What keeps it fresh.
pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "text/javascript; charset=utf-8",
        include_str!("../../../templates/status.js"),
    )
});

/// The node's sign.
pub static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("image/svg+xml", include_str!("../../../templates/icon.svg")));

impl Asset {
    fn new(kind: &'static str, text: &'static str) -> Self {
        let hash = to_hex(&Sha1::digest(text));
        Self {
            kind,
            text,
            version: hash.get(..12).unwrap_or(&hash).to_owned(),
        }
    }

    /// Another for another content: what an address ends in, so that a browser
    /// takes up the next release's.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The answer to a request with these headers.
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", self.version);
        let same = asked
            .get(header::IF_NONE_MATCH)
            .and_then(|tags| tags.to_str().ok())
            .is_some_and(|tags| tags.contains(&tag));
        let mut response = if same {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, self.kind)], self.text).into_response()
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=86400"),
        );
        response
    }
}
