//! What is to be fetched, and claims on it whose end could not be written.

use std::sync::{MutexGuard, PoisonError};

use super::{Core, CoreError};
use crate::clock::Millis;
use crate::db::download::Claim;
use crate::debian::url::RepoUrl;

/// Rows of `download` that were committed and that nobody has looked at.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Those that were committed with a lease.
    pub born_leased: Vec<Claim>,
    /// Whether there are others.
    pub others: bool,
}

impl Core {
    /// Wants an address fetched or asked again, now.
    ///
    /// # Errors
    /// Where the database refuses.
    pub async fn want(&self, url: &RepoUrl) -> Result<(), CoreError> {
        let limits = &self.download_limits;
        let wanted = self
            .db
            .want_download(url.key(), url.origin(), self.now(), limits);
        self.ring(wanted.await?);
        Ok(())
    }

    /// Tells the fetch worker that a row was committed, with its lease where
    /// it was born with one.
    pub fn ring(&self, claim: Option<Claim>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        match claim {
            Some(claim) => wanted.born_leased.push(claim),
            None => wanted.others = true,
        }
        drop(wanted);
        self.download_wanted.notify_one();
    }

    fn unsettled_claims(&self) -> MutexGuard<'_, Vec<Claim>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of this claim could not be written.
    pub fn add_unsettled(&self, claim: Claim) {
        self.unsettled_claims().push(claim);
    }

    /// Claims whose end is still to be written.
    #[must_use]
    pub fn unsettled(&self) -> Vec<Claim> {
        self.unsettled_claims().clone()
    }

    /// The end of this claim is written.
    pub fn settled(&self, claim: &Claim) {
        self.unsettled_claims()
            .retain(|other| other.lease != claim.lease || other.id != claim.id);
    }

    /// Takes the rows committed with a lease since the last call, and if there are others.
    #[must_use]
    pub fn take_wanted(&self) -> Wanted {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wants an address asked again when its origin may be back, unless that
    /// is wanted already.
    pub async fn want_later(&self, url: &RepoUrl, not_before: Millis) {
        let wanted = self
            .db
            .want_download_later(url.key(), url.origin(), self.now(), not_before);
        match wanted.await {
            Ok(()) => self.ring(None),
            Err(error) => tracing::warn!(url = url.key(), %error, "a later check can't be noted"),
        }
    }
}
