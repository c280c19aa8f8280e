//! pdiffs: how a list became the next one. `X.diff/Index` says what there is
//! (apt's `pkgAcqDiffIndex`), and [`patched`] applies one.

use std::collections::{BTreeMap, BTreeSet};

use deb822_fast::borrowed::{BorrowedField, BorrowedParagraph, parse_borrowed};

use super::checksums::{self, ChecksumError, excerpt};
use super::compression::Compression;
use super::digest::{Digest, Vouched};
use super::url::path_of_filename;

mod ed;
mod patched;

pub use ed::{EdScript, MAX_SCRIPT, PatchError};
pub use patched::{Patched, patched};

/// The longest `Index` that is read, in bytes.
const MAX_TEXT: usize = 8 << 20;
/// The most patches in an `Index`; Debian's have under 100.
pub const MAX_PATCHES: usize = 10_000;
/// The most patches that are applied one after the other.
pub const MAX_CHAIN: usize = 250;
/// The most lines: six lists, twice for those that apt does not read.
const MAX_LINES: usize = 13 * MAX_PATCHES;

/// What patches there are to a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PdiffIndex {
    /// The list as it is now.
    pub current: Vouched,
    /// Whether each patch leads to [`PdiffIndex::current`] at once
    /// (`X-Patch-Precedence: merged`); else it leads to where the next one
    /// starts.
    pub merged: bool,
    /// The patches, the oldest first.
    pub patches: Vec<Patch>,
}

/// One patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its name: a single path segment.
    pub name: String,
    /// The list that it applies to (`SHA256-History`).
    pub from: Vouched,
    /// The ed script, unpacked (`SHA256-Patches`).
    pub script: Vouched,
    /// The file as it is downloaded (`SHA256-Download`): its name beside the
    /// `Index`, a single path segment, and its hash.
    pub download: Option<(String, Vouched)>,
}

/// Why a text is no `Index` that apt takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PdiffError {
    /// More bytes or lines than any `Index` has.
    #[error("the pdiff index is longer than {MAX_TEXT} bytes or {MAX_LINES} lines")]
    Long,
    /// More than [`MAX_PATCHES`].
    #[error("the pdiff index has more than {MAX_PATCHES} patches")]
    Many,
    /// A line that is neither a field nor continues one.
    #[error("the pdiff index has a line that is no field: `{0}`")]
    Malformed(String),
    /// There must be one stanza only.
    #[error("the pdiff index has more than one stanza")]
    Stanzas,
    /// Without this field of SHA-256 hashes apt takes no patches.
    #[error("the pdiff index has no {0}")]
    Missing(&'static str),
    /// Which of the two counts is anybody's guess.
    #[error("the pdiff index has the field {0} twice")]
    Twice(&'static str),
    /// A line is wrong.
    #[error("the pdiff index has a line `{line}` in {field} that {problem}")]
    Checksum {
        /// The field's name.
        field: &'static str,
        /// The line's start.
        line: String,
        /// What is wrong with it.
        problem: ChecksumError,
    },
    /// A patch's name that is no single path segment.
    #[error("the pdiff index names a patch `{0}`, which is no file name")]
    Name(String),
    /// A patch that stands twice in a field.
    #[error("the pdiff index names the patch `{name}` twice in {field}")]
    Repeated {
        /// The field's name.
        field: &'static str,
        /// The patch's name.
        name: String,
    },
    /// A patch of the history whose script has no hash.
    #[error("the pdiff index has no hash of the patch `{0}`")]
    Unknown(String),
}

impl PdiffIndex {
    /// Reads an `Index`: its fields of SHA-256 hashes, without which apt
    /// refuses it as weak.
    ///
    /// # Errors
    /// Anything that is malformed, incomplete or absurdly large.
    pub fn parse(text: &str) -> Result<Self, PdiffError> {
        if text.len() > MAX_TEXT || text.lines().count() > MAX_LINES {
            return Err(PdiffError::Long);
        }
        if text.trim_matches('\n').contains("\n\n") {
            return Err(PdiffError::Stanzas);
        }
        let stanzas = parse_borrowed(text).map_err(|error| {
            PdiffError::Malformed(match error {
                deb822_fast::Error::UnexpectedToken(line) => excerpt(&line),
                other => other.to_string(),
            })
        })?;
        let stanza = stanzas
            .first()
            .ok_or(PdiffError::Missing("SHA256-Current"))?;
        let list = |name| entries(stanza, name);
        let mut scripts: BTreeMap<_, _> = list("SHA256-Patches")?
            .ok_or(PdiffError::Missing("SHA256-Patches"))?
            .into_iter()
            .collect();
        let mut downloads: BTreeMap<_, _> = list("SHA256-Download")?
            .unwrap_or_default()
            .into_iter()
            .map(|(file, vouched)| {
                let patch = Compression::split(&file).0.to_owned();
                (patch, (file, vouched))
            })
            .collect();
        let mut patches = Vec::new();
        for (name, from) in list("SHA256-History")?.ok_or(PdiffError::Missing("SHA256-History"))? {
            let Some(script) = scripts.remove(&name) else {
                return Err(PdiffError::Unknown(name));
            };
            patches.push(Patch {
                download: downloads.remove(&name),
                name,
                from,
                script,
            });
        }
        let precedence = field(stanza, "X-Patch-Precedence")?;
        Ok(Self {
            current: current(stanza)?,
            merged: precedence.is_some_and(|field| words(field).eq(["merged"])),
            patches,
        })
    }

    /// The patches that lead from the list with hash `have` to the current
    /// one, in the order to apply them: none where it is the current one.
    /// `None` where the history does not know it, or from where it takes more
    /// than [`MAX_CHAIN`].
    #[must_use]
    pub fn chain(&self, have: &Digest) -> Option<Vec<&Patch>> {
        if self.current.digest == *have {
            return Some(Vec::new());
        }
        // A list may have been the same twice: the later one is nearer.
        let at = self
            .patches
            .iter()
            .rposition(|patch| patch.from.digest == *have)?;
        let rest = self.patches.get(at..)?;
        let count = if self.merged { 1 } else { rest.len() };
        (count <= MAX_CHAIN).then(|| rest.iter().take(count).collect())
    }
}

fn field<'a, 'b>(
    stanza: &'b BorrowedParagraph<'a>,
    name: &'static str,
) -> Result<Option<&'b BorrowedField<'a>>, PdiffError> {
    let mut fields = stanza
        .iter()
        .filter(|field| field.name().eq_ignore_ascii_case(name));
    let first = fields.next();
    match fields.next() {
        Some(_) => Err(PdiffError::Twice(name)),
        None => Ok(first),
    }
}

fn words<'a>(field: &BorrowedField<'a>) -> impl Iterator<Item = &'a str> {
    field
        .lines()
        .iter()
        .flat_map(|line| line.split_ascii_whitespace())
}

/// `SHA256-Current: HASH SIZE`.
fn current(stanza: &BorrowedParagraph<'_>) -> Result<Vouched, PdiffError> {
    const FIELD: &str = "SHA256-Current";
    let field = field(stanza, FIELD)?.ok_or(PdiffError::Missing(FIELD))?;
    let wrong = |problem| PdiffError::Checksum {
        field: FIELD,
        line: excerpt(&field.join()),
        problem,
    };
    let mut words = words(field);
    let (Some(hash), Some(bytes), None) = (words.next(), words.next(), words.next()) else {
        return Err(wrong(ChecksumError::Words));
    };
    Ok(Vouched {
        digest: checksums::digest(hash, "SHA256").map_err(wrong)?,
        size: checksums::size(bytes).map_err(wrong)?,
    })
}

/// The lines of one field, in their order: no name twice, none but single
/// path segments.
fn entries(
    stanza: &BorrowedParagraph<'_>,
    name: &'static str,
) -> Result<Option<Vec<(String, Vouched)>>, PdiffError> {
    let Some(list) = field(stanza, name)? else {
        return Ok(None);
    };
    let mut entries = Vec::new();
    let mut seen = BTreeSet::new();
    for line in list.lines() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (vouched, file) =
            checksums::named(line, "SHA256").map_err(|problem| PdiffError::Checksum {
                field: name,
                line: excerpt(line),
                problem,
            })?;
        if file.contains('/') || path_of_filename(file).is_err() {
            return Err(PdiffError::Name(excerpt(file)));
        }
        if !seen.insert(file) {
            return Err(PdiffError::Repeated {
                field: name,
                name: excerpt(file),
            });
        }
        if entries.len() == MAX_PATCHES {
            return Err(PdiffError::Many);
        }
        entries.push((file.to_owned(), vouched));
    }
    Ok(Some(entries))
}

#[cfg(test)]
mod tests;
