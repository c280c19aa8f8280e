//! The hashes of a file's pieces: where they come from, and what passes them.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use tokio::time::timeout;

use super::{Swarm, Target};
use crate::dht::id::Key;
use crate::swarm::blame::PieceHash;
use crate::swarm::schedule::Source;
use crate::swarm::torrent::{SHA256_LEN, TorrentString};
use crate::upstream::peer::PeerError;

/// Peers that are asked for a torrent string, all at once.
const ASKED: usize = 4;

/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What tells whether a piece is right.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// The file is one piece: its own hash.
    Whole([u8; 32]),
    /// Peers say so; the whole file may still turn out wrong.
    Torrent(TorrentString),
    /// Nothing yet.
    None,
}

impl Proof {
    /// Whether these bytes are the piece. `None`: that can't be told yet.
    pub(super) fn passes(&self, piece: usize, bytes: &[u8]) -> Option<bool> {
        match self {
            Self::Whole(sha256) => Some(<[u8; 32]>::from(Sha256::digest(bytes)) == *sha256),
            Self::Torrent(torrent) if torrent.hash_len() == SHA256_LEN => {
                Some(torrent.hash(piece) == Some(Sha256::digest(bytes).as_slice()))
            }
            Self::Torrent(torrent) => {
                Some(torrent.hash(piece) == Some(Sha1::digest(bytes).as_slice()))
            }
            Self::None => None,
        }
    }
}

/// What evidence keeps of a piece.
pub(super) fn print_of(bytes: &[u8]) -> PieceHash {
    Sha1::digest(bytes).into()
}

impl Swarm {
    /// Asks the DHT and those who refer to it for a torrent string, all at the
    /// same time. Answers also who sent something else under its name.
    pub(super) async fn torrent(
        &self,
        reference: [u8; 20],
        target: Target,
        supporters: Vec<(Source, SocketAddr)>,
    ) -> (Option<TorrentString>, Vec<Source>) {
        let mut liars = Vec::new();
        let torrent = tokio::select! {
            Some(torrent) = self.torrent_from_dht(reference, target) => Some(torrent),
            Some(torrent) = self.torrent_from_peers(reference, target, &supporters, &mut liars) => Some(torrent),
            else => None,
        };
        (torrent, liars)
    }

    async fn torrent_from_dht(&self, reference: [u8; 20], target: Target) -> Option<TorrentString> {
        let mut finding = self.find(Key::of_hash(&reference))?;
        while let Some(values) = finding.next().await {
            let mut torrents = values
                .iter()
                .filter_map(|value| TorrentString::decode(value, Some(target.size)).ok());
            if let Some(torrent) = torrents.find(|torrent| torrent.reference() == reference) {
                return Some(torrent);
            }
        }
        None
    }

    async fn torrent_from_peers(
        &self,
        reference: [u8; 20],
        target: Target,
        supporters: &[(Source, SocketAddr)],
        liars: &mut Vec<Source>,
    ) -> Option<TorrentString> {
        let first = supporters.iter().take(ASKED);
        let mut asked: FuturesUnordered<_> = first
            .map(async |(source, contact)| {
                let asked = self.peers.torrent(*contact, &reference, target.size);
                let silent = |_| Err(PeerError::Silent);
                (
                    *source,
                    *contact,
                    timeout(PATIENCE, asked).await.unwrap_or_else(silent),
                )
            })
            .collect();
        while let Some((source, contact, answer)) = asked.next().await {
            match answer {
                Ok(torrent) => return Some(torrent),
                Err(PeerError::Wrong) => liars.push(source),
                Err(error) => {
                    tracing::debug!(peer = %contact, %error, "a peer does not send a torrent string");
                }
            }
        }
        None
    }
}
