//! A machine of the network, whatever it is made of.

use crate::cable::Cable;
use crate::goods::Goods;
use crate::{run, sha256, until};
use serde_json::Value;
use std::any::Any;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One with a daemon, an apt-get and a dpkg of its own, or the mirror.
pub trait Machine: Sync {
    fn name(&self) -> &str;
    fn address(&self) -> Ipv4Addr;
    /// A program that runs there as root.
    fn command(&self, program: &str) -> Command;
    /// The node's own command line.
    fn aptmesh(&self) -> Command;
    /// The machine's apt-get.
    fn apt_get(&self) -> Command;
    /// Where its system's files are, as programs there see it.
    fn root(&self) -> PathBuf;
    /// Where its daemon keeps files, likewise.
    fn data(&self) -> PathBuf;
    /// Where programs there find the archive's key.
    fn keyring(&self) -> PathBuf;
    fn cable(&self) -> Cable;
    /// Starts the daemon on what it left.
    fn start(&self);
    /// Ends the daemon without a warning.
    fn kill(&self);
}

/// Addresses of the nodes that a node sees on its network, by its status.
#[track_caller]
pub fn neighbours(status: &Value) -> BTreeSet<Ipv4Addr> {
    let rows = status["lan"]["neighbours"].as_array().unwrap();
    let addresses = rows.iter().map(|row| row["address"].as_str().unwrap());
    let v4 = addresses.filter_map(|it| match it.parse().unwrap() {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    });
    v4.collect()
}

/// The network.
pub struct House {
    pub mirror: Box<dyn Machine>,
    pub nodes: Vec<Box<dyn Machine>>,
    /// Everybody is in the first; nobody is in the second.
    pub switches: [String; 2],
    /// What goes last.
    pub _ground: Box<dyn Any>,
}

/// Bytes that a node took from others.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub peers: u64,
    pub mirrors: u64,
}

impl Taken {
    pub fn sum(self) -> u64 {
        self.peers + self.mirrors
    }

    /// Of a hundred bytes, those that came from peers.
    pub fn share(self) -> u64 {
        100 * self.peers / self.sum().max(1)
    }
}

impl dyn Machine + '_ {
    /// What the node tells of itself.
    #[track_caller]
    pub fn status(&self) -> Value {
        let output = run(self.aptmesh().args(["status", "--json"]));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A number of the status by its JSON pointer.
    #[track_caller]
    pub fn number(&self, pointer: &str) -> u64 {
        let status = self.status();
        let number = status.pointer(pointer).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("{}: no {pointer} in {status}", self.name()))
    }

    /// Waits until the daemon answers.
    pub fn wait(&self) {
        until(&format!("{} answers", self.name()), || {
            let output = self.aptmesh().arg("status").output();
            output.is_ok_and(|output| output.status.success())
        });
    }

    pub fn taken(&self) -> Taken {
        let traffic = &self.status()["traffic"];
        let number = |name: &str| traffic[name].as_u64().unwrap();
        Taken {
            peers: number("from_peers"),
            mirrors: number("from_mirrors"),
        }
    }

    /// Does what README.md says a client has to do.
    pub fn point_apt(&self, mirror: Ipv4Addr) {
        let key = self.keyring();
        let source = format!(
            "deb [signed-by={}] http://{mirror}/debian stable main\n",
            key.display()
        );
        let others = self.root().join("etc/apt/sources.list.d");
        run(self
            .command("find")
            .arg(others)
            .args(["-type", "f", "-delete"]));
        self.write("etc/apt/sources.list", source.as_bytes());
        let line = run(self.aptmesh().arg("apt-conf")).stdout;
        self.write("etc/apt/apt.conf.d/30aptmesh", &line);
    }

    fn write(&self, path: &str, text: &[u8]) {
        let mut tee = self.command("tee");
        let tee = tee.arg(self.root().join(path));
        let mut tee = tee
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        tee.stdin.take().unwrap().write_all(text).unwrap();
        assert!(tee.wait().unwrap().success(), "{path} can't be written");
    }

    /// `apt-get update`, and the node knows the suite.
    #[track_caller]
    pub fn update(&self) {
        run(self.apt_get().arg("update"));
        until("the node knows the packages", || {
            self.number("/index/packages") > 0
        });
    }

    /// `apt-get install`; what the node took meanwhile. Fails unless every package is really there
    /// and right.
    #[track_caller]
    pub fn install(&self, goods: &Goods, package: &str) -> Taken {
        let before = self.taken();
        run(self.apt_get().args(["install", "-y", package]));
        let all = goods.with_dependencies(package);
        for name in &all {
            let state = self
                .command("dpkg-query")
                .arg("--admindir")
                .arg(self.root().join("var/lib/dpkg"))
                .args(["-W", "-f", "${db:Status-Abbrev}", name])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&state.stdout), "ii ", "{name}");
            let file = self.root().join("usr/share").join(name).join("data");
            let sum = run(self.command("sha256sum").arg(file)).stdout;
            let sum = String::from_utf8_lossy(&sum).into_owned();
            let right = sha256(goods.content(name));
            assert!(
                sum.starts_with(&right),
                "{name} is not right on {}",
                self.name()
            );
        }
        let expected: u64 = all.iter().map(|name| goods.size(name)).sum();
        let mut taken = before;
        // Traffic is counted in batches.
        until("what came is counted", || {
            let now = self.taken();
            taken = Taken {
                peers: now.peers - before.peers,
                mirrors: now.mirrors - before.mirrors,
            };
            taken.sum() >= expected
        });
        taken
    }

    /// Changes a byte of each piece of a package's file under the node's feet.
    #[track_caller]
    pub fn corrupt(&self, goods: &Goods, package: &str) {
        const SCRIPT: &str = "set -e; file=$(find \"$0\" -name \"$1\"); test -f \"$file\"; at=1000; \
            while [ $at -lt $(stat -c %s \"$file\") ]; do \
            printf liar | dd of=\"$file\" bs=1 seek=$at conv=notrunc status=none; at=$((at + 524288)); done";
        let mut shell = self.command("sh");
        run(shell
            .arg("-c")
            .arg(SCRIPT)
            .arg(self.data())
            .arg(sha256(&goods.deb(package))));
    }

    /// Whether a web server there is reached from here.
    pub fn reaches(&self, address: Ipv4Addr) -> bool {
        let connect = format!("exec 3<>/dev/tcp/{address}/80");
        let mut command = self.command("timeout");
        let output = command.args(["2", "bash", "-c", &connect]).output();
        output.unwrap().status.success()
    }

    /// Whether an address is one of this machine's.
    pub fn is_at(&self, address: &Value) -> bool {
        let own = format!("{}:", self.address());
        address.as_str().is_some_and(|it| it.starts_with(&own))
    }
}
