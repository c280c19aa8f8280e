//! Judging what a suite's origins send as its Release.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::clock::{Millis, to_http_time};
use crate::config::Verify;
use crate::core::{Core, CoreError};
use crate::db::refusal::Kind;
use crate::db::release::{Forms, ReleaseRow, Signed};
use crate::db::suite::SuiteClaim;
use crate::debian::archive::{ReleaseForm, by_hash};
use crate::debian::digest::Digest;
use crate::debian::release::{Release, cleartext};
use crate::debian::url::RepoUrl;
use crate::signature::Verdict;
use crate::store::hot::Entry;
use crate::validators::Validators;

/// How far ahead of this node's clock a Release may be dated.
const AHEAD: Millis = 24 * 3600 * 1000;

/// The longest Release that is read, in bytes; the longest of today has a
/// twentieth of it.
const MAX_RELEASE: u64 = 8 * 1024 * 1024;

/// The most lines that it may have.
const MAX_LINES: usize = 400_000;

/// How long an older Release is held to be a mirror that lags behind. An
/// archive that was set back to a backup is believed after that.
const LAGGING: Millis = 24 * 3600 * 1000;

/// The files that a suite's origins sent.
#[derive(Debug, Default)]
pub struct Found {
    /// `InRelease`
    pub inrelease: Option<Arc<Entry>>,
    /// `Release`
    pub release: Option<Arc<Entry>>,
    /// `Release.gpg`
    pub signature: Option<Arc<Entry>>,
}

/// What they are.
#[derive(Debug)]
pub enum Accepted {
    /// The generation in use.
    InUse,
    /// Another one, which is to be taken up when its files are here.
    Candidate(ReleaseRow),
    /// They are of two generations: the origin changed between two questions.
    Mixed,
    /// They are not believed, and why.
    Refused(Kind, String),
}

/// A text that can be believed, and why.
struct Judged {
    release: Release,
    who: Signed,
}

impl Found {
    /// Whether there is no text at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.inrelease.is_none() && self.release.is_none()
    }

    fn forms(&self) -> Forms {
        let hash = |entry: &Option<Arc<Entry>>| entry.as_ref().map(|entry| entry.sha256);
        Forms {
            inrelease: hash(&self.inrelease),
            release: hash(&self.release),
            signature: hash(&self.signature),
        }
    }
}

impl Forms {
    /// Whether all of these files are known to carry one generation.
    fn has(&self, found: &Self) -> bool {
        let pairs = [
            (self.inrelease, found.inrelease),
            (self.release, found.release),
            (self.signature, found.signature),
        ];
        pairs
            .iter()
            .all(|(known, found)| found.is_none() || known == found)
    }

    /// The file that carries it in this form.
    #[must_use]
    pub const fn of(&self, form: ReleaseForm) -> Option<[u8; 32]> {
        match form {
            ReleaseForm::InRelease => self.inrelease,
            ReleaseForm::Release => self.release,
            ReleaseForm::Signature => self.signature,
        }
    }
}

impl Core {
    /// Judges what a suite's origins sent, and writes a new generation down.
    ///
    /// # Errors
    /// Where rows or bodies can't be read or written.
    pub async fn accept(
        self: &Arc<Self>,
        claim: &SuiteClaim,
        found: &Found,
    ) -> Result<Accepted, CoreError> {
        let current = match claim.release_id {
            Some(id) => self.db.release(id).await?,
            None => None,
        };
        let mut forms = found.forms();
        let strict = self.truth.judge.verify == Verify::Require;
        if let Some(current) = &current
            && current.forms.has(&forms)
            && (current.proved || !strict)
        {
            self.name_forms(claim, found, None).await?;
            return Ok(Accepted::InUse);
        }
        let judged = match self.judge(found, &mut forms).await? {
            Ok(Some(judged)) => judged,
            Ok(None) => return Ok(Accepted::Mixed),
            Err((kind, reason)) => return Ok(Accepted::Refused(kind, reason)),
        };
        // Whoever can change a file can strip its signature, too.
        let unproved = matches!(judged.who.how, "unknown" | "unsigned");
        if unproved && current.as_ref().is_some_and(|current| current.proved) {
            let reason =
                "no key in index.keyrings signed it, although one signed the generation in use";
            return Ok(Accepted::Refused(Kind::Signature, reason.to_owned()));
        }
        let now = self.now();
        if let Some(date) = judged.release.date.filter(|date| *date > now + AHEAD) {
            let date = httpdate::fmt_http_date(to_http_time(date));
            let reason = format!("its Date ({date}) is in the future");
            return Ok(Accepted::Refused(Kind::Malformed, reason));
        }
        let id = self
            .db
            .add_release(claim.lease.id, &judged.release, forms, &judged.who, now)
            .await?;
        self.name_forms(claim, found, current.as_ref()).await?;
        if claim.release_id == Some(id) {
            return Ok(Accepted::InUse);
        }
        let Some(row) = self.db.release(id).await? else {
            return Ok(Accepted::Mixed);
        };
        let dates = current.and_then(|current| current.date).zip(row.date);
        if dates.is_some_and(|(current, date)| current > date)
            && claim.older_since.is_none_or(|since| now - since < LAGGING)
        {
            let date = row
                .date
                .map(|date| httpdate::fmt_http_date(to_http_time(date)));
            let reason = format!(
                "its Date ({}) is older than that of the generation in use",
                date.unwrap_or_default()
            );
            return Ok(Accepted::Refused(Kind::Older, reason));
        }
        Ok(Accepted::Candidate(row))
    }

    /// The text, if it can be believed; `None` where two of the files don't
    /// belong together. An `InRelease` speaks for itself: a pair beside it that
    /// is not of the same text, or not believed, is left out of `forms`.
    async fn judge(
        self: &Arc<Self>,
        found: &Found,
        forms: &mut Forms,
    ) -> Result<Result<Option<Judged>, (Kind, String)>, CoreError> {
        let mut bytes = [None, None, None];
        for (bytes, entry) in
            bytes
                .iter_mut()
                .zip([&found.inrelease, &found.release, &found.signature])
        {
            if let Some(entry) = entry {
                *bytes = self.read(entry, MAX_RELEASE).await?;
                let lines = bytes
                    .iter()
                    .flatten()
                    .filter(|byte| **byte == b'\n')
                    .count();
                if bytes.is_none() || lines > MAX_LINES {
                    let reason =
                        format!("it is longer than {MAX_RELEASE} bytes or {MAX_LINES} lines");
                    return Ok(Err((Kind::Malformed, reason)));
                }
            }
        }
        let [inrelease, release, signature] = bytes;
        let core = Arc::clone(self);
        // A few at a time: what is judged takes memory.
        let _place = self.truth.judging.acquire().await;
        let judged = tokio::task::spawn_blocking(move || {
            let pair = release.map(|bytes| core.judge_pair(&bytes, signature.as_deref()));
            let Some(inrelease) = inrelease else {
                return Ok((pair.transpose()?, true));
            };
            let clear = core.judge_clear(&inrelease)?;
            let fits = pair.is_none_or(|pair| {
                pair.is_ok_and(|pair| pair.release.identity == clear.release.identity)
            });
            Ok((Some(clear), fits))
        });
        Ok(match judged.await.map_err(std::io::Error::other)? {
            Ok((judged, fits)) => {
                if !fits {
                    (forms.release, forms.signature) = (None, None);
                }
                Ok(judged)
            }
            Err(refused) => Err(refused),
        })
    }

    fn judge_clear(&self, inrelease: &[u8]) -> Result<Judged, (Kind, String)> {
        let judge = &self.truth.judge;
        let now = to_http_time(self.now());
        let verdict =
            (judge.verify != Verify::Off).then(|| judge.keyrings.verify_clear(inrelease, now));
        let text = match &verdict {
            Some(Verdict::Good {
                payload: Some(text),
                ..
            }) => text.clone(),
            _ => cleartext(inrelease).map_err(|error| (Kind::Malformed, error.to_string()))?,
        };
        self.judged(&text, verdict)
    }

    fn judge_pair(
        &self,
        release: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<Judged, (Kind, String)> {
        let judge = &self.truth.judge;
        let now = to_http_time(self.now());
        let verdict = (judge.verify != Verify::Off).then(|| {
            signature.map_or(Verdict::Unsigned, |signature| {
                judge.keyrings.verify_detached(release, signature, now)
            })
        });
        let text = std::str::from_utf8(release)
            .map_err(|error| (Kind::Malformed, format!("it is not UTF-8: {error}")))?;
        self.judged(text, verdict)
    }

    fn judged(&self, text: &str, verdict: Option<Verdict>) -> Result<Judged, (Kind, String)> {
        let release = Release::parse(text).map_err(|error| (Kind::Malformed, error.to_string()))?;
        let required = self.truth.judge.verify == Verify::Require;
        let unproved = |how, reason: String| {
            if required {
                return Err((Kind::Signature, reason));
            }
            Ok(Signed {
                how,
                key: None,
                signer: None,
            })
        };
        let who = match verdict {
            None => Signed {
                how: "unchecked",
                key: None,
                signer: None,
            },
            Some(Verdict::Good {
                fingerprint,
                signer,
                ..
            }) => Signed {
                how: "good",
                key: Some(fingerprint),
                signer: Some(signer),
            },
            Some(Verdict::Unknown { keys }) => unproved(
                "unknown",
                format!(
                    "no key in index.keyrings signed it; it is signed by {}",
                    keys.join(", ")
                ),
            )?,
            Some(Verdict::Unsigned) => unproved("unsigned", "it is not signed".to_owned())?,
            Some(Verdict::Refused { reason }) => return Err((Kind::Signature, reason)),
        };
        Ok(Judged { release, who })
    }

    /// Keeps the files of a generation under names of their own, for the plain
    /// ones will mean the next generation. The date that clients are told is
    /// later than that of the generation before: else a client that has that
    /// one would hear that nothing changed.
    async fn name_forms(
        self: &Arc<Self>,
        claim: &SuiteClaim,
        found: &Found,
        current: Option<&ReleaseRow>,
    ) -> Result<(), CoreError> {
        for (form, entry) in [
            (ReleaseForm::InRelease, &found.inrelease),
            (ReleaseForm::Release, &found.release),
            (ReleaseForm::Signature, &found.signature),
        ] {
            let Some(entry) = entry else { continue };
            let before = match current.and_then(|current| current.forms.of(form)) {
                Some(hash) if hash != entry.sha256 => self.form(&claim.folder, form, hash).await?,
                _ => None,
            };
            if before.is_none()
                && self
                    .form(&claim.folder, form, entry.sha256)
                    .await?
                    .is_some()
            {
                continue;
            }
            let earliest = before.map_or(0, |before| before.validators.last_modified + 1000);
            let said = Validators {
                last_modified: entry.validators.last_modified.max(earliest),
                ..entry.validators.clone()
            };
            let Some(name) = form_address(&claim.folder, form, entry.sha256) else {
                continue;
            };
            self.db
                .name_file(name.key(), entry.file_id, &said, self.now())
                .await?;
            self.hot.forget(name.key());
        }
        Ok(())
    }

    /// A file that carries a generation, if it is still in the store.
    ///
    /// # Errors
    /// Where rows or disk can't be read.
    pub async fn form(
        self: &Arc<Self>,
        folder: &str,
        form: ReleaseForm,
        hash: [u8; 32],
    ) -> Result<Option<Arc<Entry>>, CoreError> {
        match form_address(folder, form, hash) {
            Some(address) => self.find(&address).await,
            None => Ok(None),
        }
    }

    /// Writes and logs that something was not believed.
    pub async fn note_refusal(&self, kind: Kind, url: &RepoUrl, reason: &str) {
        tracing::warn!(url = url.key(), error = reason, "{}", headline(kind));
        let noted = self
            .db
            .refuse(kind, url.key(), url.origin(), reason, self.now());
        if let Err(error) = noted.await {
            tracing::warn!(%error, "a refusal can't be written down");
        }
    }
}

const fn headline(kind: Kind) -> &'static str {
    match kind {
        Kind::Mismatch => "wrong bytes are not kept",
        Kind::Malformed => "a file can't be read and is not believed",
        Kind::Signature => "a signature is refused",
        Kind::Older => "an older Release is not taken up",
        Kind::Incomplete => "a new generation is not complete yet",
    }
}

/// Where a file that carries a generation is kept.
fn form_address(folder: &str, form: ReleaseForm, hash: [u8; 32]) -> Option<RepoUrl> {
    let mut name = folder.to_owned();
    let _ = write!(name, "{}", form.name());
    RepoUrl::parse(&by_hash(&name, &Digest::Sha256(hash))).ok()
}
