//! Packed indexes, and how other files name them.

use super::{hex, run, sha256};
use sha2::Digest;
use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

/// How an index is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Xz,
    Gz,
    Bz2,
    Zst,
}

impl Packing {
    /// What its names end with.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Xz => ".xz",
            Self::Gz => ".gz",
            Self::Bz2 => ".bz2",
            Self::Zst => ".zst",
        }
    }

    /// Packs with the machine's own tool.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        let (tool, options) = match self {
            Self::Plain => return bytes.to_vec(),
            Self::Xz => ("xz", "-0"),
            Self::Gz => ("gzip", "-n"),
            Self::Bz2 => ("bzip2", "-1"),
            Self::Zst => ("zstd", "-q"),
        };
        once((tool, sha256(bytes), String::new()), || {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            std::io::Write::write_all(&mut file, bytes).unwrap();
            run(Command::new(tool).args([options, "-c"]).arg(file.path())).stdout
        })
    }
}

/// What a tool made of its input: made once, as most archives of this process are the same.
pub fn once(what: (&'static str, String, String), make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    type Made = HashMap<(&'static str, String, String), Vec<u8>>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    if let Some(known) = MADE.lock().unwrap().get(&what) {
        return known.clone();
    }
    let fresh = make();
    MADE.lock().unwrap().insert(what, fresh.clone());
    fresh
}

/// Hash and size, as index files write them.
pub fn listing(bytes: &[u8]) -> String {
    format!("{} {}", sha256(bytes), bytes.len())
}

/// The listed files of a folder under their by-hash names.
pub fn by_hash(
    hash: Hash,
    served: &BTreeMap<String, Vec<u8>>,
    listed: &BTreeMap<String, Vec<u8>>,
) -> Vec<(String, Vec<u8>)> {
    let listed = served.iter().filter(|(path, _)| listed.contains_key(*path));
    let named = listed.map(|(path, bytes)| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let name = format!("{folder}/by-hash/{}/{}", hash.name(), hash.of(bytes));
        (name, bytes.clone())
    });
    named.collect()
}

/// What a `Release` lists its files by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    /// The field, and the folder below `by-hash`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// In lower-case hex.
    pub fn of(self, bytes: &[u8]) -> String {
        match self {
            Self::Sha256 => sha256(bytes),
            Self::Sha512 => hex(&sha2::Sha512::digest(bytes)),
        }
    }

    /// The field of a `Release` that lists these files.
    pub fn field(self, files: &BTreeMap<String, Vec<u8>>) -> String {
        let line = |(path, bytes): (&String, &Vec<u8>)| {
            format!(" {} {} {path}\n", self.of(bytes), bytes.len())
        };
        let lines: String = files.iter().map(line).collect();
        format!("{}:\n{lines}", self.name())
    }
}
