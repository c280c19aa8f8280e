//! An archive of large and small files that are no packages, but apt does not look inside.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aptmesh::debian::naming::to_hex;
use sha2::{Digest as _, Sha256};

/// Bytes of a large file.
pub const LARGE: usize = 60_000_000;

/// Bytes of a small one.
const SMALL: usize = 50_000;

/// How many small ones there are.
pub const COUNT: usize = 200;

/// The large files.
pub const ALL_HONEST: usize = 0;
pub const TWO_LIE: usize = 1;
pub const THREE_HAVE: usize = 2;

pub struct Archive {
    root: PathBuf,
    larges: Vec<Package>,
    smalls: Vec<Package>,
}

pub struct Package {
    pub name: String,
    /// At an origin.
    pub path: String,
    pub sha256: String,
    size: usize,
}

impl Archive {
    /// Below `/debian` of a folder.
    pub fn build(root: &Path) -> Self {
        let pool = root.join("debian/pool");
        fs::create_dir_all(&pool).unwrap();
        let package = |name: String, seed: u64, size: usize| {
            let body = noise(seed, size);
            let path = format!("/debian/pool/{name}_1.0_all.deb");
            fs::write(root.join(&path[1..]), &body).unwrap();
            let sha256 = to_hex(&Sha256::digest(&body));
            Package {
                name,
                path,
                sha256,
                size,
            }
        };
        let archive = Self {
            larges: (0..3)
                .map(|number| package(format!("large-{number}"), number, LARGE))
                .collect(),
            smalls: (0..COUNT as u64)
                .map(|number| package(format!("small-{number:03}"), 1000 + number, SMALL))
                .collect(),
            root: root.to_owned(),
        };
        archive.index();
        archive
    }

    pub fn large(&self, number: usize) -> &Package {
        &self.larges[number]
    }

    pub fn smalls(&self) -> &[Package] {
        &self.smalls
    }

    pub fn count(&self) -> usize {
        self.larges.len() + self.smalls.len()
    }

    /// Where a package's file lies.
    pub fn file(&self, package: &Package) -> PathBuf {
        self.root.join(&package.path[1..])
    }

    fn index(&self) {
        let suite = self.root.join("debian/dists/bench");
        let below = "main/binary-amd64/Packages";
        let mut list = String::new();
        for package in self.larges.iter().chain(&self.smalls) {
            let Package {
                name,
                path,
                sha256,
                size,
            } = package;
            let path = path.trim_start_matches("/debian/");
            let _ = write!(
                list,
                "Package: {name}\nVersion: 1.0\nArchitecture: all\n\
                 Maintainer: Bench <bench@example.org>\nFilename: {path}\nSize: {size}\n\
                 SHA256: {sha256}\nDescription: noise\n\n"
            );
        }
        fs::create_dir_all(suite.join(below).parent().unwrap()).unwrap();
        fs::write(suite.join(below), &list).unwrap();
        let release = format!(
            "Origin: Bench\nLabel: Bench\nSuite: bench\nCodename: bench\nComponents: main\n\
             Architectures: amd64 all\nDate: {}\nSHA256:\n {} {} {below}\n",
            httpdate::fmt_http_date(SystemTime::now()).replace("GMT", "UTC"),
            to_hex(&Sha256::digest(&list)),
            list.len()
        );
        fs::write(suite.join("Release"), release).unwrap();
    }
}

/// Bytes that do not compress and differ for each seed (xorshift).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
