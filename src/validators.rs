//! What identifies one version of a body to HTTP: entity tag and date.

use crate::clock::Millis;

/// What an origin said of a body, and what clients are told of it.
///
/// Clients are told one entity tag and one date for one body, whatever it came
/// from and however often; where the origin has none, they are made up once,
/// when the download begins, and kept with the row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// Entity tag for clients, with its quotes (RFC 9110 §8.8.3).
    pub etag: String,
    /// Last-Modified for clients, in whole seconds.
    pub last_modified: Millis,
    /// The origin's Content-Type.
    pub content_type: Option<String>,
    /// The origin's own entity tag, to ask it with.
    pub upstream_etag: Option<String>,
    /// The origin's own Last-Modified, as it spelt it.
    pub upstream_last_modified: Option<String>,
}

impl Validators {
    /// Whether the origin said anything that a later question can name.
    #[must_use]
    pub const fn from_origin(&self) -> bool {
        self.upstream_etag.is_some() || self.upstream_last_modified.is_some()
    }

    /// What an `If-Range` may name: a strong entity tag, else the date
    /// (RFC 9110 §13.1.5).
    #[must_use]
    pub fn if_range(&self) -> Option<&str> {
        self.upstream_etag
            .as_deref()
            .filter(|tag| !tag.starts_with("W/"))
            .or(self.upstream_last_modified.as_deref())
    }
}
