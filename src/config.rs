//! What the operator decides: the typed configuration, and how it is gathered.
//!
//! File, environment and flags all become values of one type and are set through the one table in
//! `keys`. So a key means the same wherever it is set, and all mistakes are found in one go.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

mod bounds;
mod draft;
mod file;
mod keys;
mod mistake;
mod network;
mod setting;
mod sharing;
mod size;
mod sources;
#[cfg(test)]
mod tests;
mod value;
mod words;

pub use self::{
    mistake::{Mistake, Mistakes, Origin},
    sharing::{Advertise, Contact, Dht, Lan, Peer},
    sources::Sources,
};

/// The whole configuration, valid by construction when it comes from [`Config::load`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where rows and bodies live; always absolute when it was set by someone. By default
    /// `/var/lib/aptmesh` for root and for the user it belongs to, else `aptmesh` in the user's
    /// data folder.
    pub data_dir: PathBuf,
    /// The face that apt clients and browsers see.
    pub apt: Apt,
    /// What may be fetched from where, and how.
    pub upstream: Upstream,
    /// Names of their own with several origins each; names are unique.
    pub mirrors: Vec<Mirror>,
    /// The limits of the store.
    pub cache: Cache,
    /// What is believed of signed indexes.
    pub index: Index,
    /// The face that other nodes see.
    pub peer: Peer,
    /// How files are found at other nodes.
    pub dht: Dht,
    /// Nodes on the same link.
    pub lan: Lan,
    /// What is logged, and how.
    pub log: Log,
}

/// `[apt]`: the face that apt clients and browsers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apt {
    /// Addresses to listen on, at least one. Port 0 asks the system for a free port.
    pub listen: Vec<SocketAddr>,
    /// Networks whose clients are served, with the words `loopback` and `private` expanded.
    /// On a dual-stack socket an IPv4 client shows as `::ffff:a.b.c.d`: compare what
    /// [`std::net::IpAddr::to_canonical`] makes of it.
    pub allow: Vec<IpNet>,
}

/// `[upstream]`: what may be fetched from where, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What may be fetched although it is private or on another port than 80 and 443.
    pub allow: Vec<UpstreamAllow>,
    /// Whether CONNECT tunnels are served.
    pub connect: bool,
    /// After so long without a byte an upstream has failed; from one second to one hour.
    pub timeout: Duration,
    /// PEM files with certificates that are trusted beside the system's roots; each was readable
    /// when the configuration was loaded.
    pub ca_files: Vec<PathBuf>,
}

/// One entry of `upstream.allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAllow {
    /// Every address of a network, on any port; a single address is a network of one.
    Net(IpNet),
    /// A host by its name in lower case, on any port.
    Host(String),
    /// A host by its name in lower case, or an address as text without brackets, on one port.
    HostPort(String, u16),
}

/// One `[[mirror]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The first path segment it is served under: `[a-z0-9][a-z0-9._-]*`, and none that the apt
    /// face uses itself.
    pub name: String,
    /// Its origins in the order to try: http or https URLs without user, query, fragment or slash
    /// at the end, at least one.
    pub upstreams: Vec<String>,
}

/// `[cache]`: the limits of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Bytes that cached bodies may take; at least 1 MiB, and no more than `i64::MAX`.
    pub max_size: u64,
    /// Bytes that stay free on the disk of `data_dir`; no more than `i64::MAX`.
    pub min_free: u64,
}

/// `[index]`: what is believed of signed indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Whether a Release file has to prove who made it.
    pub verify: Verify,
    /// Keyring files, and folders whose `*.gpg`, `*.asc` and `*.pgp` files are keyrings; always
    /// absolute. What is not there holds no keys.
    pub keyrings: Vec<PathBuf>,
}

/// `index.verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Signatures are not looked at.
    Off,
    /// Where a key is known, its signature has to be good.
    Auto,
    /// Every Release file needs a good signature by a known key.
    Require,
}

/// `[log]`: what is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level, or a list of directives that `tracing_subscriber::EnvFilter` accepts, such as
    /// `info,aptmesh::upstream=debug`.
    pub level: String,
    /// How a line of the log looks.
    pub format: LogFormat,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Gathers defaults, file, environment and flags, the later over the earlier.
    ///
    /// Reads the configuration file and, to see that they can be read, the files of
    /// `upstream.ca_files`.
    ///
    /// # Errors
    /// Every mistake of every source, also in values that a later source overrides.
    pub fn load(sources: &Sources) -> Result<Self, Mistakes> {
        let mut draft = draft::Draft::new(Self::with_data_dir(sources.default_data_dir()));
        if let Some(path) = &sources.file {
            file::read(path, &mut draft);
        }
        sources::read_environment(&sources.env, &mut draft);
        sources::read_flags(&sources.set, &mut draft);
        draft.finish()
    }

    fn with_data_dir(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            apt: Apt::default(),
            upstream: Upstream::default(),
            mirrors: Vec::new(),
            cache: Cache::default(),
            index: Index::default(),
            peer: Peer::default(),
            dht: Dht::default(),
            lan: Lan::default(),
            log: Log::default(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::with_data_dir(sources::default_data_dir(|name| std::env::var(name).ok()))
    }
}

impl Default for Apt {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0_u16; 8], 3142))],
            allow: [network::loopback(), network::private()].concat(),
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            connect: true,
            timeout: Duration::from_secs(30),
            ca_files: Vec::new(),
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            max_size: 20 * size::GIB,
            min_free: size::GIB,
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        let keyrings = [
            "/usr/share/keyrings",
            "/etc/apt/trusted.gpg.d",
            "/etc/apt/keyrings",
        ];
        Self {
            verify: Verify::Auto,
            keyrings: keyrings.map(PathBuf::from).to_vec(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}
