//! Machines that are network namespaces, each with a root of its own for apt and dpkg.

use crate::cable::Cable;
use crate::goods::Goods;
use crate::machine::{House, Machine};
use crate::mirror;
use crate::namespaces::{Host, Network, ip};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// What README.md says of nodes holds without a word of configuration; these namespaces have a
/// private network, and no keyring of their own.
struct Space {
    short: &'static str,
    host: Host,
    hub: String,
    folder: PathBuf,
    program: PathBuf,
    keyring: PathBuf,
    service: Vec<String>,
    process: Mutex<Option<Child>>,
}

struct Ground {
    _network: Network,
    _folder: TempDir,
    _logs: Arc<TempDir>,
}

/// As with containers: the mirror, and five nodes.
pub fn house(goods: &Goods, logs: &Arc<TempDir>, previous: Option<&Path>) -> House {
    let mut network = Network::new().unwrap();
    let hub = network.hub.clone();
    ip(&format!("-n {hub} link add br1 type bridge")).unwrap();
    ip(&format!("-n {hub} link set br1 up")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let own = PathBuf::from(env!("CARGO_BIN_EXE_aptmesh"));
    mirror::configure(logs.path(), goods.root());
    let mut space = |short: &'static str, program: &Path, service: Vec<String>| {
        let space = Space {
            short,
            host: network.host().unwrap(),
            hub: hub.clone(),
            folder: folder.path().join(short),
            program: program.to_owned(),
            keyring: goods.key(),
            service,
            process: Mutex::default(),
        };
        space.make_root();
        space.launch();
        Box::new(space) as Box<dyn Machine>
    };
    let mirror = space("mirror", &own, mirror::command(logs.path()));
    let nodes = ["one", "two", "three", "four", "five"].map(|short| {
        let program = previous.filter(|_| short == "five").unwrap_or(&own);
        space(
            short,
            program,
            vec![program.display().to_string(), "serve".to_owned()],
        )
    });
    House {
        mirror,
        nodes: nodes.into(),
        switches: ["br0", "br1"].map(str::to_owned),
        _ground: Box::new(Ground {
            _network: network,
            _folder: folder,
            _logs: Arc::clone(logs),
        }),
    }
}

impl Space {
    /// An empty system for apt and dpkg.
    fn make_root(&self) {
        let root = self.root();
        for below in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "var/lib/apt/lists/partial",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "var/cache/apt/archives/partial",
            "var/log/apt",
        ] {
            std::fs::create_dir_all(root.join(below)).unwrap();
        }
        std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        let at = root.display();
        let text = format!(
            "Dir \"{at}\";\nDir::State::status \"{at}/var/lib/dpkg/status\";\n\
             Dir::Bin::methods \"/usr/lib/apt/methods\";\nDir::Bin::dpkg \"/usr/bin/dpkg\";\n\
             DPkg::Options {{ \"--root={at}\"; }};\nAPT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\nAPT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n"
        );
        std::fs::write(self.folder.join("apt.conf"), text).unwrap();
    }

    /// A program there that sees nothing of the test's own environment.
    fn clean(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.host.name(), program]);
        command.env_clear().stdin(Stdio::null());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .env("LC_ALL", "C")
            .env("HOME", self.folder.join("home"));
        command
            .env("APTMESH_DATA_DIR", self.data())
            .env("APTMESH_UPSTREAM__ALLOW", "10.77.0.0/24")
            .env("APTMESH_INDEX__KEYRINGS", self.keyring());
        command
    }

    fn launch(&self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let (program, words) = self.service.split_first().unwrap();
        let mut command = self.clean(program);
        let child = command
            .args(words)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.process.lock().unwrap() = Some(child);
    }
}

impl Machine for Space {
    fn name(&self) -> &str {
        self.short
    }

    fn address(&self) -> Ipv4Addr {
        self.host.address
    }

    fn command(&self, program: &str) -> Command {
        self.clean(program)
    }

    fn aptmesh(&self) -> Command {
        self.clean(self.program.to_str().unwrap())
    }

    fn apt_get(&self) -> Command {
        let mut command = self.clean("apt-get");
        command.env("APT_CONFIG", self.folder.join("apt.conf"));
        command
    }

    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn keyring(&self) -> PathBuf {
        self.keyring.clone()
    }

    fn cable(&self) -> Cable {
        Cable {
            hub: Some(self.hub.clone()),
            port: format!("port{}", self.host.address.octets()[3]),
        }
    }

    fn start(&self) {
        self.launch();
    }

    fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- {}:\n{last}\n---", self.short);
        }
    }
}
