//! A link of its own: nodes in namespaces on one bridge, and the test beside them.

use super::{Apt, Config, Dht, Files, Key, Node, Origin, Suite};
use crate::namespaces::{self, Host, Network, ip};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

/// Where the test and its origin are on the link.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// A link with an origin, a suite and nodes.
pub struct Link {
    pub origin: Origin,
    pub suite: Suite,
    pub hosts: Vec<Host>,
    _shown: Files,
    network: Network,
}

/// Runs a test whose thread, with all that it starts, is on a link with so many hosts. The origin
/// there shows the suite.
#[track_caller]
pub fn on_link(hosts: usize, suite: Suite, test: impl FnOnce(&Link) + Send) {
    if let Some(lacking) = namespaces::lacking() {
        panic!("This test can't run: {lacking}");
    }
    let run = move || {
        let link = Link::new(hosts, suite).unwrap();
        test(&link);
    };
    let ended = std::thread::scope(|scope| scope.spawn(run).join());
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

impl Link {
    /// Moves this thread there.
    fn new(hosts: usize, mut suite: Suite) -> Result<Self, String> {
        let mut network = Network::new()?;
        let hub = network.hub.clone();
        ip(&format!("-n {hub} link set lo up"))?;
        ip(&format!("-n {hub} address add {HUB}/24 dev br0"))?;
        let hosts = (0..hosts)
            .map(|_| network.host())
            .collect::<Result<_, _>>()?;
        let space = File::open(format!("/run/netns/{hub}")).map_err(|error| error.to_string())?;
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| format!("The test can't go to its network: {error}."))?;
        let origin = Origin::at(HUB.into());
        let shown = suite.publish();
        origin.show("/debian", &shown);
        Ok(Self {
            origin,
            suite,
            hosts,
            _shown: shown,
            network,
        })
    }

    /// Everybody has an address in a second network as well, that begins with this number: hosts
    /// where they are in the first, the test at 254.
    pub fn add_network(&self, first: u8) {
        let hub = &self.network.hub;
        ip(&format!("-n {hub} address add {first}.0.0.254/24 dev br0")).unwrap();
        for host in &self.hosts {
            let (name, [.., last]) = (host.name(), host.address.octets());
            ip(&format!(
                "-n {name} address add {first}.0.0.{last}/24 dev eth0"
            ))
            .unwrap();
        }
    }

    /// The test's place is the way out for everybody, and has this address outside too.
    pub fn lead_out(&self, outside: Ipv4Addr) {
        let hub = &self.network.hub;
        ip(&format!("-n {hub} address add {outside}/32 dev br0")).unwrap();
        for host in &self.hosts {
            let name = host.name();
            ip(&format!("-n {name} route add default via {HUB}")).unwrap();
        }
    }

    /// Everybody has an address in `fd00:77::/64` as well, that ends as the first.
    pub fn add_ipv6(&self) {
        let add = |name: &str, last: u8, device: &str| {
            let address = format!("fd00:77::{last}/64 dev {device} nodad");
            ip(&format!("-n {name} address add {address}")).unwrap();
        };
        add(&self.network.hub, HUB.octets()[3], "br0");
        for host in &self.hosts {
            add(host.name(), host.address.octets()[3], "eth0");
        }
    }

    /// What a node at a host is told: what it can't know of a link without a way out, and nothing
    /// of other nodes.
    pub fn config(&self, host: usize) -> Config {
        let Host { address, .. } = self.hosts[host];
        let exec = ["ip", "netns", "exec", self.hosts[host].name()];
        Config {
            at: address.into(),
            discovers: true,
            clients: vec!["private".to_owned()],
            upstreams: vec!["10.77.0.0/24".to_owned()],
            keyrings: Some(vec![Key::good().file()]),
            wrap: exec.map(str::to_owned).to_vec(),
            dht: Some(Dht {
                allow_private: false,
                auto: true,
                ..Dht::at([0, 0, 0, 0])
            }),
            ..Config::default()
        }
    }

    /// A node at a host.
    #[track_caller]
    pub fn node(&self, host: usize) -> Node {
        Node::with(self.config(host))
    }

    /// A node at every host; they know each other and the suite.
    #[track_caller]
    pub fn nodes(&self) -> Vec<Node> {
        let nodes: Vec<_> = (0..self.hosts.len()).map(|host| self.node(host)).collect();
        for node in &nodes {
            super::until("all nodes are found", || {
                neighbours(node).len() == nodes.len() - 1
            });
            self.learn(node);
        }
        nodes
    }

    /// A node knows the suite.
    #[track_caller]
    pub fn learn(&self, node: &Node) {
        let lines = self.suite.source_lines(&self.origin.url("/debian"));
        let apt = Apt::new(&Key::good().file(), &lines, Some(&node.url()));
        apt.update().expect();
        node.until_number("/index/packages", self.suite.count());
    }

    /// Where the origin has a package.
    pub fn path(&self, package: &str) -> String {
        format!("/debian/{}", self.suite.pool_path(package))
    }

    /// The proxy form of the same.
    pub fn url(&self, package: &str) -> String {
        self.origin.url(&self.path(package))
    }
}

/// Addresses of the nodes that a node sees on its link.
#[track_caller]
pub fn neighbours(node: &Node) -> Vec<String> {
    let status = node.status();
    let rows = status["lan"]["neighbours"].as_array();
    let rows = rows.unwrap_or_else(|| panic!("no lan.neighbours in {status}"));
    rows.iter()
        .map(|row| row["address"].as_str().unwrap().to_owned())
        .collect()
}
