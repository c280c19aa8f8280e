//! `Release` and `InRelease`: what an archive vouches for (Debian wiki,
//! `RepositoryFormat`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use deb822_fast::borrowed::{BorrowedField, BorrowedParagraph, parse_borrowed};
use sha2::{Digest as _, Sha256};

use super::checksums::{self, ChecksumError, excerpt};
use super::digest::{Digest, Vouched};
use super::url::{UrlError, path_of_filename};
use crate::clock::{Millis, to_millis};

mod cleartext;

pub use cleartext::cleartext;

/// The longest text that is read, in bytes: Debian's own has 0.2 MiB.
pub const MAX_TEXT: usize = 32 << 20;
/// The most files that one `Release` may list: Debian's own has 1,300.
pub const MAX_FILES: usize = 100_000;
/// The most lines: what bounds the memory that parsing them takes.
const MAX_LINES: usize = 5 * MAX_FILES;

/// The file lists, the one that counts first.
const LISTS: [&str; 4] = ["SHA256", "SHA512", "SHA1", "MD5Sum"];

/// One generation of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Whose archive it is.
    pub origin: Option<String>,
    /// What the archive is called.
    pub label: Option<String>,
    /// `stable`, `oldstable`…
    pub suite: Option<String>,
    /// `bookworm`, …
    pub codename: Option<String>,
    /// When it was made.
    pub date: Option<Millis>,
    /// When apt starts to refuse it.
    pub valid_until: Option<Millis>,
    /// Whether its files are there by their hash too.
    pub acquire_by_hash: bool,
    /// The files that it vouches for, at least one, each path once, sorted.
    pub files: Vec<ReleaseFile>,
    /// What a `Release` and the `InRelease` of the same generation have in
    /// common: SHA-256 over the lines without trailing blanks, of which
    /// clear-signing drops any (RFC 9580 §7.2), and without empty lines at
    /// the end.
    pub identity: [u8; 32],
}

/// A file that a `Release` vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Its canonical path, relative to the folder of the `Release`.
    pub path: String,
    /// Its size, and its SHA-256 where that is listed, else SHA-512, else
    /// SHA-1, else MD5.
    pub vouched: Vouched,
    /// Its SHA-512, where both are listed.
    pub sha512: Option<[u8; 64]>,
}

/// Why a text is no `Release`, or a file no `InRelease`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Longer than [`MAX_TEXT`].
    #[error("the Release file is longer than {MAX_TEXT} bytes")]
    Long,
    /// More than [`MAX_FILES`] files, or more lines than those can need.
    #[error("the Release file lists more than {MAX_FILES} files")]
    Many,
    /// Debian policy §5.1 wants UTF-8.
    #[error("line {0} of the Release file is not UTF-8")]
    NotUtf8(usize),
    /// A line that is neither a field nor continues one.
    #[error("line {line} of the Release file is no field: `{text}`")]
    Malformed {
        /// Its number, from 1.
        line: usize,
        /// Its start.
        text: String,
    },
    /// There must be one stanza only.
    #[error("the Release file has more than one stanza")]
    Stanzas,
    /// Which of the two counts is anybody's guess.
    #[error("the Release file has the field {0} twice")]
    Twice(&'static str),
    /// No date of RFC 2822 in UTC.
    #[error("the field {field} of the Release file is no date in UTC: `{text}`")]
    Date {
        /// The field's name.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// A line of a file list is wrong.
    #[error("line {line} of the Release file {problem}")]
    Checksum {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        problem: ChecksumError,
    },
    /// A file's name that is no path within the suite.
    #[error("line {line} of the Release file names a file that can't be: {problem}")]
    Path {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        problem: UrlError,
    },
    /// A file listed twice, with different sizes or hashes.
    #[error("line {line} of the Release file contradicts what it says of `{path}` before")]
    Contradiction {
        /// The number of the later line, from 1.
        line: usize,
        /// The file's canonical path.
        path: String,
    },
    /// A page of a captive portal, or an archive of nothing: apt refuses
    /// both.
    #[error("the text lists no files, so it is no Release file")]
    NoFiles,
    /// Something stands before or after the signed message, or within it
    /// where nothing may.
    #[error("line {0} of the InRelease file is not part of a signed message")]
    Unsigned(usize),
    /// The signed message or its signature has no end.
    #[error("the InRelease file is truncated")]
    Truncated,
}

impl Release {
    /// Reads a `Release` file, or the payload of an `InRelease` file
    /// ([`cleartext`]).
    ///
    /// # Errors
    /// Anything that is malformed, contradictory or absurdly large, and a
    /// text that lists no files.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        if text.len() > MAX_TEXT {
            return Err(ReleaseError::Long);
        }
        if text.lines().count() > MAX_LINES {
            return Err(ReleaseError::Many);
        }
        let text = &signable(text);
        if text.trim_start_matches('\n').contains("\n\n") {
            return Err(ReleaseError::Stanzas);
        }
        let stanzas = parse_borrowed(text).map_err(|error| malformed(text, error))?;
        let stanza = stanzas.first().ok_or(ReleaseError::NoFiles)?;
        let word = |name| -> Result<Option<String>, ReleaseError> {
            Ok(value(stanza, name)?.map(str::to_owned))
        };
        let files = files(text, stanza)?;
        if files.is_empty() {
            return Err(ReleaseError::NoFiles);
        }
        Ok(Self {
            origin: word("Origin")?,
            label: word("Label")?,
            suite: word("Suite")?,
            codename: word("Codename")?,
            date: date(stanza, "Date")?,
            valid_until: date(stanza, "Valid-Until")?,
            acquire_by_hash: value(stanza, "Acquire-By-Hash")?.is_some_and(is_yes),
            files,
            identity: Sha256::digest(text).into(),
        })
    }
}

fn malformed(text: &str, error: deb822_fast::Error) -> ReleaseError {
    let deb822_fast::Error::UnexpectedToken(token) = error else {
        return ReleaseError::NoFiles;
    };
    let at = text.split('\n').position(|line| line == token);
    ReleaseError::Malformed {
        line: at.map_or(1, |at| at + 1),
        text: excerpt(&token),
    }
}

fn field<'a, 'b>(
    stanza: &'b BorrowedParagraph<'a>,
    name: &'static str,
) -> Result<Option<&'b BorrowedField<'a>>, ReleaseError> {
    let mut fields = stanza
        .iter()
        .filter(|field| field.name().eq_ignore_ascii_case(name));
    let first = fields.next();
    match fields.next() {
        Some(_) => Err(ReleaseError::Twice(name)),
        None => Ok(first),
    }
}

fn value<'a>(
    stanza: &BorrowedParagraph<'a>,
    name: &'static str,
) -> Result<Option<&'a str>, ReleaseError> {
    let first = field(stanza, name)?.and_then(|field| field.lines().first().copied());
    Ok(first.map(str::trim_ascii_end))
}

/// What apt takes for a yes (`StringToBool`).
fn is_yes(word: &str) -> bool {
    ["yes", "true", "with", "on", "enable", "1"]
        .into_iter()
        .any(|yes| word.eq_ignore_ascii_case(yes))
}

fn date(
    stanza: &BorrowedParagraph<'_>,
    field: &'static str,
) -> Result<Option<Millis>, ReleaseError> {
    let Some(text) = value(stanza, field)? else {
        return Ok(None);
    };
    let unreadable = || ReleaseError::Date {
        field,
        text: excerpt(text),
    };
    millis_of(text).map(Some).ok_or_else(unreadable)
}

/// `Sat, 10 Jun 2023 09:01:22 UTC`: the dates of RFC 2822, of which apt takes
/// only those in UTC.
fn millis_of(text: &str) -> Option<Millis> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let date = text.split_once(',').map_or(text, |(_weekday, date)| date);
    let mut words = date.split_ascii_whitespace();
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let in_utc = matches!(words.next()?, "UTC" | "GMT" | "Z" | "+0000" | "-0000");
    if !in_utc || words.next().is_some() {
        return None;
    }
    let month = MONTHS
        .iter()
        .position(|name| name.eq_ignore_ascii_case(month))?
        + 1;
    let stamp = format!("{year}-{month:02}-{day:0>2}T{time:0>8}Z");
    humantime::parse_rfc3339(&stamp).ok().map(to_millis)
}

struct Known {
    vouched: Vouched,
    weaker: Vec<Digest>,
}

impl Known {
    /// Whether it is the same file; what is new about it is kept.
    fn agrees(&mut self, other: Vouched) -> bool {
        let known = std::iter::once(&self.vouched.digest)
            .chain(&self.weaker)
            .find(|digest| digest.algorithm() == other.digest.algorithm());
        let same = known.is_none_or(|digest| *digest == other.digest);
        if known.is_none() {
            self.weaker.push(other.digest);
        }
        same && self.vouched.size == other.size
    }
}

fn files(text: &str, stanza: &BorrowedParagraph<'_>) -> Result<Vec<ReleaseFile>, ReleaseError> {
    let mut files: BTreeMap<String, Known> = BTreeMap::new();
    for algorithm in LISTS {
        let Some(list) = field(stanza, algorithm)? else {
            continue;
        };
        for entry in list.lines() {
            if entry.trim_ascii().is_empty() {
                continue;
            }
            let line = || line_of(text, entry);
            let (vouched, name) =
                checksums::named(entry, algorithm).map_err(|problem| ReleaseError::Checksum {
                    line: line(),
                    problem,
                })?;
            let path = path_of_filename(name).map_err(|problem| ReleaseError::Path {
                line: line(),
                problem,
            })?;
            let full = files.len() == MAX_FILES;
            match files.entry(path) {
                Entry::Vacant(_) if full => return Err(ReleaseError::Many),
                Entry::Vacant(new) => {
                    let weaker = Vec::new();
                    new.insert(Known { vouched, weaker });
                }
                Entry::Occupied(mut known) => {
                    if !known.get_mut().agrees(vouched) {
                        return Err(ReleaseError::Contradiction {
                            line: line(),
                            path: known.key().clone(),
                        });
                    }
                }
            }
        }
    }
    let listed = |(path, known): (String, Known)| ReleaseFile {
        path,
        vouched: known.vouched,
        sha512: known.weaker.iter().find_map(|digest| match digest {
            Digest::Sha512(hash) => Some(*hash),
            _ => None,
        }),
    };
    Ok(files.into_iter().map(listed).collect())
}

/// The number of the line where `part`, a slice of `text`, stands.
fn line_of(text: &str, part: &str) -> usize {
    let offset = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = text.as_bytes().get(..offset).unwrap_or(&[]);
    before.split(|byte| *byte == b'\n').count()
}

/// The text without what clear-signing may drop, so that what is equal in
/// [`Release::identity`] is equal in everything.
fn signable(text: &str) -> String {
    const BLANKS: [char; 3] = [' ', '\t', '\r'];
    let mut lines = String::with_capacity(text.len() + 1);
    for line in text.split('\n') {
        lines.push_str(line.trim_end_matches(BLANKS));
        lines.push('\n');
    }
    lines.truncate(lines.trim_end_matches('\n').len());
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests;
