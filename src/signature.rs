//! Whether a Release file is signed, and by a key that counts.
//!
//! A key counts by what it is *now*: a signature from before the day on which its key expired or
//! was revoked is refused, as apt refuses it. Of several signatures one good one is enough, as
//! when an archive changes its keys; but one that a known key never made spoils them all.

use std::{path::PathBuf, time::SystemTime};

use sequoia_openpgp::{
    Packet,
    packet::{Any as _, Signature},
};

mod keyring;
mod message;
mod signer;
#[cfg(test)]
mod tests;

use self::signer::{Finding, Flaw, Judge};

/// The keys that Release files may be signed by: `index.keyrings`.
#[derive(Clone, Debug)]
pub struct Keyrings {
    paths: Vec<PathBuf>,
}

/// What the signatures of a Release file prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A key of the keyrings signed it.
    Good {
        /// The fingerprint of the signer's primary key, in upper-case hexadecimal digits.
        fingerprint: String,
        /// The signer's primary user id, or the fingerprint where there is none.
        signer: String,
        /// Of a clear-signed file exactly the text that is signed, which has no line ending after
        /// its last line; of a detached signature none.
        payload: Option<String>,
    },
    /// It is signed, but by no key of the keyrings, or only in ways that this build cannot check.
    Unknown {
        /// Who signed it by its own word: fingerprints, or key ids where it tells no more, in
        /// upper-case hexadecimal digits.
        keys: Vec<String>,
    },
    /// There is no signature.
    Unsigned,
    /// It must not be used.
    Refused {
        /// Why, in one sentence.
        reason: String,
    },
}

impl Keyrings {
    /// The keyrings at these paths: files, or folders whose `*.gpg`, `*.asc` and `*.pgp` files
    /// count. A path where nothing is counts as an empty keyring.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths }
    }

    /// Judges a file that holds its signatures, `InRelease`.
    ///
    /// Blocks: it reads the keyrings anew, so that an upgraded keyring counts at once.
    #[must_use]
    pub fn verify_clear(&self, inrelease: &[u8], now: SystemTime) -> Verdict {
        match message::clear(inrelease) {
            Ok(None) => Verdict::Unsigned,
            Ok(Some((text, packets))) => match self.judge(text.as_bytes(), &packets, now) {
                Verdict::Good {
                    fingerprint,
                    signer,
                    ..
                } => Verdict::Good {
                    fingerprint,
                    signer,
                    payload: Some(text),
                },
                other => other,
            },
            Err(malformed) => Verdict::refused(&malformed),
        }
    }

    /// Judges a file whose signatures stand beside it, armoured or binary: `Release` and
    /// `Release.gpg`.
    ///
    /// Blocks: it reads the keyrings anew, so that an upgraded keyring counts at once.
    #[must_use]
    pub fn verify_detached(&self, release: &[u8], signature: &[u8], now: SystemTime) -> Verdict {
        match message::detached(signature) {
            Ok(packets) => self.judge(release, &packets, now),
            Err(malformed) => Verdict::refused(&malformed),
        }
    }

    fn judge(&self, text: &[u8], packets: &[Packet], now: SystemTime) -> Verdict {
        if packets.is_empty() {
            return Verdict::Unsigned;
        }
        let signatures: Vec<&Signature> = packets.iter().filter_map(Packet::downcast_ref).collect();
        let issuers: Vec<_> = signatures.iter().flat_map(|s| s.get_issuers()).collect();
        let judge = Judge::new(keyring::certs(&self.paths, &issuers), now);

        let mut good = None;
        let mut flaws = Vec::new();
        let mut keys = Vec::new();
        for signature in signatures {
            match judge.judge(signature, text) {
                Finding::Flawed(mismatch @ Flaw::Mismatch(_)) => {
                    return Verdict::refused(&mismatch);
                }
                Finding::Flawed(flaw) => flaws.push(flaw),
                Finding::Good(signer) => good = good.or(Some(signer)),
                Finding::Unknown(key) => keys.extend(key),
            }
        }
        match (good, flaws.first()) {
            (Some(signer), _) => Verdict::Good {
                fingerprint: signer.fingerprint,
                signer: signer.name,
                payload: None,
            },
            (None, Some(flaw)) => Verdict::refused(flaw),
            (None, None) => Verdict::Unknown { keys },
        }
    }
}

impl Verdict {
    fn refused(error: &dyn std::error::Error) -> Self {
        Self::Refused {
            reason: error.to_string(),
        }
    }
}
