//! The lines of hash, size and name that every index is made of.

use super::digest::{Digest, Vouched};

/// Why a line of hash, size and name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// Not the words it should have.
    #[error("is not a hash, a size and a name")]
    Words,
    /// Not the hexadecimal digits of the algorithm.
    #[error("has no {0} hash in hexadecimal digits")]
    Hash(&'static str),
    /// No number, or one that no file is large enough for.
    #[error("has a size that is no number of bytes below 2^63")]
    Size,
}

/// Reads `HASH SIZE NAME`; the name has no blanks (Debian wiki,
/// `RepositoryFormat`).
pub(super) fn named<'a>(
    line: &'a str,
    algorithm: &'static str,
) -> Result<(Vouched, &'a str), ChecksumError> {
    let mut words = line.split_ascii_whitespace();
    let (Some(hash), Some(bytes), Some(name), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(ChecksumError::Words);
    };
    let digest = digest(hash, algorithm)?;
    let size = size(bytes)?;
    Ok((Vouched { digest, size }, name))
}

/// Reads a hash in hexadecimal digits, of this algorithm and no other.
pub(super) fn digest(hash: &str, algorithm: &'static str) -> Result<Digest, ChecksumError> {
    Digest::from_hex(hash)
        .filter(|digest| digest.algorithm() == algorithm)
        .ok_or(ChecksumError::Hash(algorithm))
}

/// Reads a size in bytes, at most `i64::MAX` as rows can hold.
pub(super) fn size(bytes: &str) -> Result<u64, ChecksumError> {
    if !bytes.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(ChecksumError::Size);
    }
    let size: u64 = bytes.parse().map_err(|_| ChecksumError::Size)?;
    i64::try_from(size).map_err(|_| ChecksumError::Size)?;
    Ok(size)
}

/// The start of a stranger's line, short enough for an error's sentence.
pub(super) fn excerpt(line: &str) -> String {
    const LENGTH: usize = 60;
    match line.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or("")),
        None => line.trim_end().to_owned(),
    }
}
