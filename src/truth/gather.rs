//! What clients use of a suite is fetched before a new generation is taken up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::patch::PatchingError;
use crate::clock::millis;
use crate::core::{Core, CoreError};
use crate::db::release::{Needed, ReleaseRow};
use crate::debian::archive::{by_hash, variants};
use crate::debian::compression::Compression;
use crate::debian::list::ListKind;
use crate::debian::url::RepoUrl;
use crate::store::flight::State;

/// What no client used for so long is not fetched any more.
pub const FORGOTTEN: Duration = Duration::from_hours(30 * 24);

/// Fetched at the same time.
const AT_ONCE: usize = 8;

/// The most that a new generation waits for, in bytes.
const MOST_NEEDED: u64 = 256 * 1024 * 1024;

/// The most that is fetched on the guess that clients will want it, in bytes.
const MOST_GUESSED: u64 = 64 * 1024 * 1024;

/// Whether a generation's files are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gathered {
    /// Those that clients use are.
    All,
    /// One is not, and why.
    Missing {
        /// Path below the suite's folder.
        path: String,
        /// One sentence.
        reason: String,
    },
}

impl Core {
    /// Fetches what clients use of a suite, with this row id and folder, as
    /// this generation has it. A list that can be made by patches is not needed
    /// as a `whole`, unless it is for a client that has nothing to patch.
    ///
    /// # Errors
    /// Where rows can't be read.
    pub async fn gather(
        self: &Arc<Self>,
        (suite, folder): (i64, &str),
        release: &ReleaseRow,
        whole: bool,
    ) -> Result<Gathered, CoreError> {
        let needed = self.needed((suite, folder), release, whole).await?;
        let mut fetches = stream::iter(needed)
            .map(|needed| async move { (self.fetch_needed(folder, &needed).await, needed.path) })
            .buffer_unordered(AT_ONCE);
        while let Some((missing, path)) = fetches.next().await {
            if let Some(reason) = missing {
                return Ok(Gathered::Missing { path, reason });
            }
        }
        Ok(Gathered::All)
    }

    async fn fetch_needed(self: &Arc<Self>, folder: &str, needed: &Needed) -> Option<String> {
        let plain = format!("{folder}{}", needed.path);
        let Ok(url) = RepoUrl::parse(&by_hash(&plain, &needed.vouched.digest)) else {
            return None;
        };
        match self.obtain(&url).await {
            State::Refused(refusal) => Some(refusal.reason),
            // What can't be kept now is fetched for whoever asks.
            _ => None,
        }
    }

    async fn needed(
        self: &Arc<Self>,
        (suite, folder): (i64, &str),
        release: &ReleaseRow,
        whole: bool,
    ) -> Result<Vec<Needed>, CoreError> {
        // What clients used a moment ago counts.
        self.write_uses().await?;
        self.write_index_uses().await?;
        let since = self.now() - millis(FORGOTTEN);
        let Some(mut needed) = self.db.needed(suite, release.id, since).await? else {
            if release.by_hash {
                return Ok(Vec::new());
            }
            return self.guessed(release).await;
        };
        needed.retain(|needed| needed.vouched.digest.is_strong());
        // One crawl through a suite must not make every next generation wait
        // for all of it: what is beyond is fetched when it is asked for.
        needed.sort_by_key(|needed| needed.vouched.size);
        let mut sum = 0;
        needed.retain(|needed| {
            sum += needed.vouched.size;
            sum <= MOST_NEEDED
        });
        if whole {
            return Ok(needed);
        }
        let read = self.db.read_lists(suite).await?;
        let mut stems: Vec<String> = needed
            .iter()
            .map(|needed| Compression::split(&needed.path).0.to_owned())
            .collect();
        stems.sort_unstable();
        stems.dedup();
        for stem in stems {
            let content = read
                .iter()
                .find(|(list, _)| *list == stem)
                .map(|(_, content)| *content);
            if self.is_patched((folder, &stem), content, release).await? {
                let forms = variants(&stem);
                needed.retain(|needed| !forms.contains(&needed.path));
            }
        }
        Ok(needed)
    }

    /// Whether clients can bring an index up to date by patches. Of one whose
    /// text this node knows, they are fetched.
    async fn is_patched(
        self: &Arc<Self>,
        list: (&str, &str),
        content: Option<[u8; 32]>,
        release: &ReleaseRow,
    ) -> Result<bool, CoreError> {
        let Some(content) = content else {
            let index = format!("{}.diff/Index", list.1);
            let is_list = ListKind::of(list.1).is_some();
            return Ok(!is_list && self.db.index_file(release.id, &index).await?.is_some());
        };
        match self.fetch_patches(list, content, release.id).await {
            Ok(()) => Ok(true),
            Err(PatchingError::Core(error)) => Err(error),
            Err(error) => {
                tracing::debug!(suite = list.0, path = list.1, %error, "a list is fetched whole");
                Ok(false)
            }
        }
    }

    /// From an origin without by-hash names, a file of this generation can't
    /// be had any more once there is the next. So what a client of this
    /// machine's kind will ask for is fetched before anybody knows of the
    /// generation.
    async fn guessed(&self, release: &ReleaseRow) -> Result<Vec<Needed>, CoreError> {
        let listed = self.db.all_listed(release.id).await?;
        let mut stems: Vec<&str> = listed
            .iter()
            .map(|file| Compression::split(&file.path).0)
            .filter(|stem| is_likely(stem))
            .collect();
        stems.sort_unstable();
        stems.dedup();
        let mut guessed = Vec::new();
        let mut sum = 0;
        for stem in stems {
            let names = variants_as_apt(stem);
            let file = names
                .iter()
                .find_map(|name| listed.iter().find(|file| file.path == *name));
            let Some(file) = file.filter(|file| file.vouched.digest.is_strong()) else {
                continue;
            };
            sum += file.vouched.size;
            if sum <= MOST_GUESSED && file.stored.is_none() {
                guessed.push(Needed {
                    path: file.path.clone(),
                    vouched: file.vouched,
                });
            }
        }
        Ok(guessed)
    }
}

/// In the order in which apt prefers them.
fn variants_as_apt(stem: &str) -> Vec<String> {
    [".xz", ".bz2", ".lzma", ".gz", ".lz4", ".zst", ""]
        .iter()
        .map(|suffix| format!("{stem}{suffix}"))
        .collect()
}

/// Whether an apt of this machine's architecture asks for this by default.
fn is_likely(stem: &str) -> bool {
    if stem.ends_with("/i18n/Translation-en") {
        return true;
    }
    let Some(folder) = stem.strip_suffix("Packages") else {
        return false;
    };
    let machine = format!("/binary-{}/", architecture());
    ListKind::of(stem).is_some()
        && !stem.contains("/debian-installer/")
        && (folder.is_empty() || folder.ends_with(&machine) || folder.ends_with("/binary-all/"))
}

/// Debian's name of this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        "loongarch64" => "loong64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likely_ones_are_this_machines() {
        let own = format!("main/binary-{}/Packages", architecture());
        for likely in [
            "Packages",
            "main/binary-all/Packages",
            &own,
            "main/i18n/Translation-en",
        ] {
            assert!(is_likely(likely), "{likely}");
        }
        for other in [
            "main/source/Sources",
            "main/binary-hurd-amd64/Packages",
            "main/debian-installer/binary-all/Packages",
            "main/i18n/Translation-de",
            "main/Contents-all",
        ] {
            assert!(!is_likely(other), "{other}");
        }
    }
}
