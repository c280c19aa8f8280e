//! Where things lie in an archive (Debian wiki, `RepositoryFormat`).

use super::digest::Digest;

/// The files that carry a generation's signed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseForm {
    /// `InRelease`: text and signature in one.
    InRelease,
    /// `Release`: the text alone.
    Release,
    /// `Release.gpg`: the signature alone.
    Signature,
}

impl ReleaseForm {
    /// Its file name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InRelease => "InRelease",
            Self::Release => "Release",
            Self::Signature => "Release.gpg",
        }
    }

    /// Splits the canonical address of such a file into its folder, with a
    /// slash at the end, and which of them it is.
    #[must_use]
    pub fn split(address: &str) -> Option<(&str, Self)> {
        let at = address.rfind('/')? + 1;
        let form = [Self::InRelease, Self::Release, Self::Signature]
            .into_iter()
            .find(|form| form.name() == &address[at..])?;
        Some((&address[..at], form))
    }
}

/// Where the paths in a suite's Packages start: before `dists/`, or, in a flat
/// repository, in the folder itself. With a slash at the end.
#[must_use]
pub fn root_of(folder: &str) -> &str {
    folder.rfind("/dists/").map_or(folder, |at| &folder[..=at])
}

/// Where the paths in the Packages of a flat repository start, seen from one
/// of them. For `deb URI dir/`, they start at URI and so with `dir/`.
#[must_use]
pub fn flat_root_of<'a>(folder: &'a str, path: &str) -> &'a str {
    let below_origin = folder.find("://").map_or(0, |at| at + 3);
    let ends = folder
        .match_indices('/')
        .map(|(at, _)| at + 1)
        .filter(|at| *at > below_origin && *at < folder.len());
    ends.into_iter()
        .find(|at| path.starts_with(&folder[*at..]))
        .map_or(folder, |at| &folder[..at])
}

/// The by-hash name of a file: where its content would lie under that name,
/// whether or not the origin has it there.
#[must_use]
pub fn by_hash(address: &str, digest: &Digest) -> String {
    let folder = &address[..address.rfind('/').map_or(0, |at| at + 1)];
    format!("{folder}by-hash/{}/{}", digest.algorithm(), digest.to_hex())
}

/// The folder, with a slash at the end, that a by-hash address belongs to.
#[must_use]
pub fn folder_of_by_hash(address: &str) -> Option<&str> {
    address.rfind("/by-hash/").map(|at| &address[..=at])
}

/// Every name that a list may have: plain, and with the suffix of each
/// compression that apt knows.
#[must_use]
pub fn variants(list: &str) -> Vec<String> {
    ["", ".xz", ".gz", ".zst", ".bz2", ".lzma", ".lz4"]
        .iter()
        .map(|suffix| format!("{list}{suffix}"))
        .collect()
}

/// The list that a pdiff Index leads to: `X` for `X.diff/Index`.
#[must_use]
pub fn list_of_pdiff(path: &str) -> Option<&str> {
    path.strip_suffix(".diff/Index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_files_are_known_by_their_whole_name() {
        assert_eq!(
            ReleaseForm::split("http://h/d/dists/sid/InRelease"),
            Some(("http://h/d/dists/sid/", ReleaseForm::InRelease))
        );
        assert_eq!(
            ReleaseForm::split("http://h/Release.gpg"),
            Some(("http://h/", ReleaseForm::Signature))
        );
        for other in [
            "http://h/xRelease",
            "http://h/Release?x",
            "http://h/Release/",
        ] {
            assert_eq!(ReleaseForm::split(other), None, "{other}");
        }
    }

    #[test]
    fn roots() {
        assert_eq!(root_of("http://h/debian/dists/sid/"), "http://h/debian/");
        assert_eq!(root_of("http://h/s/dists/x/updates/"), "http://h/s/");
        assert_eq!(root_of("http://h/flat/"), "http://h/flat/");
        assert_eq!(flat_root_of("http://h/flat/", "a.deb"), "http://h/flat/");
        assert_eq!(flat_root_of("http://h/r/dir/", "dir/a.deb"), "http://h/r/");
        assert_eq!(flat_root_of("http://h/r/dir/", "r/dir/a.deb"), "http://h/");
        assert_eq!(flat_root_of("http://h/", "a.deb"), "http://h/");
    }

    #[test]
    fn by_hash_names() {
        let name = by_hash("http://h/d/main/Packages.xz", &Digest::Sha256([0xab; 32]));
        assert_eq!(
            name,
            format!("http://h/d/main/by-hash/SHA256/{}", "ab".repeat(32))
        );
        assert_eq!(folder_of_by_hash(&name), Some("http://h/d/main/"));
        assert_eq!(
            list_of_pdiff("main/Packages.diff/Index"),
            Some("main/Packages")
        );
    }
}
