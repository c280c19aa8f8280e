//! Hashes of files, of whatever algorithm an index lists.

use super::naming::{from_hex, to_hex};

/// The hash of a file.
///
/// In rows it is its raw bytes: the length tells the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// Too weak to prove anything, and what very old archives have.
    Md5([u8; 16]),
    /// Likewise.
    Sha1([u8; 20]),
    /// What every archive of today lists.
    Sha256([u8; 32]),
    /// What some list beside it or instead.
    Sha512([u8; 64]),
}

/// What an index says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vouched {
    /// The hash of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl Digest {
    /// From the hexadecimal digits of an index.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        match text.len() {
            32 => from_hex(text).map(Self::Md5),
            40 => from_hex(text).map(Self::Sha1),
            64 => from_hex(text).map(Self::Sha256),
            128 => from_hex(text).map(Self::Sha512),
            _ => None,
        }
    }

    /// From a row.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            16 => bytes.try_into().ok().map(Self::Md5),
            20 => bytes.try_into().ok().map(Self::Sha1),
            32 => bytes.try_into().ok().map(Self::Sha256),
            64 => bytes.try_into().ok().map(Self::Sha512),
            _ => None,
        }
    }

    /// For a row.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => bytes,
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        }
    }

    /// Lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        to_hex(self.as_bytes())
    }

    /// Whether nobody can make other bytes of this hash: only then it proves
    /// what a stranger sends.
    #[must_use]
    pub const fn is_strong(&self) -> bool {
        matches!(self, Self::Sha256(_) | Self::Sha512(_))
    }

    /// The algorithm's name as by-hash paths and `Release` fields write it.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Md5(_) => "MD5Sum",
            Self::Sha1(_) => "SHA1",
            Self::Sha256(_) => "SHA256",
            Self::Sha512(_) => "SHA512",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_length_tells_the_algorithm() {
        for (length, name, strong) in [
            (16, "MD5Sum", false),
            (20, "SHA1", false),
            (32, "SHA256", true),
            (64, "SHA512", true),
        ] {
            let digest = Digest::from_hex(&"aB".repeat(length)).unwrap();
            assert_eq!((digest.algorithm(), digest.is_strong()), (name, strong));
            assert_eq!(Digest::from_bytes(digest.as_bytes()), Some(digest));
            assert_eq!(digest.to_hex(), "ab".repeat(length));
        }
        assert_eq!(Digest::from_hex("abcd"), None);
        assert_eq!(Digest::from_hex(&"xy".repeat(32)), None);
        assert_eq!(Digest::from_bytes(&[0; 31]), None);
    }
}
