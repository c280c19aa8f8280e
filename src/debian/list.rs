//! Lists of packages: `Packages` and `Sources` (Debian wiki,
//! `RepositoryFormat`).

use std::io::{self, BufRead, Read as _};

use deb822_fast::borrowed::{BorrowedField, parse_borrowed};

use super::checksums::{self, ChecksumError, excerpt};
use super::digest::Vouched;
use super::url::{UrlError, path_of_filename};

/// The longest stanza that is read, in bytes: a hundred times the longest of
/// Debian's.
const MAX_STANZA: usize = 4 << 20;
/// The most lines of a stanza: what bounds the memory that parsing it takes.
const MAX_LINES: usize = 1 << 16;

/// Which list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Binary packages.
    Packages,
    /// Source packages.
    Sources,
}

impl ListKind {
    /// What an index is by its path without the compression's extension:
    /// `main/binary-amd64/Packages`, `main/source/Sources`.
    #[must_use]
    pub fn of(stem: &str) -> Option<Self> {
        match stem.rsplit('/').next() {
            Some("Packages") => Some(Self::Packages),
            Some("Sources") => Some(Self::Sources),
            _ => None,
        }
    }
}

/// A file that a list vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its canonical path, relative to the archive's root.
    pub path: String,
    /// The strongest hash that the list has for it, and its size.
    pub vouched: Vouched,
}

/// Why a list was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The source failed, or does not unpack.
    #[error("the list can't be read: {0}")]
    Read(#[from] io::Error),
    /// A stanza is wrong; the first has number 1.
    #[error("stanza {number} of the list {problem}")]
    Stanza {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        #[source]
        problem: StanzaError,
    },
}

/// What is wrong with a stanza.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StanzaError {
    /// More bytes or lines than any stanza has.
    #[error("is longer than {MAX_STANZA} bytes or {MAX_LINES} lines")]
    Long,
    /// Debian policy §5.1 wants UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// A line that is neither a field nor continues one.
    #[error("has a line that is no field: `{0}`")]
    Malformed(String),
    /// Which of the two counts is anybody's guess.
    #[error("has the field {0} twice")]
    Twice(&'static str),
    /// A file's name that is no path within the archive.
    #[error("names a file `{name}` that can't be: {problem}")]
    Path {
        /// The start of the name.
        name: String,
        /// What is wrong with it.
        problem: UrlError,
    },
    /// A hash or size that is none.
    #[error("has a field {field} that {problem}")]
    Checksum {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        problem: ChecksumError,
    },
}

/// Reads a list stanza by stanza, in memory of a few MiB however long it is,
/// and returns how many stanzas it has.
///
/// A stanza of `Packages` without `Filename`, without `Size` or without any
/// hash vouches for nothing and is passed over, and so is one of `Sources`
/// without any list of files: apt too reads such a list, and refuses only to
/// download that package.
///
/// # Errors
/// The source's own, and stanzas that are malformed, absurdly long, not UTF-8
/// or name files that can't be. What was listed before went to `each` by
/// then.
pub fn read<R: BufRead>(
    kind: ListKind,
    mut source: R,
    mut each: impl FnMut(Listed),
) -> Result<u64, ListError> {
    let mut number = 0;
    let mut stanza = Vec::new();
    loop {
        let at = |problem| ListError::Stanza {
            number: number + 1,
            problem,
        };
        if !next_stanza(&mut source, &mut stanza, at)? {
            return Ok(number);
        }
        if read_stanza(kind, &stanza, &mut each).map_err(at)? {
            number += 1;
        }
    }
}

/// Reads the lines up to the next empty one; false at the end of the list.
fn next_stanza<R: BufRead>(
    source: &mut R,
    stanza: &mut Vec<u8>,
    at: impl Fn(StanzaError) -> ListError,
) -> Result<bool, ListError> {
    stanza.clear();
    let mut lines = 0;
    loop {
        let start = stanza.len();
        let room = MAX_STANZA + 1 - start;
        source
            .by_ref()
            .take(room as u64)
            .read_until(b'\n', stanza)?;
        lines += 1;
        if stanza.len() > MAX_STANZA || lines > MAX_LINES {
            return Err(at(StanzaError::Long));
        }
        match stanza.get(start..) {
            Some([]) | None => return Ok(start > 0),
            Some(b"\n" | b"\r\n") => {
                stanza.truncate(start);
                if start > 0 {
                    return Ok(true);
                }
                lines = 0;
            }
            Some(_) => {}
        }
    }
}

/// False for a stanza of nothing but comments.
fn read_stanza(
    kind: ListKind,
    stanza: &[u8],
    each: &mut impl FnMut(Listed),
) -> Result<bool, StanzaError> {
    let text = str::from_utf8(stanza).map_err(|_| StanzaError::NotUtf8)?;
    let stanzas = parse_borrowed(text).map_err(|error| {
        StanzaError::Malformed(match error {
            deb822_fast::Error::UnexpectedToken(line) => excerpt(&line),
            other => other.to_string(),
        })
    })?;
    let Some(stanza) = stanzas.first() else {
        return Ok(false);
    };
    match kind {
        ListKind::Packages => {
            if let Some(listed) = binary(stanza.iter())? {
                each(listed);
            }
        }
        ListKind::Sources => source(stanza.iter(), each)?,
    }
    Ok(true)
}

/// Picks fields by name, in the order of `names`.
fn pick<'a, 'b, const N: usize>(
    fields: impl Iterator<Item = &'b BorrowedField<'a>>,
    names: &[&'static str; N],
) -> Result<[Option<&'b BorrowedField<'a>>; N], StanzaError>
where
    'a: 'b,
{
    let mut picked = [None; N];
    for field in fields {
        let name = field.name();
        for (slot, wanted) in picked.iter_mut().zip(names) {
            if name.eq_ignore_ascii_case(wanted) && slot.replace(field).is_some() {
                return Err(StanzaError::Twice(wanted));
            }
        }
    }
    Ok(picked)
}

fn value<'a>(field: &BorrowedField<'a>) -> &'a str {
    field.as_single_line().unwrap_or("").trim_ascii_end()
}

/// The file of a stanza of `Packages`.
fn binary<'a: 'b, 'b>(
    fields: impl Iterator<Item = &'b BorrowedField<'a>>,
) -> Result<Option<Listed>, StanzaError> {
    const FIELDS: [&str; 6] = ["Filename", "Size", "SHA256", "SHA512", "SHA1", "MD5sum"];
    let [name, size, sha256, sha512, sha1, md5] = pick(fields, &FIELDS)?;
    let strongest = [
        (sha256, "SHA256"),
        (sha512, "SHA512"),
        (sha1, "SHA1"),
        (md5, "MD5Sum"),
    ]
    .into_iter()
    .find_map(|(field, algorithm)| Some((field?, algorithm)));
    let (Some(name), Some(size), Some((hash, algorithm))) = (name, size, strongest) else {
        return Ok(None);
    };
    let wrong = |field| move |problem| StanzaError::Checksum { field, problem };
    Ok(Some(Listed {
        path: path(value(name))?,
        vouched: Vouched {
            digest: checksums::digest(value(hash), algorithm).map_err(wrong(algorithm))?,
            size: checksums::size(value(size)).map_err(wrong("Size"))?,
        },
    }))
}

/// The files of a stanza of `Sources`, from the strongest of its lists. Their
/// folder is the archive's root where it names none, as apt has it.
fn source<'a: 'b, 'b>(
    fields: impl Iterator<Item = &'b BorrowedField<'a>>,
    each: &mut impl FnMut(Listed),
) -> Result<(), StanzaError> {
    const FIELDS: [&str; 5] = [
        "Directory",
        "Checksums-Sha256",
        "Checksums-Sha512",
        "Checksums-Sha1",
        "Files",
    ];
    const ALGORITHMS: [&str; 4] = ["SHA256", "SHA512", "SHA1", "MD5Sum"];
    let [folder, lists @ ..] = pick(fields, &FIELDS)?;
    let folder = folder.map_or("", value);
    let strongest = lists
        .into_iter()
        .zip(ALGORITHMS)
        .find_map(|(list, algorithm)| Some((list?, algorithm)));
    let Some((list, algorithm)) = strongest else {
        return Ok(());
    };
    for line in list.lines() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (vouched, name) =
            checksums::named(line, algorithm).map_err(|problem| StanzaError::Checksum {
                field: algorithm,
                problem,
            })?;
        let path = path(&format!("{folder}/{name}"))?;
        each(Listed { path, vouched });
    }
    Ok(())
}

fn path(name: &str) -> Result<String, StanzaError> {
    path_of_filename(name).map_err(|problem| StanzaError::Path {
        name: excerpt(name),
        problem,
    })
}

#[cfg(test)]
mod tests;
