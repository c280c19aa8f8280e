//! What the node tells of itself: one structure for JSON, page, metrics and
//! command line.

mod numbers;
pub mod shape;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub use self::shape::Status;
use self::shape::{CacheStatus, Dht, Download, Index, Peer, PeerFace};
use crate::clock::Millis;
use crate::core::Core;
use crate::db::DbError;
use crate::debian::naming::to_hex;
use crate::meter::{Kind, hour_of};
use crate::overlay::Overlay;
use crate::store::flight::State;
use crate::store::growing::Came;

/// Refusals told of.
const REFUSALS: i64 = 50;

/// Gathers the status.
#[derive(Clone)]
pub struct StatusSource {
    /// Rows, store and counters.
    pub core: Arc<Core>,
    /// Who this node is.
    pub node_id: [u8; 20],
    /// When the database was made.
    pub since: Millis,
    /// When this process started.
    pub started: Instant,
    /// The place in the DHT; `None` where it is switched off.
    pub overlay: Option<Overlay>,
    /// Where other nodes are served.
    pub peer_addresses: Vec<SocketAddr>,
}

impl StatusSource {
    /// The status now.
    ///
    /// # Errors
    /// Where rows can't be read.
    pub async fn status(&self) -> Result<Status, DbError> {
        let core = &self.core;
        let totals = core.db.file_totals().await?;
        let now = core.now();
        let hour = hour_of(now);
        let sums = core.meters.sums(hour);
        let index = self.index().await?;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_id: to_hex(&self.node_id),
            at: now,
            uptime_seconds: self.started.elapsed().as_secs(),
            cache: CacheStatus {
                files: totals.files,
                bytes: totals.bytes,
                hits: sums.all.of(Kind::Hits),
                misses: sums.all.of(Kind::Misses),
                max_bytes: core.budget.max_size(),
                ..CacheStatus::default()
            },
            traffic: numbers::traffic(&sums.all),
            served: numbers::served(&sums, hour, self.since),
            history: numbers::history(&sums, hour),
            clients: numbers::clients(&core.visitors, now),
            uploads: numbers::uploads(&core.visitors, now),
            peers: self.peers(),
            downloads: self.downloads().await?,
            failing_mirrors: core.health.failing().into_iter().map(Into::into).collect(),
            index,
            dht: self.dht().await?,
            peer_face: PeerFace {
                addresses: self.peer_addresses.clone(),
            },
            ..Status::default()
        })
    }

    async fn index(&self) -> Result<Index, DbError> {
        let db = &self.core.db;
        let totals = db.index_totals().await?;
        Ok(Index {
            releases: totals.releases,
            index_files: totals.index_files,
            packages: totals.packages,
            patches: totals.patches,
            suites: db.suite_status().await?,
            refusals: db.refusals(REFUSALS).await?,
        })
    }

    async fn dht(&self) -> Result<Dht, DbError> {
        let Some(overlay) = &self.overlay else {
            return Ok(Dht::default());
        };
        let (now, totals) = (
            overlay.snapshot(),
            self.core
                .db
                .announcement_totals(self.core.now() - overlay.key_expire())
                .await?,
        );
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Ok(Dht {
            nodes: count(now.nodes),
            keys: count(now.keys),
            values: count(now.values),
            estimated_nodes: now.estimated_nodes,
            confirmed_nodes: count(now.confirmed_nodes),
            address: overlay.address().to_string(),
            contact: overlay
                .contact()
                .map_or_else(String::new, |c| c.to_string()),
            lookups: count(now.lookups),
            first_values_ms: now.first_values_ms,
            complete_ms: now.complete_ms,
            bytes_per_second: now.bytes_per_second,
            bytes_in: now.bytes_in,
            bytes_out: now.bytes_out,
            announcements: totals.files,
            announced: totals.stored,
            ..Dht::default()
        })
    }

    fn peers(&self) -> Vec<Peer> {
        let standings = self.core.peers().standings(self.core.now());
        let peers = standings.into_iter().map(|standing| Peer {
            bytes_sent: numbers::bytes_sent(&self.core.visitors, standing.address.ip()),
            ..standing.into()
        });
        peers.collect()
    }

    async fn downloads(&self) -> Result<Vec<Download>, DbError> {
        let flights = self.core.flights.all();
        let mut pieces = if flights.is_empty() {
            HashMap::new()
        } else {
            self.core.db.running_pieces().await?
        };
        let mut downloads: Vec<_> = flights
            .into_iter()
            .map(|flight| {
                let (size, done, came) = match flight.state() {
                    State::Streaming(growing) => {
                        let done = growing.written();
                        (growing.total.unwrap_or(0), done, growing.came())
                    }
                    _ => (0, 0, Came::default()),
                };
                let pieces = pieces.remove(flight.key()).unwrap_or_default();
                Download {
                    path: flight.key().to_owned(),
                    size,
                    done,
                    pieces: pieces.into_iter().map(Into::into).collect(),
                    source: came.as_str().to_owned(),
                    ..Download::default()
                }
            })
            .collect();
        downloads.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(downloads)
    }
}
