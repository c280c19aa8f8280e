//! A file set in memory: what an origin serves at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Files by path, each with its time of change.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: BTreeMap<String, (Arc<[u8]>, SystemTime)>,
}

impl Files {
    /// The bytes of a file that must be there.
    #[track_caller]
    pub fn get(&self, path: &str) -> &[u8] {
        let file = self.files.get(path);
        &file.unwrap_or_else(|| panic!("no {path}")).0
    }

    /// Puts or replaces a file, newer than what was there.
    pub fn put(&mut self, path: &str, body: &[u8]) {
        let first = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let old = self.files.get(path).map(|(_, changed)| *changed);
        let changed = old.map_or(first, |old| old + Duration::from_mins(1));
        self.put_at(path, body, changed);
    }

    pub(super) fn put_at(&mut self, path: &str, body: &[u8], changed: SystemTime) {
        self.files.insert(path.to_owned(), (body.into(), changed));
    }

    /// Takes away a file that must be there.
    #[track_caller]
    pub fn remove(&mut self, path: &str) {
        assert!(self.files.remove(path).is_some(), "no {path}");
    }

    /// Changes the bytes of a file that must be there.
    #[track_caller]
    pub fn edit(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut body = self.get(path).to_vec();
        change(&mut body);
        self.put(path, &body);
    }

    /// Flips some bits in the middle of a file: the same size, other bytes.
    #[track_caller]
    pub fn spoil(&mut self, path: &str) {
        self.edit(path, |body| {
            let middle = body.len() / 2;
            body[middle] ^= 0x55;
        });
    }

    /// Paths in which `part` occurs; there must be some.
    #[track_caller]
    pub fn with(&self, part: &str) -> Vec<String> {
        let paths = self.files.keys().filter(|path| path.contains(part));
        let paths: Vec<_> = paths.cloned().collect();
        assert!(!paths.is_empty(), "nothing with {part}");
        paths
    }

    /// All files: path, bytes, time of change.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<[u8]>, SystemTime)> {
        let all = self.files.iter();
        all.map(|(path, (body, changed))| (path.as_str(), body, *changed))
    }

    /// Paths of files that `older` has not, or has with other bytes, and in which `part` occurs;
    /// a file by hash counts as the one it is the hash of. There must be some.
    #[track_caller]
    pub fn since(&self, older: &Self, part: &str) -> Vec<String> {
        let fresh = |path: &&String| {
            let old = older.files.get(*path);
            old.is_none_or(|(old, _)| old != &self.files[*path].0)
        };
        let named = self
            .files
            .keys()
            .filter(fresh)
            .filter(|path| path.contains(part));
        let bodies: Vec<_> = named.map(|path| &self.files[path].0).collect();
        let all = self
            .files
            .iter()
            .filter(|(_, (body, _))| bodies.contains(&body));
        let all: Vec<_> = all.map(|(path, _)| path.clone()).collect();
        assert!(!all.is_empty(), "nothing new with {part}");
        all
    }

    /// Without the new files of [`Self::since`]: a mirror that has `Release` first.
    pub fn lack(&mut self, older: &Self, part: &str) {
        for path in self.since(older, part) {
            self.remove(&path);
        }
    }

    /// With the old files instead of the new ones: a mirror that was not done.
    pub fn lag(&mut self, older: &Self, part: &str) {
        for path in self.since(older, part) {
            self.files.remove(&path);
            let old = older.files.get_key_value(&path);
            self.files
                .extend(old.map(|(path, file)| (path.clone(), file.clone())));
        }
    }

    /// With other bytes in the new files: a mirror with a bad disk.
    pub fn rot(&mut self, older: &Self, part: &str) {
        for path in self.since(older, part) {
            self.spoil(&path);
        }
    }

    /// Changes what is signed, and not the signature.
    pub fn tamper(&mut self) {
        for path in self.with("Release") {
            self.edit(&path, |body| {
                let text = String::from_utf8_lossy(body);
                *body = text
                    .replace("Label: Testbed", "Label: TestBed")
                    .into_bytes();
            });
        }
    }
}
