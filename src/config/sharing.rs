//! What nodes have to do with each other: the sections `[peer]` and `[dht]`.

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    time::Duration,
};

/// `[peer]`: the face that other nodes see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Whether files are offered to other nodes.
    pub enabled: bool,
    /// Addresses to listen on, at least one. Other nodes are told the port of the first.
    pub listen: Vec<SocketAddr>,
    /// The address that other nodes are told.
    pub advertise: Advertise,
    /// Bytes a second that all uploads together may take; 0 is no limit. No more than `i64::MAX`.
    pub upload_limit: u64,
    /// With fewer peers than this for a file, its mirror helps.
    pub min_peers: u32,
    /// Whether private addresses enter routing table and values.
    pub allow_private: bool,
    /// Whether a home router is asked to forward the ports of peer face and DHT.
    pub map_ports: bool,
}

/// `peer.advertise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advertise {
    /// The one that most other nodes see, with the port of `peer.listen`.
    Auto,
    /// This one, whose port is not 0.
    Address(SocketAddr),
}

/// `[dht]`: how files are found at other nodes, with Khashmir's constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dht {
    /// Whether the node takes part.
    pub enabled: bool,
    /// Address for UDP. Port 0 asks the system for a free port.
    pub listen: SocketAddr,
    /// Nodes to join the network through.
    pub bootstrap: Vec<Contact>,
    /// Nodes in a k-bucket and in an answer: 1 to 19, so that an answer with as many IPv4 as IPv6
    /// nodes fits into a packet.
    pub k: usize,
    /// Queries in flight for a lookup: 1 to 64.
    pub concurrent_requests: usize,
    /// Nodes that a value is stored at: 1 to `k`.
    pub store_redundancy: usize,
    /// Failures in a row that remove a node: 1 to 100.
    pub max_failures: u32,
    /// After so long a node that asked is pinged again: 100 ms to 30 days.
    pub min_ping_interval: Duration,
    /// A bucket without a lookup for so long is refreshed: 1 s to 30 days.
    pub bucket_staleness: Duration,
    /// Values are kept for so long: 1 s to 30 days.
    pub key_expire: Duration,
    /// Publishers store again after so long: at least 1 s, and shorter than `key_expire`.
    pub key_refresh: Duration,
    /// A query fails after so long: 100 ms to 1 minute.
    pub krpc_timeout: Duration,
    /// A query is sent again after so long, and after three times as long: at least 100 ms, and
    /// shorter than `krpc_timeout`.
    pub krpc_initial_delay: Duration,
}

/// Where a node may be: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// A name in lower case, or an address as text without brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
}

impl Display for Contact {
    /// As it was written; an IPv6 address in brackets.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// `[lan]`: nodes on the same link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lan {
    /// Whether they are found by mDNS, and find this one.
    pub discover: bool,
}

impl Default for Lan {
    fn default() -> Self {
        Self { discover: true }
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: vec![SocketAddr::from(([0_u16; 8], 9977))],
            advertise: Advertise::Auto,
            upload_limit: 0,
            min_peers: 3,
            allow_private: false,
            map_ports: true,
        }
    }
}

impl Default for Dht {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([0_u16; 8], 9977)),
            bootstrap: Vec::new(),
            k: 8,
            concurrent_requests: 8,
            store_redundancy: 6,
            max_failures: 3,
            min_ping_interval: Duration::from_mins(15),
            bucket_staleness: Duration::from_hours(1),
            key_expire: Duration::from_hours(3),
            key_refresh: Duration::from_mins(150),
            krpc_timeout: Duration::from_secs(9),
            krpc_initial_delay: Duration::from_secs(2),
        }
    }
}
