//! What a body that just arrived tells of others: a pdiff Index of its
//! patches, a list that it is to be read.

use std::io::Read as _;
use std::sync::Arc;

use crate::core::{Core, CoreError};
use crate::db::refusal::Kind;
use crate::db::release::Place;
use crate::debian::archive::{by_hash, folder_of_by_hash, list_of_pdiff};
use crate::debian::compression::Compression;
use crate::debian::digest::{Digest, Vouched};
use crate::debian::list::ListKind;
use crate::debian::naming::Naming;
use crate::debian::pdiff::PdiffIndex;
use crate::debian::url::{RepoUrl, path_of_filename};
use crate::store::hot::Entry;

/// The longest pdiff Index that is read, in bytes.
const MAX_PDIFF_INDEX: u64 = 8 * 1024 * 1024;

impl Core {
    /// Learns from a body that just came into the store, before its last byte
    /// goes out: whoever has all of an Index can count on its patches being
    /// known, and whoever has all of a list on its archive being checked
    /// until it is read.
    pub async fn learn(self: &Arc<Self>, entry: &Arc<Entry>) {
        let Naming::ByHash(digest) = &entry.naming else {
            return;
        };
        if let Err(error) = self.learn_index(entry, digest).await {
            tracing::warn!(url = entry.key, %error, "what an index says can't be written down");
        }
    }

    /// After a start: what a killed process had stored but not learnt from.
    ///
    /// # Errors
    /// Where rows or bodies can't be read.
    pub async fn learn_again(self: &Arc<Self>) -> Result<(), CoreError> {
        for suite in self.db.suites().await? {
            let Some(release) = suite.release_id else {
                continue;
            };
            for file in self.db.all_listed(release).await? {
                if file.stored.is_none() || list_of_pdiff(&file.path).is_none() {
                    continue;
                }
                let address = format!("{}{}", suite.folder, file.path);
                if let Ok(url) = RepoUrl::parse(&by_hash(&address, &file.vouched.digest))
                    && let Some(entry) = self.find(&url).await?
                {
                    self.learn(&entry).await;
                }
            }
            self.want_stored_lists(suite.id, release).await?;
        }
        self.reload_truth().await?;
        self.truth.list_wanted.notify_one();
        Ok(())
    }

    /// Wants every list read that this generation of a suite has and whose
    /// text is here.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn want_stored_lists(&self, suite: i64, release: i64) -> Result<(), CoreError> {
        let listed = self.db.all_listed(release).await?.into_iter();
        let lists: Vec<String> = listed
            .filter(|file| file.stored.is_some())
            .map(|file| Compression::split(&file.path).0.to_owned())
            .filter(|list| ListKind::of(list).is_some())
            .collect();
        self.db.want_lists(suite, &lists, self.now()).await?;
        Ok(())
    }

    async fn learn_index(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        digest: &Digest,
    ) -> Result<(), CoreError> {
        let folder = folder_of_by_hash(&entry.key).unwrap_or_default();
        let mut wanted = false;
        for place in self.db.places_of(digest, folder).await? {
            let list = match list_of_pdiff(&place.path) {
                Some(list) => {
                    self.learn_patches(entry, &place, list).await?;
                    list
                }
                None => Compression::split(&place.path).0,
            };
            if place.in_use && ListKind::of(list).is_some() {
                let lists = [list.to_owned()];
                wanted |= self
                    .db
                    .want_lists(place.suite_id, &lists, self.now())
                    .await?;
            }
        }
        if wanted {
            self.reload_truth().await?;
            self.truth.list_wanted.notify_one();
        }
        Ok(())
    }

    async fn learn_patches(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        place: &Place,
        list: &str,
    ) -> Result<(), CoreError> {
        let index = match self.read_pdiff_index(entry).await? {
            Ok(index) => index,
            Err(reason) => {
                if let Ok(url) = RepoUrl::parse(&format!("{}{}", place.folder, place.path)) {
                    self.note_refusal(Kind::Malformed, &url, &reason).await;
                }
                return Ok(());
            }
        };
        let patches: Vec<(String, Vouched)> = index
            .patches
            .into_iter()
            .filter_map(|patch| {
                let (name, vouched) = patch.download?;
                let name = path_of_filename(&name).ok()?;
                Some((format!("{list}.diff/{name}"), vouched))
            })
            .collect();
        Ok(self
            .db
            .add_patches(place.suite_id, place.release_id, &patches)
            .await?)
    }

    /// Reads a pdiff Index that lies in the store.
    ///
    /// # Errors
    /// Where its body can't be read; inside, why it is no Index.
    pub async fn read_pdiff_index(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
    ) -> Result<Result<PdiffIndex, String>, CoreError> {
        let Some(bytes) = self.read(entry, MAX_PDIFF_INDEX).await? else {
            return Ok(Err(format!("it is longer than {MAX_PDIFF_INDEX} bytes")));
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => return Ok(Err(format!("it is not UTF-8: {error}"))),
        };
        Ok(PdiffIndex::parse(text).map_err(|error| error.to_string()))
    }

    /// All bytes of a cached file; `None` where there are more than `limit`.
    ///
    /// # Errors
    /// What the disk says; also where the body is gone.
    pub async fn read(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        limit: u64,
    ) -> std::io::Result<Option<Vec<u8>>> {
        if entry.size > limit {
            return Ok(None);
        }
        if let Some(bytes) = &entry.body {
            return Ok(Some(bytes.to_vec()));
        }
        let path = self.disk.body_path(&entry.sha256);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            std::fs::File::open(path)?
                .take(limit)
                .read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        });
        read.await.map_err(std::io::Error::other)?
    }
}
