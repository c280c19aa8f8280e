//! The mirror, the nodes that have files, and the place of the node that wants them.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::apt::Apt;
use crate::archive::{ALL_HONEST, Archive, COUNT, LARGE, Package, THREE_HAVE, TWO_LIE};
use crate::network::{Host, Network};
use crate::nginx::Nginx;
use crate::node::Node;

/// Bits a second of every link.
pub const LINK: u64 = 20_000_000;

/// Nodes that have files.
pub const SEEDS: usize = 8;

/// Those that lie, where some do: the last.
pub const LIARS: usize = 2;

/// Bytes of a piece.
pub const PIECE: u64 = 512 * 1024;

/// Folders of all runs begin so; the process id of their run follows.
const PREFIX: &str = "aptmesh-swarm-";

/// Fields go in their order: daemons before the network they are in.
pub struct Scene {
    pub seeds: Vec<Node>,
    pub mirror: Nginx,
    pub beside: Nginx,
    pub archive: Archive,
    client: Host,
    mirror_host: Host,
    clients: Cell<usize>,
    _network: Network,
    folder: TempDir,
}

impl Scene {
    /// Everybody has what they shall have, others are told of it, the liars lie, and links are limited.
    pub fn build() -> Result<Self, String> {
        sweep();
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()
            .unwrap();
        let at = folder.path();
        eprintln!("building the archive and the network");
        let archive = Archive::build(&at.join("origin"));
        let mut network = Network::new()?;
        let mut hosts = Vec::new();
        for _ in 0..SEEDS + 2 {
            hosts.push(network.host()?);
        }
        let (mirror_host, client, hosts) = (&hosts[0], &hosts[1], &hosts[2..]);
        let served = at.join("origin");
        let mirror = Nginx::start(mirror_host, &at.join("mirror"), &served);
        let beside = Nginx::start(&hosts[0], &at.join("beside"), &served);
        let mut seeds: Vec<Node> = Vec::new();
        for (number, host) in hosts.iter().enumerate() {
            let folder = at.join(format!("seed-{number}"));
            let seed = Node::start(host, &folder, seeds.first());
            seeds.push(seed);
        }
        let scene = Self {
            seeds,
            mirror,
            beside,
            archive,
            client: client.clone(),
            mirror_host: mirror_host.clone(),
            clients: Cell::new(0),
            _network: network,
            folder,
        };
        scene.seed();
        scene.tamper();
        for seed in &scene.seeds {
            seed.host.limit(LINK);
        }
        scene.mirror_host.limit(LINK);
        Ok(scene)
    }

    /// The peers' links are as fast as they go; the mirror's stays as it is.
    pub fn lift_limits(&self) {
        for seed in &self.seeds {
            seed.host.lift_limit();
        }
    }

    /// A node that has nothing but the indexes, and an apt that uses it.
    pub fn client(&self) -> (Node, Apt) {
        let number = self.clients.replace(self.clients.get() + 1);
        let folder = self.folder(&format!("client-{number}"));
        let node = Node::start(&self.client, &folder, self.seeds.first());
        let apt = node.learn(self.mirror.address, self.archive.count());
        (node, apt)
    }

    /// An apt at the client's place that asks the nginx beside the first peer.
    pub fn direct(&self) -> Apt {
        let apt = Apt::new(
            &self.folder("direct"),
            &self.client,
            self.beside.address,
            None,
        );
        apt.update();
        apt
    }

    /// Addresses of those that lie of one file.
    pub fn liars(&self) -> Vec<String> {
        let liars = self.seeds[SEEDS - LIARS..].iter();
        liars.map(|seed| seed.peer_face().to_string()).collect()
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn seed(&self) {
        for (number, seed) in self.seeds.iter().enumerate() {
            eprintln!("peer {} of {SEEDS} gets its files", number + 1);
            let apt = seed.learn(self.mirror.address, self.archive.count());
            let mut larges = vec![ALL_HONEST, TWO_LIE];
            if number < 3 {
                larges.push(THREE_HAVE);
            }
            for large in larges {
                let Package { path, sha256, .. } = self.archive.large(large);
                seed.fetch(self.mirror.address, path, sha256);
            }
            if number == 0 {
                apt.download(self.archive.smalls());
            }
        }
        eprintln!("peers announce their files");
        for (number, seed) in self.seeds.iter().enumerate() {
            let larges = if number < 3 { 3 } else { 2 };
            let smalls = if number == 0 { COUNT as u64 } else { 0 };
            seed.until_announced(larges + smalls);
        }
    }

    /// The last peers' copies of one file are wrong in every piece from now on.
    fn tamper(&self) {
        let wanted = fs::read(self.archive.file(self.archive.large(TWO_LIE))).unwrap();
        for liar in &self.seeds[SEEDS - LIARS..] {
            let mut files = files_under(liar.data());
            files.retain(|path| {
                path.metadata().is_ok_and(|data| data.len() == LARGE as u64)
                    && fs::read(path).is_ok_and(|body| body == wanted)
            });
            assert_eq!(files.len(), 1, "copies of a file: {files:?}");
            let file = File::options().write(true).open(&files[0]).unwrap();
            for at in (0..LARGE as u64).step_by(usize::try_from(PIECE).unwrap()) {
                let byte = wanted[usize::try_from(at).unwrap()];
                file.write_all_at(&[byte ^ 0x55], at).unwrap();
            }
        }
    }
}

/// Removes the folders of runs that were killed: each is a gigabyte.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let run = run.and_then(|rest| rest.split('-').next());
        if run.is_some_and(|run| !Path::new("/proc").join(run).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn files_under(folder: PathBuf) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}
