//! What the node tells of itself: one structure for JSON, page and metrics.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::clock::to_http_time;
use crate::core::Core;
use crate::db::DbError;
use crate::db::piece::{PieceRow, PieceState};
use crate::db::refusal::Refused;
use crate::db::view::SuiteStatus;
use crate::debian::naming::to_hex;
use crate::health::Failing;
use crate::meter::Kind;
use crate::overlay::Overlay;
use crate::store::flight::State;
use crate::store::growing::Came;
use crate::swarm::book::Standing;

/// Refusals told of.
const REFUSALS: i64 = 50;

/// `/api/status`. Fields are documented by the contract; more may come, none goes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Release of this program.
    pub version: String,
    /// 40 hexadecimal digits.
    pub node_id: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// The store.
    pub cache: CacheStatus,
    /// Bytes of bodies since the database was made.
    pub traffic: Traffic,
    /// Signed indexes.
    pub index: Index,
    /// The distributed hash table.
    pub dht: Dht,
    /// The face that other nodes see.
    pub peer_face: PeerFace,
    /// Other nodes that were asked for files, the best first.
    pub peers: Vec<Peer>,
    /// What is coming in now.
    pub downloads: Vec<Download>,
    /// Origins that fail at present.
    pub failing_mirrors: Vec<FailingMirror>,
    /// What a person should know, a sentence each.
    pub warnings: Vec<String>,
}

/// The store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CacheStatus {
    /// Bodies.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests answered from the cache.
    pub hits: u64,
    /// Requests that an origin had to answer.
    pub misses: u64,
    /// The limit in bytes (`cache.max_size`).
    pub max_bytes: u64,
}

/// Bytes of bodies since the database was made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// From origins.
    pub from_mirrors: u64,
    /// From other nodes.
    pub from_peers: u64,
    /// To apt clients.
    pub to_clients: u64,
    /// To other nodes.
    pub to_peers: u64,
}

/// Signed indexes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Index {
    /// Release files known.
    pub releases: u64,
    /// Files that they list.
    pub index_files: u64,
    /// Packages that these list.
    pub packages: u64,
    /// Patches of pdiff histories.
    pub patches: u64,
    /// Suites with the generation in use.
    pub suites: Vec<SuiteStatus>,
    /// What was not believed lately, the latest first.
    pub refusals: Vec<Refused>,
}

/// The distributed hash table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Dht {
    /// Nodes in the routing table.
    pub nodes: u64,
    /// Keys stored for others.
    pub keys: u64,
    /// Values stored for others.
    pub values: u64,
    /// Size of the network as estimated.
    pub estimated_nodes: u64,
    /// Nodes of the routing table that are certainly reached from outside.
    pub confirmed_nodes: u64,
    /// Where the node listens, `IP:PORT`; empty where the DHT is switched off.
    pub address: String,
    /// As whom the node publishes that it has files, `IP:PORT`; empty before
    /// other nodes have told how they see it.
    pub contact: String,
    /// Lookups under way.
    pub lookups: u64,
    /// From the question to the first values, in milliseconds: the median of
    /// the latest finds. `null` before the first.
    pub first_values_ms: Option<i64>,
    /// From the question to the complete answer, likewise.
    pub complete_ms: Option<i64>,
    /// Bytes received and sent in a second, on average of the last minute.
    pub bytes_per_second: u64,
    /// Bytes received since the start.
    pub bytes_in: u64,
    /// Bytes sent since the start.
    pub bytes_out: u64,
    /// Files that this node publishes.
    pub announcements: u64,
    /// Those of them that other nodes keep now.
    pub announced: u64,
}

/// The face that other nodes see.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PeerFace {
    /// Where the node serves other nodes, `IP:PORT`; none where
    /// `peer.enabled` is false.
    pub addresses: Vec<SocketAddr>,
}

/// Another node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Peer {
    /// `IP:PORT`
    pub address: String,
    /// 0 to 1.
    pub score: f64,
    /// Wrong bytes in the last 24 hours.
    pub hash_errors_24h: u64,
    /// Recent speed; 0 where it was not measured.
    pub bytes_per_second: u64,
    /// From request to first byte; 0 where it was not measured.
    pub lag_seconds: f64,
    /// Requests under way.
    pub pending: u64,
    /// Whether a connection is open.
    pub connected: bool,
    /// Bytes received from it and verified.
    pub bytes: u64,
    /// What went wrong last; `null` where nothing did.
    pub last_error: Option<String>,
}

impl From<Standing> for Peer {
    #[allow(clippy::cast_precision_loss)]
    fn from(stands: Standing) -> Self {
        let properties = stands.properties;
        Self {
            address: stands.address.to_string(),
            score: stands.score,
            hash_errors_24h: properties.hash_errors,
            bytes_per_second: properties.speed.unwrap_or(0),
            lag_seconds: properties.lag.unwrap_or(0) as f64 / 1000.0,
            pending: properties.pending.into(),
            connected: properties.connected,
            bytes: stands.bytes,
            last_error: stands.last_error,
        }
    }
}

/// What is coming in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Download {
    /// Address.
    pub path: String,
    /// Length in bytes; 0 where the origin did not say.
    pub size: u64,
    /// Bytes that are here.
    pub done: u64,
    /// Pieces and who they come from; none where one source sends all of it.
    pub pieces: Vec<Piece>,
    /// Where it comes from so far: `mirror`, `peers` or `mixed`.
    pub source: String,
}

/// A piece was asked of somebody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Piece {
    /// Place in the file, from 0.
    pub piece: u64,
    /// 0, and one more each time that the whole file came out wrong.
    pub round: u32,
    /// `IP:PORT`; `null` for the mirror.
    pub peer: Option<String>,
    /// What came of it.
    pub state: PieceState,
}

impl From<PieceRow> for Piece {
    fn from(row: PieceRow) -> Self {
        Self {
            piece: row.piece,
            round: row.round,
            peer: row.peer.map(|peer| peer.to_string()),
            state: row.state,
        }
    }
}

/// An origin that fails at present.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FailingMirror {
    /// `scheme://host[:port]`
    pub origin: String,
    /// Milliseconds since 1970.
    pub since: i64,
    /// What went wrong last.
    pub error: String,
}

impl From<Failing> for FailingMirror {
    fn from(row: Failing) -> Self {
        Self {
            origin: row.origin,
            since: row.failing_since,
            error: row.last_error,
        }
    }
}

/// Gathers the status.
#[derive(Clone)]
pub struct StatusSource {
    /// Rows, store and counters.
    pub core: Arc<Core>,
    /// Who this node is.
    pub node_id: [u8; 20],
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
        let mut sums = [0; Kind::ALL.len()];
        for (sum, kind) in sums.iter_mut().zip(Kind::ALL) {
            *sum = core.db.traffic_total(kind).await? + core.meters.pending(kind);
        }
        let [from_mirrors, from_peers, to_clients, to_peers, hits, misses] = sums;
        let index = self.index().await?;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_id: to_hex(&self.node_id),
            uptime_seconds: self.started.elapsed().as_secs(),
            cache: CacheStatus {
                files: totals.files,
                bytes: totals.bytes,
                hits,
                misses,
                max_bytes: core.budget.max_size(),
            },
            traffic: Traffic {
                from_mirrors,
                from_peers,
                to_clients,
                to_peers,
            },
            peers: self.peers(),
            downloads: self.downloads().await?,
            failing_mirrors: core.health.failing().into_iter().map(Into::into).collect(),
            warnings: self.warnings(&index.suites),
            index,
            dht: self.dht().await?,
            peer_face: PeerFace {
                addresses: self.peer_addresses.clone(),
            },
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
        })
    }

    /// A stored generation is served for as long as its origin is out, and says
    /// itself until when it is to be believed (Debian wiki, `RepositoryFormat`,
    /// "Date, Valid-Until").
    fn warnings(&self, suites: &[SuiteStatus]) -> Vec<String> {
        let now = self.core.now();
        let expired = suites.iter().filter_map(|suite| {
            let until = suite.valid_until.filter(|until| *until < now)?;
            let until = httpdate::fmt_http_date(to_http_time(until));
            Some(format!(
                "The Release of {} is past its Valid-Until ({until}): apt refuses it until its mirror has a newer one.",
                suite.folder
            ))
        });
        expired.collect()
    }

    fn peers(&self) -> Vec<Peer> {
        let standings = self.core.peers().standings(self.core.now());
        standings.into_iter().map(Into::into).collect()
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
                }
            })
            .collect();
        downloads.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(downloads)
    }
}
