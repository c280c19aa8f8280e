//! Hashing the pieces of a stored file.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::swarm::torrent::{PieceHasher, TorrentString};

/// Bytes read at a time.
const STEP: usize = 256 * 1024;

/// The torrent string of a body of `size` bytes. `None` where it is missing or
/// has another length or hash: the pieces of what rotted on the disk are
/// nobody's. The work ends when the future is dropped.
///
/// # Errors
/// What the disk says.
pub(super) async fn hash(
    path: PathBuf,
    size: u64,
    sha256: [u8; 32],
) -> io::Result<Option<TorrentString>> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let _stops = stop.drop_guard();
    tokio::task::spawn_blocking(move || {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let (mut pieces, mut whole) = (PieceHasher::new(), Sha256::new());
        let (mut buffer, mut length) = (vec![0; STEP], 0);
        while !stopped.is_cancelled() {
            match file.read(&mut buffer) {
                Ok(0) => {
                    let is_right = length == size && whole.finalize()[..] == sha256;
                    return Ok(is_right.then(|| pieces.finish()));
                }
                Ok(read) => {
                    let bytes = buffer.get(..read).unwrap_or_default();
                    pieces.push(bytes);
                    whole.update(bytes);
                    length += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("nobody waits for it any more"))
    })
    .await
    .map_err(io::Error::other)?
}
