//! What the node tells of itself: one structure for JSON, page, metrics and
//! command line.

pub mod diagnosis;
pub mod numbers;
pub mod shape;
mod shared;
pub mod speed;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use self::diagnosis::{Facts, Outage, diagnose};
pub use self::shape::Status;
use self::shape::{CacheStatus, Dht, Download, Index, Lan, Neighbour, Peer, PeerFace, PortMapping};
pub use self::shared::Shared;
use self::speed::{Progress, Speeds};
use crate::clock::{Millis, millis, uptime};
use crate::core::Core;
use crate::db::DbError;
use crate::db::neighbour::NeighbourRow;
use crate::db::refusal;
use crate::debian::naming::to_hex;
use crate::dht::contact::usable;
use crate::discovery::links::Links;
use crate::meter::{Kind, hour_of};
use crate::overlay::Overlay;
use crate::store::flight::State;
use crate::store::growing::Came;
use crate::swarm::torrent::PIECE;
use crate::upstream::Upstream;

/// Refusals told of.
pub const REFUSALS: i64 = 50;

/// Files told of as the largest, and as the latest.
const FILES: i64 = 10;

/// That a stranger took a file from this node proves for so long that it is
/// reached, in milliseconds.
const PROOF: Millis = 3 * 3600 * 1000;

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
    /// Who asks the origins, and knows what their clocks say.
    pub upstream: Upstream,
    /// Whether there are nodes to join the DHT through (`dht.bootstrap`).
    pub has_bootstrap: bool,
    /// What whoever looked before saw of downloads.
    pub speeds: Arc<Mutex<Speeds>>,
    /// For all who look at the same time.
    pub shared: Arc<Shared<Status>>,
}

impl StatusSource {
    /// The status now. Whoever looks meanwhile shares the next one: however
    /// many they are, one at a time reads rows, which cache hits need too.
    ///
    /// # Errors
    /// Where rows can't be read.
    pub async fn status(&self) -> Result<Arc<Status>, DbError> {
        self.shared.get(self.gather()).await
    }

    async fn gather(&self) -> Result<Status, DbError> {
        let core = &self.core;
        let now = core.now();
        let hour = hour_of(now);
        let sums = core.meters.sums(hour);
        let index = self.index().await?;
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_id: to_hex(&self.node_id),
            at: now,
            uptime_seconds: self.started.elapsed().as_secs(),
            cache: CacheStatus {
                hits: sums.all.of(Kind::Hits),
                misses: sums.all.of(Kind::Misses),
                ..self.cache().await?
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
            lan: self.lan().await?,
            port_mapping: self.port_mapping().await?,
            peer_face: PeerFace {
                addresses: self.peer_addresses.clone(),
            },
            ..Status::default()
        };
        status.dht.reachable = took_a_file(&status, Links::now).or(status.dht.reachable);
        status.health = diagnose(&status, &self.facts(status.at).await?);
        Ok(status)
    }

    async fn cache(&self) -> Result<CacheStatus, DbError> {
        let (budget, now) = (&self.core.budget, self.core.now());
        let files = self.core.db.files_status(FILES).await?;
        let seconds = |since: Millis| u64::try_from((now - since) / 1000).unwrap_or(0);
        Ok(CacheStatus {
            files: files.files,
            bytes: budget.used(),
            max_bytes: budget.max_size(),
            free_bytes: budget.free(),
            eviction_age_seconds: files.least_recent_use.map(seconds),
            largest: files.largest.into_iter().map(Into::into).collect(),
            latest: files.latest.into_iter().map(Into::into).collect(),
            ..CacheStatus::default()
        })
    }

    async fn lan(&self) -> Result<Lan, DbError> {
        let rows = self.core.db.neighbours().await?;
        let peers = self.core.peers();
        let neighbour = |row: NeighbourRow| Neighbour {
            node_id: to_hex(&row.node_id),
            address: row.address.to_string(),
            // By mDNS, or because it answered.
            last_seen: row.seen_at.max(peers.last_answer(row.address)),
        };
        Ok(Lan {
            discovering: self.core.neighbours().are_sought,
            neighbours: rows.into_iter().map(neighbour).collect(),
        })
    }

    async fn port_mapping(&self) -> Result<PortMapping, DbError> {
        let db = &self.core.db;
        Ok(PortMapping::of(
            db.router().await?,
            db.port_mappings().await?,
        ))
    }

    /// What the diagnosis has to know beside the status.
    async fn facts(&self, now: Millis) -> Result<Facts, DbError> {
        let core = &self.core;
        let answers = |origin: &str| !core.health.is_down(origin, now);
        let outages = core.health.failing().into_iter().map(|failing| {
            let has_stand_in = core.mirrors.stand_ins(&failing.origin).any(answers);
            Outage {
                failing,
                has_stand_in,
            }
        });
        Ok(Facts {
            clock_ahead: self.upstream.skew().ahead(now, uptime()),
            min_free: core.budget.min_free(),
            has_bootstrap: self.has_bootstrap,
            outages: outages.collect(),
            refused_signatures: core
                .db
                .refusals(Some(refusal::Kind::Signature), REFUSALS)
                .await?,
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
            refusals: db.refusals(None, REFUSALS).await?,
            refused_files: db.refused_files().await?,
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
            buckets: now.buckets.into_iter().map(Into::into).collect(),
            reachable: now.reachable,
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
                let download = Download {
                    path: flight.key().to_owned(),
                    size,
                    done,
                    bytes_per_second: 0,
                    piece_size: PIECE,
                    pieces: pieces.into_iter().map(Into::into).collect(),
                    source: came.as_str().to_owned(),
                };
                (download, flight.opened())
            })
            .collect();
        downloads.sort_by(|one, other| one.0.path.cmp(&other.0.path));
        let since_start = |at: Instant| millis(at.saturating_duration_since(self.started));
        let seen: Vec<_> = downloads
            .iter()
            .map(|(download, opened)| Progress {
                path: &download.path,
                opened: since_start(*opened),
                done: download.done,
            })
            .collect();
        let speeds = {
            let mut speeds = self.speeds.lock().unwrap_or_else(PoisonError::into_inner);
            speeds.look(&seen, since_start(Instant::now()))
        };
        let downloads = downloads.into_iter().zip(speeds);
        let with_speed = downloads.map(|((download, _), bytes_per_second)| Download {
            bytes_per_second,
            ..download
        });
        Ok(with_speed.collect())
    }
}

/// Whether a stranger got a file from this node lately: no NAT or firewall
/// lets such a connection in. Who is on a network of this machine passes none.
fn took_a_file(status: &Status, links: impl FnOnce() -> Links) -> Option<bool> {
    let uploads = status.uploads.iter();
    let lately = uploads.filter(|it| status.at.saturating_sub(it.last_seen) < PROOF);
    let strangers = lately
        // Of IPv6 it is a network.
        .filter_map(|upload| upload.address.split('/').next()?.parse::<IpAddr>().ok())
        .filter(|ip| usable(&SocketAddr::new(*ip, 1), false));
    let strangers: Vec<_> = strangers.collect();
    if strangers.is_empty() {
        return None;
    }
    let links = links();
    let is_proof = |ip: IpAddr| !links.are_near(ip);
    strangers.into_iter().any(is_proof).then_some(true)
}

#[cfg(test)]
mod tests;
