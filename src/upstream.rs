//! Asking others for files: origins (who may be asked, connections, redirects,
//! who is down) and peers.

mod client;
mod connector;
pub mod peer;
pub mod policy;

pub use client::{Answer, CaFileError, Upstream};

use crate::debian::url::UrlError;

/// Why an origin gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The configuration does not allow it.
    #[error(transparent)]
    Denied(#[from] policy::Denied),
    /// No connection, or it broke before an answer came.
    #[error("{origin} can't be reached: {why}")]
    Connect {
        /// `scheme://host[:port]`
        origin: String,
        /// What the network said.
        why: String,
    },
    /// Nothing came for too long.
    #[error("{origin} was silent for {seconds} s")]
    Silent {
        /// `scheme://host[:port]`
        origin: String,
        /// The limit (`upstream.timeout`).
        seconds: u64,
    },
    /// The body stopped before its end.
    #[error("{origin} broke off: {why}")]
    Broken {
        /// `scheme://host[:port]`
        origin: String,
        /// What the network said.
        why: String,
    },
    /// A redirect that is not followed.
    #[error("{origin} redirects {why}")]
    Redirect {
        /// `scheme://host[:port]`
        origin: String,
        /// Where it leads, or what is wrong with it.
        why: String,
    },
    /// An address that is none.
    #[error(transparent)]
    Url(#[from] UrlError),
}

impl UpstreamError {
    /// The status that tells a client of it (RFC 9110 §15.6).
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Denied(_) => 403,
            Self::Url(_) => 400,
            Self::Silent { .. } => 504,
            Self::Connect { .. } | Self::Broken { .. } | Self::Redirect { .. } => 502,
        }
    }

    /// Whether the origin is to blame, so that it is spared for a while.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Silent { .. } | Self::Broken { .. }
        )
    }
}

/// The reason at the bottom of a chain of errors: the one that tells a person most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
