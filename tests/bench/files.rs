//! The folder of one run and the files in it.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub const SMALL: usize = 50_000;
pub const BIG: usize = 60_000_000;

/// Where in the archive the files stand: under `pool/`, so that nobody has to ask whether they changed.
pub const POOL: &str = "/debian/pool/main/b/bench";

/// The temporary folder that holds everything; it goes when the bench ends.
pub struct Ground {
    root: TempDir,
}

impl Ground {
    /// Makes the folder with the two files that are served from the cache.
    pub fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("aptmesh-bench-")
            .tempdir()
            .unwrap();
        let ground = Self { root };
        fs::create_dir_all(ground.pool()).unwrap();
        write(&ground.pool().join("small.deb"), &noise(1, SMALL));
        write(&ground.pool().join("big.deb"), &noise(2, BIG));
        ground
    }

    /// What nginx serves.
    pub fn served(&self) -> PathBuf {
        self.root.path().join("origin")
    }

    fn pool(&self) -> PathBuf {
        self.served().join(&POOL[1..])
    }

    /// A new folder for one purpose.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.root.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A file in the pool that exists as long as the returned value.
    pub fn passing_file(&self, name: &str, content: &[u8]) -> PassingFile {
        let path = self.pool().join(name);
        write(&path, content);
        PassingFile(path)
    }
}

/// Removes its file when dropped, so that a long run needs little room.
pub struct PassingFile(PathBuf);

impl Drop for PassingFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes through to the disk: no write-back is left to disturb the measurement.
fn write(path: &Path, content: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(content).unwrap();
    file.sync_all().unwrap();
}

/// Bytes that do not compress and differ for each seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&noise.word().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Numbers without a pattern, the same ones for the same seed (splitmix64).
pub struct Noise(u64);

impl Noise {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// One of the first `count` numbers.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.word() % count as u64).unwrap()
    }
}

/// An address nobody listens on at this moment.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}
