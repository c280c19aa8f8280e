//! A node's configuration.

use super::{Peer, free_port};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// What a test changes of a node's configuration; the rest is fit for tests.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub struct Config {
    /// `apt.allow`.
    pub clients: Vec<String>,
    /// `upstream.allow`.
    pub upstreams: Vec<String>,
    /// `upstream.connect`.
    pub connect: bool,
    /// `upstream.timeout`.
    pub timeout: String,
    /// `upstream.ca_files`.
    pub ca_files: Vec<PathBuf>,
    /// `[[mirror]]` name and upstreams.
    pub mirrors: Vec<(String, Vec<String>)>,
    /// `index.verify`; the default where it is `None`.
    pub verify: Option<&'static str>,
    /// `index.keyrings`; the machine's own where it is `None`.
    pub keyrings: Option<Vec<PathBuf>>,
    /// `cache.max_size`.
    pub max_size: String,
    /// `cache.min_free`.
    pub min_free: String,
    /// `data_dir`, where it is not a folder of the node's own.
    pub data_dir: Option<PathBuf>,
    /// `[dht]` and what belongs to it; off where it is `None`.
    pub dht: Option<Dht>,
    /// Where clients find the apt face. Elsewhere than on the loop it listens on all addresses.
    pub at: IpAddr,
    /// `lan.discover`.
    pub discovers: bool,
    /// `peer.upload_limit`.
    pub upload_limit: String,
    /// `peer.map_ports`: off, so that no test asks the router of the machine that it runs on.
    pub maps_ports: bool,
    /// Whether `peer.listen` is left to the default.
    pub any_peer_port: bool,
    /// A command that starts the daemon, such as `prlimit --nofile=128`.
    pub wrap: Vec<String>,
}

/// A node's part in the DHT.
#[derive(Clone, Debug)]
pub struct Dht {
    /// Where it listens, with a port of its own.
    pub ip: IpAddr,
    /// `dht.bootstrap`.
    pub bootstrap: Vec<String>,
    /// `peer.allow_private`.
    pub allow_private: bool,
    /// `peer.enabled`.
    pub announces: bool,
    /// Whether `peer.advertise` is left to what others see.
    pub auto: bool,
    /// More lines of `[dht]`.
    pub more: String,
}

impl Default for Dht {
    fn default() -> Self {
        Self {
            ip: [127, 0, 0, 1].into(),
            bootstrap: Vec::new(),
            allow_private: true,
            announces: true,
            auto: false,
            more: String::new(),
        }
    }
}

impl Dht {
    /// Joins through these.
    pub fn through(peers: &[&Peer]) -> Self {
        Self {
            bootstrap: peers.iter().map(|peer| peer.addr().to_string()).collect(),
            ..Self::default()
        }
    }

    /// Listens there.
    pub fn at(ip: impl Into<IpAddr>) -> Self {
        Self {
            ip: ip.into(),
            ..Self::default()
        }
    }

    /// With a line more in `[dht]`.
    pub fn with(mut self, line: &str) -> Self {
        self.more += line;
        self.more += "\n";
        self
    }
}

impl From<Dht> for Config {
    fn from(dht: Dht) -> Self {
        Self {
            dht: Some(dht),
            ..Self::default()
        }
    }
}

/// Ports that a node keeps over its restarts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub apt: u16,
    pub dht: u16,
    pub peer: u16,
}

impl Ports {
    pub fn free() -> Self {
        Self {
            apt: free_port(),
            dht: free_port(),
            peer: free_port(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            clients: vec!["loopback".to_owned()],
            upstreams: vec!["127.0.0.1".to_owned()],
            connect: true,
            timeout: "3s".to_owned(),
            ca_files: Vec::new(),
            mirrors: Vec::new(),
            verify: None,
            keyrings: None,
            max_size: "1GiB".to_owned(),
            min_free: "1MiB".to_owned(),
            data_dir: None,
            dht: None,
            at: [127, 0, 0, 1].into(),
            discovers: false,
            upload_limit: "0".to_owned(),
            maps_ports: false,
            any_peer_port: false,
            wrap: Vec::new(),
        }
    }
}

impl Config {
    pub(super) fn toml(&self, data_dir: &Path, ports: Ports) -> String {
        let list = |items: &[String]| serde_json::to_string(items).unwrap();
        let paths = |items: &[PathBuf]| {
            let names = items.iter().map(|path| path.display().to_string());
            list(&names.collect::<Vec<_>>())
        };
        let ip = if self.at.is_loopback() {
            self.at
        } else {
            [0, 0, 0, 0].into()
        };
        let apt = SocketAddr::new(ip, ports.apt);
        let mut text = format!(
            "data_dir = \"{}\"\n[apt]\nlisten = [\"{apt}\"]\nallow = {}\n\
             [upstream]\nallow = {}\nconnect = {}\ntimeout = \"{}\"\nca_files = {}\n\
             [cache]\nmax_size = \"{}\"\nmin_free = \"{}\"\n",
            data_dir.display(),
            list(&self.clients),
            list(&self.upstreams),
            self.connect,
            self.timeout,
            paths(&self.ca_files),
            self.max_size,
            self.min_free,
        );
        let verify = self.verify.map(|word| format!("verify = \"{word}\"\n"));
        let keyrings = self.keyrings.as_ref();
        let keyrings = keyrings.map(|files| format!("keyrings = {}\n", paths(files)));
        if verify.is_some() || keyrings.is_some() {
            let [verify, keyrings] = [verify, keyrings].map(Option::unwrap_or_default);
            write!(text, "[index]\n{verify}{keyrings}").unwrap();
        }
        text += &self.dht(ports);
        writeln!(text, "[lan]\ndiscover = {}", self.discovers).unwrap();
        for (name, upstreams) in &self.mirrors {
            let upstreams = list(upstreams);
            write!(
                text,
                "[[mirror]]\nname = \"{name}\"\nupstreams = {upstreams}\n"
            )
            .unwrap();
        }
        text
    }

    /// `[peer]` and `[dht]`.
    fn dht(&self, ports: Ports) -> String {
        let Dht {
            ip,
            bootstrap,
            allow_private,
            announces,
            auto,
            more,
        } = self.dht.clone().unwrap_or_default();
        let peer = SocketAddr::new(ip, ports.peer);
        let told = if ip.is_unspecified() {
            ([127, 0, 0, 1], ports.peer).into()
        } else {
            peer
        };
        let advertise = if auto {
            "auto".to_owned()
        } else {
            told.to_string()
        };
        let listen = if self.any_peer_port {
            String::new()
        } else {
            format!("listen = [\"{peer}\"]\n")
        };
        let (limit, maps) = (&self.upload_limit, self.maps_ports);
        format!(
            "[peer]\nenabled = {announces}\n{listen}advertise = \"{advertise}\"\n\
             upload_limit = \"{limit}\"\nmap_ports = {maps}\nallow_private = {allow_private}\n\
             [dht]\nenabled = {}\nlisten = \"{}\"\nbootstrap = {}\n{more}",
            self.dht.is_some(),
            SocketAddr::new(ip, ports.dht),
            serde_json::to_string(&bootstrap).unwrap(),
        )
    }
}
