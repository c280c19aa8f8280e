//! Assembles one node: main and every test build it here.

mod capacity;
mod dht;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::capacity::Capacity;
use self::dht::open_overlay;
use crate::clock::{SharedClock, millis};
use crate::config::{Config, Verify};
use crate::core::{Core, Parts};
use crate::db::download::Limits;
use crate::db::{Db, DbError};
use crate::debian::url::UrlError;
use crate::dht::id::NodeId;
use crate::discovery::Told;
use crate::health::Health;
use crate::http::control::{self, Reach};
use crate::http::file::Files;
use crate::http::front::Front;
use crate::http::peer_face::{self, PeerFace};
use crate::http::server::{Face, Stops, listen};
use crate::http::status::StatusSource;
use crate::lifecycle::Tasks;
use crate::mirrors::Mirrors;
use crate::overlay::Overlay;
use crate::router::Wanted;
use crate::signature::Keyrings;
use crate::store::budget::Budget;
use crate::store::disk::{Disk, OpenError};
use crate::truth::Judge;
use crate::upstream::policy::Policy;
use crate::upstream::{CaFileError, Upstream};
use crate::worker::announce::{self, Announce};
use crate::worker::dispatcher::dispatch;
use crate::worker::fetch_file::FetchFile;
use crate::worker::ingest::Ingest;
use crate::worker::map_ports::{self, Ask};
use crate::worker::revalidate::Revalidate;
use crate::worker::swarm::Swarm;
use crate::worker::{dht_rows, discover, evict, flush, retire, sweep};

/// How long requests and downloads under way may take to end at a stop.
const GRACE: Duration = Duration::from_secs(8);

/// How long downloads may take beyond the last request.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// Downloads from one origin at the same time.
const PER_ORIGIN: i64 = 16;

/// How long a worker's claim lasts without being renewed.
const LEASE: Duration = Duration::from_mins(1);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Disk(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A mirror's address.
    #[error("a [[mirror]] has an upstream that is no address: {0}")]
    Mirror(#[from] UrlError),
    /// Certificates.
    #[error(transparent)]
    CaFile(#[from] CaFileError),
    /// An address to listen on.
    #[error("{0} can't be listened on: {1}; change apt.listen, or stop what listens there")]
    Listen(SocketAddr, io::Error),
    /// The address of the DHT.
    #[error(
        "{0} can't be listened on for the DHT: {1}; change dht.listen, or set dht.enabled = false"
    )]
    Dht(SocketAddr, io::Error),
    /// An address for other nodes.
    #[error(
        "{0} can't be listened on for other nodes: {1}; change peer.listen, or set peer.enabled = false"
    )]
    Peer(SocketAddr, io::Error),
    /// The socket for this machine's own command line.
    #[error("the control socket in the data folder can't be opened: {0}")]
    Control(io::Error),
}

/// Opens the data folder: rows and bytes, and nobody else in it. This is all
/// that the command line needs for its chores when no daemon runs.
///
/// # Errors
/// Where folder or database can't be used, or another process holds them.
pub async fn open_core(
    config: &Config,
    clock: SharedClock,
) -> Result<(Arc<Core>, [u8; 20]), StartError> {
    let disk = Arc::new(Disk::open(&config.data_dir)?);
    let db = Db::open(&disk.database()).await?;
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let node_id = db.identity(boot_id.trim(), clock.now()).await?;
    let totals = db.file_totals().await?;
    let cache = &config.cache;
    let budget = Budget::new(
        cache.max_size,
        cache.min_free,
        disk.root().to_owned(),
        totals.bytes,
    );
    let health = Health::from_rows(db.failing_mirrors().await?);
    let core = Core::new(Parts {
        db,
        disk,
        budget,
        health,
        mirrors: Mirrors::new(&config.mirrors)?,
        judge: Judge {
            verify: config.index.verify,
            keyrings: Keyrings::new(config.index.keyrings.clone()),
        },
        clock,
        download_limits: Limits {
            slots: Capacity::of_process().downloads,
            per_origin: PER_ORIGIN,
            lease: millis(LEASE),
        },
    });
    if config.index.verify == Verify::Require {
        core.db.distrust_unproved().await?;
    }
    core.truth.views.load(core.db.views().await?);
    let peers = core.db.load_peers(core.now()).await?;
    core.peers().load(peers);
    core.reload_truth().await?;
    Ok((core, node_id))
}

/// Binds the addresses where other nodes are served; none where they are not.
fn listen_for_peers(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    if !config.peer.enabled {
        return Ok(Vec::new());
    }
    let addresses = &config.peer.listen;
    let are_default = *addresses == Config::default().peer.listen;
    peer_face::listen(addresses, are_default)
        .map_err(|(address, error)| StartError::Peer(address, error))
}

/// Where these listen; ports are the real ones.
fn addresses_of(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses.filter_map(Result::ok).collect()
}

/// The addresses where others than this machine can come, as far as they have
/// the first one's port: one is all that can be told.
fn open(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_open = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
    let mut open: Vec<_> = addresses.iter().filter(is_open).copied().collect();
    let port = open.first().map_or(0, SocketAddr::port);
    open.retain(|address| address.port() == port);
    open
}

/// A running node.
pub struct Node {
    /// Where the apt face listens; ports are the real ones.
    pub addresses: Vec<SocketAddr>,
    /// Where other nodes are served; likewise.
    pub peer_addresses: Vec<SocketAddr>,
    /// Rows and bytes.
    pub core: Arc<Core>,
    workers: Tasks,
    connections: TaskTracker,
    downloads: TaskTracker,
    stops: Stops,
}

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// [`StartError`], in a sentence for the person who starts it.
    pub async fn start(config: &Config, clock: SharedClock) -> Result<Self, StartError> {
        let started = (Instant::now(), clock.now());
        let capacity = Capacity::of_process();
        let policy = Policy::new(
            &config.upstream.allow,
            &Mirrors::new(&config.mirrors)?.bases(),
        );
        let upstream = Upstream::new(policy, config.upstream.timeout, &config.upstream.ca_files)?;
        let (core, node_id) = open_core(config, clock).await?;
        core.db.recover_downloads().await?;
        core.db.recover_indexes().await?;
        core.db.recover_announcements().await?;
        core.db.forget_neighbours().await?;
        core.db.forget_router().await?;
        core.load_numbers().await?;
        let control = control::listen(core.disk.root()).map_err(StartError::Control)?;
        let mut listeners = Vec::new();
        for address in &config.apt.listen {
            let listener = listen(*address).map_err(|error| StartError::Listen(*address, error))?;
            listeners.push(listener);
        }
        let peer_listeners = listen_for_peers(config)?;
        let peer_addresses = addresses_of(&peer_listeners);
        let overlay = open_overlay(config, &core, node_id, &peer_addresses).await?;
        let mut node = Self {
            addresses: addresses_of(&listeners),
            peer_addresses,
            core,
            workers: Tasks::default(),
            connections: TaskTracker::new(),
            downloads: TaskTracker::new(),
            stops: Stops {
                soft: CancellationToken::new(),
                hard: CancellationToken::new(),
            },
        };
        let status = StatusSource {
            core: Arc::clone(&node.core),
            node_id,
            since: node.core.db.since().await?,
            started: started.0,
            overlay: overlay.clone(),
            peer_addresses: node.peer_addresses.clone(),
            upstream: upstream.clone(),
            has_bootstrap: !config.dht.bootstrap.is_empty(),
            speeds: Arc::default(),
            shared: Arc::default(),
        };
        let peer = &config.peer;
        let asks_peers = peer.enabled && (overlay.is_some() || config.lan.discover);
        let swarm = asks_peers.then(|| {
            let min_peers = usize::try_from(peer.min_peers).unwrap_or(usize::MAX);
            let own = NodeId(node_id);
            Swarm::new(own, overlay.clone(), min_peers, peer.allow_private)
        });
        node.start_workers(&upstream, swarm, started.1);
        if config.lan.discover {
            node.start_discovery(config, node_id, overlay.clone());
        }
        if let Some(overlay) = &overlay {
            node.start_dht(config, overlay);
            node.start_mapping(config, overlay).await?;
        }
        if config.peer.enabled {
            node.start_sharing(config, overlay.clone(), &capacity, peer_listeners);
        }
        node.start_control(control, status.clone());
        node.start_faces(config, &upstream, &capacity, status, listeners);
        Ok(node)
    }

    fn start_workers(
        &mut self,
        upstream: &Upstream,
        swarm: Option<Swarm>,
        started: crate::clock::Millis,
    ) {
        let fetch = Arc::new(FetchFile {
            core: Arc::clone(&self.core),
            upstream: upstream.clone(),
            swarm,
        });
        let Stops { soft, hard } = self.stops.clone();
        let dispatcher = dispatch(fetch, soft.clone(), hard.clone());
        self.workers
            .spawn("fetch_file", self.downloads.track_future(dispatcher));
        let revalidate = Arc::new(Revalidate {
            core: Arc::clone(&self.core),
        });
        let ingest = Arc::new(Ingest {
            core: Arc::clone(&self.core),
        });
        self.workers.spawn(
            "revalidate",
            dispatch(revalidate, soft.clone(), hard.clone()),
        );
        self.workers
            .spawn("ingest", dispatch(ingest, soft.clone(), hard.clone()));
        self.workers
            .spawn("retire", retire::run(Arc::clone(&self.core), hard.clone()));
        self.workers
            .spawn("evict", evict::run(Arc::clone(&self.core), hard.clone()));
        self.workers
            .spawn("flush", flush::run(Arc::clone(&self.core), hard));
        let core = Arc::clone(&self.core);
        self.connections.spawn(async move {
            if let Err(error) = core.learn_again().await {
                tracing::warn!(%error, "what a killed process left can't be learnt from");
            }
        });
        self.connections
            .spawn(sweep::run(Arc::clone(&self.core), started, soft));
    }

    fn start_faces(
        &mut self,
        config: &Config,
        upstream: &Upstream,
        capacity: &Capacity,
        status: StatusSource,
        listeners: Vec<TcpListener>,
    ) {
        let files = Files {
            core: Arc::clone(&self.core),
            upstream: upstream.clone(),
            tasks: self.connections.clone(),
            asks_peers: config.peer.enabled && (status.overlay.is_some() || config.lan.discover),
        };
        // A tunnel takes two descriptors for as long as its client likes.
        let places = Semaphore::new((capacity.connections / 4).max(1));
        let tunnels = config.upstream.connect.then(|| Arc::new(places));
        let front = Front::new(files, status, tunnels, self.stops.soft.clone());
        let places = Arc::new(Semaphore::new(capacity.connections));
        for listener in listeners {
            let face = Face {
                front: front.clone(),
                allow: config.apt.allow.clone().into(),
                connections: Arc::clone(&places),
                tasks: self.connections.clone(),
                stops: self.stops.clone(),
            };
            self.workers.spawn("apt face", face.serve(listener));
        }
    }

    fn start_control(&mut self, listener: UnixListener, status: StatusSource) {
        let reach = Reach {
            core: Arc::clone(&self.core),
            overlay: status.overlay.clone(),
            status,
        };
        let (tasks, stops) = (self.connections.clone(), self.stops.clone());
        self.workers.spawn(
            "control socket",
            control::serve(listener, reach, tasks, stops),
        );
    }

    fn start_dht(&mut self, config: &Config, overlay: &Overlay) {
        let hard = self.stops.hard.clone();
        let bootstrap = config.dht.bootstrap.iter().map(ToString::to_string);
        self.workers.spawn(
            "dht",
            overlay.clone().run(bootstrap.collect(), hard.clone()),
        );
        let rows = dht_rows::run(Arc::clone(&self.core), overlay.clone(), hard);
        self.workers.spawn("dht rows", rows);
    }

    /// A home router is asked to let others in, where that makes sense.
    async fn start_mapping(&mut self, config: &Config, overlay: &Overlay) -> Result<(), DbError> {
        let dht = Some(overlay.address());
        let wanted = Wanted::of(config, &self.peer_addresses, dht);
        if wanted.is_empty() {
            return Ok(());
        }
        let ask = Ask {
            wanted,
            last: self.core.db.port_mappings().await?,
            nonce: self.core.db.pcp_nonce().await?,
        };
        let (core, soft) = (Arc::clone(&self.core), self.stops.soft.clone());
        // Among those that are waited for, so that it can take back what it asked for.
        let worker = map_ports::run(core, ask, overlay.clone(), soft);
        self.workers.spawn("map ports", worker);
        Ok(())
    }

    fn start_discovery(&mut self, config: &Config, node_id: [u8; 20], overlay: Option<Overlay>) {
        let told = Told {
            node_id: NodeId(node_id),
            peer: open(&self.peer_addresses),
            dht: overlay.as_ref().map(|overlay| overlay.address().port()),
            apt: open(&self.addresses),
            clients: config.apt.allow.clone(),
        };
        if told.peer.is_empty() && told.apt.is_empty() {
            return;
        }
        let overlay = overlay.filter(|_| config.peer.allow_private);
        let soft = self.stops.soft.clone();
        let worker = discover::run(Arc::clone(&self.core), told, overlay, soft);
        // Among those that are waited for, so that it can say goodbye.
        self.workers.spawn("discover", worker);
    }

    /// Other nodes are served, and told of it where there is a DHT.
    fn start_sharing(
        &mut self,
        config: &Config,
        overlay: Option<Overlay>,
        capacity: &Capacity,
        listeners: Vec<TcpListener>,
    ) {
        let Stops { soft, hard } = self.stops.clone();
        let refresh = config.dht.key_refresh;
        let announce = overlay
            .map(|overlay| Arc::new(Announce::new(Arc::clone(&self.core), overlay, refresh)));
        let enlist = announce::enlist(Arc::clone(&self.core), announce.clone(), hard.clone());
        self.workers.spawn("enlist", enlist);
        if let Some(announce) = announce {
            self.workers
                .spawn("announce", dispatch(announce, soft, hard));
        }
        let face = PeerFace::new(
            Arc::clone(&self.core),
            capacity.peer_connections,
            config.peer.upload_limit,
            self.connections.clone(),
            self.stops.clone(),
        );
        for listener in listeners {
            self.workers
                .spawn("peer face", face.clone().serve(listener));
        }
    }

    /// Runs until `stop` is cancelled, then stops cleanly.
    ///
    /// # Errors
    /// The name of a worker that ended unasked; the node is stopped then.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), &'static str> {
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            name = self.workers.ended() => Err(name),
        };
        self.stop().await;
        ended
    }

    /// Stops: requests and downloads under way get a few seconds, then what
    /// is left is dropped, for the next start to find in its rows.
    pub async fn stop(mut self) {
        self.stops.soft.cancel();
        self.connections.close();
        let connections = self.connections.clone();
        if tokio::time::timeout(GRACE, connections.wait())
            .await
            .is_err()
        {
            tracing::info!("some requests did not end in time and are cut off");
        }
        // What a client just got whole is being written down.
        self.downloads.close();
        let _ = tokio::time::timeout(LAST_WRITES, self.downloads.wait()).await;
        self.stops.hard.cancel();
        self.workers.finish().await;
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connections.wait()).await;
        self.core.db.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_one_port_are_told_but_the_loop() {
        let open = |all: &[&str]| {
            let all: Vec<SocketAddr> = all.iter().map(|at| at.parse().unwrap()).collect();
            let open = super::open(&all);
            open.iter().map(SocketAddr::to_string).collect::<Vec<_>>()
        };
        let all = ["127.0.0.1:1", "10.0.0.1:2", "[fd00::1]:2", "10.0.0.2:3"];
        assert_eq!(open(&all), ["10.0.0.1:2", "[fd00::1]:2"]);
        assert_eq!(open(&["0.0.0.0:1", "[::1]:1"]), ["0.0.0.0:1"]);
        assert_eq!(open(&["[::ffff:127.0.0.1]:1"]), [""; 0]);
    }
}
