//! One claimed address, and what is known of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use axum::http::header::{CONTENT_TYPE, ETAG, LAST_MODIFIED};

use crate::clock::{Millis, to_millis};
use crate::db::download::Claim;
use crate::debian::url::RepoUrl;
use crate::store::coming::Arrival;
use crate::store::flight::Flight;
use crate::store::hot::Entry;
use crate::truth::lookup::Plan;
use crate::upstream::Answer;
use crate::validators::Validators;

/// One claimed address and what is known of it.
pub(super) struct Errand<'a> {
    pub claim: &'a Claim,
    pub url: &'a RepoUrl,
    /// Who waits for it.
    pub flight: &'a Flight,
    /// The copy that may be out of date.
    pub stored: Option<Arc<Entry>>,
    /// Where its bytes are to be had, and what they must be.
    pub plan: Plan,
    /// Whether clients got bytes of it that turned out wrong: what comes now
    /// must not be taken for the rest of them.
    pub is_repair: AtomicBool,
    /// How it stands, for nodes on the same link that want it as well.
    pub arrival: Option<Arc<Arrival>>,
    /// The latest date that clients were told it is of.
    pub told: AtomicI64,
}

impl Errand<'_> {
    /// What is said of the body of an answer. After a repair it is another
    /// version, so that `If-Range` of who has a part of the wrong one fails.
    pub(super) fn said_by(&self, answer: &Answer, now: Millis) -> Validators {
        self.of_version(said_by(answer, now))
    }

    /// Likewise, of what is known from elsewhere.
    pub(super) fn of_version(&self, said: Validators) -> Validators {
        if !self.is_repair.load(Ordering::Relaxed) {
            return said;
        }
        Validators {
            etag: format!("\"{:016x}\"", rand::random::<u64>()),
            last_modified: said.last_modified.max(self.told.load(Ordering::Relaxed)) + 1000,
            ..said
        }
    }

    /// Clients are told this of the file.
    pub(super) fn is_told(&self, said: &Validators) {
        self.told.fetch_max(said.last_modified, Ordering::Relaxed);
    }
}

/// What an answer says of its body, with what is missing made up.
fn said_by(answer: &Answer, now: Millis) -> Validators {
    let text = |name| answer.header(name).map(str::to_owned);
    let upstream_etag = text(ETAG).filter(|tag| tag.ends_with('"'));
    let upstream_last_modified = text(LAST_MODIFIED);
    let dated = upstream_last_modified
        .as_deref()
        .and_then(|date| httpdate::parse_http_date(date).ok());
    Validators {
        etag: upstream_etag
            .clone()
            .unwrap_or_else(|| format!("\"{:016x}\"", rand::random::<u64>())),
        last_modified: dated.map_or(now, to_millis) / 1000 * 1000,
        content_type: text(CONTENT_TYPE),
        upstream_etag,
        upstream_last_modified: dated.and(upstream_last_modified),
    }
}
