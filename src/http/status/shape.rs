//! The shape of `/api/status`: what every other face is made from. README.md
//! tells of each field.

#[cfg(test)]
mod example;
mod port_mapping;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

pub use self::port_mapping::{MappedPort, PortMapping};

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::db::file::FileStatus;
use crate::db::piece::{PieceRow, PieceState};
use crate::db::refusal::{Refused, RefusedFiles};
use crate::db::view::SuiteStatus;
use crate::debian::naming::to_hex;
use crate::dht::contact::Family;
use crate::dht::engine;
use crate::health::Failing;
use crate::human::share;
use crate::swarm::book::Standing;

/// `/api/status`. Fields are documented by the contract; more may come, none
/// goes. What another release does not tell of is read as empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Release of this program.
    pub version: String,
    /// 40 hexadecimal digits.
    pub node_id: String,
    /// When this was put together, in milliseconds since 1970.
    pub at: Millis,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// How the node is, in words.
    pub health: Health,
    /// The store.
    pub cache: CacheStatus,
    /// Bytes of bodies since the database was made.
    pub traffic: Traffic,
    /// Where clients' bytes came from, for some spans of time.
    pub served: Served,
    /// The same over time.
    pub history: History,
    /// Signed indexes.
    pub index: Index,
    /// The distributed hash table.
    pub dht: Dht,
    /// The face that other nodes see.
    pub peer_face: PeerFace,
    /// What a home router forwards to this node.
    pub port_mapping: PortMapping,
    /// Other nodes that were asked for files, the best first.
    pub peers: Vec<Peer>,
    /// Nodes on the same link.
    pub lan: Lan,
    /// What is coming in now.
    pub downloads: Vec<Download>,
    /// Origins that fail at present.
    pub failing_mirrors: Vec<FailingMirror>,
    /// Who asked the apt face for files, the latest first.
    pub clients: Vec<Client>,
    /// Who asked the peer face for files, the latest first.
    pub uploads: Vec<Upload>,
}

/// How the node is, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// The gravest of the findings; `healthy` where there are notices at most.
    pub state: HealthState,
    /// What is wrong or worth knowing, the gravest first.
    pub findings: Vec<Finding>,
}

/// How grave something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Nothing is wrong.
    #[default]
    Healthy,
    /// Of a finding only: nothing is wrong, but it could be better.
    Notice,
    /// Clients are served, but somebody should know.
    Degraded,
    /// Clients are not served something that they ask for.
    Failing,
}

/// Something that is wrong, or worth knowing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// How grave it is.
    pub state: HealthState,
    /// What happened, and to what: one sentence.
    pub sentence: String,
    /// Why, in the words of who noticed; empty where the sentence says it.
    pub reason: String,
    /// What to do: one sentence.
    pub advice: String,
}

/// Where clients' bytes came from, for some spans of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Served {
    /// This clock hour.
    pub hour: Split,
    /// This clock hour and the 23 before it.
    pub day: Split,
    /// This clock hour and the 167 before it.
    pub week: Split,
    /// Since the database was made.
    pub all: Split,
    /// When that was, in milliseconds since 1970.
    pub since: Millis,
}

/// Bytes of bodies to apt clients by where they came from, and requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Split {
    /// Bytes that were stored before they were asked for.
    pub from_cache: u64,
    /// Bytes that other nodes sent for this.
    pub from_peers: u64,
    /// Bytes that origins sent for this.
    pub from_mirrors: u64,
    /// Requests answered from the cache.
    pub hits: u64,
    /// Requests that somebody else had to answer.
    pub misses: u64,
}

impl Split {
    /// Bytes to clients.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.from_cache
            .saturating_add(self.from_peers)
            .saturating_add(self.from_mirrors)
    }

    /// Share of the requests that the cache answered, 0 to 1; `None` before
    /// the first request.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        share(self.hits, self.hits.saturating_add(self.misses))
    }
}

/// Where clients' bytes came from over time, the earliest first, without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// The last 48 clock hours; the last of them is not over.
    pub hours: Vec<Bin>,
    /// The last 30 days (UTC), likewise.
    pub days: Vec<Bin>,
}

/// A span of time in the [`History`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bin {
    /// Its beginning, in milliseconds since 1970.
    pub at: Millis,
    /// What was served in it.
    #[serde(flatten)]
    pub split: Split,
}

/// A client of the apt face.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// IP address.
    pub address: String,
    /// Requests answered from the cache.
    pub hits: u64,
    /// Requests that somebody else had to answer.
    pub misses: u64,
    /// Bytes of bodies sent to it.
    pub bytes: u64,
    /// When it last asked for a file, in milliseconds since 1970.
    pub last_seen: Millis,
}

/// Another node that takes files from this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upload {
    /// IP address, or of IPv6 the network, `2001:db8:1::/48`, unless it is
    /// local; the port that it is reached at is not known.
    pub address: String,
    /// Requests that were answered with bytes.
    pub requests: u64,
    /// Bytes of bodies sent to it.
    pub bytes: u64,
    /// When it last asked, in milliseconds since 1970.
    pub last_seen: Millis,
}

/// The store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// Bytes that are free on the disk of `data_dir`; `null` where it does not
    /// say.
    pub free_bytes: Option<u64>,
    /// Seconds since the file that went unused for longest was last used, of
    /// those that may be evicted; `null` where there is none.
    pub eviction_age_seconds: Option<u64>,
    /// The largest files.
    pub largest: Vec<CachedFile>,
    /// The latest files, the last of them first.
    pub latest: Vec<CachedFile>,
}

/// A file of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CachedFile {
    /// An address that it answers for; the SHA-256 in hexadecimal digits where
    /// no address is known yet (imported packages).
    pub url: String,
    /// Its length.
    pub bytes: u64,
    /// When it came, in milliseconds since 1970.
    pub added_at: Millis,
    /// When it was last used, likewise.
    pub last_use: Millis,
}

impl From<FileStatus> for CachedFile {
    fn from(file: FileStatus) -> Self {
        Self {
            url: file.url.unwrap_or_else(|| to_hex(&file.sha256)),
            bytes: file.size,
            added_at: file.added_at,
            last_use: file.last_use,
        }
    }
}

/// Bytes of bodies since the database was made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
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
#[serde(default)]
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
    /// How many files were not believed lately, by the reason.
    pub refused_files: Vec<RefusedFiles>,
}

/// The distributed hash table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// The routing tables' k-buckets, the farthest from this node first.
    pub buckets: Vec<Bucket>,
    /// Whether nodes that were never sent anything reach this one: `null`
    /// where that can't be told yet.
    pub reachable: Option<bool>,
}

/// A k-bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// 4 or 6: version of IP that its nodes are reached by.
    pub family: u8,
    /// Leading bits that its nodes' ids share with this node's, at least.
    pub shared_bits: u16,
    /// Nodes in it.
    pub nodes: u64,
    /// Those of them that are certainly reached from outside.
    pub confirmed: u64,
}

impl From<engine::Bucket> for Bucket {
    fn from(bucket: engine::Bucket) -> Self {
        Self {
            family: match bucket.family {
                Family::V4 => 4,
                Family::V6 => 6,
            },
            shared_bits: u16::try_from(bucket.shared_bits).unwrap_or(u16::MAX),
            nodes: bucket.nodes as u64,
            confirmed: bucket.confirmed as u64,
        }
    }
}

/// The face that other nodes see.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerFace {
    /// Where the node serves other nodes, `IP:PORT`; none where
    /// `peer.enabled` is false.
    pub addresses: Vec<SocketAddr>,
}

/// Nodes on the same link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lan {
    /// Whether they are looked for (`lan.discover`).
    pub discovering: bool,
    /// Where those that were found are reached.
    pub neighbours: Vec<Neighbour>,
}

/// Where a node on the same link is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Neighbour {
    /// 40 hexadecimal digits.
    pub node_id: String,
    /// `IP:PORT`, for HTTP.
    pub address: String,
    /// When it was last heard of, in milliseconds since 1970.
    pub last_seen: Millis,
}

/// Another node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// Bytes sent to nodes at its IP address, of IPv6 in its network.
    pub bytes_sent: u64,
    /// What went wrong last; `null` where nothing did.
    pub last_error: Option<String>,
    /// When it last answered or failed, in milliseconds since 1970.
    pub last_used: Millis,
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
            bytes_sent: 0,
            last_error: stands.last_error,
            last_used: stands.last_used,
        }
    }
}

/// What is coming in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Download {
    /// Address.
    pub path: String,
    /// Length in bytes; 0 where the origin did not say.
    pub size: u64,
    /// Bytes that are here.
    pub done: u64,
    /// How fast it comes in now.
    pub bytes_per_second: u64,
    /// Bytes of a piece; the last may be shorter.
    pub piece_size: u64,
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
#[serde(default)]
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
