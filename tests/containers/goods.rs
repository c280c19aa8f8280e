//! The archive of the story: real packages, signed, of which some are large.

use crate::archive::Archive;
use crate::noise;
use std::path::{Path, PathBuf};

const MIB: usize = 1024 * 1024;

/// A package that needs others, all of which come with it.
pub const DESKTOP: &str = "desktop";

/// Large packages that the story installs one at a time, and their sizes.
pub const HEAVY: &str = "heavy";
pub const EAST: &str = "east";
pub const WEST: &str = "west";
pub const BAIT: &str = "bait";
const LARGES: [(&str, usize); 4] = [(HEAVY, 32), (EAST, 3), (WEST, 3), (BAIT, 4)];

/// What [`DESKTOP`] needs, by size in bytes; and so many tools of 40 KB.
const NEEDED: [(&str, usize); 3] = [
    ("office", 8 * MIB),
    ("browser", 4 * MIB),
    ("fonts", 2 * MIB),
];
const TOOLS: usize = 10;

/// An archive, and what it should install.
pub struct Goods {
    archive: Archive,
    contents: Vec<(String, Vec<u8>)>,
}

impl Goods {
    pub fn make() -> Self {
        let tools = (0..TOOLS).map(|number| (format!("tool{number:02}"), 40_000));
        let needed = NEEDED.map(|(name, size)| (name.to_owned(), size));
        let needed: Vec<_> = needed.into_iter().chain(tools).collect();
        let names: Vec<_> = needed.iter().map(|(name, _)| name.as_str()).collect();
        let depends = names.join(", ");
        let larges = LARGES.map(|(name, mib)| (name.to_owned(), mib * MIB));
        let all = [(DESKTOP.to_owned(), 500)]
            .into_iter()
            .chain(needed.clone())
            .chain(larges);
        let contents: Vec<_> = (1..)
            .zip(all)
            .map(|(seed, (name, size))| (name, noise(seed, size)))
            .collect();
        let archive = Archive::holding(contents.iter().map(|(name, content)| {
            let depends = if name == DESKTOP { &depends } else { "" };
            (name.clone(), depends, content.clone())
        }));
        Self { archive, contents }
    }

    /// The folder that a mirror serves.
    pub fn root(&self) -> &Path {
        self.archive.root()
    }

    pub fn key(&self) -> PathBuf {
        self.archive.key()
    }

    /// A package, and those that it needs.
    pub fn with_dependencies(&self, package: &str) -> Vec<&str> {
        let names = self.contents.iter().map(|(name, _)| name.as_str());
        if package == DESKTOP {
            let is_large = |name: &&str| LARGES.iter().any(|(large, _)| large == name);
            return names.filter(|name| !is_large(name)).collect();
        }
        names.filter(|name| *name == package).collect()
    }

    /// What a package installs.
    pub fn content(&self, package: &str) -> &[u8] {
        let found = self.contents.iter().find(|(name, _)| name == package);
        &found.unwrap().1
    }

    /// A package's path below `debian/`.
    pub fn path(&self, package: &str) -> String {
        self.archive.pool_path(package)
    }

    /// A package's file.
    pub fn deb(&self, package: &str) -> Vec<u8> {
        let path = format!("debian/{}", self.path(package));
        std::fs::read(self.archive.path(&path)).unwrap()
    }

    /// Bytes of the same.
    pub fn size(&self, package: &str) -> u64 {
        self.deb(package).len() as u64
    }
}
