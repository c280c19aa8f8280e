//! What the name of a file promises about its content.
//!
//! This decides freshness only: whether a file may be served at all never
//! depends on its name.

use super::digest::Digest;

/// The promise in a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// `…/by-hash/ALGORITHM/HEX` (Debian wiki, `RepositoryFormat`,
    /// "indices acquisition via hashsums"): the name is the content's hash.
    ByHash(Digest),
    /// Below a `pool/` folder, where a name is given once (Debian policy
    /// §3.2.2 forbids to reuse a version).
    Pool,
    /// Any other name may mean something else tomorrow: `InRelease`, indexes
    /// by path, flat repositories, installer images.
    Mutable,
}

impl Naming {
    /// Reads the promise from a canonical path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or(path);
        let mut segments = path.rsplit('/');
        let name = segments.next().unwrap_or("");
        let algorithm = segments.next().unwrap_or("");
        if segments.next() == Some("by-hash")
            && let Some(hash) = Digest::from_hex(name)
            && hash.algorithm() == algorithm
        {
            return Self::ByHash(hash);
        }
        if !name.is_empty() && path.contains("/pool/") {
            return Self::Pool;
        }
        Self::Mutable
    }
}

/// Exactly `2 × N` hexadecimal digits as bytes.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_promise_what_they_are() {
        let hex = "ab".repeat(32);
        assert_eq!(
            Naming::of(&format!("/debian/dists/sid/main/by-hash/SHA256/{hex}")),
            Naming::ByHash(Digest::Sha256([0xab; 32]))
        );
        assert_eq!(
            Naming::of(&format!("/dists/sid/by-hash/MD5Sum/{}", "0".repeat(32))),
            Naming::ByHash(Digest::Md5([0; 16]))
        );
        assert_eq!(
            Naming::of("/debian/pool/main/h/hello/hello_1_all.deb"),
            Naming::Pool
        );
        for path in [
            "/debian/dists/sid/InRelease",
            "/debian/pool/",
            "/debian/dists/sid/main/by-hash/SHA256/abc",
            "/flat/hello_1_all.deb",
            "/whirlpool/x",
        ] {
            assert_eq!(Naming::of(path), Naming::Mutable, "{path}");
        }
    }

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(from_hex::<2>("0aF1"), Some([0x0a, 0xf1]));
        assert_eq!(to_hex(&[0x0a, 0xf1]), "0af1");
        for text in ["0a", "0g11", "+a11", "é11"] {
            assert_eq!(from_hex::<2>(text), None, "{text}");
        }
    }
}
