//! Making a list of the one before by the archive's own patches (pdiffs).

use std::io::{BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::ingest::Source;
use crate::core::{Core, CoreError};
use crate::db::list::{ListClaim, ReadList};
use crate::db::refusal::Kind;
use crate::debian::archive::by_hash;
use crate::debian::compression::{Compression, unpack};
use crate::debian::digest::{Digest, Vouched};
use crate::debian::pdiff::{EdScript, Patch, patched};
use crate::debian::url::{RepoUrl, path_of_filename};
use crate::store::disk::Temp;
use crate::store::flight::State;
use crate::store::hot::Entry;

/// The most that all patches of a chain may be, unpacked, in bytes: beyond
/// that the whole list is less work.
const MOST: u64 = 128 * 1024 * 1024;

/// Buffers, in bytes.
const BUFFER: usize = 64 * 1024;

/// Why a list can't be made by patches; the whole is fetched then.
#[derive(Debug, thiserror::Error)]
pub enum PatchingError {
    /// There is nothing to start from, or no way from there.
    #[error("there are no patches from the list that is here")]
    NoWay,
    /// A patch can't be had.
    #[error("{0} can't be had: {1}")]
    Unavailable(String, String),
    /// Something is not what it should be.
    #[error("{0}")]
    Wrong(String),
    /// Rows or bytes.
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl From<std::io::Error> for PatchingError {
    fn from(error: std::io::Error) -> Self {
        Self::Core(error.into())
    }
}

impl From<crate::db::DbError> for PatchingError {
    fn from(error: crate::db::DbError) -> Self {
        Self::Core(error.into())
    }
}

/// How this generation's text of a list is made of an earlier one.
struct Route {
    /// Where the Index lies.
    index: RepoUrl,
    /// What comes of it.
    current: Vouched,
    /// In the order in which they apply.
    patches: Vec<Patch>,
}

impl Core {
    /// Makes this generation's text of a list from the one that its rows are of.
    ///
    /// # Errors
    /// [`PatchingError`]: the whole list is to be fetched instead.
    pub async fn patch(
        self: &Arc<Self>,
        claim: &ListClaim,
        release: i64,
    ) -> Result<Source, PatchingError> {
        let read = claim.read.as_ref().ok_or(PatchingError::NoWay)?;
        let list = (claim.folder.as_str(), claim.path.as_str());
        let route = self.route(list, read.content, release).await?;
        let mut scripts = Vec::new();
        for patch in &route.patches {
            scripts.push(self.script(list, patch).await?);
        }
        let applied = self.apply(read, scripts, route.current).await;
        if let Err(PatchingError::Wrong(reason)) = &applied {
            self.note_refusal(Kind::Malformed, &route.index, reason)
                .await;
        }
        let source = applied?;
        tracing::info!(
            url = route.index.key(),
            patches = source.patches,
            "a list is brought up to date by patches"
        );
        Ok(source)
    }

    /// Fetches the patches that lead from this text of a list, of a suite's
    /// folder and a path, to this generation's.
    ///
    /// # Errors
    /// [`PatchingError`]: the whole list is to be fetched instead.
    pub async fn fetch_patches(
        self: &Arc<Self>,
        list: (&str, &str),
        content: [u8; 32],
        release: i64,
    ) -> Result<(), PatchingError> {
        for patch in &self.route(list, content, release).await?.patches {
            self.packed(list, patch).await?;
        }
        Ok(())
    }

    async fn route(
        self: &Arc<Self>,
        (folder, path): (&str, &str),
        content: [u8; 32],
        release: i64,
    ) -> Result<Route, PatchingError> {
        let index_path = format!("{path}.diff/Index");
        let listed = self.db.index_file(release, &index_path).await?;
        let listed = listed
            .filter(|listed| listed.digest.is_strong())
            .ok_or(PatchingError::NoWay)?;
        let url = RepoUrl::parse(&format!("{folder}{index_path}")).map_err(wrong)?;
        let alias = RepoUrl::parse(&by_hash(url.key(), &listed.digest)).map_err(wrong)?;
        let entry = self.obtained(&alias).await?;
        let index = self
            .read_pdiff_index(&entry)
            .await?
            .map_err(PatchingError::Wrong)?;
        let plain = self.db.index_file(release, path).await?;
        if plain.is_some_and(|plain| plain != index.current) {
            let reason = "it leads to another text than the Release lists";
            self.note_refusal(Kind::Malformed, &url, reason).await;
            return Err(PatchingError::Wrong(format!("{url}: {reason}")));
        }
        let patches: Vec<Patch> = index
            .chain(&Digest::Sha256(content))
            .ok_or(PatchingError::NoWay)?
            .into_iter()
            .cloned()
            .collect();
        if patches.iter().map(|patch| patch.script.size).sum::<u64>() > MOST {
            return Err(PatchingError::NoWay);
        }
        Ok(Route {
            index: url,
            current: index.current,
            patches,
        })
    }

    async fn obtained(self: &Arc<Self>, url: &RepoUrl) -> Result<Arc<Entry>, PatchingError> {
        match self.obtain(url).await {
            State::Stored(entry) | State::Fetched(entry, _) | State::Unchanged(entry) => Ok(entry),
            State::Refused(refusal) => Err(PatchingError::Unavailable(
                url.key().to_owned(),
                refusal.reason,
            )),
            State::Waiting | State::Streaming(_) | State::Uncached => Err(
                PatchingError::Unavailable(url.key().to_owned(), "it can't be kept".to_owned()),
            ),
        }
    }

    /// A patch as it lies in the archive.
    async fn packed(
        self: &Arc<Self>,
        (folder, list): (&str, &str),
        patch: &Patch,
    ) -> Result<(RepoUrl, Arc<Entry>), PatchingError> {
        let (name, _) = patch.download.as_ref().ok_or(PatchingError::NoWay)?;
        let name = path_of_filename(name).map_err(wrong)?;
        let url = RepoUrl::parse(&format!("{folder}{list}.diff/{name}")).map_err(wrong)?;
        let entry = self.obtained(&url).await?;
        Ok((url, entry))
    }

    /// Fetches a patch and reads it.
    async fn script(
        self: &Arc<Self>,
        list: (&str, &str),
        patch: &Patch,
    ) -> Result<EdScript, PatchingError> {
        let (url, entry) = self.packed(list, patch).await?;
        let (body, script) = (self.disk.body_path(&entry.sha256), patch.script);
        let compression = Compression::split(url.path()).1;
        let read = tokio::task::spawn_blocking(move || {
            let packed = BufReader::with_capacity(BUFFER, std::fs::File::open(body)?);
            let mut bytes = Vec::new();
            unpack(packed, compression, script.size).read_to_end(&mut bytes)?;
            std::io::Result::Ok(bytes)
        });
        let read = read
            .await
            .map_err(std::io::Error::other)?
            .map_err(|error| error.to_string());
        let parsed = read.and_then(|bytes| {
            let is = Digest::Sha256(Sha256::digest(&bytes).into());
            if is != script.digest {
                return Err("it unpacks to another patch than its Index lists".to_owned());
            }
            EdScript::parse(&bytes).map_err(|error| error.to_string())
        });
        match parsed {
            Ok(script) => Ok(script),
            Err(reason) => {
                self.note_refusal(Kind::Malformed, &url, &reason).await;
                Err(PatchingError::Wrong(format!("{url}: {reason}")))
            }
        }
    }

    /// Applies the patches, one after the other in one pass over the text, and
    /// puts what comes of it into the store if it is what it should be.
    async fn apply(
        self: &Arc<Self>,
        old: &ReadList,
        scripts: Vec<EdScript>,
        wanted: Vouched,
    ) -> Result<Source, PatchingError> {
        let Digest::Sha256(sha256) = wanted.digest else {
            return Err(PatchingError::NoWay);
        };
        let source = Source {
            body: sha256,
            suffix: String::new(),
            plain: Some(wanted),
            patches: scripts.len() as u64,
        };
        if self.db.file_by_hash(sha256).await?.is_some() {
            return Ok(source);
        }
        let room = self.budget.promise(wanted.size).await;
        let room = room.map_err(|error| {
            PatchingError::Unavailable("room for the list".to_owned(), error.to_string())
        })?;
        let temp = Temp::new(&self.disk);
        let mut file = BufWriter::with_capacity(BUFFER, temp.create()?);
        let old = Source {
            body: old.body,
            suffix: old.suffix.clone(),
            plain: None,
            patches: 0,
        };
        let Ok(text) = old.open(self) else {
            return Err(PatchingError::NoWay);
        };
        let _working = self.truth.working.acquire().await;
        let written = tokio::task::spawn_blocking(move || {
            let mut text: Box<dyn BufRead + Send> =
                Box::new(BufReader::with_capacity(BUFFER, text));
            for script in scripts {
                text = Box::new(BufReader::with_capacity(BUFFER, patched(text, script)));
            }
            let (mut hash, mut size) = (Sha256::new(), 0);
            loop {
                let bytes = text.fill_buf().map_err(|error| error.to_string())?;
                if bytes.is_empty() {
                    break;
                }
                hash.update(bytes);
                file.write_all(bytes).map_err(|error| error.to_string())?;
                let read = bytes.len();
                size += read as u64;
                if size > wanted.size {
                    return Err("the patched list is longer than it should be".to_owned());
                }
                text.consume(read);
            }
            let file = file.into_inner().map_err(|error| error.to_string())?;
            file.sync_data().map_err(|error| error.to_string())?;
            let made: [u8; 32] = hash.finalize().into();
            if made == sha256 {
                Ok(())
            } else {
                Err("the patched list has another hash than it should".to_owned())
            }
        });
        written
            .await
            .map_err(std::io::Error::other)?
            .map_err(PatchingError::Wrong)?;
        if self.place_unnamed(temp, sha256, wanted.size).await? {
            room.keep(wanted.size);
        }
        Ok(source)
    }

    /// Removes the plain text that an earlier patching made, unless somebody
    /// asked for it: the next one is made of the new.
    pub async fn drop_patched(self: &Arc<Self>, old: &ReadList, new: &Source) {
        if !old.suffix.is_empty() || old.body == new.body {
            return;
        }
        let dropped = async {
            if self.db.is_named(old.body).await? {
                return Ok(());
            }
            if let Some(file) = self.db.file_by_hash(old.body).await? {
                self.forget(vec![file]).await?;
            }
            Result::<(), CoreError>::Ok(())
        };
        if let Err(error) = dropped.await {
            tracing::debug!(%error, "an old list stays until it is evicted");
        }
    }
}

fn wrong(error: impl std::fmt::Display) -> PatchingError {
    PatchingError::Wrong(error.to_string())
}
