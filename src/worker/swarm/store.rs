//! Pieces of which nothing tells yet whether they are right, in every form
//! that they came in. Nobody is shown them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::Target;
use crate::core::{Core, CoreError};
use crate::store::budget::Room;
use crate::store::disk::Temp;
use crate::store::growing::Growing;
use crate::swarm::blame::PieceHash;

/// Where a piece lies.
#[derive(Clone)]
struct Place {
    file: Arc<File>,
    at: u64,
    length: usize,
}

impl Place {
    fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.length];
        self.file.read_exact_at(&mut bytes, self.at)?;
        Ok(bytes.into())
    }
}

/// Bytes of a file, which may be shorter.
///
/// # Errors
/// What the disk says.
pub(super) async fn read_at(file: &Arc<File>, at: u64, length: usize) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    let place = Place { file, at, length };
    blocking(move || place.read()).await
}

/// Pieces on disk, by what they are and where in the file they belong.
#[derive(Default)]
pub(super) struct Store {
    places: HashMap<(usize, PieceHash), Place>,
    /// A file of its own, once something is put.
    own: Option<Own>,
    /// What holds other files' names.
    lent: Vec<Temp>,
}

struct Own {
    file: Arc<File>,
    _temp: Temp,
    end: u64,
    rooms: Vec<Room>,
}

impl Store {
    /// Whether a piece is here in this form.
    pub(super) fn knows(&self, piece: usize, hash: PieceHash) -> bool {
        self.places.contains_key(&(piece, hash))
    }

    /// Takes pieces that lie in a body at their place in the file. `temp`
    /// gives the body its name, where nobody else does.
    pub(super) fn lend(
        &mut self,
        growing: &Growing,
        temp: Option<Temp>,
        target: Target,
        pieces: &HashMap<usize, PieceHash>,
    ) -> io::Result<()> {
        let file = Arc::new(growing.file().try_clone()?);
        for (piece, hash) in pieces {
            let (at, end) = target.range_of(*piece);
            let length = usize::try_from(end - at).map_err(io::Error::other)?;
            let file = Arc::clone(&file);
            self.places
                .insert((*piece, *hash), Place { file, at, length });
        }
        self.lent.extend(temp);
        Ok(())
    }

    /// Keeps a piece. Whether there was room.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) async fn put(
        &mut self,
        core: &Arc<Core>,
        (piece, hash): (usize, PieceHash),
        bytes: Bytes,
    ) -> Result<bool, CoreError> {
        if self.knows(piece, hash) {
            return Ok(true);
        }
        let length = bytes.len();
        let Ok(room) = core.budget.promise(length as u64).await else {
            return Ok(false);
        };
        let own = match &mut self.own {
            Some(own) => own,
            none => {
                let temp = Temp::new(&core.disk);
                none.insert(Own {
                    file: Arc::new(temp.create()?),
                    _temp: temp,
                    end: 0,
                    rooms: Vec::new(),
                })
            }
        };
        own.rooms.push(room);
        let (file, at) = (Arc::clone(&own.file), own.end);
        own.end += length as u64;
        let place = Place { file, at, length };
        let written = place.clone();
        blocking(move || written.file.write_all_at(&bytes, written.at)).await?;
        self.places.insert((piece, hash), place);
        Ok(true)
    }

    /// The bytes of a piece in this form.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) async fn read(&self, piece: usize, hash: PieceHash) -> io::Result<Option<Bytes>> {
        let Some(place) = self.places.get(&(piece, hash)).cloned() else {
            return Ok(None);
        };
        blocking(move || place.read()).await.map(Some)
    }

    /// Whether the file that these pieces make is the one that is wanted.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn test(
        &self,
        target: Target,
        hashes: &[PieceHash],
    ) -> impl Future<Output = io::Result<bool>> + Send + use<> {
        let place = |(piece, hash): (usize, &PieceHash)| self.places.get(&(piece, *hash)).cloned();
        let places: Option<Vec<_>> = hashes.iter().enumerate().map(place).collect();
        async move {
            let Some(places) = places else {
                return Ok(false);
            };
            let sha256 = blocking(move || {
                let mut sha256 = Sha256::new();
                for place in places {
                    sha256.update(place.read()?);
                }
                Ok(<[u8; 32]>::from(sha256.finalize()))
            });
            Ok(sha256.await? == target.sha256)
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
