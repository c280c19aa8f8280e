//! Who made a signature, and whether that counts.

use std::{
    borrow::Cow,
    fmt::{self, Display, Formatter},
    time::{Duration, SystemTime},
};

use sequoia_openpgp::{
    Cert, Error as PgpError,
    cert::amalgamation::{
        ValidAmalgamation as _, ValidateAmalgamation as _,
        key::{ErasedKeyAmalgamation, PrimaryKey as _},
    },
    crypto::mpi,
    packet::{Signature, key::PublicParts},
    policy::{HashAlgoSecurity, Policy as _, StandardPolicy},
    types::{RevocationStatus, SignatureType},
};
use thiserror::Error;

/// By how much the clocks of an archive and of this machine may differ.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// What this build can check of RSA.
const MAX_RSA_BITS: usize = 4096;

/// What came of one signature.
pub(super) enum Finding {
    /// It counts.
    Good(Signer),
    /// It is by a known key and does not count.
    Flawed(Flaw),
    /// It is by no known key or cannot be checked here; with the key that it names.
    Unknown(Option<String>),
}

/// Why a signature by a known key does not count.
#[derive(Debug, Error)]
pub(super) enum Flaw {
    #[error("a signature by {0} does not belong to this text")]
    Mismatch(Signer),
    #[error("the signature by {0} is not accepted: {1}")]
    Signature(Signer, String),
    #[error("the signature is by {0}, whose key is not accepted: {1}")]
    Key(Signer, String),
}

/// A certificate by its names.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) fingerprint: String,
    pub(super) name: String,
}

impl Display for Signer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.name == self.fingerprint {
            f.write_str(&self.fingerprint)
        } else {
            write!(f, "{} ({})", self.name, self.fingerprint)
        }
    }
}

/// Judges signatures by the certificates it knows.
pub(super) struct Judge {
    certs: Vec<Cert>,
    policy: StandardPolicy<'static>,
    now: SystemTime,
}

impl Judge {
    pub(super) fn new(certs: Vec<Cert>, now: SystemTime) -> Self {
        Self {
            certs,
            policy: StandardPolicy::at(now),
            now,
        }
    }

    /// Judges one signature of `text`.
    pub(super) fn judge(&self, signature: &Signature, text: &[u8]) -> Finding {
        let issuers = signature.get_issuers();
        let unknown = || Finding::Unknown(issuers.first().map(|issuer| format!("{issuer:X}")));
        if issuers.is_empty() {
            return unknown();
        }
        let text = match signature.typ() {
            SignatureType::Text => Cow::Owned(canonical(text)),
            _ => Cow::Borrowed(text),
        };
        // Several keys may have one id, and several certificates one key.
        let keys = self
            .certs
            .iter()
            .flat_map(|cert| cert.keys().key_handles(issuers.iter()));
        let findings = keys.map(|key| match signature.verify_message(key.key(), &text) {
            Err(error) if unsupported(&key, error.downcast_ref()) => unknown(),
            Err(_) => Finding::Flawed(Flaw::Mismatch(self.signer(key.cert()))),
            Ok(()) => match self.objection(signature, &key) {
                Some(flaw) => Finding::Flawed(flaw),
                None => Finding::Good(self.signer(key.cert())),
            },
        });
        let rank = |finding: &Finding| match finding {
            Finding::Good(_) => 0,
            Finding::Flawed(Flaw::Signature(..) | Flaw::Key(..)) => 1,
            Finding::Flawed(Flaw::Mismatch(_)) => 2,
            Finding::Unknown(_) => 3,
        };
        findings.min_by_key(rank).unwrap_or_else(unknown)
    }

    /// What speaks against a signature that this key really made.
    fn objection(
        &self,
        signature: &Signature,
        key: &ErasedKeyAmalgamation<'_, PublicParts>,
    ) -> Option<Flaw> {
        if let Err(reason) = self.accept_key(key) {
            return Some(Flaw::Key(self.signer(key.cert()), reason));
        }
        let accepted = signature
            .signature_alive(self.now, CLOCK_SKEW)
            .and_then(|()| {
                self.policy
                    .signature(signature, HashAlgoSecurity::CollisionResistance)
            });
        let error = accepted.err()?;
        Some(Flaw::Signature(
            self.signer(key.cert()),
            error.root_cause().to_string(),
        ))
    }

    fn accept_key(&self, key: &ErasedKeyAmalgamation<'_, PublicParts>) -> Result<(), String> {
        let key = key
            .clone()
            .with_policy(&self.policy, self.now)
            .map_err(|error| error.root_cause().to_string())?;
        let cert = key.valid_cert();
        let revoked = |status: &RevocationStatus| matches!(status, RevocationStatus::Revoked(_));
        if revoked(&cert.revocation_status()) || revoked(&key.revocation_status()) {
            return Err("it is revoked".to_owned());
        }
        // Of a subkey this asks for the whole certificate as well.
        key.alive()
            .map_err(|error| error.root_cause().to_string())?;
        // Old primary keys do not say what they are for: they are for everything.
        let silent = key.primary() && key.key_flags().is_none();
        if silent || key.for_signing() {
            Ok(())
        } else {
            Err("it is not for signing".to_owned())
        }
    }

    fn signer(&self, cert: &Cert) -> Signer {
        let fingerprint = cert.fingerprint().to_hex();
        let valid = cert.with_policy(&self.policy, self.now);
        let primary = valid.and_then(|cert| Ok(cert.primary_userid()?.userid().clone()));
        let first = || cert.userids().next().map(|id| id.userid().clone());
        let name = primary.ok().or_else(first).map(|id| {
            let text = String::from_utf8_lossy(id.value());
            text.chars().filter(|c| !c.is_control()).collect::<String>()
        });
        let name = name.filter(|name| !name.is_empty());
        Signer {
            name: name.unwrap_or_else(|| fingerprint.clone()),
            fingerprint,
        }
    }
}

/// Whether it is for want of an algorithm that a signature could not be checked.
fn unsupported(key: &ErasedKeyAmalgamation<'_, PublicParts>, error: Option<&PgpError>) -> bool {
    let key = key.key();
    let large = matches!(key.mpis(), mpi::PublicKey::RSA { n, .. } if n.bits() > MAX_RSA_BITS);
    let unsupported = matches!(
        error,
        Some(
            PgpError::UnsupportedHashAlgorithm(_)
                | PgpError::UnsupportedPublicKeyAlgorithm(_)
                | PgpError::UnsupportedEllipticCurve(_)
                | PgpError::UnsupportedSignatureType(_)
        )
    );
    large || unsupported || !key.pk_algo().is_supported()
}

/// With the line endings that a signature of text covers.
fn canonical(text: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(text.len() + text.len() / 32);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line {
            [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] => {
                canonical.extend_from_slice(line);
                canonical.extend_from_slice(b"\r\n");
            }
            _ => canonical.extend_from_slice(line),
        }
    }
    canonical
}
