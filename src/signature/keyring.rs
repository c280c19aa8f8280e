//! The certificates of keyrings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sequoia_openpgp::{
    Cert, Fingerprint, KeyHandle,
    cert::raw::{RawCert, RawCertParser},
    parse::Parse as _,
};

/// A larger file is no keyring.
const MAX_FILE: u64 = 16 << 20;

/// Of the certificates of the keyrings those that have one of the issuers among their keys.
///
/// What several files tell of one certificate comes together: one may hold the key that signed,
/// another that all is revoked.
pub(super) fn certs(paths: &[PathBuf], issuers: &[KeyHandle]) -> Vec<Cert> {
    let files = paths.iter().flat_map(|path| files(path));
    let all: Vec<RawCert> = files.flat_map(|file| read(&file)).collect();
    let issuer = |key: KeyHandle| issuers.iter().any(|issuer| issuer.aliases(&key));
    let wanted: BTreeSet<Fingerprint> = all
        .iter()
        .filter(|cert| cert.keys().any(|key| issuer(key.key_handle())))
        .map(RawCert::fingerprint)
        .collect();
    let mut certs = BTreeMap::<Fingerprint, Cert>::new();
    for raw in all {
        let fingerprint = raw.fingerprint();
        if !wanted.contains(&fingerprint) {
            continue;
        }
        let merged = Cert::try_from(raw).and_then(|cert| match certs.get(&fingerprint) {
            Some(known) => known.clone().merge_public(cert),
            None => Ok(cert),
        });
        match merged {
            Ok(cert) => _ = certs.insert(fingerprint, cert),
            Err(error) => tracing::warn!(%fingerprint, %error, "a certificate is passed over"),
        }
    }
    certs.into_values().collect()
}

/// The files of a configured path.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.unwrap_or_else(|error| {
        tracing::warn!(file = %path.display(), %error, "a folder of keyrings is passed over");
        Vec::new()
    });
    let keyring = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("gpg" | "asc" | "pgp"))
    };
    let mut files: Vec<_> = entries
        .iter()
        .map(fs::DirEntry::path)
        .filter(keyring)
        .collect();
    files.sort();
    files
}

/// The certificates of a file, as far as they can be read.
fn read(path: &Path) -> Vec<RawCert<'static>> {
    let certs = bytes(path).and_then(|bytes| {
        let parser = RawCertParser::from_bytes(&bytes).map_err(io::Error::other)?;
        let certs = parser.filter_map(|cert| {
            let broken = |error| tracing::warn!(file = %path.display(), %error, "a part of a keyring is passed over");
            cert.map_err(broken).ok().map(RawCert::into_owned)
        });
        Ok(certs.collect())
    });
    certs.unwrap_or_else(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            tracing::debug!(file = %path.display(), "there is no such keyring");
        } else {
            tracing::warn!(file = %path.display(), %error, "a keyring is passed over");
        }
        Vec::new()
    })
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe might never end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}
